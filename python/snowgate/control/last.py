"""Keeps the catalog as it was in force last, so that a restart does not forget what was tagged.

Nothing is judged by it: a catalog that was not read since the start could be of another time. It
tells which tagged columns have been renamed, and which patterns have lost theirs, while nobody
looked (F16).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import trio

from snowgate.control.labels import ObjectTable, read_row, written
from snowgate.model.statement import ObjectName
from snowgate.sql.catalog import Catalog, Table
from snowgate.sql.codec import change_between


class CatalogTable(ObjectTable, Protocol):
    """What is needed of the store."""

    def put_all(self, rows: Mapping[tuple[str, str, str], dict[str, object] | None]) -> None:
        """Write the rows of many objects, durably, all or none of them; None deletes one."""


class LastCatalog:
    """The tables, and the columns of views, that were in force last.

    Args:
        table: Where they are kept.

    Raises:
        StoreError: A stored row is not as it was written.
    """

    def __init__(self, table: CatalogTable) -> None:
        self._table = table
        self.catalog = Catalog.of(dict(map(read_row, table.load_all())))
        # An equal catalog stays in force as it is: then there is nothing to compare.
        self._written: Mapping[ObjectName, Table] | None = None

    async def keep(self, catalog: Catalog | None) -> None:
        """Write down what is in force now; of nothing, nothing.

        Raises:
            StoreError: It could not be written.
        """
        if catalog is None or catalog.tables is self._written:
            return
        tables = Catalog.of(catalog.tables)
        changed = change_between(self.catalog, tables).tables
        if changed:
            rows = {
                (one.name.database, one.name.schema, one.name.name): None
                if one.table is None
                else written(one.table)
                for one in changed
            }
            await trio.to_thread.run_sync(self._table.put_all, rows)
        self.catalog, self._written = tables, catalog.tables
