"""Tags follow objects, not names (F16), and code is judged by its body (F18)."""

from pathlib import Path

import pytest

from snowgate.model.statement import Namespace, ObjectName, OutputColumn, Statement, StatementClass
from snowgate.sql.analysis import analyse, examine
from snowgate.sql.catalog import Catalog
from snowgate.sql.session import analyse_session

VECTORS = Path(__file__).parents[2] / "vectors"
CATALOG = Catalog.from_json((VECTORS / "reference" / "catalog.json").read_text())
NAMESPACE = Namespace("CRM", "PUBLIC")
PII = frozenset({"pii"})


def last(*texts: str) -> Statement:
    return analyse_session(texts, CATALOG)[-1]


@pytest.mark.parametrize(
    "texts",
    [
        ("ALTER TABLE customers RENAME TO clients", "SELECT email FROM clients"),
        ("ALTER TABLE customers RENAME COLUMN email TO mail", "SELECT mail FROM customers"),
        ("ALTER TABLE products SWAP WITH customers", "SELECT email FROM products"),
        ("CREATE TABLE c CLONE crm.public.customers", "SELECT email FROM c"),
        ("CREATE TABLE c LIKE customers", "SELECT email FROM c"),
        ("CREATE SCHEMA s CLONE public", "SELECT email FROM s.customers"),
        ("CREATE DATABASE d CLONE crm", "SELECT email FROM d.public.customers"),
        ("ALTER SCHEMA crm.public RENAME TO crm.archive", "SELECT email FROM archive.customers"),
        ("ALTER DATABASE crm RENAME TO crm2", "SELECT email FROM crm2.public.customers"),
        ("CREATE TABLE c AS SELECT email FROM customers", "SELECT email FROM c"),
        ("CREATE TABLE c (mail) AS SELECT email FROM customers", "SELECT mail FROM c"),
        (
            "CREATE TABLE c WITH TAG (a.b.pii = 'as (', d = 'x') AS SELECT email FROM customers",
            "SELECT email FROM c",
        ),
        (
            "CREATE TABLE c (mail WITH TAG (pii = 'x')) AS SELECT email FROM customers",
            "SELECT mail FROM c",
        ),
        ("CREATE VIEW c AS SELECT email FROM customers", "SELECT email FROM c"),
        ("CREATE VIEW c (mail, x) AS SELECT email, id FROM customers", "SELECT mail FROM c"),
        ("CREATE MATERIALIZED VIEW c AS SELECT email FROM customers", "SELECT email FROM c"),
        (
            "CREATE DYNAMIC TABLE c TARGET_LAG = '1 minute' WAREHOUSE = w AS"
            " SELECT email FROM customers",
            "SELECT email FROM c",
        ),
        ("CREATE STREAM c ON TABLE customers", "SELECT email FROM c"),
        ("CREATE OR REPLACE TABLE customers (email VARCHAR)", "SELECT email FROM customers"),
        ("UNDROP TABLE customers", "SELECT email FROM customers"),
        ("DROP TABLE customers", "UNDROP TABLE customers", "SELECT email FROM customers"),
    ],
)
def test_a_tag_goes_where_the_column_goes(texts: tuple[str, ...]) -> None:
    statement = last(*texts)

    assert statement.columns is not None
    (column,) = statement.columns
    assert (column.tags, column.raw, column.unknown) == (PII, True, False)


@pytest.mark.parametrize(
    "create",
    [
        "CREATE TABLE c AS SELECT LEFT(email, 4) AS e FROM customers",
        "CREATE VIEW c AS SELECT LEFT(email, 4) AS e FROM customers",
        "CREATE TABLE c AS SELECT email AS e FROM customers UNION ALL SELECT name FROM products",
    ],
)
def test_what_was_computed_is_never_raw_again(create: str) -> None:
    assert last(create, "SELECT e FROM c").columns == (OutputColumn("E", PII),)


