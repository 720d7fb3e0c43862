"""The loop between the bridge and the answers."""

import os
from collections.abc import Sequence
from typing import Any

import orjson
import trio
from trio.testing import wait_all_tasks_blocked

from snowgate._core import Bridge
from snowgate.control.plane import ControlPlane


class ScriptedBridge:
    """A bridge whose questions the test asks; a pipe stands for the wake-up descriptor."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        self._waiting: list[tuple[int, str, bytes]] = []
        self.answers: dict[int, dict[str, Any]] = {}

    def ask(self, number: int, kind: str, payload: bytes = b"{}") -> None:
        self._waiting.append((number, kind, payload))
        os.write(self._write, b"x")

    def wake_fd(self) -> int:
        return self._read

    def take(self, limit: int) -> list[tuple[int, str, bytes]]:
        os.read(self._read, 1024)
        taken, self._waiting = self._waiting[:limit], self._waiting[limit:]
        return taken

    def answer(self, answers: Sequence[tuple[int, bytes]]) -> None:
        for number, payload in answers:
            self.answers[number] = orjson.loads(payload)

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


async def test_a_question_is_answered_by_the_room_for_its_kind() -> None:
    bridge = ScriptedBridge()

    async def judge(question: dict[str, Any]) -> dict[str, Any]:
        return {"decision": "allow", "sql": question["sql"]}

    async with trio.open_nursery() as nursery:
        await nursery.start(ControlPlane(bridge, {"judge": judge}).run)
        bridge.ask(7, "judge", b'{"sql":"select 1"}')
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert bridge.answers == {7: {"decision": "allow", "sql": "select 1"}}
    bridge.close()


async def test_a_bug_in_one_answer_is_an_empty_answer_and_ends_nothing_else() -> None:
    bridge = ScriptedBridge()

    async def judge(question: dict[str, Any]) -> dict[str, Any]:
        return {"half": 1 / question["by"]}

    async with trio.open_nursery() as nursery:
        await nursery.start(ControlPlane(bridge, {"judge": judge}).run)
        bridge.ask(1, "judge", b'{"by":0}')
        bridge.ask(2, "judge", b'{"by":2}')
        bridge.ask(3, "judge", b"not json")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert bridge.answers == {1: {}, 2: {"half": 0.5}, 3: {}}
    bridge.close()


async def test_a_withdrawn_question_cancels_its_task_and_gets_no_answer() -> None:
    bridge = ScriptedBridge()
    cancelled = trio.Event()

    async def judge(question: dict[str, Any]) -> dict[str, Any]:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()
        return question

    async with trio.open_nursery() as nursery:
        await nursery.start(ControlPlane(bridge, {"judge": judge}).run)
        bridge.ask(9, "judge")
        await wait_all_tasks_blocked()
        bridge.ask(0, "cancel", (9).to_bytes(8, "little"))
        await cancelled.wait()
        nursery.cancel_scope.cancel()

    assert bridge.answers == {}
    bridge.close()


async def test_statements_under_judgement_never_keep_logins_waiting() -> None:
    bridge = ScriptedBridge()

    async def judge(question: dict[str, Any]) -> dict[str, Any]:
        await trio.sleep_forever()
        return question

    async def login(_: dict[str, Any]) -> dict[str, Any]:
        return {"admit": True}

    plane = ControlPlane(bridge, {"judge": judge, "login": login}, {"judge": 2})
    async with trio.open_nursery() as nursery:
        await nursery.start(plane.run)
        for number in range(1, 50):
            bridge.ask(number, "judge")
        bridge.ask(99, "login")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert bridge.answers == {99: {"admit": True}}
    bridge.close()


async def test_the_real_bridge_carries_questions_both_ways() -> None:
    bridge = Bridge()

    async def measure(_: dict[str, Any]) -> dict[str, Any]:
        return {}

    async with trio.open_nursery() as nursery:
        await nursery.start(ControlPlane(bridge, {"measure": measure}).run)
        _, latencies = await trio.to_thread.run_sync(bridge.measure, 200, 4, 0)
        nursery.cancel_scope.cancel()

    # An empty payload is no JSON, so every question gets the empty answer, and none is lost.
    assert len(latencies) == 200
    assert bridge.open_questions() == 0
