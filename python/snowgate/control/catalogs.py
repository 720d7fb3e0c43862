"""Keeps the catalog: reads it at start, on a timer, and after every DDL that passed.

A catalog older than `max_age` is worth nothing, since a view may have been redefined meanwhile:
statements are then denied until it can be read again (F8).
"""

from __future__ import annotations

import logging
from typing import Any

import trio

from snowgate.config import Catalog as Settings
from snowgate.control.current import Current
from snowgate.control.labels import Labels
from snowgate.errors import SnowgateError
from snowgate.model.ports import UpstreamReader
from snowgate.sql.catalog_reader import read_catalog

log = logging.getLogger(__name__)

# A refresh takes a while, so it begins well before the catalog is too old.
REFRESH_AT = 0.5
RETRY_S = 2.0
# The gate waits for the catalog after a DDL, but not for ever: the statement has run already.
CHANGE_LIMIT_S = 4.0


class CatalogKeeper:
    """Answers `catalog_changed`, and refreshes the catalog in the background.

    Args:
        current: Where a new catalog is put in force.
        reader: Runs the gateway's own statements.
        settings: Which databases, and how old they may get.
        labels: Tags that statements have moved; put on whatever is read.
    """

    def __init__(
        self, current: Current, reader: UpstreamReader, settings: Settings, labels: Labels
    ) -> None:
        self._current = current
        self._labels = labels
        self._reader = reader
        self._settings = settings
        self._reading = trio.Lock()
        self._read_at_s = -float("inf")

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read once, report readiness whether or not that worked, then keep it fresh."""
        await self._try()
        task_status.started()
        while True:
            fresh = trio.current_time() - self._read_at_s < self._settings.max_age_s * REFRESH_AT
            await trio.sleep(self._settings.max_age_s * REFRESH_AT if fresh else RETRY_S)
            await self._try()
            age_s = trio.current_time() - self._read_at_s
            if age_s > self._settings.max_age_s and self._current.catalog is not None:
                log.error("the catalog is too old: statements are denied until it can be read")
                self._current.replace_catalog(None)

    async def changed(self, question: dict[str, Any]) -> dict[str, Any]:
        """Read the catalog again after a DDL, before its client goes on."""
        del question  # all is read again, whichever objects the DDL named
        asked_s = trio.current_time()
        with trio.move_on_after(CHANGE_LIMIT_S):
            await self._try()
        if self._read_at_s < asked_s:
            # What the DDL made of the tables is not known: nothing is judged by what they were.
            self._current.replace_catalog(None)
        return {"ok": True}

    async def _try(self) -> None:
        """Read the catalog; on failure what is in force stays."""
        async with self._reading:
            began_s = trio.current_time()
            try:
                read = await read_catalog(self._reader, self._settings.databases)
            except SnowgateError as error:
                log.warning("the catalog could not be read: %s", error)
                return
            tags = [(each.tag, each.columns) for each in self._current.policy.tags]
            catalog = self._labels.onto(read.with_tags(tags))
            present = self._current.catalog
            # An equal catalog keeps the epoch, and with it every verdict the gate has cached.
            if present is None or catalog.digest != present.digest:
                self._current.replace_catalog(catalog)
            self._read_at_s = began_s
