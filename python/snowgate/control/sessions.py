"""Keeps the gate's session rows over restarts.

A row holds hashes of the client tokens and the sealed upstream session: nothing in it opens
anything without the client's token and the gate's key. The store keeps it under a MAC (F7).

Invariant: an ended session stays ended. Questions may be answered in another order than they were
asked in, so a change is written over a row only, never beside it.
"""

from __future__ import annotations

from typing import Any, Protocol

import trio

from snowgate.control.overlays import Overlays


class SessionTable(Protocol):
    """What is needed of the store's sessions."""

    def put(self, row: dict[str, object]) -> None:
        """Write a row, new or not, durably."""

    def change(self, row: dict[str, object]) -> bool:
        """Write a row over the one that is there, durably; False, and no change, without one."""

    def delete(self, session_id: str) -> None:
        """Forget a row."""


class SessionRows:
    """Answers `session_opened`, `session_changed` and `session_closed`."""

    def __init__(self, table: SessionTable, overlays: Overlays) -> None:
        self._table = table
        self._overlays = overlays
        # SQLite has one writer; queueing here keeps worker threads free for analyses.
        self._limit = trio.CapacityLimiter(1)

    async def open(self, question: dict[str, Any]) -> dict[str, Any]:
        """Keep a new session."""
        await trio.to_thread.run_sync(self._table.put, _row(question), limiter=self._limit)
        return {"ok": True}

    async def change(self, question: dict[str, Any]) -> dict[str, Any]:
        """Keep a changed session; not ok if it has ended meanwhile."""
        row = _row(question)
        known = await trio.to_thread.run_sync(self._table.change, row, limiter=self._limit)
        return {"ok": known}

    async def close(self, question: dict[str, Any]) -> dict[str, Any]:
        """Forget an ended session."""
        self._overlays.close(str(question["id"]))
        await trio.to_thread.run_sync(self._table.delete, str(question["id"]), limiter=self._limit)
        return {"ok": True}


def _row(question: dict[str, Any]) -> dict[str, object]:
    return {key: value for key, value in question.items() if key != "reference"}
