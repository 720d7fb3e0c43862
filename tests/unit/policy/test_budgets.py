"""Limits and budgets: what a verdict tells the gate to count, and what becomes of what is over."""

import pytest

from snowgate.model.budget import Bound, Budget, ResultLimit
from snowgate.model.identity import Principal
from snowgate.model.statement import ObjectName, OutputColumn, Statement, StatementClass
from snowgate.model.verdict import Decision, Hold, MaskKind
from snowgate.policy import (
    Allow,
    BudgetRule,
    Deny,
    HoldFor,
    Limit,
    Mask,
    Match,
    Rule,
    Subject,
    Who,
    compile_policy,
    judge,
)

C = StatementClass
PII = frozenset({"pii"})
CUSTOMERS = ObjectName("CRM", "PUBLIC", "CUSTOMERS")
READ = Statement(C.SELECT, "SELECT", reads=(CUSTOMERS,), query=True)
READ_PII = Statement(
    C.SELECT,
    "SELECT",
    reads=(CUSTOMERS,),
    query=True,
    columns=(OutputColumn("EMAIL", PII, raw=True),),
    tags=PII,
)
INSERT = Statement(C.INSERT, "INSERT", reads=(CUSTOMERS,), writes=(ObjectName("A", "B", "C"),))
METADATA = Statement(C.ACCOUNT_METADATA, "SELECT", reads=(CUSTOMERS,), query=True)
REDACT = Rule("mask-pii", Match(tags=PII), Mask(MaskKind.REDACT))
ASK = HoldFor(frozenset({"security", "data-platform"}), 1, 3600.0)


def subject(*groups: str) -> Subject:
    return Subject(Principal("ACME", "https://i", "7", "agent"), frozenset(groups), "ANALYST")


AGENT, HUMAN = subject("agents"), subject("analysts")


ANYTHING = Match()


def reads(match: Match = ANYTHING, name: str = "reads", **limit: int) -> Rule:
    classes = frozenset({C.SELECT, C.INSERT, C.ACCOUNT_METADATA})
    return Rule(
        name,
        Match(match.who, classes, tags=match.tags, excluding=match.excluding),
        Allow(),
        limit=Limit(**limit),
    )


def agents() -> Match:
    return Match(Who(groups=frozenset({"agents"})))


def budget(
    match: Match, over: HoldFor | None = None, name: str = "agent-day", values: int | None = None
) -> BudgetRule:
    one = Budget(name, 86_400, statements=5, values=values, holds=over is not None)
    return BudgetRule(one, match, over)


def test_the_lowest_limit_of_all_rules_counts_whatever_their_order() -> None:
    rules = [
        reads(name="all", rows=100, bytes=5000),
        reads(agents(), "agents", rows=10),
        reads(name="open"),
    ]
    for order in (rules, rules[::-1]):
        policy = compile_policy([], order)
        assert judge(policy, READ, AGENT).limit == ResultLimit(
            Bound(10, "agents"), Bound(5000, "all")
        )
        assert judge(policy, READ, HUMAN).limit == ResultLimit(
            Bound(100, "all"), Bound(5000, "all")
        )


def test_a_limit_counts_where_its_rule_could_speak_though_it_is_not_sure_enough_to_allow() -> None:
    both = Statement(C.SELECT, "SELECT", reads=(CUSTOMERS,), tags=PII | {"phi"}, query=True)
    policy = compile_policy([], [reads(), reads(Match(tags=PII), "tagged", rows=10)])

    assert judge(policy, both, HUMAN).limit.rows == Bound(10, "tagged")
    assert judge(policy, READ, HUMAN).limit.rows is None


def test_a_rule_that_is_not_enforced_limits_nothing() -> None:
    shadow = Rule("shadow", Match(), Allow(), enforce=False, limit=Limit(rows=1))

    assert judge(compile_policy([], [reads(), shadow]), READ, HUMAN).limit == ResultLimit()


def test_a_held_statement_has_the_limit_of_its_rule() -> None:
    ask = Rule("ask", Match(classes=frozenset({C.SELECT})), ASK, limit=Limit(rows=3))

    verdict = judge(compile_policy([], [ask]), READ, HUMAN)

    assert (verdict.decision, verdict.limit.rows) == (Decision.HOLD, Bound(3, "ask"))