def test_values_that_a_rule_lets_go_tag_the_column_they_go_to() -> None:
    statement = last(
        "INSERT INTO products (name) SELECT email FROM customers", "SELECT name, id FROM products"
    )

    assert statement.columns == (OutputColumn("NAME", PII), OutputColumn("ID"))


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE c WITH TAG (t = 'x') AS SELECT TAG(email) FROM customers",
        "CREATE TABLE c WITH TAG (t = 'x') AS WITH TAG (a) AS (SELECT 1) SELECT TAG(a) FROM tag",
        "CREATE TABLE c (a INT DEFAULT TAG(1)) AS SELECT 1 AS a",
        "CREATE VIEW c AS SELECT TAG(email) FROM customers",
        "SELECT 1 AS a WITH TAG ('x')",
    ],
)
def test_a_function_called_tag_is_no_tag(sql: str) -> None:
    assert last(sql).refusal is not None


def test_columns_added_are_known_and_untagged() -> None:
    statement = last("ALTER TABLE orders ADD COLUMN note VARCHAR(20)", "SELECT note FROM orders")

    assert statement.columns == (OutputColumn("NOTE"),)


@pytest.mark.parametrize(
    "create",
    [
        "ALTER TABLE customers ADD COLUMN copy VARCHAR AS (email)",
        "CREATE OR REPLACE TABLE customers (email VARCHAR, copy VARCHAR AS (email))",
    ],
)
def test_a_computed_column_may_hold_what_others_hold(create: str) -> None:
    statement = last(create, "SELECT copy FROM customers")

    assert statement.columns == (OutputColumn("COPY", unknown=True),)


def test_a_table_restored_from_elsewhere_is_unknown() -> None:
    statement = last("CREATE TABLE t FROM BACKUP SET b IDENTIFIER 'x'", "SELECT a FROM t")

    assert statement.unknown_sources == (ObjectName("CRM", "PUBLIC", "T"),)


def test_a_clone_of_something_unknown_is_unknown() -> None:
    statement = last("CREATE TABLE c CLONE other.x.t", "SELECT a FROM c")

    assert statement.unknown_sources == (ObjectName("CRM", "PUBLIC", "C"),)


def test_use_changes_where_names_resolve() -> None:
    assert last("USE SCHEMA crm.archive", "SELECT a FROM t").unknown_sources == (
        ObjectName("CRM", "ARCHIVE", "T"),
    )
    assert last("USE other", "SELECT a FROM t").unknown_sources == (
        ObjectName("OTHER", "PUBLIC", "T"),
    )


def test_a_refused_statement_leaves_nothing_behind() -> None:
    examined = examine("CREATE TABLE t AS SELECT my_udf(1)", NAMESPACE, CATALOG)

    assert examined.statement.refusal is not None
    assert examined.catalog is CATALOG


def test_reading_the_catalog_again_keeps_moved_tags() -> None:
    moved = examine("ALTER TABLE customers RENAME TO clients", NAMESPACE, CATALOG).catalog
    clients = ObjectName("CRM", "PUBLIC", "CLIENTS")
    untagged = Catalog.from_json(
        '{"tables": {"CRM.PUBLIC.CLIENTS": [{"name": "EMAIL", "type": "TEXT"}]}}'
    )

    kept = untagged.keeping(moved)

    assert kept.tables[clients].columns[0].tags == PII
    assert list(kept.tables) == [clients]


@pytest.mark.parametrize(
    ("sql", "writes", "kind"),
    [
        ("DROP DATABASE crm", ObjectName("CRM", "", ""), StatementClass.DROP),
        ("CREATE SCHEMA s", ObjectName("CRM", "S", ""), StatementClass.CREATE),
        ("TRUNCATE orders", ObjectName("CRM", "PUBLIC", "ORDERS"), StatementClass.TRUNCATE),
        (
            "GRANT SELECT ON TABLE a.b.c TO ROLE r",
            ObjectName("A", "B", "C"),
            StatementClass.GRANT,
        ),
        ("COPY INTO orders FROM @s", ObjectName("CRM", "PUBLIC", "ORDERS"), StatementClass.LOAD),
    ],
)
def test_ddl_names_its_object(sql: str, writes: ObjectName, kind: StatementClass) -> None:
    statement = analyse(sql, NAMESPACE, CATALOG)

    assert (statement.kind, statement.writes) == (kind, (writes,))


