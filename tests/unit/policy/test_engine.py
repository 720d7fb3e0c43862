"""What decides, and what is said of it."""

from dataclasses import replace
from typing import Any

import pytest

from snowgate.model.identity import Principal
from snowgate.model.statement import (
    ObjectName,
    OutputColumn,
    Refusal,
    Statement,
    StatementClass,
    Violation,
)
from snowgate.model.verdict import Decision, Hold, MaskKind
from snowgate.policy import (
    Allow,
    Deny,
    HoldFor,
    Mask,
    Match,
    Policy,
    Rule,
    Subject,
    Who,
    compile_policy,
    judge,
)
from snowgate.policy.pattern import NamePattern, parse_pattern

C = StatementClass
PII = frozenset({"pii"})
CUSTOMERS = ObjectName("CRM", "PUBLIC", "CUSTOMERS")
ORDERS = ObjectName("CRM", "PUBLIC", "ORDERS")
MODEL = ObjectName("CRM", "DBT", "CUSTOMERS")
SALARIES = ObjectName("HR", "PRIVATE", "SALARIES")
EMAIL = OutputColumn("EMAIL", PII, raw=True)


def subject(*groups: str) -> Subject:
    principal = Principal("ACME", "https://ci.example.com", "7", "analyst")
    return Subject(principal, frozenset(groups or ("analysts",)), "ANALYST", "PythonConnector")


ANALYST, FRAUD = subject("analysts"), subject("fraud-team")


def patterns(text: str) -> frozenset[NamePattern]:
    return frozenset(parse_pattern(text, text.count(".") + 1, ""))


def allow(*classes: StatementClass, name: str = "reads") -> Rule:
    return Rule(name, Match(classes=frozenset(classes)), Allow())


def deny(match: Match, name: str = "never", *exceptions: Match) -> Rule:
    return Rule(name, match, Deny("because", "do otherwise"), exceptions)


def hold(
    match: Match,
    name: str = "ask",
    approvers: tuple[str, ...] = ("dba",),
    quorum: int = 1,
    expires_s: float = 60.0,
) -> Rule:
    return Rule(name, match, HoldFor(frozenset(approvers), quorum, expires_s))


def mask(kind: MaskKind = MaskKind.REDACT, name: str = "mask-pii", *unless: str) -> Rule:
    excluding = tuple(Match(Who(groups=frozenset({group}))) for group in unless)
    return Rule(name, Match(tags=PII, excluding=excluding), Mask(kind))


def policy(*rules: Rule) -> Policy:
    return compile_policy((), rules)


def query(*columns: OutputColumn, reads: tuple[ObjectName, ...] = (CUSTOMERS,)) -> Statement:
    tags = frozenset().union(*(column.tags for column in columns))
    return Statement(
        C.SELECT, "SELECT", reads=reads, columns=columns, tags=tags, query=True, read_only=True
    )


READS = allow(C.SELECT)


# ---- decisions


def test_what_no_rule_allows_is_denied_and_told_which_class_needs_one() -> None:
    verdict = judge(policy(), query(OutputColumn("ID")), ANALYST)

    assert verdict.decision is Decision.DENY
    assert verdict.rules == ("no-rule",)
    assert "class `select` on `CRM.PUBLIC.CUSTOMERS`" in verdict.reason
    assert "class `select`" in verdict.remedy


@pytest.mark.parametrize("kind", list(C))
def test_an_empty_policy_denies_every_class(kind: StatementClass) -> None:
    assert judge(policy(), Statement(kind), ANALYST).decision is Decision.DENY


def test_a_rule_allows_its_class_only() -> None:
    only_reads = policy(READS)

    assert judge(only_reads, Statement(C.SELECT, query=True), ANALYST).decision is Decision.ALLOW
    assert judge(only_reads, Statement(C.SHOW), ANALYST).decision is Decision.DENY


