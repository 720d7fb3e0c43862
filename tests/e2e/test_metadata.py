"""What tools live from: names and types pass, and texts of statements do not (F17)."""

from __future__ import annotations

from .rig import Rig
from .wire import Wire

TABLES = ["BIG", "CUSTOMERS", "EVENTS", "ORDERS", "PRODUCTS", "V_CUSTOMERS"]

# As SQLAlchemy's dialect asks for columns; of one table, since other tests leave theirs behind.
SCHEMA_COLUMNS = """
SELECT /* sqlalchemy:_get_schema_columns */ ic.table_name, ic.column_name, ic.data_type,
       ic.character_maximum_length, ic.numeric_precision, ic.numeric_scale, ic.is_nullable,
       ic.column_default, ic.is_identity, ic.comment
  FROM information_schema.columns ic
 WHERE ic.table_schema = 'PUBLIC' AND ic.table_name = 'CUSTOMERS'
 ORDER BY ic.ordinal_position
"""

# As dbt asks for its catalogue.
DBT_CATALOG = """
with tables as (
    select table_catalog as "table_database", table_schema as "table_schema",
        table_name as "table_name",
        case when is_dynamic = 'YES' and table_type = 'BASE TABLE' then 'DYNAMIC TABLE'
             else table_type end as "table_type",
        comment as "table_comment", table_owner as "table_owner",
        (clustering_key is not null) as "stats:clustering_key:include",
        'Row Count' as "stats:row_count:label", row_count as "stats:row_count:value"
    from CRM.INFORMATION_SCHEMA.tables
    where (upper("table_schema") = upper('PUBLIC'))
),
columns as (
    select table_catalog as "table_database", table_schema as "table_schema",
        table_name as "table_name", column_name as "column_name",
        ordinal_position as "column_index", data_type as "column_type",
        comment as "column_comment"
    from CRM.INFORMATION_SCHEMA.columns
)
select * from tables join columns using ("table_database", "table_schema", "table_name")
order by "column_index"
"""


def test_a_real_connector_reads_the_names_of_tables_and_columns(rig: Rig, version: str) -> None:
    with rig.driver("analyst", version) as session:
        tables = session.run("SELECT table_name FROM information_schema.tables ORDER BY 1").rows
        columns = session.run(SCHEMA_COLUMNS).rows

    # Other tests may have left tables of their own.
    names = [row[0] for row in tables]
    assert [name for name in names if name in TABLES] == TABLES
    assert names == sorted(names)
    assert ("CUSTOMERS", "EMAIL", "TEXT") in {tuple(row[:3]) for row in columns}


def test_a_star_of_a_metadata_view_shows_what_is_in_it(rig: Rig) -> None:
    mark = rig.mark()
    with rig.wire("analyst", app="JavaScript") as wire:
        tables = _named(wire, "SELECT * FROM information_schema.tables")
        columns = _named(wire, "SELECT * FROM crm.information_schema.columns")
        schemas = _named(wire, "SELECT * FROM information_schema.schemata")

    assert {row["TABLE_NAME"] for row in tables} >= set(TABLES)
    assert {row["TABLE_TYPE"] for row in tables} == {"BASE TABLE", "VIEW"}
    assert {row["COLUMN_NAME"] for row in columns} >= {"SSN", "AMOUNT"}
    assert {row["SCHEMA_NAME"] for row in schemas} >= {"PUBLIC"}
    assert mark.entries("alert") == []


def test_dbt_reads_its_catalogue(rig: Rig) -> None:
    with rig.wire("analyst", app="JavaScript") as wire:
        rows = _named(wire, DBT_CATALOG)

    assert {(row["table_name"], row["column_name"], row["column_type"]) for row in rows} >= {
        ("ORDERS", "ID", "NUMBER"),
        ("V_CUSTOMERS", "EMAIL", "TEXT"),
    }


def test_the_text_of_a_view_is_void_among_its_names(rig: Rig) -> None:
    with rig.wire("analyst", app="JavaScript") as wire:
        [view] = _named(wire, "SELECT * FROM information_schema.views")

    assert view["TABLE_NAME"] == "V_CUSTOMERS"
    assert view["VIEW_DEFINITION"] == "***"


def test_values_are_shown_whatever_their_columns_are_called(rig: Rig) -> None:
    mark = rig.mark()
    with rig.wire("analyst", app="JavaScript") as wire:
        for sql in ("VALUES (7)", "SELECT * FROM (VALUES (7)) AS t"):
            assert wire.rows(wire.query(sql)) == [["7"]]

    assert mark.entries("alert") == []


def _named(wire: Wire, sql: str) -> list[dict[str, object]]:
    reply = wire.query(sql)
    assert reply.ok, reply.message
    names = [column["name"] for column in reply.data["rowtype"]]
    return [dict(zip(names, row, strict=True)) for row in wire.rows(reply)]
