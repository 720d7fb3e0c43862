"""The reference policy, statement by statement, as the evasion set expects it."""

from pathlib import Path

import pytest

from snowgate.config import load_policy
from snowgate.model.identity import Principal
from snowgate.model.statement import ObjectName, OutputColumn, Statement, StatementClass
from snowgate.model.verdict import Decision, MaskKind
from snowgate.policy import Subject, judge

POLICY = load_policy(Path(__file__).parents[2] / "vectors" / "reference" / "policy.yaml").policy
C = StatementClass
PII = frozenset({"pii"})
CUSTOMERS = ObjectName("CRM", "PUBLIC", "CUSTOMERS")
ORDERS = ObjectName("CRM", "PUBLIC", "ORDERS")


def member(group: str) -> Subject:
    return Subject(
        Principal("CRM", "https://i.example.com", "1", "analyst"), frozenset({group}), "R"
    )


ANALYST, FRAUD = member("analysts"), member("fraud-team")


@pytest.mark.parametrize(
    ("statement", "decision", "rules"),
    [
        (Statement(C.SELECT, query=True), Decision.ALLOW, ("reads",)),
        (Statement(C.EXPLAIN, reads=(ORDERS,)), Decision.ALLOW, ("reads",)),
        (Statement(C.SHOW, object_kind="TABLES"), Decision.ALLOW, ("reads",)),
        (Statement(C.DESCRIBE, object_kind="VIEW"), Decision.ALLOW, ("reads",)),
        (Statement(C.USE), Decision.ALLOW, ("reads",)),
        (Statement(C.SESSION), Decision.ALLOW, ("reads",)),
        (Statement(C.TRANSACTION), Decision.ALLOW, ("reads",)),
        (Statement(C.INSERT, writes=(ORDERS,)), Decision.ALLOW, ("bounded-dml",)),
        (Statement(C.UPDATE, writes=(ORDERS,)), Decision.ALLOW, ("bounded-dml",)),
        (
            Statement(C.INSERT, writes=(ORDERS,), reads=(CUSTOMERS,), tags=PII, launders=PII),
            *(Decision.DENY, ("laundering",)),
        ),
        (
            Statement(C.DELETE, writes=(ORDERS,), unbounded=True),
            *(Decision.HOLD, ("unbounded-dml",)),
        ),
        (Statement(C.CREATE, object_kind="SCHEMA"), Decision.HOLD, ("new-schemas",)),
        (Statement(C.CREATE, object_kind="TABLE"), Decision.HOLD, ("ddl",)),
        (Statement(C.ALTER, object_kind="TABLE"), Decision.HOLD, ("ddl",)),
        (Statement(C.DROP, object_kind="SCHEMA"), Decision.HOLD, ("ddl",)),
        (Statement(C.TRUNCATE), Decision.HOLD, ("ddl",)),
        (Statement(C.COMMENT, object_kind="TABLE"), Decision.HOLD, ("ddl",)),
        (Statement(C.GRANT, object_kind="TABLE"), Decision.HOLD, ("ddl",)),
        (Statement(C.CODE, object_kind="FUNCTION"), Decision.HOLD, ("ddl",)),
        (Statement(C.CODE, object_kind="TASK", tags=PII), Decision.DENY, ("code-body",)),
        (Statement(C.LOAD), Decision.DENY, ("no-exfiltration",)),
        (Statement(C.UNLOAD, reads=(ORDERS,)), Decision.DENY, ("no-exfiltration",)),
        (Statement(C.STAGE), Decision.DENY, ("no-exfiltration",)),
        (Statement(C.SHARE), Decision.DENY, ("no-exfiltration",)),
        (Statement(C.INTEGRATION), Decision.DENY, ("no-exfiltration",)),
        (Statement(C.CREDENTIAL), Decision.DENY, ("credential",)),
        (Statement(C.ACCOUNT_METADATA), Decision.DENY, ("account-metadata",)),
        (Statement(C.CALL), Decision.DENY, ("no-rule",)),
        (Statement(C.DYNAMIC), Decision.DENY, ("no-rule",)),
        (Statement(C.UNKNOWN), Decision.DENY, ("unknown-statement",)),
    ],
)
def test_what_an_analyst_may_do(
    statement: Statement, decision: Decision, rules: tuple[str, ...]
) -> None:
    verdict = judge(POLICY, statement, ANALYST)

    assert (verdict.decision, verdict.rules) == (decision, rules)


def test_a_new_schema_waits_for_twenty_seconds_and_other_ddl_for_hours() -> None:
    schema = judge(POLICY, Statement(C.CREATE, object_kind="SCHEMA"), ANALYST).hold
    table = judge(POLICY, Statement(C.CREATE, object_kind="TABLE"), ANALYST).hold

    assert schema is not None
    assert table is not None
    assert (schema.approvers, schema.expires_s) == (("data-platform",), 20)
    assert (table.approvers, table.expires_s) == (("data-platform",), 4 * 3600)


@pytest.mark.parametrize(("reader", "mask"), [(ANALYST, MaskKind.REDACT), (FRAUD, MaskKind.PASS)])
def test_who_sees_tagged_columns(reader: Subject, mask: MaskKind) -> None:
    statement = Statement(
        C.SELECT,
        reads=(CUSTOMERS,),
        columns=(OutputColumn("EMAIL", PII, raw=True),),
        tags=PII,
        query=True,
    )

    plan = judge(POLICY, statement, reader).plan

    assert plan is not None
    assert plan.columns[0].mask is mask


def test_the_five_columns_are_tagged_and_no_other() -> None:
    columns = ["ID", "FULL_NAME", "EMAIL", "PHONE", "SSN", "CARD_NUMBER", "COUNTRY"]

    tags = POLICY.column_tags(CUSTOMERS, columns)

    assert [column for column in columns if tags[column]] == columns[1:6]
    assert not any(POLICY.column_tags(ORDERS, columns).values())