def test_hold_wins_over_allow_and_deny_over_hold() -> None:
    everything = Match(classes=frozenset({C.DELETE}))
    allowed, held, denied = allow(C.DELETE), hold(everything), deny(everything)

    statement = Statement(C.DELETE, writes=(ORDERS,))

    assert judge(policy(allowed), statement, ANALYST).decision is Decision.ALLOW
    assert judge(policy(allowed, held), statement, ANALYST).decision is Decision.HOLD
    assert judge(policy(allowed, held, denied), statement, ANALYST).decision is Decision.DENY


def test_a_denial_gives_the_rules_reason_and_remedy() -> None:
    verdict = judge(policy(READS, deny(Match())), query(OutputColumn("ID")), ANALYST)

    assert (verdict.rules, verdict.reason, verdict.remedy) == (
        ("never",),
        "because",
        "do otherwise",
    )


def test_a_hold_carries_its_terms() -> None:
    verdict = judge(policy(hold(Match(), quorum=2)), Statement(C.DROP, writes=(ORDERS,)), ANALYST)

    assert verdict.hold == Hold("ask", ("dba",), 2, 60.0)
    assert "2 people of `dba` within 1 min" in verdict.reason
    assert not verdict.cacheable


def test_two_holds_are_satisfied_together_by_the_stricter_terms() -> None:
    slow = hold(Match(), "slow", ("dba", "security"), quorum=2, expires_s=3600)
    quick = hold(Match(), "quick", ("dba",), expires_s=20)

    verdict = judge(policy(slow, quick), Statement(C.DROP, writes=(ORDERS,)), ANALYST)

    assert verdict.rules == ("quick", "slow")
    assert verdict.hold == Hold("quick", ("dba",), 2, 20)


def test_two_holds_without_a_common_approver_deny() -> None:
    rules = policy(hold(Match(), "a", ("dba",)), hold(Match(), "b", ("security",)))

    verdict = judge(rules, Statement(C.DROP, writes=(ORDERS,)), ANALYST)

    assert (verdict.decision, verdict.rules) == (Decision.DENY, ("hold-conflict",))


def test_an_exception_softens_the_rule_it_stands_on_only() -> None:
    drops = Match(classes=frozenset({C.DROP}))
    sandbox = Match(schemas=patterns("DEV.SANDBOX"))
    held = Rule("ask", drops, HoldFor(frozenset({"dba"}), 1, 60), (sandbox,))
    rules = policy(held, allow(C.DROP, name="drops"))

    in_sandbox = Statement(C.DROP, writes=(ObjectName("DEV", "SANDBOX", "T"),))

    assert judge(rules, in_sandbox, ANALYST).decision is Decision.ALLOW
    assert judge(rules, Statement(C.DROP, writes=(ORDERS,)), ANALYST).decision is Decision.HOLD


def test_unbounded_changes_can_be_told_from_bounded_ones() -> None:
    rules = policy(allow(C.DELETE), hold(Match(unbounded=True)))

    bounded = Statement(C.DELETE, writes=(ORDERS,))
    unbounded = Statement(C.DELETE, writes=(ORDERS,), unbounded=True)

    assert judge(rules, bounded, ANALYST).decision is Decision.ALLOW
    assert judge(rules, unbounded, ANALYST).decision is Decision.HOLD


# ---- what is built in


def test_a_refusal_is_final() -> None:
    statement = Statement(
        C.SELECT, refusal=Refusal("unparsed", "cannot be read", "write it differently")
    )

    verdict = judge(policy(READS), statement, ANALYST)

    assert (verdict.decision, verdict.rules) == (Decision.DENY, ("unparsed",))
    assert (verdict.reason, verdict.remedy) == ("cannot be read", "write it differently")


def test_f18_credentials_can_be_neither_allowed_nor_held() -> None:
    statement = Statement(C.CREDENTIAL, "ALTER", object_kind="USER")

    for rule in (
        allow(C.CREDENTIAL),
        hold(Match()),
        hold(Match(classes=frozenset({C.CREDENTIAL}))),
    ):
        verdict = judge(policy(rule), statement, ANALYST)

        assert verdict.decision is Decision.DENY
        assert "credential" in verdict.rules


