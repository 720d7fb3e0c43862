"""What the control plane asks of the gate: entries to record, statements to run, queries to wake.

Each call goes out with a number; its completion comes back as a `done` notice over the bridge.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Protocol

import orjson
import trio

from snowgate.errors import LedgerError, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from snowgate.model.ports import EntryText

# A catalog read of a large account takes a while; nothing waits on it but the catalog itself.
QUERY_LIMIT_S = 120.0
RECORD_LIMIT_S = 10.0


class GateLike(Protocol):
    """What the calls need of `_core.Gate`."""

    def query(self, call: int, request: bytes) -> None:
        """Run one of the gateway's own statements."""

    def record(self, call: int, entry: bytes) -> None:
        """Append one ledger entry."""


class GateCalls:
    """The gate as the control plane uses it: `Recorder`, `UpstreamReader` and `ClientsReader`."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[trio.Event, list[dict[str, Any]]]] = {}
        self._gate: GateLike | None = None

    def attach(self, gate: GateLike) -> None:
        """Join the gate once it runs; calls before that fail."""
        self._gate = gate

    async def done(self, question: dict[str, Any]) -> None:
        """Take the `done` notice of a call."""
        waiting = self._waiting.get(int(question["call"]))
        if waiting is not None:
            waiting[1].append(question)
            waiting[0].set()

    async def record(
        self, kind: str, fields: dict[str, Any], texts: Sequence[EntryText] = ()
    ) -> int:
        """Append one entry and return its sequence number once it is durable.

        Raises:
            LedgerError: The ledger takes no entries, or did not answer: the caller must not go on.
        """
        gate = self._gate
        if gate is None:
            raise LedgerError("the ledger is not open yet")
        entry = orjson.dumps({"kind": kind, "fields": fields, "texts": list(texts)})
        reply = await self._call(lambda number: gate.record(number, entry), RECORD_LIMIT_S)
        if reply is None or "ok" not in reply:
            raise LedgerError("the ledger took no entry: see its alert in the log")
        return int(reply["ok"]["seq"])

    async def query(self, sql: str, purpose: str) -> Sequence[Sequence[str | None]]:
        """Run one of the gateway's own statements and return its rows as text cells.

        Raises:
            UpstreamError: Snowflake refused it or did not answer in time.
        """
        return await self._rows({"sql": sql, "purpose": purpose})

    async def query_as_clients(self, sql: str, purpose: str) -> Sequence[Sequence[str | None]]:
        """Run one as the user that logs in for clients, with no role but PUBLIC.

        Raises:
            UpstreamError: Snowflake refused it or did not answer in time.
        """
        return await self._rows({"sql": sql, "purpose": purpose, "as_clients": True})

    async def _rows(self, query: dict[str, Any]) -> Sequence[Sequence[str | None]]:
        gate = self._gate
        if gate is None:
            raise UpstreamError("not-started", "the gate does not run yet")
        request = orjson.dumps(query)
        reply = await self._call(lambda number: gate.query(number, request), QUERY_LIMIT_S)
        if reply is None:
            raise UpstreamError("late", "snowflake did not answer in time")
        if "ok" not in reply:
            error = reply.get("error", {})
            raise UpstreamError(str(error.get("code", "unknown")), str(error.get("message", "")))
        rows: Sequence[Sequence[str | None]] = reply["ok"]["rows"]
        return rows

    async def _call(self, send: Callable[[int], None], limit_s: float) -> dict[str, Any] | None:
        number = next(self._numbers)
        event = trio.Event()
        replies: list[dict[str, Any]] = []
        self._waiting[number] = (event, replies)
        try:
            send(number)
            with trio.move_on_after(limit_s):
                await event.wait()
            return replies[0] if replies else None
        finally:
            del self._waiting[number]
