"""What is said of two matches holds for every statement and reader."""

from dataclasses import fields, replace
from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from snowgate.model.identity import Principal
from snowgate.model.statement import ObjectName, Statement, StatementClass
from snowgate.model.verdict import MaskKind
from snowgate.policy import Allow, Deny, Mask, Match, Rule, Subject, Who
from snowgate.policy.covering import (
    covers,
    glob_covers,
    mask_covers,
    rule_covers,
    taken_away,
)
from snowgate.policy.matching import Access, accesses, applies, concerns, misses
from snowgate.policy.moments import Hours, When
from snowgate.policy.pattern import Glob, NamePattern

C = StatementClass


def some(values: list[object], size: int = 2) -> st.SearchStrategy[frozenset[object]]:
    """Mostly nothing: matches that ask little cover one another often enough."""
    return st.one_of(
        st.just(frozenset()), st.frozensets(st.sampled_from(values), min_size=1, max_size=size)
    )


GLOBS = [Glob(("A",)), Glob(("B",)), Glob(("", "")), Glob(("A", ""))]


def patterns(parts: int) -> st.SearchStrategy[frozenset[NamePattern]]:
    one = st.lists(st.sampled_from(GLOBS), min_size=parts, max_size=parts)
    return st.one_of(
        st.just(frozenset()),
        st.frozensets(one.map(lambda globs: NamePattern(tuple(globs))), min_size=1, max_size=2),
    )


whos = st.builds(
    Who,
    groups=some(["g1", "g2", "g3"]),
    roles=some(["R1", "R2"]),
    principals=some([("https://i", "1"), ("https://i", "2")]),
    clients=some([Glob(("DBT", "")), Glob(("DBT CLI",)), Glob(("", ""))]),
    sources=some(
        [ip_network("10.0.0.0/8"), ip_network("10.1.0.0/16"), ip_network("2001:db8::/32")]
    ),
)
whens = st.builds(
    When,
    hours=some([Hours(0, 600), Hours(60, 540), Hours(600, 1440)]),
    days=some([0, 1, 2, 3, 4, 5, 6], 7),
)
plain_matches = st.builds(
    Match,
    who=st.one_of(st.just(Who()), whos),
    classes=some([C.SELECT, C.CREATE, C.DROP, C.DELETE]),
    kinds=some(["TABLE", "SCHEMA"]),
    databases=patterns(1),
    schemas=patterns(2),
    objects=patterns(3),
    tags=some(["pii", "phi"]),
    launders=some(["pii", "phi"]),
    unbounded=st.sampled_from([None, None, True, False]),
    when=st.one_of(st.just(When()), whens),
)
matches = st.builds(
    lambda match, excluding: replace(match, excluding=tuple(excluding)),
    plain_matches,
    st.lists(plain_matches, max_size=2),
)
KEYS = (
    "classes",
    "kinds",
    "databases",
    "schemas",
    "objects",
    "tags",
    "launders",
    "unbounded",
    "when",
    "who",
    "excluding",
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Match, Match]:
    """Two matches that agree in most keys."""
    one, other = draw(matches), draw(matches)
    kept = draw(st.sets(st.sampled_from(KEYS), min_size=8))
    return one, replace(other, **{key: getattr(one, key) for key in kept})


words = st.sampled_from(["A", "B", "AB", ""])
places = st.lists(st.builds(ObjectName, words, words, words), max_size=2).map(tuple)
statements = st.builds(
    Statement,
    kind=st.sampled_from([C.SELECT, C.CREATE, C.DROP, C.DELETE, C.SHOW]),
    object_kind=st.sampled_from(["", "TABLE", "SCHEMA"]),
    reads=places,
    writes=places,
    tags=some(["pii", "phi"]),
    launders=some(["pii", "phi"]),
    unbounded=st.booleans(),
)
subjects = st.builds(
    Subject,
    principal=st.builds(
        Principal, st.just("ACME"), st.just("https://i"), st.sampled_from(["1", "2"]), st.just("n")
    ),
    groups=st.frozensets(st.sampled_from(["g1", "g2", "g3"])),
    role=st.sampled_from(["R1", "R2"]),
    client=st.sampled_from(["dbt cli", "DBT", "other"]),
    source=st.sampled_from(["10.1.2.3", "10.9.9.9", "2001:db8::1", "192.0.2.1", ""]),
    at_s=st.one_of(st.none(), st.integers(0, 14 * 86400).map(float)),
)