def test_f17_account_metadata_needs_a_rule_that_names_it() -> None:
    statement = Statement(C.ACCOUNT_METADATA, "SHOW", object_kind="USERS")

    assert judge(policy(READS), statement, ANALYST).rules == ("account-metadata",)
    assert judge(policy(hold(Match())), statement, ANALYST).rules == ("not-held",)
    named = policy(allow(C.ACCOUNT_METADATA))
    assert judge(named, statement, ANALYST).decision is Decision.ALLOW


def test_an_unknown_verb_is_denied_whatever_the_rules_say() -> None:
    verdict = judge(policy(hold(Match())), Statement(C.UNKNOWN, "FETCHALL"), ANALYST)

    assert verdict.decision is Decision.DENY
    assert "unknown-statement" in verdict.rules


def test_reading_an_object_the_catalog_does_not_know_is_denied() -> None:
    statement = Statement(C.SELECT, query=True, columns=None, unknown_sources=(SALARIES,))

    verdict = judge(policy(READS), statement, FRAUD)

    assert verdict.rules == ("unknown-object",)
    assert "`HR.PRIVATE.SALARIES`" in verdict.reason


def test_a_violation_denies_under_the_name_of_its_knob() -> None:
    order = Violation("pii_order", "orders by a tagged column", "order by another column", PII)
    statement = Statement(C.SELECT, query=True, tags=PII, violations=(order,))

    verdict = judge(policy(READS, mask()), statement, ANALYST)

    assert (verdict.decision, verdict.rules) == (Decision.DENY, ("pii_order",))
    assert (verdict.reason, verdict.remedy) == (order.reason, order.remedy)


def test_violations_do_not_concern_a_reader_who_sees_the_values() -> None:
    order = Violation("pii_order", "orders by a tagged column", "order by another column", PII)
    statement = Statement(C.SELECT, query=True, tags=PII, violations=(order,))
    rules = policy(READS, mask(MaskKind.REDACT, "mask-pii", "fraud-team"))

    assert judge(rules, statement, FRAUD).decision is Decision.ALLOW
    assert judge(rules, statement, ANALYST).decision is Decision.DENY


def test_a_violation_that_names_no_tag_concerns_everybody() -> None:
    statement = Statement(C.SELECT, query=True, violations=(Violation("pii_order", "r", "m"),))
    rules = policy(READS, mask(MaskKind.REDACT, "mask-pii", "fraud-team"))

    assert judge(rules, statement, FRAUD).decision is Decision.DENY


def test_several_denials_are_all_named() -> None:
    violations = tuple(Violation(knob, knob, f"mend {knob}", PII) for knob in ("pii_b", "pii_a"))
    statement = Statement(C.SELECT, query=True, tags=PII, violations=violations)

    verdict = judge(policy(READS, mask()), statement, ANALYST)

    assert verdict.rules == ("pii_a", "pii_b")
    assert verdict.reason == "pii_a; pii_b"
    assert verdict.remedy == "mend pii_a; mend pii_b"


def test_f1_copying_tagged_values_to_an_untagged_place_is_denied_to_everybody() -> None:
    # The reader may see them, but whoever reads the copy may not.
    statement = Statement(C.INSERT, reads=(CUSTOMERS,), writes=(ORDERS,), tags=PII, launders=PII)
    rules = policy(READS, allow(C.INSERT, name="dml"), mask(MaskKind.REDACT, "m", "fraud-team"))

    assert judge(rules, statement, ANALYST).rules == ("laundering",)
    assert judge(rules, statement, FRAUD).rules == ("laundering",)


def test_a_rule_may_let_one_table_take_a_copy() -> None:
    into_orders = Match(
        classes=frozenset({C.INSERT}), objects=patterns("CRM.PUBLIC.ORDERS"), launders=PII
    )
    rules = policy(READS, allow(C.INSERT, name="dml"), Rule("copies", into_orders, Allow()), mask())

    def insert(*tables: ObjectName) -> Statement:
        return Statement(C.INSERT, reads=(CUSTOMERS,), writes=tables, tags=PII, launders=PII)

    assert judge(rules, insert(ORDERS), ANALYST).decision is Decision.ALLOW
    assert judge(rules, insert(ORDERS, SALARIES), ANALYST).rules == ("laundering",)


