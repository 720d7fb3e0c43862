"""The fields of a Statement: what a policy, the gate and the ledger read of it."""

from pathlib import Path

import pytest

from snowgate.model.statement import (
    Namespace,
    ObjectName,
    OutputColumn,
    Statement,
    StatementClass,
)
from snowgate.sql.analysis import analyse
from snowgate.sql.catalog import Catalog
from snowgate.sql.parser import COMPILED

VECTORS = Path(__file__).parents[2] / "vectors"
CATALOG = Catalog.from_json((VECTORS / "reference" / "catalog.json").read_text())
NAMESPACE = Namespace("CRM", "PUBLIC")
PII = frozenset({"pii"})
CUSTOMERS = ObjectName("CRM", "PUBLIC", "CUSTOMERS")
ORDERS = ObjectName("CRM", "PUBLIC", "ORDERS")
PRODUCTS = ObjectName("CRM", "PUBLIC", "PRODUCTS")
C = StatementClass


def see(sql: str, **given: object) -> Statement:
    return analyse(sql, NAMESPACE, CATALOG, **given)  # type: ignore[arg-type]


def refusal(sql: str, **given: object) -> str:
    found = see(sql, **given).refusal
    return "" if found is None else found.rule


def knobs(sql: str, **given: object) -> set[str]:
    statement = see(sql, **given)
    assert statement.refusal is None, statement.refusal
    return {violation.knob for violation in statement.violations}


def test_the_compiled_parser_is_installed() -> None:
    assert COMPILED


def test_outputs_have_the_names_snowflake_returns() -> None:
    statement = see('SELECT id, email AS "Mail", c.city, UPPER(country), 1 x FROM customers c')

    assert statement.columns == (
        OutputColumn("ID"),
        OutputColumn("Mail", PII, raw=True),
        OutputColumn("CITY"),
        OutputColumn(None),
        OutputColumn("X"),
    )


def test_the_key_of_using_comes_first() -> None:
    statement = see("SELECT * FROM orders JOIN products USING (id)")

    names = [column.name for column in statement.columns or ()]
    assert names == "ID CUSTOMER_ID ORDER_DATE AMOUNT STATUS REGION NAME PRICE CATEGORY".split()  # noqa: SIM905


def test_only_a_plain_tagged_column_is_raw() -> None:
    statement = see(
        "SELECT email, (email), LOWER(email), MAX(email), email::varchar FROM v_customers"
    )

    assert [column.raw for column in statement.columns or ()] == [True, True, False, False, False]
    assert all(column.tags == PII for column in statement.columns or ())


def test_tags_are_those_of_every_column_referred_to() -> None:
    assert see("SELECT id FROM customers").tags == frozenset()
    assert see("SELECT COUNT(email) FROM customers").tags == PII
    assert see("SELECT id FROM customers WHERE phone IS NULL").tags == PII


def test_reads_and_writes_are_full_names_in_order() -> None:
    statement = see(
        "INSERT INTO crm.public.orders (id) SELECT p.id FROM products p JOIN customers c"
        " ON c.id = p.id"
    )

    assert statement.kind is C.INSERT
    assert statement.reads == (CUSTOMERS, PRODUCTS)
    assert statement.writes == (ORDERS,)


def test_a_view_is_read_as_itself() -> None:
    assert see("SELECT id FROM v_customers").reads == (ObjectName("CRM", "PUBLIC", "V_CUSTOMERS"),)


def test_an_unknown_table_is_named_and_its_outputs_are_unknown() -> None:
    statement = see("SELECT a FROM other..t")

    assert statement.unknown_sources == (ObjectName("OTHER", "PUBLIC", "T"),)
    assert statement.columns == (OutputColumn("A", unknown=True),)
    assert see("SELECT * FROM other..t").columns is None


