"""Remembers the ledger's head outside the ledger.

At the next start the gate refuses a ledger that does not extend it, so that an emptied or replaced
directory is noticed (F22).
"""

from __future__ import annotations

import logging
from typing import Protocol

import orjson
import trio

from snowgate.errors import StoreError
from snowgate.store import LedgerHead

log = logging.getLogger(__name__)

# As often as the ledger writes a checkpoint at most.
SAVE_EVERY_S = 2.0


class StatusSource(Protocol):
    """What is needed of the gate."""

    def status(self) -> str:
        """Counters and states, JSON; `ledger` has `size` and `root`."""


class HeadTable(Protocol):
    """What is needed of the store."""

    def set_ledger_head(self, head: LedgerHead) -> None:
        """Remember a head, durably."""


class HeadKeeper:
    """Saves the head whenever it moved."""

    def __init__(self, gate: StatusSource, store: HeadTable, origin: str) -> None:
        self._gate = gate
        self._store = store
        self._origin = origin
        self._saved: LedgerHead | None = None

    async def run(self) -> None:
        """Save every two seconds until cancelled. Cancel-safe."""
        while True:
            await trio.sleep(SAVE_EVERY_S)
            try:
                await self.save()
            except StoreError as error:
                log.warning("the ledger's head was not saved: %s", error)

    async def save(self) -> None:
        """Save the head now, if it moved.

        Raises:
            StoreError: The store cannot be written.
        """
        ledger = orjson.loads(self._gate.status())["ledger"]
        head = LedgerHead(self._origin, int(ledger["size"]), str(ledger["root"]))
        if head != self._saved:
            await trio.to_thread.run_sync(self._store.set_ledger_head, head)
            self._saved = head
