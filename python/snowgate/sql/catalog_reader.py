"""Reads the catalog from Snowflake's INFORMATION_SCHEMA, as a user and role of the gateway's own.

    COLUMNS   names, order and types, of   TABLES   what is a view or kept by a query
              INFORMATION_SCHEMA as well
    VIEWS     texts, through which the columns of a view get their tags

What stands for a query whose text is not shown (a secure view, a materialized view, a dynamic
table) is opaque: its columns are named, and where they come from is not known.

Source: <https://docs.snowflake.com/en/sql-reference/info-schema>
"""

from __future__ import annotations

from collections.abc import Sequence

from snowgate.errors import UpstreamError
from snowgate.model.ports import UpstreamReader
from snowgate.model.statement import ObjectName
from snowgate.sql.catalog import Catalog, CatalogColumn, Table
from snowgate.sql.metadata import is_account_metadata

PURPOSE = "catalog"

_COLUMNS = (
    "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE FROM {db}.INFORMATION_SCHEMA.COLUMNS"
    " ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
)
_TABLES = (
    "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, IS_DYNAMIC FROM {db}.INFORMATION_SCHEMA.TABLES"
    " WHERE TABLE_SCHEMA <> 'INFORMATION_SCHEMA' ORDER BY TABLE_SCHEMA, TABLE_NAME"
)
_VIEWS = (
    "SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION FROM {db}.INFORMATION_SCHEMA.VIEWS"
    " WHERE TABLE_SCHEMA <> 'INFORMATION_SCHEMA' ORDER BY TABLE_SCHEMA, TABLE_NAME"
)
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
    tables: dict[ObjectName, Table] = {}
    views: dict[ObjectName, str] = {}
    for database in databases:
        db = quoted(database)
        columns = await reader.query(_COLUMNS.format(db=db), PURPOSE)
        kinds = await reader.query(_TABLES.format(db=db), PURPOSE)
        texts = await reader.query(_VIEWS.format(db=db), PURPOSE)
        for schema, name, text in (cells(row, 3) for row in texts):
            if text:
                views[ObjectName(database, schema, name)] = text
        opaque = {
            ObjectName(database, schema, name)
            for schema, name, kind, dynamic in (cells(row, 4) for row in kinds)
            if kind.upper() not in _OWN_ROWS or dynamic.upper() == "YES"
        }
        for table, listed in _by_table(database, columns).items():
            if is_account_metadata(table):
                continue
            tables[table] = Table(tuple(listed), table in opaque and table not in views)
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