@pytest.mark.parametrize(
    ("sql", "read_only", "barrier"),
    [
        ("SELECT 1", True, False),
        ("SELECT seq.NEXTVAL", False, False),
        ("INSERT INTO orders (id) VALUES (1)", False, False),
        ("EXPLAIN INSERT INTO orders (id) VALUES (1)", True, False),
        ("SHOW TABLES", True, False),
        ("USE SCHEMA crm.public", False, True),
        ("SET x = 1", False, True),
        ("CREATE TEMP TABLE t (a INT)", False, True),
        ("BEGIN", False, True),
    ],
)
def test_what_may_run_twice_and_what_others_wait_for(
    sql: str, read_only: bool, barrier: bool
) -> None:
    statement = see(sql)

    assert statement.refusal is None
    assert (statement.read_only, statement.barrier) == (read_only, barrier)


@pytest.mark.parametrize(
    ("sql", "unbounded"),
    [
        ("DELETE FROM orders", True),
        ("DELETE FROM orders WHERE 1 = 1", True),
        ("DELETE FROM orders WHERE id = id", True),
        ("UPDATE orders SET id = 1 WHERE id = 5 OR TRUE", True),
        ("INSERT OVERWRITE INTO orders (id) VALUES (1)", True),
        ("MERGE INTO orders o USING products p ON TRUE WHEN MATCHED THEN DELETE", True),
        ("DELETE FROM orders WHERE id = 5", False),
        ("UPDATE orders SET id = 1 WHERE id = 5 AND TRUE", False),
        ("INSERT INTO orders (id) VALUES (1)", False),
    ],
)
def test_dml_that_asks_for_no_row_is_unbounded(sql: str, unbounded: bool) -> None:
    assert see(sql).unbounded is unbounded


def test_a_session_may_take_its_own_role_only() -> None:
    assert refusal("USE ROLE analyst", role="ANALYST") == ""
    assert refusal("USE ROLE analyst", role="ETL") == "role-pin"
    assert refusal("USE ROLE analyst") == "role-pin"
    assert refusal('USE ROLE "analyst"', role="ANALYST") == "role-pin"


def test_constants_compared_with_tagged_columns_are_counted_once_each() -> None:
    def listed(count: int) -> str:
        values = ", ".join(f"'v{at}'" for at in range(count))
        return f"SELECT id FROM customers WHERE email IN ({values}) OR phone = 'v0'"

    assert see(listed(50)).tagged_constants == 50
    assert knobs(listed(50)) == set()
    assert knobs(listed(51)) == {"pii_eq_predicate"}
    assert see("SELECT id FROM orders WHERE status IN ('a', 'b')").tagged_constants == 0


def test_a_bind_of_another_type_would_convert_the_column() -> None:
    sql = "SELECT id FROM customers WHERE phone = ?"

    assert knobs(sql) == set()
    assert knobs(sql, binds=["TEXT"]) == set()
    assert knobs(sql, binds=["FIXED"]) == {"pii_error_oracle"}


@pytest.mark.parametrize("key", ["2", "(2)", "((2))", "2 COLLATE 'en'", "(2) DESC", "2.0", "ALL"])
def test_an_order_by_place_is_found_in_brackets_too(key: str) -> None:
    assert knobs(f"SELECT id, email FROM customers ORDER BY {key}") == {"pii_order"}
    assert knobs(f"SELECT city, id FROM customers ORDER BY {key}") == set()


def test_explain_reports_the_predicates_and_writes_nothing() -> None:
    statement = see("EXPLAIN UPDATE products SET name = c.email FROM customers c WHERE c.ssn > '5'")

    assert (statement.kind, statement.writes, statement.launders) == (C.EXPLAIN, (), frozenset())
    assert {violation.knob for violation in statement.violations} == {"pii_pattern_predicate"}


def test_constant_dynamic_sql_is_its_text() -> None:
    statement = see("EXECUTE IMMEDIATE 'EXECUTE IMMEDIATE ''SELECT em\\x61il FROM customers'''")

    assert statement.kind is C.SELECT
    assert statement.columns == (OutputColumn("EMAIL", PII, raw=True),)
    deep = "SELECT 1"
    for _ in range(4):
        deep = f"EXECUTE IMMEDIATE $${deep}$$" if "$$" not in deep else _quoted(deep)
    assert refusal(deep) == "dynamic-sql"


