"""Reads the catalog from Snowflake's INFORMATION_SCHEMA, as a user and role of the gateway's own.

    COLUMNS   names, order and types, of   TABLES   what is a view or kept by a query
              INFORMATION_SCHEMA as well
    VIEWS     texts, through which the columns of a view get their tags

What stands for a query whose text is not shown (a secure view, a materialized view, a dynamic
table) is opaque: its columns are named, and where they come from is not known.

Source: <https://docs.snowflake.com/en/sql-reference/info-schema>
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby

from snowgate.errors import UpstreamError
from snowgate.model.ports import UpstreamReader
from snowgate.model.statement import ObjectName
from snowgate.sql.catalog import Catalog, CatalogColumn, Table
from snowgate.sql.metadata import is_account_metadata

PURPOSE = "catalog"

_COLUMNS = (
    "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE FROM {db}.INFORMATION_SCHEMA.COLUMNS"
    "{where} ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
)
_TABLES = (
    "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, IS_DYNAMIC FROM {db}.INFORMATION_SCHEMA.TABLES"
    "{where} ORDER BY TABLE_SCHEMA, TABLE_NAME"
)
_VIEWS = (
    "SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION FROM {db}.INFORMATION_SCHEMA.VIEWS"
    "{where} ORDER BY TABLE_SCHEMA, TABLE_NAME"
)
_NOT_OWN = " WHERE TABLE_SCHEMA <> 'INFORMATION_SCHEMA'"
# Their rows are their own; everything else shows rows of something else.
_OWN_ROWS = frozenset({"BASE TABLE", "TEMPORARY TABLE", "TRANSIENT TABLE", "EVENT TABLE"})


async def read_catalog(reader: UpstreamReader, databases: Sequence[str]) -> Catalog:
    """Read the catalog of these databases, without tags.

    Cancel-safe: nothing is kept between the statements.

    Args:
        reader: Runs the gateway's own statements.
        databases: Names as stored.

    Raises:
        UpstreamError: Snowflake refused a statement or answered with rows of another form.
    """
    found = [await _read(reader, database, "", _NOT_OWN) for database in databases]
    tables = {name: table for one in found for name, table in one.tables.items()}
    return Catalog.of(tables, {name: text for one in found for name, text in one.views.items()})


async def read_objects(reader: UpstreamReader, names: Collection[ObjectName]) -> Catalog:
    """Read some tables and views, without tags; those that do not exist are not in it.

    Cancel-safe: nothing is kept between the statements.

    Args:
        reader: Runs the gateway's own statements.
        names: Full names as stored.

    Raises:
        UpstreamError: As `read_catalog`.
    """
    tables: dict[ObjectName, Table] = {}
    views: dict[ObjectName, str] = {}
    for database, inside in groupby(sorted(names), key=lambda name: name.database):
        schemas = [
            f"(TABLE_SCHEMA = {constant(schema)}"
            f" AND TABLE_NAME IN ({', '.join(constant(one.name) for one in of_schema)}))"
            for schema, of_schema in groupby(inside, key=lambda name: name.schema)
        ]
        where = f" WHERE {' OR '.join(schemas)}"
        found = await _read(reader, database, where, where)
        tables |= {name: table for name, table in found.tables.items() if name in names}
        views |= {name: text for name, text in found.views.items() if name in names}
    return Catalog.of(tables, views)


async def _read(reader: UpstreamReader, database: str, columns: str, objects: str) -> Catalog:
    """What is in a database, as far as the conditions on columns and on objects go."""
    db = quoted(database)
    listed = await reader.query(_COLUMNS.format(db=db, where=columns), PURPOSE)
    kinds = await reader.query(_TABLES.format(db=db, where=objects), PURPOSE)
    texts = await reader.query(_VIEWS.format(db=db, where=objects), PURPOSE)
    views = {
        ObjectName(database, schema, name): text
        for schema, name, text in (cells(row, 3) for row in texts)
        if text
    }
    opaque = {
        ObjectName(database, schema, name)
        for schema, name, kind, dynamic in (cells(row, 4) for row in kinds)
        if kind.upper() not in _OWN_ROWS or dynamic.upper() == "YES"
    }
    tables = {
        name: Table(tuple(found), name in opaque and name not in views)
        for name, found in _by_table(database, listed).items()
        if not is_account_metadata(name)
    }
    return Catalog.of(tables, views)


def _by_table(
    database: str, rows: Sequence[Sequence[str | None]]
) -> dict[ObjectName, list[CatalogColumn]]:
    found: dict[ObjectName, list[CatalogColumn]] = {}
    for schema, name, column, kind in (cells(row, 4) for row in rows):
        listed = found.setdefault(ObjectName(database, schema, name), [])
        listed.append(CatalogColumn(column, kind.upper()))
    return found


def cells(row: Sequence[str | None], width: int) -> list[str]:
    """One row; NULL is an empty text.

    Raises:
        UpstreamError: It has another number of cells.
    """
    if len(row) != width:
        raise UpstreamError("catalog", "a row of the catalog has another form than asked for")
    return [cell or "" for cell in row]


def quoted(name: str) -> str:
    """A name as stored, as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def constant(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