def models(text: str = "CRM.DBT", group: str = "analysts") -> Rule:
    places = Match(
        Who(groups=frozenset({group})),
        classes=frozenset({C.INSERT, C.MERGE}),
        schemas=patterns(text),
    )
    return Rule("models", places, Allow(propagate=True))


def test_tags_propagate_into_the_places_of_a_rule_that_lets_them_and_no_further() -> None:
    rules = policy(READS, models(), allow(C.INSERT, name="dml"), mask())

    def insert(*tables: ObjectName) -> Statement:
        return Statement(C.INSERT, reads=(CUSTOMERS,), writes=tables, tags=PII, launders=PII)

    assert judge(rules, insert(MODEL), ANALYST).rules == ("dml", "models", "reads")
    assert judge(rules, insert(ORDERS), ANALYST).rules == ("laundering",)
    assert judge(rules, insert(MODEL, ORDERS), ANALYST).rules == ("laundering",)
    assert judge(rules, insert(MODEL), FRAUD).rules == ("laundering",)


def test_a_denied_copy_says_where_tags_may_propagate_to() -> None:
    rules = policy(READS, models("CRM.{DBT,MARTS}"), allow(C.INSERT, name="dml"), mask())
    statement = Statement(C.INSERT, reads=(CUSTOMERS,), writes=(ORDERS,), tags=PII, launders=PII)

    told, stranger = judge(rules, statement, ANALYST), judge(rules, statement, FRAUD)

    assert "rule `models` lets tags propagate only into `CRM.DBT` or `CRM.MARTS`" in told.reason
    assert "write them where tags may propagate" in told.remedy
    assert "models" not in stranger.reason
    assert "allow: {propagate: true}" in stranger.remedy


def test_computed_values_go_only_where_tags_propagate() -> None:
    computed = Violation("laundering", "stores something computed", "copy it as it is", PII)
    unknown = Violation("laundering", "copies what nobody knows", "name it")
    rules = policy(READS, models(), allow(C.MERGE, name="dml"), mask())

    def merge(table: ObjectName, violation: Violation) -> Statement:
        return Statement(
            C.MERGE, reads=(CUSTOMERS,), writes=(table,), tags=PII, violations=(violation,)
        )

    assert judge(rules, merge(MODEL, computed), ANALYST).decision is Decision.ALLOW
    assert judge(rules, merge(ORDERS, computed), ANALYST).rules == ("laundering",)
    assert judge(rules, merge(MODEL, unknown), ANALYST).rules == ("laundering",)


def test_a_predicate_that_reveals_is_denied_where_tags_propagate_too() -> None:
    order = Violation("pii_order", "orders by a tag", "order by another column", PII)
    statement = Statement(
        C.INSERT, reads=(CUSTOMERS,), writes=(MODEL,), tags=PII, violations=(order,)
    )

    assert judge(policy(READS, models(), mask()), statement, ANALYST).rules == ("pii_order",)


def test_a_copy_can_be_held_instead() -> None:
    copies = hold(Match(classes=frozenset({C.INSERT}), launders=PII))
    statement = Statement(C.INSERT, reads=(CUSTOMERS,), writes=(ORDERS,), tags=PII, launders=PII)

    assert judge(policy(READS, copies, mask()), statement, ANALYST).decision is Decision.HOLD


def test_f18_code_that_reads_masked_columns_is_denied() -> None:
    task = Statement(C.CODE, "CREATE", object_kind="TASK", reads=(CUSTOMERS,), tags=PII)
    rules = policy(READS, hold(Match(classes=frozenset({C.CODE}))), mask())

    assert judge(rules, task, ANALYST).rules == ("code-body",)
    assert judge(rules, Statement(C.CODE, "CREATE"), ANALYST).decision is Decision.HOLD


