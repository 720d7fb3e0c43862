"""What outlives the process: session rows and the ledger's head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from snowgate.control.heads import SAVE_EVERY_S, HeadKeeper
from snowgate.control.overlays import Overlays
from snowgate.control.sessions import SessionRows
from snowgate.errors import StoreError
from snowgate.store import LedgerHead, Store


class Rows:
    """A table of sessions in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, object]] = {}
        self.broken = False

    def put(self, row: dict[str, object]) -> None:
        if self.broken:
            raise StoreError("store cannot be used")
        self.rows[str(row["id"])] = row

    def change(self, row: dict[str, object]) -> bool:
        if row["id"] not in self.rows:
            return False
        self.put(row)
        return True

    def delete(self, session_id: str) -> None:
        self.rows.pop(session_id, None)


async def test_a_session_is_kept_as_the_gate_gave_it_and_forgotten_with_its_end() -> None:
    table = Rows()
    sessions = SessionRows(table, Overlays())

    assert await sessions.open({"reference": "r-1", "id": "s-1", "sealed": "…"}) == {"ok": True}
    assert table.rows == {"s-1": {"id": "s-1", "sealed": "…"}}
    assert await sessions.change({"reference": "r-2", "id": "s-1", "state": 1}) == {"ok": True}
    assert table.rows == {"s-1": {"id": "s-1", "state": 1}}

    assert await sessions.close({"id": "s-1", "why": "logout"}) == {"ok": True}
    assert await sessions.close({"id": "s-1", "why": "logout"}) == {"ok": True}
    assert table.rows == {}


async def test_a_change_that_comes_after_the_end_brings_no_session_back(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store.db", bytes(32)) as store:
        sessions = SessionRows(store.sessions, Overlays())
        await sessions.open({"id": "s-1"})
        await sessions.close({"id": "s-1", "why": "logout"})

        assert await sessions.change({"id": "s-1", "state": 1}) == {"ok": False}
        assert store.sessions.load_all() == []


async def test_a_session_that_cannot_be_kept_is_not_said_to_be() -> None:
    table = Rows()
    table.broken = True

    with pytest.raises(StoreError):
        await SessionRows(table, Overlays()).open({"id": "s-1"})


class Gate:
    """A gate whose ledger grows."""

    size = 1

    def status(self) -> str:
        ledger: dict[str, Any] = {"size": self.size, "root": f"{self.size:064x}"}
        return orjson.dumps({"ledger": ledger}).decode()


class Heads:
    """A store of heads in memory."""

    def __init__(self) -> None:
        self.saved: list[LedgerHead] = []
        self.broken = False

    def set_ledger_head(self, head: LedgerHead) -> None:
        if self.broken:
            raise StoreError("store cannot be used")
        self.saved.append(head)


async def test_a_head_is_saved_whenever_it_moved() -> None:
    gate, store = Gate(), Heads()
    keeper = HeadKeeper(gate, store, "snowgate/gw-1")

    await keeper.save()
    await keeper.save()
    gate.size = 2
    await keeper.save()

    assert [(head.origin, head.size) for head in store.saved] == [
        ("snowgate/gw-1", 1),
        ("snowgate/gw-1", 2),
    ]


async def test_a_store_that_fails_for_a_while_is_tried_again(mock_clock: MockClock) -> None:
    store = Heads()
    store.broken = True
    keeper = HeadKeeper(Gate(), store, "snowgate/gw-1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        for _ in range(2):
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(SAVE_EVERY_S)
        await trio.testing.wait_all_tasks_blocked()
        assert store.saved == []

        store.broken = False
        mock_clock.jump(SAVE_EVERY_S)
        while not store.saved:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