PUBLIC = {name: ObjectName("CRM", "PUBLIC", name) for name in ("A", "B", "CUSTOMERS", "ORDERS")}


@pytest.mark.parametrize(
    ("sql", "writes", "reads"),
    [
        ("ALTER TABLE a RENAME TO b", (PUBLIC["A"], PUBLIC["B"]), ()),
        (
            "ALTER TABLE crm.dbt.a RENAME TO crm.public.b",
            (ObjectName("CRM", "DBT", "A"), PUBLIC["B"]),
            (),
        ),
        # Where the new name is, beside the old one or in the session's schema, is not said.
        (
            "ALTER VIEW crm.dbt.a RENAME TO b",
            (ObjectName("CRM", "DBT", "A"), ObjectName("CRM", "DBT", "B"), PUBLIC["B"]),
            (),
        ),
        (
            "ALTER TABLE crm.dbt.a SWAP WITH crm.public.orders",
            (ObjectName("CRM", "DBT", "A"), PUBLIC["ORDERS"]),
            (),
        ),
        (
            "ALTER SCHEMA crm.dbt RENAME TO crm.prod",
            (ObjectName("CRM", "DBT", ""), ObjectName("CRM", "PROD", "")),
            (),
        ),
        (
            "ALTER DATABASE crm SWAP WITH other",
            (ObjectName("CRM", "", ""), ObjectName("OTHER", "", "")),
            (),
        ),
        ("ALTER TABLE a RENAME COLUMN x TO y", (PUBLIC["A"],), ()),
        ("CREATE TABLE a CLONE customers", (PUBLIC["A"],), (PUBLIC["CUSTOMERS"],)),
        (
            "CREATE SCHEMA s CLONE crm.public",
            (ObjectName("CRM", "S", ""),),
            (ObjectName("CRM", "PUBLIC", ""),),
        ),
        ("CREATE STREAM a ON TABLE customers", (PUBLIC["A"],), (PUBLIC["CUSTOMERS"],)),
    ],
)
def test_ddl_that_moves_something_touches_both_places(
    sql: str, writes: tuple[ObjectName, ...], reads: tuple[ObjectName, ...]
) -> None:
    statement = analyse(sql, NAMESPACE, CATALOG)

    assert (statement.refusal, statement.writes, statement.reads) == (None, writes, reads)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE crm.other.c CLONE customers",
        "CREATE STREAM crm.other.c ON TABLE customers",
        "CREATE SCHEMA crm.other CLONE crm.public",
        "CREATE DATABASE other CLONE crm",
    ],
)
def test_a_clone_touches_the_tags_of_its_source(sql: str) -> None:
    assert analyse(sql, NAMESPACE, CATALOG).tags == PII


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE a RENAME TO IDENTIFIER('crm.public.orders')",
        "ALTER TABLE a SWAP WITH IDENTIFIER($x)",
        "ALTER TABLE a RENAME TO 'crm.public.orders'",
        "CREATE TABLE a CLONE IDENTIFIER('customers')",
    ],
)
def test_a_name_that_is_worked_out_is_refused(sql: str) -> None:
    refusal = analyse(sql, NAMESPACE, CATALOG).refusal

    assert refusal is not None
    assert refusal.remedy == "write the name itself"


def test_what_was_computed_may_be_computed_again_into_the_same_column() -> None:
    model = "CREATE TABLE m AS SELECT id, LEFT(email, 9) AS e FROM customers"

    again = last(model, "INSERT INTO m SELECT id, LEFT(email, 9) FROM customers")
    into_raw = last("INSERT INTO customers (id, email) SELECT id, LEFT(email, 9) FROM customers")

    assert (again.violations, again.launders) == ((), frozenset())
    assert [violation.knob for violation in into_raw.violations] == ["laundering"]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO crm.dbt.nosuch (id, note) SELECT id, email FROM customers",
        "INSERT INTO crm.dbt.nosuch SELECT id, email FROM customers",
        "INSERT INTO orders (id, added_outside) SELECT id, email FROM customers",
        "MERGE INTO orders o USING customers c ON o.id = c.id WHEN NOT MATCHED THEN INSERT"
        " (id, added_outside) VALUES (c.id, c.email)",
    ],
)
def test_tagged_values_go_to_no_column_that_nobody_can_label(sql: str) -> None:
    violations = analyse(sql, NAMESPACE, CATALOG).violations

    # No tag that a rule could let propagate.
    assert ("laundering", frozenset()) in [(each.knob, each.tags) for each in violations]