# ---- objects


def test_every_object_a_statement_reads_needs_a_rule() -> None:
    rules = policy(
        Rule("crm", Match(classes=frozenset({C.SELECT}), databases=patterns("CRM")), Allow())
    )

    assert judge(rules, query(OutputColumn("ID")), ANALYST).decision is Decision.ALLOW
    joined = query(OutputColumn("ID"), reads=(CUSTOMERS, SALARIES))
    verdict = judge(rules, joined, ANALYST)
    assert verdict.decision is Decision.DENY
    assert "`HR.PRIVATE.SALARIES`" in verdict.reason


def test_what_a_change_reads_is_judged_as_a_read() -> None:
    rules = policy(
        allow(C.INSERT, name="dml"),
        READS,
        deny(Match(classes=frozenset({C.SELECT}), databases=patterns("HR"))),
    )
    copy = Statement(C.INSERT, reads=(SALARIES,), writes=(ORDERS,))

    assert judge(rules, copy, ANALYST).rules == ("never",)


def test_copying_a_denied_table_into_itself_and_another_is_a_read_of_it() -> None:
    rules = policy(
        allow(C.INSERT, name="dml"),
        READS,
        deny(Match(classes=frozenset({C.SELECT}), databases=patterns("HR"))),
    )
    copy = Statement(C.INSERT, reads=(SALARIES,), writes=(SALARIES, ORDERS))

    assert judge(rules, copy, ANALYST).decision is Decision.DENY


def test_a_schema_may_be_open_to_changes_that_read_elsewhere() -> None:
    dbt = Match(classes=frozenset({C.CREATE}), schemas=patterns("ANALYTICS.DBT"))
    ddl = Match(classes=frozenset({C.CREATE, C.DROP}))
    rules = policy(
        READS,
        Rule("ddl", ddl, HoldFor(frozenset({"dba"}), 1, 60), (dbt,)),
        Rule("dbt", dbt, Allow()),
    )
    model = Statement(C.CREATE, reads=(ORDERS,), writes=(ObjectName("ANALYTICS", "DBT", "M"),))

    assert judge(rules, model, ANALYST).decision is Decision.ALLOW


def test_dropping_a_schema_is_denied_where_one_of_its_tables_is() -> None:
    rules = policy(
        allow(C.DROP),
        deny(Match(classes=frozenset({C.DROP}), objects=patterns("CRM.PUBLIC.ORDERS"))),
    )
    drop_schema = Statement(C.DROP, object_kind="SCHEMA", writes=(ObjectName("CRM", "PUBLIC", ""),))

    assert judge(rules, drop_schema, ANALYST).decision is Decision.DENY


def test_dropping_a_database_is_not_allowed_by_a_rule_over_its_tables() -> None:
    tables = Match(classes=frozenset({C.DROP}), objects=patterns("CRM.*.*"))
    rules = policy(Rule("drops", tables, Allow()))
    drop_database = Statement(C.DROP, object_kind="DATABASE", writes=(ObjectName("CRM", "", ""),))

    assert judge(rules, Statement(C.DROP, writes=(ORDERS,)), ANALYST).decision is Decision.ALLOW
    assert judge(rules, drop_database, ANALYST).decision is Decision.DENY


def test_a_change_of_unnamed_objects_is_caught_by_rules_over_places() -> None:
    guarded = Match(classes=frozenset({C.ALTER}), databases=patterns("HR"))
    statement = Statement(C.ALTER, object_kind="WAREHOUSE")

    assert judge(policy(allow(C.ALTER), deny(guarded)), statement, ANALYST).rules == ("never",)
    assert judge(policy(Rule("a", guarded, Allow())), statement, ANALYST).rules == ("no-rule",)


def test_a_query_without_tables_touches_no_place() -> None:
    rules = policy(READS, deny(Match(databases=patterns("HR"))))

    verdict = judge(rules, Statement(C.SELECT, query=True, columns=(OutputColumn("1"),)), ANALYST)

    assert verdict.decision is Decision.ALLOW


