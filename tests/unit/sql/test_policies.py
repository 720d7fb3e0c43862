"""Policies and alterations of tables: what they show, and by which values they fail (F3, F16)."""

from pathlib import Path

import pytest

from snowgate.model.statement import Namespace
from snowgate.sql.analysis import analyse
from snowgate.sql.catalog import Catalog
from snowgate.sql.session import analyse_session

VECTORS = Path(__file__).parents[2] / "vectors"
CATALOG = Catalog.from_json((VECTORS / "reference" / "catalog.json").read_text())
POLICY = "CREATE MASKING POLICY p AS (a VARCHAR, b VARCHAR) RETURNS VARCHAR -> b"


def harmful(*texts: str) -> bool:
    statement = analyse_session(texts, CATALOG)[-1]
    return bool(statement.violations) or statement.refusal is not None


@pytest.mark.parametrize(
    "text",
    [
        "CREATE MASKING POLICY p AS (v VARCHAR) RETURNS VARCHAR ->"
        " CASE WHEN CURRENT_ROLE() IN ('A', 'B') THEN v ELSE '***' END",
        "CREATE ROW ACCESS POLICY r AS (c VARCHAR) RETURNS BOOLEAN ->"
        " EXISTS (SELECT 1 FROM orders WHERE region = c)",
        "ALTER TABLE customers ADD ROW ACCESS POLICY r ON (country)",
        "ALTER TABLE customers MODIFY COLUMN email SET MASKING POLICY p",
        "ALTER TABLE customers MODIFY COLUMN email SET MASKING POLICY p USING (email)",
        "ALTER TABLE customers MODIFY COLUMN email UNSET MASKING POLICY",
        "ALTER TABLE customers ALTER COLUMN email SET TAG a.b.c = 'x', d = 'y'",
        "ALTER TABLE customers ALTER (COLUMN email COMMENT 'x', phone DROP NOT NULL)",
        "ALTER TABLE customers ALTER COLUMN city SET DATA TYPE VARCHAR(20)",
        "ALTER TABLE customers ADD COLUMN note VARCHAR DEFAULT 'x', n NUMBER",
        "ALTER TABLE customers CLUSTER BY (country)",
        "ALTER TABLE customers SET DATA_RETENTION_TIME_IN_DAYS = 1",
        "ALTER TABLE customers ADD CONSTRAINT k PRIMARY KEY (id)",
        "ALTER TABLE orders ALTER amount SET NOT NULL, status TYPE VARCHAR(9)",
        "CREATE OR ALTER TABLE orders (id NUMBER(3), amount NUMBER(5) NOT NULL)",
        "CREATE OR ALTER TABLE customers (id NUMBER(3), email VARCHAR NOT NULL, note VARCHAR(9))",
        "CREATE TABLE IF NOT EXISTS customers (email VARCHAR(9))",
        "CREATE HYBRID TABLE h (id NUMBER PRIMARY KEY) AS SELECT id FROM orders",
        "CREATE AGGREGATION POLICY g AS () RETURNS AGGREGATION_CONSTRAINT ->"
        " AGGREGATION_CONSTRAINT(MIN_GROUP_SIZE => 5)",
    ],
)
def test_what_shows_and_fails_by_no_tagged_value_is_plain_ddl(text: str) -> None:
    statement = analyse(text, Namespace("CRM", "PUBLIC"), CATALOG)

    assert statement.refusal is None
    assert not statement.violations


