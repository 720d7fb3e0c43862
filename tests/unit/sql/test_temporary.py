"""Temporary objects: seen by their session alone, and never mistaken for permanent ones (F9)."""

from dataclasses import replace

import pytest

from snowgate.model.statement import ObjectName, OutputColumn
from snowgate.sql.analysis import Examined, examine
from snowgate.sql.catalog import NOTHING, Catalog, CatalogColumn, Table
from snowgate.sql.temporary import overlaid

from .test_analysis import CATALOG, CUSTOMERS, NAMESPACE, PII

T = ObjectName("CRM", "PUBLIC", "T")
MADE = "CREATE TEMPORARY TABLE t AS SELECT id, email AS e FROM customers"


class Session:
    """Statements of one session, each as if those before it had run."""

    def __init__(self, catalog: Catalog = CATALOG) -> None:
        self.catalog = catalog
        self.own = NOTHING

    def run(self, sql: str) -> Examined:
        found = examine(sql, NAMESPACE, self.catalog, own=self.own)
        self.catalog, self.own = found.catalog, found.own
        return found

    def columns(self, sql: str) -> tuple[OutputColumn, ...] | None:
        return self.run(sql).statement.columns

    def refusal(self, sql: str) -> str:
        found = self.run(sql).statement.refusal
        return "" if found is None else found.rule


@pytest.mark.parametrize("kind", ["TABLE", "TEMP TABLE", "VIEW"])
def test_what_a_session_makes_for_itself_keeps_its_tags(kind: str) -> None:
    session = Session()
    session.run(MADE.replace("TEMPORARY TABLE", f"TEMPORARY {kind.removeprefix('TEMP ')}"))

    assert session.columns("SELECT * FROM t") == (
        OutputColumn("ID"),
        OutputColumn("E", PII, raw=True),
    )


def test_nobody_else_sees_it() -> None:
    session = Session()
    found = session.run(MADE)

    assert found.catalog is CATALOG
    other = examine("SELECT e FROM t", NAMESPACE, found.catalog).statement
    assert other.unknown_sources == (T,)


def test_the_permanent_table_of_a_name_is_not_hidden() -> None:
    session = Session()

    for sql in (
        "CREATE TEMP TABLE customers AS SELECT 1 AS email",
        "CREATE OR REPLACE TEMPORARY VIEW customers AS SELECT 1 AS email",
        "CREATE TEMP TABLE IF NOT EXISTS customers (email TEXT)",
    ):
        assert session.refusal(sql) == "temporary-name"
    assert session.columns("SELECT email FROM customers") == (OutputColumn("EMAIL", PII, raw=True),)


def test_a_name_that_is_taken_later_may_mean_either() -> None:
    session = Session()
    session.run("CREATE TEMP TABLE t (a NUMBER, b NUMBER)")
    taken = {T: Table((CatalogColumn("X", "TEXT", PII), CatalogColumn("A", "TEXT")))}
    session.catalog = CATALOG.replacing(taken)

    assert session.columns("SELECT a, b FROM t") == (
        OutputColumn("A", PII),
        OutputColumn("B", PII),
    )
    # Whether a view means the one or the other, nobody knows.
    session.catalog = CATALOG.replacing(taken, {T: "SELECT email AS x, id AS a FROM customers"})
    columns = session.columns("SELECT a FROM t")
    assert columns is not None
    assert columns[0].unknown


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t AS SELECT 1 AS id",
        "ALTER TABLE t RENAME TO u",
        "ALTER TABLE t SWAP WITH orders",
        "ALTER TABLE orders SWAP WITH t",
        "ALTER TABLE orders RENAME TO t",
        "ALTER TABLE t RENAME COLUMN e TO f",
        "ALTER TABLE t DROP COLUMN id",
    ],
)
def test_one_name_never_means_two_things(sql: str) -> None:
    session = Session()
    session.run(MADE)

    assert session.refusal(sql) == "temporary-name"


def test_a_column_can_be_added() -> None:
    session = Session()
    session.run(MADE)
    session.run("ALTER TABLE t ADD COLUMN n NUMBER")

    columns = session.columns("SELECT * FROM t")
    assert columns is not None
    assert [column.name for column in columns] == ["ID", "E", "N"]


def test_if_not_exists_makes_nothing_of_what_exists() -> None:
    session = Session()
    session.run(MADE)
    session.run("CREATE TEMP TABLE IF NOT EXISTS t (e NUMBER, id NUMBER)")

    assert session.columns("SELECT * FROM t") == (
        OutputColumn("ID"),
        OutputColumn("E", PII, raw=True),
    )


def test_tags_follow_values_out_of_a_temporary_table() -> None:
    session = Session()
    session.run(MADE)
    session.run("CREATE TABLE kept AS SELECT e AS x FROM t")

    kept = session.catalog.tables[ObjectName("CRM", "PUBLIC", "KEPT")]
    assert kept.columns[0].tags == PII
    assert T not in session.catalog.tables


def test_values_that_are_stored_in_a_temporary_table_tag_it_alone() -> None:
    session = Session()
    session.run("CREATE TEMP TABLE t (index NUMBER, a TEXT)")
    stored = session.run("INSERT INTO t (a) SELECT ssn FROM customers")

    assert stored.statement.launders == PII
    assert stored.catalog is CATALOG
    assert session.columns("SELECT * FROM t") == (OutputColumn("INDEX"), OutputColumn("A", PII))


def test_a_column_nobody_knows_of_could_be_any() -> None:
    narrow = CATALOG.replacing({T: Table((CatalogColumn("A", "TEXT"),))})
    stored = examine("INSERT INTO t (unseen) SELECT ssn FROM customers", NAMESPACE, narrow)

    assert stored.catalog.tables[T].columns[0].tags == PII


def test_code_runs_where_nobody_has_a_temporary_table() -> None:
    session = Session()
    session.run("CREATE TEMP TABLE t (a NUMBER)")
    created = session.run("CREATE TASK x AS INSERT INTO orders (id) SELECT a FROM t").statement

    assert created.unknown_sources == (T,)


def test_a_session_that_has_nothing_sees_the_catalog_itself() -> None:
    assert overlaid(CATALOG, NOTHING) is CATALOG
    assert replace(CATALOG).tables[CUSTOMERS]


def test_dbt_builds_an_incremental_model() -> None:
    session = Session()
    session.run(
        "create or replace temporary view orders__dbt_tmp as (select id, amount from orders)"
    )
    merged = session.run(
        "merge into orders as DBT_INTERNAL_DEST using orders__dbt_tmp as DBT_INTERNAL_SOURCE"
        " on DBT_INTERNAL_SOURCE.id = DBT_INTERNAL_DEST.id"
        " when matched then update set amount = DBT_INTERNAL_SOURCE.amount"
        " when not matched then insert (id, amount) values (DBT_INTERNAL_SOURCE.id,"
        " DBT_INTERNAL_SOURCE.amount)"
    ).statement

    assert merged.refusal is None
    assert not merged.violations
    assert not merged.unknown_sources