# ---- masks


def test_f12_a_held_statement_keeps_its_masks() -> None:
    rules = policy(hold(Match(tags=PII)), READS, mask())

    verdict = judge(rules, query(EMAIL), ANALYST)

    assert verdict.decision is Decision.HOLD
    assert verdict.plan is not None
    assert verdict.plan.columns[0].mask is MaskKind.REDACT
    assert verdict.rules == ("ask", "mask-pii")


def test_an_allowed_query_names_the_rules_that_mask_it() -> None:
    verdict = judge(policy(READS, mask()), query(EMAIL, OutputColumn("ID")), ANALYST)

    assert verdict.rules == ("mask-pii", "reads")
    assert verdict.plan is not None
    assert [column.mask for column in verdict.plan.columns] == [MaskKind.REDACT, MaskKind.PASS]
    assert verdict.hide_errors


def test_a_reader_whom_no_mask_concerns_sees_the_values_and_the_errors() -> None:
    rules = policy(READS, mask(MaskKind.REDACT, "mask-pii", "fraud-team"))

    verdict = judge(rules, query(EMAIL), FRAUD)

    assert verdict.plan is not None
    assert verdict.plan.clear
    assert not verdict.hide_errors
    assert verdict.rules == ("reads",)


def test_columns_nobody_can_predict_are_void_where_tagged_data_is_touched() -> None:
    blind = Statement(C.SELECT, reads=(CUSTOMERS,), columns=None, tags=PII, query=True)

    verdict = judge(policy(READS, mask()), blind, ANALYST)

    assert (verdict.plan, verdict.void_all) == (None, True)
    assert verdict.rules == ("mask-pii", "reads")


def test_columns_nobody_can_predict_pass_where_nothing_is_tagged() -> None:
    blind = Statement(C.SELECT, reads=(ORDERS,), columns=None, query=True)

    verdict = judge(policy(READS, mask()), blind, ANALYST)

    assert (verdict.plan, verdict.void_all) == (None, False)


@pytest.mark.parametrize("kind", [C.SHOW, C.DESCRIBE, C.USE, C.SESSION, C.TRANSACTION, C.UPDATE])
def test_what_returns_no_governed_rows_has_no_plan(kind: StatementClass) -> None:
    verdict = judge(policy(allow(kind)), Statement(kind), ANALYST)

    assert (verdict.decision, verdict.plan, verdict.void_all) == (Decision.ALLOW, None, False)
    assert verdict.cacheable
    assert verdict.valid_until_s is None


def test_a_select_without_predicted_columns_has_an_empty_plan_that_fits_nothing() -> None:
    verdict = judge(policy(READS), Statement(C.SELECT), ANALYST)

    assert verdict.plan is not None
    assert verdict.plan.columns == ()


@pytest.mark.parametrize("kind", [C.CALL, C.DYNAMIC])
def test_what_somebodys_code_returns_is_void(kind: StatementClass) -> None:
    verdict = judge(policy(allow(kind)), Statement(kind), FRAUD)

    assert verdict.void_all
    assert verdict.hide_errors


@pytest.mark.parametrize("kind", [C.CALL, C.DYNAMIC])
def test_f12_what_is_void_stays_void_though_people_approve_it(kind: StatementClass) -> None:
    held = Rule("asks", Match(classes=frozenset({kind})), HoldFor(frozenset({"dba"}), 1, 60))

    verdict = judge(policy(held), Statement(kind), FRAUD)

    assert verdict.decision is Decision.HOLD
    assert (verdict.void_all, verdict.hide_errors) == (True, True)


REFRESH = ObjectName("CRM", "OPS", "REFRESH")


def calling(**more: Any) -> Statement:
    """CALL of a vetted procedure."""
    return replace(Statement(C.CALL, "CALL", "PROCEDURE", columns=None, calls=(REFRESH,)), **more)


