"""YAML that is hostile, broken, or only looks harmless."""

import pytest

from snowgate.config.reader import MAX_BYTES, MAX_DEPTH, read_document
from snowgate.errors import ConfigError


def refused(data: bytes) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_document("f.yaml", data)
    return caught.value


def noted(text: str) -> list[str]:
    return [str(error) for error in read_document("f.yaml", text.encode()).mistakes]


def test_only_four_kinds_of_plain_text_are_not_text() -> None:
    text = "[true, false, null, 12, -1.5, no, yes, on, True, 12:30, 2026-01-01, 0x10, 010, 1e3, ~]"

    read = read_document("f.yaml", text.encode()).root.plain()

    assert read == [
        *(True, False, None, 12, -1.5),
        *("no", "yes", "on", "True", "12:30", "2026-01-01", "0x10", "010", "1e3", "~"),
    ]


def test_quoted_text_is_text() -> None:
    assert read_document("f.yaml", b"""['true', "12", 'null']""").root.plain() == [
        "true",
        "12",
        "null",
    ]


def test_a_number_too_long_to_be_meant_stays_text() -> None:
    digits = "9" * 5000

    assert read_document("f.yaml", f"[{digits}]".encode()).root.plain() == [digits]


def test_every_key_knows_its_line() -> None:
    document = read_document("f.yaml", b"a:\n  b:\n    - c\n    - d: 1\n")

    assert document.find(("a", "b", 1, "d")).node.line == 4
    assert document.find(("a", "b", 1, "d")).key == "a.b[1].d"


def test_what_is_missing_is_placed_where_it_should_stand() -> None:
    place = read_document("f.yaml", b"a: 1\nb:\n  c: 2\n").find(("b", "x", "y"))

    assert (place.node.line, place.key) == (2, "b.x.y")


def test_a_key_given_twice_names_both_lines() -> None:
    assert noted("a: 1\nb: 2\na: 3\n") == [
        "f.yaml:3: key `a` stands here and on line 1; what to do: keep one of them"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: &x 1\n", "f.yaml:1: anchors are not allowed"),
        ("a: 1\nb: *a\n", "f.yaml:2: aliases are not allowed"),
        ("a: !!python/object:os.system x\n", "f.yaml:1: YAML tags are not allowed"),
        ("a: !!map {}\n", "f.yaml:1: YAML tags are not allowed"),
    ],
)
def test_anchors_aliases_and_tags_are_refused(text: str, problem: str) -> None:
    assert noted(text)[0].startswith(problem)


def test_a_merge_key_merges_nothing() -> None:
    read = read_document("f.yaml", b"a: {<<: {b: 1}}\n").root.plain()

    assert read == {"a": {"<<": {"b": 1}}}


def test_a_file_of_brackets_ends_in_an_error_with_its_line() -> None:
    error = refused(b"\n" + b"[" * 100_000)

    assert error.line == 2
    assert "nested deeper than 32" in str(error)


def test_a_file_of_mappings_ends_in_an_error_too() -> None:
    assert "nested deeper" in str(refused(b"{a: " * 100_000))


def test_the_deepest_allowed_level_is_read() -> None:
    read_document("f.yaml", b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)

    assert "nested deeper" in str(refused(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)))


def test_a_file_over_one_mebibyte_is_not_parsed() -> None:
    assert "larger than 1 MiB" in str(refused(b"[" * (2 * MAX_BYTES)))


def test_bytes_that_are_not_utf8_are_refused_with_their_line() -> None:
    error = refused(b"a: 1\nb: \xff\xfe\n")

    assert (error.line, error.problem) == (2, "is not UTF-8")


def test_a_control_character_is_refused_with_its_line() -> None:
    error = refused(b"a: 1\nb: x\x01\n")

    assert (error.line, error.problem) == (2, "holds a control character")


@pytest.mark.parametrize("data", [b"", b"# nothing\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(data: bytes) -> None:
    assert refused(data).problem == "is empty"


def test_a_second_document_is_refused() -> None:
    error = refused(b"a: 1\n---\nb: 2\n")

    assert (error.line, error.problem) == (3, "holds a second document")


@pytest.mark.parametrize("text", ["? [a, b]\n: 1\n", "? {a: 1}\n: 1\n", "a: 1\n*a : 1\n"])
def test_a_key_that_is_no_text_is_refused(text: str) -> None:
    assert refused(text.encode()).problem == "a key must be text"


def test_broken_syntax_says_where_and_how_to_quote() -> None:
    error = refused(b"a: 1\nb: [x.{A,B}]\n")

    assert error.line == 2
    assert "needs quotes" in error.remedy


def test_a_thousand_mistakes_are_not_all_collected() -> None:
    assert len(noted("".join("a: 1\n" for _ in range(1000)))) <= 101


def test_text_of_the_file_is_shown_without_its_control_characters() -> None:
    message = noted('"a\\u202eb": 1\n"a\\u202eb": 2\n')[0]

    assert "\u202e" not in message
    assert "a\\u202eb" in message