def _quoted(sql: str) -> str:
    inner = sql.replace("'", "''")
    return f"EXECUTE IMMEDIATE '{inner}'"


def test_account_metadata_is_a_class_of_its_own() -> None:
    assert see("SELECT * FROM snowflake.account_usage.users").kind is C.ACCOUNT_METADATA
    assert see("SELECT a FROM information_schema.query_history").kind is C.ACCOUNT_METADATA
    assert see("EXPLAIN SELECT a FROM snowflake.x.y").kind is C.ACCOUNT_METADATA
    assert see("SHOW USERS").kind is C.ACCOUNT_METADATA


def test_texts_of_other_peoples_views_carry_a_tag() -> None:
    statement = see("SELECT table_name, view_definition FROM crm.information_schema.views")

    assert statement.kind is C.SELECT
    assert [column.tags for column in statement.columns or ()] == [
        frozenset(),
        frozenset({"sql-text"}),
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT my_udf(1)",
        "SELECT UNIX_MILLIS(1)",
        'SELECT "LOWER"(email) FROM customers',
        "SELECT crm.public.lower('x')",
        "WITH f(a) AS (SELECT 1) SELECT f(a) FROM f",
        "SELECT IDENTIFIER('LOWER')(id) FROM orders",
        "SELECT model!PREDICT(1)",
        "INSERT INTO orders (status) SELECT orders(1)",
        "CREATE TABLE t (a INT) AS SELECT t(1) AS a",
    ],
)
def test_only_reviewed_builtins_are_called(sql: str) -> None:
    assert refusal(sql) == "unknown-function"


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("SELECT SYSTEM$WAIT(5)", "function-delay"),
        ("SELECT AI_COMPLETE('m', email) FROM customers", "function-external"),
        ("SELECT GET_DDL('table', 'customers')", "function-reads-by-name"),
        ("SELECT * FROM TABLE(RESULT_SCAN(LAST_QUERY_ID()))", "function-reads-by-name"),
        ("SELECT * FROM IDENTIFIER($t)", "dynamic-name"),
        ("SELECT * FROM TABLE(?)", "dynamic-name"),
        ("SELECT IDENTIFIER('a' || 'b')", "dynamic-name"),
        ("SELECT * FROM 's3://bucket/x'", "stage-read"),
        ("SELECT 1 INTO :x", "unparsed"),
        ("SELECT * FROM (SHOW TABLES)", "unparsed"),
        ("SELECT * FROM orders@link", "stage-read"),
        ("SELECT $1 FROM @~/out", "stage-read"),
        ("SELECT 1 FROM orders FOR UPDATE", "unparsed"),
        ("SELECT", "unparsed"),
        ("SELECT 1 1", "unparsed"),
        ("SELECT 'open", "unparsed"),
        ("SELECT email\u00a0FROM customers", "unparsed"),
        ("SELECT email" + "::varchar" * 1500 + " FROM customers", "unparsed"),
    ],
)
def test_what_cannot_be_judged_is_refused(sql: str, rule: str) -> None:
    statement = see(sql)

    assert statement.refusal is not None
    assert statement.refusal.rule == rule
    assert statement.columns == ()


def test_long_chains_are_analysed() -> None:
    condition = " OR ".join(f"id = {at}" for at in range(1500))

    assert refusal(f"SELECT id FROM customers WHERE {condition}") == ""
    assert refusal(f"DELETE FROM orders WHERE {condition}") == ""
    assert refusal(" UNION ALL ".join(["SELECT id FROM customers"] * 300)) == ""
    assert refusal("SELECT " + " || ".join(["city"] * 1500) + " FROM customers") == ""