def on(place: str, name: str = "calls") -> Rule:
    return Rule(name, Match(classes=frozenset({C.CALL}), objects=patterns(place)), Allow())


def test_a_call_is_judged_as_the_procedure_and_what_it_reads_as_read() -> None:
    calls, reads = on("CRM.OPS.REFRESH"), allow(C.SELECT)
    statement = calling(reads=(ORDERS,), writes=(MODEL,))

    assert judge(policy(calls, reads), statement, ANALYST).decision is Decision.ALLOW
    for rules in ((calls,), (reads,), (on("CRM.OPS.OTHER"), reads), ()):
        verdict = judge(policy(*rules), statement, ANALYST)
        assert (verdict.decision, verdict.rules) == (Decision.DENY, ("no-rule",))


def test_a_deny_rule_over_what_a_procedure_reads_stops_the_call() -> None:
    rules = policy(allow(C.CALL, C.SELECT), deny(Match(objects=patterns("HR.PRIVATE.*"))))

    assert judge(rules, calling(reads=(SALARIES,)), ANALYST).rules == ("never",)


def test_rows_of_a_procedure_that_reads_tagged_columns_are_void_to_whom_they_are_masked() -> None:
    rules = policy(allow(C.CALL, C.SELECT), mask(MaskKind.REDACT, "mask-pii", "fraud-team"))
    statement = calling(reads=(CUSTOMERS,), tags=PII)

    masked, clear = (judge(rules, statement, who) for who in (ANALYST, FRAUD))
    assert (masked.void_all, masked.hide_errors) == (True, True)
    assert (clear.void_all, clear.hide_errors) == (False, False)
    assert "mask-pii" in masked.rules


def test_a_procedure_that_reads_what_nobody_knows_is_not_called() -> None:
    rules = policy(allow(C.CALL, C.SELECT))

    verdict = judge(rules, calling(unknown_sources=(MODEL,)), FRAUD)
    assert verdict.rules == ("unknown-object",)


def test_a_call_can_be_held() -> None:
    rules = policy(hold(Match(classes=frozenset({C.CALL}))))

    assert judge(rules, calling(), ANALYST).decision is Decision.HOLD


def test_the_verdict_names_the_policy() -> None:
    rules = policy(READS)

    for statement in (Statement(C.SELECT), Statement(C.DROP)):
        assert judge(rules, statement, ANALYST).policy_digest == rules.digest


def test_files_hold_tagged_columns_for_those_alone_who_see_them() -> None:
    # No place and no tag: such a rule says nothing of what is in the files.
    rules = policy(
        allow(C.UNLOAD, C.SELECT, name="export"), mask(MaskKind.REDACT, "m", "fraud-team")
    )
    tagged = Statement(C.UNLOAD, reads=(CUSTOMERS,), tags=PII)
    plain = Statement(C.UNLOAD, reads=(ORDERS,))

    denied = judge(rules, tagged, ANALYST)
    assert (denied.decision, denied.rules) == (Decision.DENY, ("unload-source",))
    assert denied.remedy == "leave those columns out"
    assert judge(rules, tagged, FRAUD).decision is Decision.ALLOW
    assert judge(rules, plain, ANALYST).decision is Decision.ALLOW


def test_a_rule_over_stages_lets_nothing_out_of_the_account() -> None:
    places = Match(
        classes=frozenset({C.UNLOAD}), objects=patterns("OPS.PUBLIC.EXPORTS") | patterns("CRM.*.*")
    )
    rules = policy(Rule("export", places, Allow()), allow(C.SELECT))
    stage, other = (ObjectName("OPS", "PUBLIC", name) for name in ("EXPORTS", "OTHER"))

    def decides(*writes: ObjectName) -> Decision:
        return judge(rules, Statement(C.UNLOAD, reads=(ORDERS,), writes=writes), ANALYST).decision

    assert decides(stage) is Decision.ALLOW
    assert decides(other) is Decision.DENY
    assert decides() is Decision.DENY  # a URL, or a user's own stage
