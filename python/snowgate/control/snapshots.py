"""Keeps a copy of the catalog in force in a file, for the tools that judge without a gateway.

It is for people who try out a policy: nothing that the gateway does reads it again.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import trio

from snowgate.control.current import Current
from snowgate.sql.catalog import Catalog

log = logging.getLogger(__name__)

# A tool that is started after a change sees it; a build that makes hundreds costs a few writes.
WRITE_EVERY_S = 2.0


class CatalogCopy:
    """Writes the catalog whenever another one is in force.

    Args:
        current: What is in force.
        path: The file.
    """

    def __init__(self, current: Current, path: Path) -> None:
        self._current = current
        self._path = path
        self._written: Catalog | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write once, report readiness, and go on until cancelled. Cancel-safe."""
        await self.save()
        task_status.started()
        while True:
            await trio.sleep(WRITE_EVERY_S)
            await self.save()

    async def save(self) -> None:
        """Write the catalog in force now, if it is another one. A full disk is only logged."""
        catalog = self._current.catalog
        if catalog is None or catalog is self._written:
            return
        try:
            await trio.to_thread.run_sync(_write, self._path, catalog)
        except OSError as error:
            log.warning("the copy of the catalog was not written: %s", error.strerror)
        self._written = catalog


def _write(path: Path, catalog: Catalog) -> None:
    """Replace the file as a whole. It is for its owner only, as everything in its folder."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(catalog.to_json())
    new.replace(path)