def test_untagged_values_may_go_to_a_table_that_is_not_known_yet() -> None:
    statement = analyse("INSERT INTO crm.dbt.new (id) VALUES (1)", NAMESPACE, CATALOG)

    assert (statement.violations, statement.launders) == ((), frozenset())


def test_a_column_that_took_computed_values_fits_no_mask_any_more() -> None:
    statement = last(
        "INSERT INTO customers (id, email) SELECT id, LEFT(email, 9) FROM customers",
        "SELECT email FROM customers",
    )

    assert statement.columns == (OutputColumn("EMAIL", PII),)


def test_the_query_of_a_new_table_is_judged_as_a_query() -> None:
    statement = analyse(
        "CREATE TABLE t AS SELECT id FROM customers WHERE ssn LIKE '1%'", NAMESPACE, CATALOG
    )

    assert [violation.knob for violation in statement.violations] == ["pii_pattern_predicate"]
    assert statement.reads == (ObjectName("CRM", "PUBLIC", "CUSTOMERS"),)


def test_a_view_resolves_where_it_lives() -> None:
    statement = analyse("CREATE VIEW other.s.v AS SELECT a FROM t", NAMESPACE, CATALOG)

    assert statement.unknown_sources == (ObjectName("OTHER", "S", "T"),)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TASK t SCHEDULE = '1 minute' AS INSERT INTO products (name) SELECT email"
        " FROM customers",
        "CREATE TASK t WHEN (SELECT MAX(ssn) FROM customers) > '5' AS DELETE FROM orders",
        "CREATE ALERT a IF (EXISTS (SELECT 1 FROM customers WHERE ssn LIKE '1%')) THEN"
        " DELETE FROM orders WHERE id = 1",
        "CREATE FUNCTION f() RETURNS VARCHAR AS $$ SELECT MAX(email) FROM customers $$",
        "CREATE FUNCTION f(x VARCHAR) RETURNS NUMBER AS"
        " '(SELECT COUNT(*) FROM customers WHERE email = x)'",
    ],
)
def test_code_that_reads_tagged_columns_says_so(sql: str) -> None:
    statement = analyse(sql, NAMESPACE, CATALOG)

    assert statement.kind is StatementClass.CODE
    assert statement.tags == PII


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TASK t SCHEDULE = '1 minute' AS CALL p()",
        "CREATE TASK t SCHEDULE = '1 minute' AS DROP TABLE orders",
        "CREATE TASK t SCHEDULE = '1 minute'",
        "CREATE ALERT a IF (EXISTS (SELECT 1)) THEN CALL p()",
        "CREATE FUNCTION f() RETURNS INT",
        "CREATE FUNCTION f() RETURNS INT AS 'my_udf(1)'",
        "CREATE TASK t AS BEGIN DELETE FROM orders; END",
        "CREATE PROCEDURE p() RETURNS INT LANGUAGE SQL AS 'BEGIN RETURN 1; END'",
    ],
)
def test_code_that_is_not_judged_is_refused(sql: str) -> None:
    assert analyse(sql, NAMESPACE, CATALOG).refusal is not None


def test_harmless_code_may_be_asked_for() -> None:
    for sql in (
        "CREATE TASK t SCHEDULE = '1 minute' AS DELETE FROM orders WHERE id = 1",
        "CREATE OR REPLACE FUNCTION f(x NUMBER, y NUMBER) RETURNS NUMBER AS 'x * y'",
        "ALTER TASK t SUSPEND",
    ):
        statement = analyse(sql, NAMESPACE, CATALOG)
        assert (statement.refusal, statement.violations) == (None, ()), sql
        assert statement.kind is StatementClass.CODE
