"""Patterns over names."""

import time

import pytest

from snowgate.policy.pattern import Glob, PatternError, parse_name, parse_pattern


def matches(pattern: str, *names: str) -> bool:
    found = parse_pattern(pattern, len(names), "A.B.C")
    return any(one.matches(names) for one in found)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("crm.public.*", ("CRM", "PUBLIC", "CUSTOMERS")),
        ("CRM.*.T_*_RAW", ("CRM", "X", "T_A_B_RAW")),
        ("*.*", ("any", "THING")),
        ('CRM."My.Schema"', ("CRM", "My.Schema")),
        ('"a*"', ("a*",)),
        ('"say ""hi"""', ('say "hi"',)),
        ("{A,B}_X", ("B_X",)),
        ('{EMAIL, "e mail"}', ("e mail",)),
        ("X{1,2}{3,4}", ("X23",)),
        ("$a_1", ("$A_1",)),
    ],
)
def test_a_pattern_fits(pattern: str, names: tuple[str, ...]) -> None:
    assert matches(pattern, *names)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("email", ("email",)),  # created as "email": another column
        ("CRM.PUBLIC", ("CRM", "PUBLIC2")),
        ("A*A", ("A",)),
        ("A*BC*D", ("ABD",)),
        ('"a*"', ("ab",)),
        ("T.*", ("T2", "X")),
    ],
)
def test_a_pattern_does_not_fit(pattern: str, names: tuple[str, ...]) -> None:
    assert not matches(pattern, *names)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "A.",
        ".A",
        "A..B",
        "A B",
        "{A",
        "{A,}",
        "{{A}}",
        "A}",
        '"a',
        '""',
        "A,B",
        "é",
        "A" * 1025,
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        parse_pattern(pattern, pattern.count(".") + 1, "A")


def test_the_number_of_parts_is_checked() -> None:
    with pytest.raises(PatternError, match=r"has 1 dotted part; write `DATABASE\.SCHEMA`"):
        parse_pattern("PUBLIC", 2, "`DATABASE.SCHEMA`")


def test_braces_cannot_multiply_without_end() -> None:
    with pytest.raises(PatternError, match="more than 500"):
        parse_pattern("{A,B}" * 60, 1, "A")
    with pytest.raises(PatternError, match="more than 500"):
        parse_pattern(".".join(["{A,B,C,D,E,F,G,H}"] * 3), 3, "A")


@pytest.mark.parametrize("pattern", ['CRM."a b".X*Y', "*.{A,B}.*", '"x""y".A*B*.C'])
def test_a_pattern_reads_back_as_itself(pattern: str) -> None:
    for one in parse_pattern(pattern, 3, "A"):
        assert parse_pattern(str(one), 3, "A") == (one,)


def test_equal_globs_have_one_form() -> None:
    assert parse_pattern("A***B", 1, "A") == parse_pattern("A*B", 1, "A")


def test_f26_matching_is_linear_in_the_name() -> None:
    hostile = Glob(("A",) * 500 + ("B",))
    name = "A" * 100_000

    start = time.perf_counter()
    matched = hostile.matches(name)

    assert not matched
    assert time.perf_counter() - start < 1.0


def test_an_unnamed_part_fits_only_where_could_is_enough() -> None:
    (pattern,) = parse_pattern("CRM.PUBLIC.*", 3, "A")

    assert pattern.matches(("CRM", "PUBLIC", ""), sure=False)
    assert not pattern.matches(("CRM", "PUBLIC", ""), sure=True)
    assert not pattern.matches(("HR", "", ""), sure=False)


@pytest.mark.parametrize(("text", "name"), [("etl", "ETL"), ('"Etl x"', "Etl x"), ("_a$1", "_A$1")])
def test_names_are_folded_as_snowflake_does(text: str, name: str) -> None:
    assert parse_name(text) == name


@pytest.mark.parametrize("text", ["", "a b", "1a", "a.b", '"a', "a*"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(PatternError):
        parse_name(text)
