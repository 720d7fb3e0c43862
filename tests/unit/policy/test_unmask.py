"""An approval shows in clear what a rule names, and nothing else (F12)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from snowgate.model.budget import Budget
from snowgate.model.identity import Principal
from snowgate.model.statement import (
    ObjectName,
    OutputColumn,
    Statement,
    StatementClass,
    Violation,
)
from snowgate.model.verdict import Decision, MaskKind, Verdict
from snowgate.policy import (
    Allow,
    BudgetRule,
    Deny,
    HoldFor,
    Mask,
    Match,
    Policy,
    Rule,
    Subject,
    Who,
    compile_policy,
    foresee,
    judge,
)
from snowgate.policy.moments import When
from snowgate.policy.pattern import NamePattern, parse_pattern
from snowgate.policy.rules import NEVER_HELD

C = StatementClass
PII = frozenset({"pii"})
CARDS = frozenset({"cards"})
CUSTOMERS = ObjectName("CRM", "PUBLIC", "CUSTOMERS")
ORDERS = ObjectName("CRM", "PUBLIC", "ORDERS")
ID = OutputColumn("ID")
EMAIL = OutputColumn("EMAIL", PII, raw=True)
DOMAIN = OutputColumn("DOMAIN", PII)
CARD = OutputColumn("CARD", CARDS, raw=True)
LIKE = Violation("pii_pattern_predicate", "filters by it", "do not", PII)
MASKS = (
    Rule("mask-pii", Match(tags=PII), Mask(MaskKind.REDACT)),
    Rule("mask-cards", Match(tags=CARDS), Mask(MaskKind.PARTIAL, 0, 4)),
)
SELECT = frozenset({C.SELECT, C.EXPLAIN})


def subject(*groups: str) -> Subject:
    principal = Principal("ACME", "https://ci.example.com", "7", "analyst")
    return Subject(principal, frozenset(groups), "ANALYST", "PythonConnector", at_s=1_000_000.0)


ONCALL = subject("oncall")


def objects(text: str) -> frozenset[NamePattern]:
    return frozenset(parse_pattern(text, 3, ""))


def ask(
    match: Match | None = None,
    *unmask: str,
    name: str = "break-glass",
    approvers: tuple[str, ...] = ("security",),
    quorum: int = 1,
) -> Rule:
    found = match or Match(classes=SELECT, tags=PII)
    return Rule(name, found, HoldFor(frozenset(approvers), quorum, 60.0, frozenset(unmask)))


def policy(*rules: Rule) -> Policy:
    return compile_policy((), (*MASKS, *rules))


def query(*columns: OutputColumn, reads: tuple[ObjectName, ...] = (CUSTOMERS,)) -> Statement:
    tags = frozenset().union(*(column.tags for column in columns))
    return Statement(
        C.SELECT, "SELECT", reads=reads, columns=columns, tags=tags, query=True, read_only=True
    )


BREAK_GLASS = policy(ask(None, "pii"))


def unmasked(verdict: Verdict) -> tuple[str, ...]:
    """What the approval of a held statement shows."""
    assert verdict.decision is Decision.HOLD, verdict.reason
    assert verdict.hold is not None
    return verdict.hold.unmask


def masks(verdict: Verdict) -> list[MaskKind]:
    assert verdict.plan is not None
    return [column.mask for column in verdict.plan.columns]


PASS, REDACT, PARTIAL, VOID = MaskKind.PASS, MaskKind.REDACT, MaskKind.PARTIAL, MaskKind.VOID


# -- what is shown ---------------------------------------------------------------------------


def test_what_is_held_tells_what_it_would_show_and_hides_it_until_then() -> None:
    verdict = judge(BREAK_GLASS, query(ID, EMAIL), ONCALL)

    assert unmasked(verdict) == ("pii",)
    assert masks(verdict) == [PASS, REDACT]
    assert verdict.hide_errors
    assert not verdict.cacheable
    assert "within 1 min, and then shows `pii` in clear" in verdict.reason


def test_what_was_approved_is_shown_computed_columns_too() -> None:
    verdict = judge(BREAK_GLASS, query(ID, EMAIL, DOMAIN), ONCALL, approved=["pii"])

    assert unmasked(verdict) == ("pii",)
    assert masks(verdict) == [PASS, PASS, PASS]
    assert not verdict.hide_errors
    assert not verdict.cacheable
    assert verdict.rules == ("break-glass",)


def test_without_unmask_an_approval_removes_no_mask() -> None:
    plain = policy(ask())

    verdict = judge(plain, query(EMAIL), ONCALL, approved=["pii", "cards"])

    assert unmasked(verdict) == ()
    assert masks(verdict) == [REDACT]
    assert "clear" not in judge(plain, query(EMAIL), ONCALL).reason


def test_only_the_tags_that_a_rule_names_are_shown() -> None:
    both = query(EMAIL, CARD, OutputColumn("PAIR", PII | CARDS))

    verdict = judge(BREAK_GLASS, both, ONCALL, approved=["pii", "cards"])

    assert unmasked(verdict) == ("pii",)
    assert masks(verdict) == [PASS, PARTIAL, VOID]


def test_only_the_tags_that_were_approved_are_shown() -> None:
    wide = policy(ask(None, "pii", "cards"))
    both = query(EMAIL, CARD)
    assert unmasked(judge(wide, both, ONCALL)) == ("cards", "pii")

    assert masks(judge(wide, both, ONCALL, approved=["pii"])) == [PASS, PARTIAL]
    assert masks(judge(wide, both, ONCALL, approved=[])) == [REDACT, PARTIAL]
    assert unmasked(judge(wide, both, ONCALL, approved=[])) == ()


def test_a_tag_that_the_statement_does_not_touch_or_the_reader_sees_is_not_named() -> None:
    named = policy(ask(Match(classes=SELECT), "pii", "cards"))
    assert unmasked(judge(named, query(ID), ONCALL)) == ()
    assert unmasked(judge(named, query(CARD), ONCALL)) == ("cards",)

    fraud = Match(Who(groups=frozenset({"fraud"})))
    sees = compile_policy(
        (),
        (
            Rule("mask-pii", Match(tags=PII, excluding=(fraud,)), Mask(MaskKind.REDACT)),
            ask(Match(classes=SELECT), "pii"),
        ),
    )
    assert unmasked(judge(sees, query(EMAIL), subject("fraud"))) == ()
    assert unmasked(judge(sees, query(EMAIL), ONCALL)) == ("pii",)


def test_a_predicate_on_it_is_asked_for_and_is_no_oracle_once_approved() -> None:
    filtered = replace(query(ID), tags=PII, violations=(LIKE,))

    assert unmasked(judge(BREAK_GLASS, filtered, ONCALL)) == ("pii",)
    assert judge(BREAK_GLASS, filtered, ONCALL, approved=["pii"]).decision is Decision.HOLD
    for approved in ([], ["cards"]):
        refused = judge(BREAK_GLASS, filtered, ONCALL, approved=approved)
        assert refused.decision is Decision.DENY
        assert refused.rules == ("pii_pattern_predicate",)
        assert not refused.cacheable
    assert judge(policy(ask()), filtered, ONCALL).decision is Decision.DENY


def test_a_predicate_on_a_tag_that_stays_hidden_is_denied() -> None:
    other = Violation("pii_order", "orders by it", "do not", CARDS)
    sorted_by_card = replace(query(EMAIL), tags=PII | CARDS, violations=(LIKE, other))

    verdict = judge(BREAK_GLASS, sorted_by_card, ONCALL)

    assert verdict.rules == ("pii_order",)


# -- access by access ------------------------------------------------------------------------


def test_a_rule_about_one_table_shows_nothing_beside_another() -> None:
    customers = ask(Match(classes=SELECT, objects=objects("CRM.PUBLIC.CUSTOMERS")), "pii")
    reads = Rule("reads", Match(classes=SELECT), Allow())
    joined = query(EMAIL, reads=(CUSTOMERS, ORDERS))
    narrow = policy(customers, reads)
    assert unmasked(judge(narrow, query(EMAIL), ONCALL)) == ("pii",)
    assert unmasked(judge(narrow, joined, ONCALL)) == ()

    orders = Match(classes=SELECT, objects=objects("CRM.PUBLIC.ORDERS"))
    silent = policy(customers, ask(orders, name="orders"), reads)
    assert unmasked(judge(silent, joined, ONCALL)) == ()
    both = policy(customers, ask(orders, "pii", "cards", name="orders"), reads)
    assert unmasked(judge(both, joined, ONCALL)) == ("pii",)


def test_two_rules_on_one_access_show_what_either_names_on_the_terms_of_both() -> None:
    cards = Match(classes=SELECT, tags=CARDS)
    two = policy(
        ask(None, "pii", approvers=("security", "dba")),
        ask(cards, "cards", name="cards", approvers=("security", "risk"), quorum=2),
    )

    verdict = judge(two, query(EMAIL, CARD), ONCALL)

    assert unmasked(verdict) == ("cards", "pii")
    assert verdict.hold is not None
    assert (verdict.hold.approvers, verdict.hold.quorum) == (("security",), 2)
    assert unmasked(judge(two, query(EMAIL), ONCALL)) == ("pii",)


def test_a_rule_that_holds_without_being_sure_shows_nothing() -> None:
    """A hold applies where it could; a time or an address that is not told unmasks nothing."""
    at_night = ask(Match(classes=SELECT, when=When(days=frozenset(range(7)))), "pii")
    office = Who(sources=frozenset({ip_network("10.0.0.0/8")}))
    inside = ask(Match(office, classes=SELECT), "pii")

    assert unmasked(judge(policy(at_night), query(EMAIL), ONCALL)) == ("pii",)
    assert unmasked(judge(policy(at_night), query(EMAIL), replace(ONCALL, at_s=None))) == ()
    there = replace(ONCALL, source="10.1.2.3")
    assert unmasked(judge(policy(inside), query(EMAIL), there)) == ("pii",)
    assert unmasked(judge(policy(inside), query(EMAIL), replace(there, source="unix:"))) == ()


def test_an_exception_that_could_fit_keeps_the_mask() -> None:
    elsewhere = Match(classes=SELECT, objects=objects("CRM.PUBLIC.CUSTOMERS"))
    rule = replace(ask(None, "pii"), exceptions=(elsewhere,))
    reads = Rule("reads", Match(classes=SELECT), Allow())

    assert judge(policy(rule, reads), query(EMAIL), ONCALL).decision is Decision.ALLOW
    unless_cards = replace(ask(None, "pii"), exceptions=(Match(tags=CARDS),))
    assert unmasked(judge(policy(unless_cards), query(EMAIL), ONCALL)) == ("pii",)
    assert unmasked(judge(policy(unless_cards), query(EMAIL, CARD), ONCALL)) == ()


# -- what stays ------------------------------------------------------------------------------


def test_a_rule_that_is_not_enforced_shows_nothing() -> None:
    shadow = replace(ask(None, "pii"), enforce=False)
    reads = Rule("reads", Match(classes=SELECT), Allow())
    held = ask(name="held")

    assert masks(judge(policy(shadow, reads), query(EMAIL), ONCALL, approved=["pii"])) == [REDACT]
    verdict = judge(policy(shadow, held), query(EMAIL), ONCALL)
    assert unmasked(verdict) == ()
    assert verdict.shadow == ("break-glass",)


def test_a_denial_wins() -> None:
    never = Rule("never", Match(tags=PII), Deny("because", "do otherwise"))

    verdict = judge(policy(ask(None, "pii"), never), query(EMAIL), ONCALL, approved=["pii"])

    assert (verdict.decision, verdict.rules) == (Decision.DENY, ("never",))


def test_a_rule_that_allows_shows_nothing_that_was_approved_before() -> None:
    reads = Rule("reads", Match(classes=SELECT), Allow())

    verdict = judge(policy(reads), query(EMAIL), ONCALL, approved=["pii"])

    assert verdict.decision is Decision.ALLOW
    assert masks(verdict) == [REDACT]


def test_what_cannot_be_traced_stays_void() -> None:
    odd = query(OutputColumn("X", PII, unknown=True), EMAIL)
    assert masks(judge(BREAK_GLASS, odd, ONCALL, approved=["pii"])) == [VOID, PASS]

    open_ended = replace(query(EMAIL), columns=None)
    verdict = judge(BREAK_GLASS, open_ended, ONCALL, approved=["pii"])
    assert (unmasked(verdict), verdict.void_all) == ((), True)
    assert unmasked(judge(BREAK_GLASS, open_ended, ONCALL)) == ()


def test_a_tag_that_no_rule_masks_stays_void() -> None:
    forgotten = compile_policy((), (ask(None, "pii"),))

    verdict = judge(forgotten, query(EMAIL), ONCALL, approved=["pii"])

    assert unmasked(verdict) == ()
    assert masks(verdict) == [VOID]


@pytest.mark.parametrize("kind", [one for one in C if one is not C.SELECT])
def test_only_a_query_shows_columns(kind: StatementClass) -> None:
    """A definition, a file or a procedure would show them again, to whoever comes later."""
    match = Match(classes=frozenset(C) - NEVER_HELD, tags=PII)
    plain = policy(ask(match))
    other = Statement(
        kind,
        reads=(CUSTOMERS,),
        calls=(CUSTOMERS,) if kind is C.CALL else (),
        columns=(EMAIL,),
        tags=PII,
        violations=(LIKE,),
    )

    for statement in (other, replace(other, violations=())):
        for approved in (None, ["pii"]):
            verdict = judge(policy(ask(match, "pii")), statement, ONCALL, approved=approved)
            expected = judge(plain, statement, ONCALL, approved=approved)
            assert replace(verdict, policy_digest="") == replace(expected, policy_digest="")


def test_values_still_go_nowhere_without_the_tag() -> None:
    copy = Statement(
        C.INSERT,
        "INSERT",
        reads=(CUSTOMERS,),
        writes=(ORDERS,),
        tags=PII,
        launders=PII,
    )
    rule = ask(Match(classes=frozenset({C.INSERT, C.SELECT}), tags=PII), "pii")

    for approved in (None, ["pii"]):
        assert judge(policy(rule), copy, ONCALL, approved=approved).rules == ("laundering",)


def test_a_budget_that_holds_it_too_shows_and_hides_nothing() -> None:
    budget = BudgetRule(
        Budget("day", 60, statements=1, holds=True),
        Match(),
        HoldFor(frozenset({"security"}), 2, 30.0),
    )
    both = compile_policy((), (*MASKS, ask(None, "pii")), budgets=(budget,))
    reads = Rule("reads", Match(classes=SELECT), Allow())
    alone = compile_policy((), (*MASKS, reads), budgets=(budget,))

    verdict = judge(both, query(EMAIL), ONCALL, ["day"])

    assert unmasked(verdict) == ("pii",)
    assert verdict.hold is not None
    assert verdict.hold.quorum == 2
    assert unmasked(judge(alone, query(EMAIL), ONCALL, ["day"])) == ()


def test_people_who_read_a_policy_see_the_masks_of_once_it_is_approved() -> None:
    foreseen = foresee(BREAK_GLASS, query(EMAIL, CARD), ONCALL)

    assert foreseen.decision is Decision.HOLD
    assert masks(foreseen) == [PASS, PARTIAL]
    assert "shows `pii` in clear" in foreseen.reason
    assert foresee(policy(ask()), query(EMAIL), ONCALL) == judge(
        policy(ask()), query(EMAIL), ONCALL
    )