@pytest.mark.parametrize(
    "text",
    [
        "CREATE MASKING POLICY p AS (v VARCHAR) RETURNS VARCHAR ->"
        " (SELECT MAX(email) FROM customers)",
        "CREATE ROW ACCESS POLICY r AS (v VARCHAR) RETURNS BOOLEAN ->"
        " EXISTS (SELECT 1 FROM customers WHERE ssn LIKE v || '%')",
        "CREATE MASKING POLICY p AS (v VARCHAR) RETURNS VARCHAR -> look_up(v)",
        "ALTER MASKING POLICY p SET BODY -> 'x'",
        "CREATE JOIN POLICY j AS () RETURNS JOIN_CONSTRAINT ->"
        " JOIN_CONSTRAINT(JOIN_REQUIRED => (SELECT MAX(ssn) > '5' FROM customers))",
        "ALTER TABLE customers ADD ROW ACCESS POLICY r ON (country, ssn)",
        "ALTER TABLE customers MODIFY COLUMN city SET MASKING POLICY p USING (city, email)",
        "CREATE TABLE t WITH ROW ACCESS POLICY r ON (e) AS SELECT email e FROM customers",
        "CREATE VIEW v WITH ROW ACCESS POLICY r ON (e) AS SELECT email e FROM customers",
        "ALTER VIEW v_customers ADD ROW ACCESS POLICY r ON (ssn)",
        "CREATE VIEW v (a, b MASKING POLICY p USING (b, a)) AS SELECT email, 'x' FROM customers",
        "ALTER TABLE customers ALTER COLUMN phone SET DATA TYPE VARCHAR(9)",
        "ALTER TABLE customers MODIFY city TYPE VARCHAR(9), COLUMN phone TYPE NUMBER",
        "ALTER TABLE customers ALTER phone NUMBER",
        'ALTER TABLE customers ALTER "PHONE" TYPE NUMBER',
        "ALTER TABLE customers ADD CHECK (ssn > '5')",
        "ALTER TABLE orders ADD CONSTRAINT c CHECK (status > '5')",
        "CREATE TABLE t (m VARCHAR, CHECK (m < '5'))",
        "ALTER TABLE customers ADD DATA METRIC FUNCTION snowflake.core.max ON (city)",
        "ALTER TABLE customers REORGANISE BY ssn",
        "ALTER TABLE orders ADD COLUMN z VARCHAR DEFAULT (SELECT MAX(email) FROM customers)",
        "CREATE TABLE t (a VARCHAR DEFAULT (SELECT MAX(email) FROM customers))",
        "CREATE OR ALTER TABLE customers (id NUMBER, phone VARCHAR(9))",
        'CREATE /* x */ OR -- y\n ALTER TRANSIENT TABLE crm.public.customers ("PHONE" NUMBER)',
        "CREATE HYBRID TABLE h (e VARCHAR PRIMARY KEY) AS SELECT email FROM customers",
        "CREATE HYBRID TABLE h (n NUMBER UNIQUE) AS SELECT id FROM customers WHERE email > 'm'",
    ],
)
def test_what_shows_or_fails_by_a_tagged_value_is_not(text: str) -> None:
    assert harmful(text)


@pytest.mark.parametrize(
    "texts",
    [
        ("CREATE TABLE t (a VARCHAR, b VARCHAR MASKING POLICY p USING (b, a))",),
        (
            "CREATE TABLE t (a VARCHAR, b VARCHAR)",
            "ALTER TABLE t MODIFY COLUMN b SET MASKING POLICY p USING (b, a)",
        ),
        (
            "CREATE TABLE t (a VARCHAR)",
            "ALTER TABLE t ADD COLUMN b VARCHAR MASKING POLICY p USING (b, a)",
        ),
        ("CREATE TABLE t (a VARCHAR, b VARCHAR) WITH ROW ACCESS POLICY r ON (a)",),
    ],
)
def test_a_policy_over_columns_that_are_tagged_later_taints_the_table(
    texts: tuple[str, ...],
) -> None:
    spill = "INSERT INTO t (a) SELECT email FROM customers"

    clean = analyse_session([POLICY, *texts, "SELECT b FROM t"], CATALOG)[-1]
    later = analyse_session([POLICY, *texts, spill, "SELECT b FROM t"], CATALOG)[-1]

    assert clean.columns is not None
    assert not clean.columns[0].unknown
    assert later.columns is not None
    assert later.columns[0].unknown