def fits(
    match: Match, access: Access, statement: Statement, subject: Subject, *, sure: bool
) -> bool:
    return not [*misses(match, access, statement, subject, sure=sure)]


def test_every_key_of_a_match_is_weighed() -> None:
    """A key that is new to a match makes every claim about it false until it is compared too."""
    assert {each.name for each in fields(Match)} == set(KEYS)
    asked = {"groups", "roles", "principals", "clients", "sources"}
    assert {each.name for each in fields(Who)} == asked


@settings(max_examples=250)
@given(pairs(), st.booleans(), st.booleans(), statements, subjects)
def test_what_a_covered_match_fits_the_wider_one_fits(
    pair: tuple[Match, Match], wide_sure: bool, narrow_sure: bool, asked: Statement, who: Subject
) -> None:
    wide, narrow = pair
    if not covers(wide, narrow, wide_sure=wide_sure, narrow_sure=narrow_sure):
        return

    for access in accesses(asked):
        if fits(narrow, access, asked, who, sure=narrow_sure):
            assert fits(wide, access, asked, who, sure=wide_sure)


@given(matches, st.booleans(), statements, subjects)
def test_a_match_that_is_taken_away_fits_nothing(
    match: Match, sure: bool, asked: Statement, who: Subject
) -> None:
    doomed = replace(match, excluding=(*match.excluding, replace(match, excluding=())))
    if taken_away(doomed, sure=sure) is None:
        return

    assert not any(fits(doomed, access, asked, who, sure=sure) for access in accesses(asked))


actions = st.sampled_from([Allow(), Deny("r", "m")])


@settings(max_examples=150)
@given(pairs(), actions, actions, st.lists(plain_matches, max_size=1), statements, subjects)
def test_a_rule_applies_wherever_one_that_it_covers_does(
    pair: tuple[Match, Match],
    one: Allow | Deny,
    other: Allow | Deny,
    exceptions: list[Match],
    asked: Statement,
    who: Subject,
) -> None:
    wide = Rule("wide", pair[0], one, tuple(exceptions))
    narrow = Rule("narrow", pair[1], other, tuple(exceptions))
    if not rule_covers(wide, narrow):
        return

    for access in accesses(asked):
        if applies(narrow, access, asked, who):
            assert applies(wide, access, asked, who)


@given(whos, whos, whens, some(["pii", "phi"]), st.lists(whos, max_size=1), subjects)
def test_a_mask_rule_concerns_whomever_one_that_it_covers_does(
    one: Who, other: Who, when: When, tags: frozenset[str], spared: list[Who], who: Subject
) -> None:
    excluding = tuple(Match(who=each) for each in spared)
    wide = Rule("wide", Match(one, tags=tags, excluding=excluding), Mask(MaskKind.REDACT))
    narrow = Rule("narrow", Match(other, tags=tags, when=when), Mask(MaskKind.NULL), excluding)
    if mask_covers(wide, narrow) and concerns(narrow, who):
        assert concerns(wide, who)


texts = st.lists(st.sampled_from(["", "A", "B", "AB"]), min_size=1, max_size=3).map(tuple)


@given(texts, texts, st.text("AB", max_size=6))
def test_a_glob_fits_what_one_that_it_covers_fits(
    one: tuple[str, ...], other: tuple[str, ...], name: str
) -> None:
    wide, narrow = Glob(one), Glob(other)

    if glob_covers(wide, narrow) and narrow.matches(name):
        assert wide.matches(name)


@given(matches, st.booleans())
def test_a_match_without_exclusions_covers_itself(match: Match, sure: bool) -> None:
    plain = replace(match, excluding=())

    assert covers(plain, plain, wide_sure=sure, narrow_sure=sure)