@pytest.mark.parametrize(
    ("match", "who", "counts"),
    [
        (agents(), AGENT, True),
        (agents(), HUMAN, False),
        (Match(classes=frozenset({C.SELECT})), HUMAN, True),
        (Match(classes=frozenset({C.DELETE})), HUMAN, False),
        (Match(tags=PII), HUMAN, False),
        (Match(excluding=(agents(),)), AGENT, False),
    ],
)
def test_a_budget_counts_what_its_match_is_about(match: Match, who: Subject, counts: bool) -> None:
    policy = compile_policy([], [reads()], budgets=[budget(match)])

    assert [one.name for one in judge(policy, READ, who).budgets] == ["agent-day"] * counts


def test_a_budget_of_a_class_counts_the_query_inside_another_statement() -> None:
    policy = compile_policy([], [reads()], budgets=[budget(Match(classes=frozenset({C.SELECT})))])

    assert judge(policy, INSERT, HUMAN).budgets


def test_over_a_budget_a_statement_is_held_by_its_terms_and_keeps_its_masks() -> None:
    policy = compile_policy([], [reads(), REDACT], budgets=[budget(agents(), ASK)])
    within = judge(policy, READ_PII, AGENT)

    over = judge(policy, READ_PII, AGENT, ["agent-day"])

    assert within.decision is Decision.ALLOW
    assert within.over == ()
    assert over.decision is Decision.HOLD
    assert over.hold == Hold("agent-day", ("data-platform", "security"), 1, 3600.0)
    assert over.over == ("agent-day",)
    assert over.plan == within.plan
    assert over.rules == ("agent-day", "mask-pii")
    assert over.reason.startswith("budget `agent-day` is used up: needs the approval of 1 person")
    assert not over.cacheable


def test_a_statement_that_a_rule_holds_needs_the_terms_of_both_over_a_budget() -> None:
    strict = HoldFor(frozenset({"security"}), 2, 60.0)
    rule = Rule("ask", Match(classes=frozenset({C.SELECT})), ASK)
    policy = compile_policy([], [rule], budgets=[budget(agents(), strict)])

    assert judge(policy, READ, AGENT, ["agent-day"]).hold == Hold(
        "agent-day", ("security",), 2, 60.0
    )


def test_what_is_said_to_be_over_holds_only_where_a_budget_asks_people() -> None:
    policy = compile_policy(
        [],
        [reads()],
        budgets=[budget(agents()), budget(Match(classes=frozenset({C.DROP})), ASK, "drops")],
    )

    verdict = judge(policy, READ, AGENT, ["agent-day", "drops", "unknown"])

    assert (verdict.decision, verdict.over) == (Decision.ALLOW, ())


def test_a_denial_stays_one_over_a_budget() -> None:
    never = Rule("never", Match(), Deny("because", "do otherwise"))
    policy = compile_policy([], [reads(), never], budgets=[budget(agents(), ASK)])

    assert judge(policy, READ, AGENT, ["agent-day"]).decision is Decision.DENY


def test_a_class_that_nobody_can_approve_is_denied_over_a_budget() -> None:
    policy = compile_policy([], [reads()], budgets=[budget(agents(), ASK)])

    verdict = judge(policy, METADATA, AGENT, ["agent-day"])

    assert (verdict.decision, verdict.rules) == (Decision.DENY, ("not-held",))


def test_budgets_and_limits_are_part_of_the_digest_whatever_their_order() -> None:
    one, two = budget(agents()), budget(agents(), name="other")
    plain = compile_policy([], [reads()])
    assert (
        compile_policy([], [reads()], budgets=[one, two]).digest
        == compile_policy([], [reads()], budgets=[two, one]).digest
    )
    changed = [
        compile_policy([], [reads()], budgets=[one]),
        compile_policy([], [reads()], budgets=[budget(agents(), ASK)]),
        compile_policy([], [reads(rows=1)]),
    ]
    assert len({policy.digest for policy in (plain, *changed)}) == 4