def test_nothing_makes_the_analysis_run_for_ever() -> None:
    nested = "SELECT 1 AS n"
    for at in range(20):
        nested = (
            f"WITH r{at} AS (SELECT 1 AS n UNION ALL SELECT n FROM ({nested}) UNION ALL"
            f" SELECT n || 'x' FROM r{at}) SELECT n FROM r{at}"
        )
    views = {
        ObjectName("CRM", "PUBLIC", f"W{at}"): "SELECT a.id FROM "
        + ", ".join(f"{'orders' if at == 0 else f'w{at - 1}'} t{n}" for n in range(10))
        + ", orders a"
        for at in range(7)
    }
    catalog = CATALOG.replacing({}, views)

    assert refusal(nested) == "unparsed"
    assert analyse("SELECT id FROM w6", NAMESPACE, catalog).refusal is None


def test_messages_hold_no_literals() -> None:
    for sql in (
        "SELECT id FROM customers WHERE email LIKE 'Sesame%'",
        "SELECT id FROM customers WHERE phone = 8837465",
        "SELECT * FROM IDENTIFIER('sesame' || '1')",
        "SELECT 'Sesame 8837465",
        "ALTER USER u SET PASSWORD = 'Sesame'",
    ):
        shown = repr(see(sql)).lower()
        assert "sesame" not in shown, shown
        assert "8837465" not in shown, shown


def test_an_error_in_the_analysis_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("Sesame")

    monkeypatch.setattr("snowgate.sql.queries.query", fail)

    statement = see("SELECT 1")

    assert statement.refusal is not None
    assert "Sesame" not in repr(statement)


def test_the_columns_of_values_can_be_used_and_are_not_relied_on() -> None:
    # What they are called in a result is Snowflake's own affair.
    for sql in (
        "VALUES (1, 'a')",
        "SELECT * FROM (VALUES (1, 'a')) AS t",
        "SELECT * FROM VALUES (1, 'a') UNION ALL SELECT * FROM VALUES (2, 'b')",
    ):
        columns = see(sql).columns
        assert columns == (OutputColumn(None), OutputColumn(None)), sql
    assert see("SELECT column1 FROM (VALUES (1))").columns == (OutputColumn("COLUMN1"),)
    assert see("SELECT * FROM (VALUES (1)) AS t (x)").columns == (OutputColumn("X"),)


@pytest.mark.parametrize(
    ("predicate", "compared"),
    [
        ("email = 'a'", [("pii", "a", 0, True)]),
        ("'a' = LOWER(email)", [("pii", "a", 0, True)]),
        ("email IN ('b', 'a', 'a')", [("pii", "a", 0, True), ("pii", "b", 0, True)]),
        ("email = 'a' OR phone = 'a'", [("pii", "a", 0, True)]),
        ("email = LOWER('a')", [("pii", "LOWER('a')", 0, True)]),
        ("email = ('a')", [("pii", "a", 0, True)]),
        ("EQUAL_NULL(email, NULL)", [("pii", "NULL", 0, True)]),
        ("email = ? AND id = ?", [("pii", "", 1, True)]),
        ("id = ? AND email = LOWER(?)", [("pii", "", 2, True)]),
        ("email = ? || ?", [("pii", "", 0, False)]),
        ("email = $address", [("pii", "", 0, False)]),
        ("email IS NULL", []),
        ("id = 5", []),
    ],
)
def test_what_tagged_columns_are_compared_with_is_told(
    predicate: str, compared: list[tuple[str, str, int, bool]]
) -> None:
    found = see(f"SELECT id FROM customers WHERE {predicate}").compared

    assert [(one.tag, one.value, one.bind, one.known) for one in found] == compared


def test_binds_inside_dynamic_sql_are_not_those_of_the_statement() -> None:
    [one] = see("EXECUTE IMMEDIATE 'SELECT id FROM customers WHERE email = ?'").compared

    assert (one.bind, one.known) == (0, False)


def test_constants_of_dml_and_pivots_are_told_too() -> None:
    assert see("DELETE FROM customers WHERE email = 'a'").compared[0].value == "a"
    pivot = "SELECT * FROM (SELECT email, id FROM customers) PIVOT (COUNT(id) FOR email IN ('a'))"
    assert [one.value for one in see(pivot).compared] == ["a"]


def test_no_compared_value_is_shown_by_a_repr() -> None:
    assert "secret" not in repr(see("SELECT id FROM customers WHERE email = 'secret'"))
