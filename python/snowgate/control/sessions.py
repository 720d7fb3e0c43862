"""Keeps the gate's session rows over restarts.

A row holds hashes of the client tokens and the sealed upstream session: nothing in it opens
anything without the client's token and the gate's key. The store keeps it under a MAC (F7).
"""

from __future__ import annotations

from typing import Any, Protocol

import trio


class SessionTable(Protocol):
    """What is needed of the store's sessions."""

    def put(self, row: dict[str, object]) -> None:
        """Write a row, durably."""

    def delete(self, session_id: str) -> None:
        """Forget a row."""


class SessionRows:
    """Answers `session_opened`, `session_changed` and `session_closed`."""

    def __init__(self, table: SessionTable) -> None:
        self._table = table
        # SQLite has one writer; queueing here keeps worker threads free for analyses.
        self._limit = trio.CapacityLimiter(1)

    async def put(self, question: dict[str, Any]) -> dict[str, Any]:
        """Keep a new or changed session."""
        row = {key: value for key, value in question.items() if key != "reference"}
        await trio.to_thread.run_sync(self._table.put, row, limiter=self._limit)
        return {"ok": True}

    async def delete(self, question: dict[str, Any]) -> dict[str, Any]:
        """Forget an ended session."""
        await trio.to_thread.run_sync(self._table.delete, str(question["id"]), limiter=self._limit)
        return {"ok": True}
