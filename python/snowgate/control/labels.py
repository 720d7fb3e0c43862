"""Keeps the tags that DDL and DML moved, so that a tag follows its values and not a name (F16).

A label is written durably before the statement that moves it is forwarded, and never taken away: a
statement that failed leaves a label too many, which only hides more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import trio

from snowgate.errors import StoreError
from snowgate.model.statement import ObjectName
from snowgate.sql.catalog import Catalog, CatalogColumn, Table, united, untraceable


class ObjectTable(Protocol):
    """What is needed of the store: a row for each object."""

    def put(self, name: tuple[str, str, str], body: dict[str, object]) -> None:
        """Write the row of an object, durably."""

    def load_all(self) -> list[dict[str, object]]:
        """All rows; `name` holds the object's."""


class Labels:
    """The labels of this gateway.

    Args:
        table: Where they are kept.

    Raises:
        StoreError: A stored label is not as it was written.
    """

    def __init__(self, table: ObjectTable) -> None:
        self._table = table
        self._lock = trio.Lock()
        self._kept = Catalog.of(dict(map(read_row, table.load_all())))

    def onto(self, catalog: Catalog) -> Catalog:
        """A catalog as read, with every label on it."""
        changed: dict[ObjectName, Table | None] = {}
        for name, kept in self._kept.tables.items():
            table = catalog.tables.get(name)
            if table is not None:
                changed[name] = untraceable(table) if kept.opaque else united(table, kept)
        return catalog.replacing(changed) if changed else catalog

    async def move(self, before: Catalog, after: Catalog) -> bool:
        """Keep what a statement about to be forwarded does to tags.

        Args:
            before: The catalog it was judged with.
            after: The catalog once it has run.

        Returns:
            Whether there was anything to keep that was not kept already.

        Raises:
            StoreError: It could not be kept: the statement must not be forwarded.
        """
        moved = {
            name: table
            for name, table in after.tables.items()
            if table != before.tables.get(name) and _labelled(table)
        }
        return await self.keep(moved)

    async def keep(self, labels: Mapping[ObjectName, Table]) -> bool:
        """Keep labels of these tables beside those they have.

        Returns:
            Whether any of them is new.

        Raises:
            StoreError: They could not be kept.
        """
        new = False
        async with self._lock:
            for name, table in labels.items():
                known = self._kept.tables.get(name)
                both = _only_labels(table if known is None else _both(table, known))
                if both != known:
                    key = (name.database, name.schema, name.name)
                    await trio.to_thread.run_sync(self._table.put, key, written(both))
                    self._kept = self._kept.replacing({name: both})
                    new = True
        return new


def _labelled(table: Table) -> bool:
    return table.opaque or bool(table.fed_by) or any(c.labelled for c in table.columns)


def _only_labels(table: Table) -> Table:
    """In one form, so that equal labels are equal tables."""
    columns = (
        CatalogColumn(c.name, tags=c.tags, derived=c.derived, unknown=c.unknown)
        for c in table.columns
        if c.labelled
    )
    ordered = tuple(sorted(columns, key=lambda column: column.name))
    return replace(table, columns=ordered)


def _both(new: Table, old: Table) -> Table:
    """Every column of either, with the labels of both."""
    merged = united(new, old)
    names = {column.name for column in merged.columns}
    rest = tuple(column for column in old.columns if column.name not in names)
    return Table(merged.columns + rest, new.opaque or old.opaque, merged.fed_by)


def written(table: Table) -> dict[str, object]:
    """A table as a row of the store."""
    columns = [
        {
            "name": column.name,
            "type": column.type,
            "tags": sorted(column.tags),
            "derived": column.derived,
            "unknown": column.unknown,
        }
        for column in table.columns
    ]
    fed_by = [[name.database, name.schema, name.name] for name in sorted(table.fed_by)]
    return {"columns": columns, "opaque": table.opaque, "fed_by": fed_by}


def read_row(body: Mapping[str, Any]) -> tuple[ObjectName, Table]:
    """What `written` wrote, with the object's name.

    Raises:
        StoreError: The row has another form.
    """
    try:
        columns = tuple(
            CatalogColumn(
                str(column["name"]),
                str(column["type"]),
                frozenset(map(str, column["tags"])),
                bool(column["derived"]),
                bool(column["unknown"]),
            )
            for column in body["columns"]
        )
        # Rows of earlier versions do not say what feeds a table.
        fed_by = frozenset(ObjectName(*map(str, name)) for name in body.get("fed_by", ()))
        name = ObjectName(*map(str, body["name"]))
        return name, Table(columns, bool(body["opaque"]), fed_by)
    except (KeyError, TypeError) as error:
        raise StoreError("a stored table has another form") from error
