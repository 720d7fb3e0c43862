"""Which statements and readers a match fits."""

from dataclasses import replace

import pytest

from snowgate.model.identity import Principal
from snowgate.model.statement import ObjectName, Statement, StatementClass
from snowgate.policy import Allow, Deny, Match, Rule, Subject, Who
from snowgate.policy.matching import ANYWHERE, Access, accesses, applies
from snowgate.policy.pattern import Glob, parse_pattern

C = StatementClass
TABLE = ObjectName("CRM", "PUBLIC", "T")
SUBJECT = Subject(
    Principal("ACME", "https://ci.example.com", "7", "nightly"),
    frozenset({"etl", "night"}),
    "ETL",
    "PythonConnector",
)


def fits(match: Match, statement: Statement, *, loosen: bool = False) -> bool:
    """Whether a rule of this match applies; `loosen` for an allow rule."""
    action = Allow() if loosen else Deny("r", "m")
    rule = Rule("rule", match, action)
    return any(applies(rule, one, statement, SUBJECT) for one in accesses(statement))


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (Who(), True),
        (Who(groups=frozenset({"etl", "other"})), True),
        (Who(groups=frozenset({"ETL"})), False),
        (Who(roles=frozenset({"ETL"})), True),
        (Who(roles=frozenset({"ADMIN"})), False),
        (Who(groups=frozenset({"etl"}), roles=frozenset({"ADMIN"})), False),
        (Who(principals=frozenset({("https://ci.example.com", "7")})), True),
        (Who(principals=frozenset({("https://other.example.com", "7")})), False),
        (Who(clients=frozenset({Glob(("PYTHON", ""))})), True),
        (Who(clients=frozenset({Glob(("PYTHON",))})), False),
    ],
)
def test_readers(who: Who, expected: bool) -> None:
    assert fits(Match(who), Statement(C.SELECT)) is expected


def test_f6_a_display_name_is_never_a_key() -> None:
    by_name = Match(Who(principals=frozenset({("https://ci.example.com", "nightly")})))

    assert not fits(by_name, Statement(C.SELECT))


def test_not_takes_out_of_a_match() -> None:
    match = Match(excluding=(Match(Who(groups=frozenset({"etl"}))),))

    assert not fits(match, Statement(C.SELECT))


def test_none_of_several_exclusions_may_fit() -> None:
    other = Match(Who(groups=frozenset({"nobody"})))
    mine = Match(Who(roles=frozenset({"ETL"})))

    assert fits(Match(excluding=(other,)), Statement(C.SELECT))
    assert not fits(Match(excluding=(other, mine)), Statement(C.SELECT))


@pytest.mark.parametrize("loosen", [True, False])
def test_a_kind_that_is_told_fits_or_not(loosen: bool) -> None:
    match = Match(kinds=frozenset({"SCHEMA"}))

    assert fits(match, Statement(C.CREATE, object_kind="SCHEMA"), loosen=loosen)
    assert not fits(match, Statement(C.CREATE, object_kind="TABLE"), loosen=loosen)


def test_a_kind_that_is_not_told_could_be_any() -> None:
    match = Match(kinds=frozenset({"SCHEMA"}))

    assert fits(match, Statement(C.CREATE))
    assert not fits(match, Statement(C.CREATE), loosen=True)


def test_tags_tighten_if_any_and_loosen_if_all() -> None:
    match = Match(tags=frozenset({"pii"}))
    both = Statement(C.SELECT, tags=frozenset({"pii", "phi"}))

    assert fits(match, both)
    assert not fits(match, both, loosen=True)
    assert fits(match, Statement(C.SELECT, tags=frozenset({"pii"})), loosen=True)
    assert not fits(match, Statement(C.SELECT), loosen=True)


def test_an_exclusion_of_places_is_turned_round() -> None:
    # A denial "except in CRM" has to be sure that it is CRM; a drop of something unnamed is not.
    in_crm = Match(databases=frozenset(parse_pattern("CRM", 1, "")))
    match = Match(excluding=(in_crm,))

    assert not fits(match, Statement(C.DROP, writes=(TABLE,)))
    assert fits(match, Statement(C.DROP))
    assert not fits(match, Statement(C.DROP), loosen=True)


def test_all_kinds_of_place_must_agree() -> None:
    match = Match(
        databases=frozenset(parse_pattern("CRM", 1, "")),
        objects=frozenset(parse_pattern("*.PRIVATE.*", 3, "")),
    )

    assert not fits(match, Statement(C.SELECT, reads=(TABLE,)))
    assert fits(match, Statement(C.SELECT, reads=(ObjectName("CRM", "PRIVATE", "T"),)))


def test_an_unload_reads_and_unloads() -> None:
    stage = ObjectName("CRM", "OPS", "EXPORTS")
    read = {Access(C.SELECT, TABLE), Access(C.UNLOAD, TABLE)}

    found = accesses(Statement(C.UNLOAD, reads=(TABLE,), writes=(stage,)))
    assert set(found) == read | {Access(C.UNLOAD, stage)}
    # A location outside the account has no name that a rule with places could allow.
    nameless = accesses(Statement(C.UNLOAD, reads=(TABLE,)))
    assert set(nameless) == read | {Access(C.UNLOAD, ANYWHERE)}


def test_an_update_of_one_table_is_no_read_of_it() -> None:
    assert accesses(Statement(C.UPDATE, reads=(TABLE,), writes=(TABLE,))) == (
        Access(C.UPDATE, TABLE),
    )


@pytest.mark.parametrize("kind", list(C))
def test_every_statement_is_an_access_of_its_own_class(kind: StatementClass) -> None:
    for statement in (
        Statement(kind),
        Statement(kind, reads=(TABLE,)),
        Statement(kind, writes=(TABLE,)),
    ):
        assert any(access.kind is kind for access in accesses(statement))


@pytest.mark.parametrize(
    "other",
    [
        replace(SUBJECT, groups=frozenset({"etl"})),
        replace(SUBJECT, role="ETL2"),
        replace(SUBJECT, client="JDBC"),
        replace(SUBJECT, principal=replace(SUBJECT.principal, account="B")),
        replace(SUBJECT, principal=replace(SUBJECT.principal, issuer="https://x")),
        replace(SUBJECT, principal=replace(SUBJECT.principal, subject="8")),
    ],
)
def test_f4_the_digest_of_a_subject_tells_any_difference_a_rule_may_see(other: Subject) -> None:
    assert other.digest != SUBJECT.digest


def test_the_digest_of_a_subject_ignores_its_display_name() -> None:
    renamed = replace(SUBJECT, principal=replace(SUBJECT.principal, name="x"))

    assert renamed.digest == SUBJECT.digest


def test_an_exception_of_places_has_to_be_sure() -> None:
    in_crm = Match(databases=frozenset(parse_pattern("CRM", 1, "")))
    rule = Rule("rule", Match(), Deny("r", "m"), (in_crm,))

    def denied(statement: Statement) -> bool:
        return any(applies(rule, one, statement, SUBJECT) for one in accesses(statement))

    assert not denied(Statement(C.DROP, writes=(TABLE,)))
    assert denied(Statement(C.DROP))
