"""Calls from the control plane to the gate, completed over the bridge."""

import orjson
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from snowgate.control.calls import GateCalls
from snowgate.errors import LedgerError, UpstreamError
from snowgate.model.identity import Principal
from snowgate.model.ports import EntryText


class ScriptedGate:
    """Remembers what it was told; the test completes it."""

    def __init__(self) -> None:
        self.told: list[tuple[int, dict[str, object]]] = []

    def query(self, call: int, request: bytes) -> None:
        self.told.append((call, orjson.loads(request)))

    def record(self, call: int, entry: bytes) -> None:
        self.told.append((call, orjson.loads(entry)))


@pytest.fixture
def gate() -> ScriptedGate:
    return ScriptedGate()


@pytest.fixture
def calls(gate: ScriptedGate) -> GateCalls:
    calls = GateCalls()
    calls.attach(gate)
    return calls


async def test_an_entry_is_recorded_once_the_gate_says_it_is_durable(
    calls: GateCalls, gate: ScriptedGate
) -> None:
    sequence: list[int] = []

    async def record() -> None:
        sequence.append(await calls.record("approval", {"event": "vote"}))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(record)
        await wait_all_tasks_blocked()
        number, entry = gate.told[0]
        assert entry == {"kind": "approval", "fields": {"event": "vote"}, "texts": []}
        assert sequence == []
        await calls.done({"call": number, "ok": {"seq": 17}})

    assert sequence == [17]


async def test_a_ledger_that_does_not_answer_is_an_error(
    calls: GateCalls, autojump_clock: MockClock
) -> None:
    with pytest.raises(LedgerError, match="took no entry"):
        await calls.record("approval", {})
    assert autojump_clock.current_time() == pytest.approx(10, abs=1)


async def test_upstream_refusals_keep_their_code(calls: GateCalls, gate: ScriptedGate) -> None:
    async def refuse() -> None:
        await wait_all_tasks_blocked()
        await calls.done(
            {"call": gate.told[0][0], "error": {"code": "002003", "message": "does not exist"}}
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(refuse)
        with pytest.raises(UpstreamError, match="does not exist") as caught:
            await calls.query("select 1", "catalog")
    assert caught.value.code == "002003"


async def test_nothing_is_recorded_before_the_ledger_is_open() -> None:
    with pytest.raises(LedgerError, match="not open"):
        await GateCalls().record("login", {})


async def test_texts_go_to_the_ledger_under_the_key_of_whom_they_are_of(
    calls: GateCalls, gate: ScriptedGate
) -> None:
    # Lengths are in bytes, as the gate writes them (`Principal::key` in rust/session).
    owner = Principal("CRM", "https://ïdp", "42", "etl")

    async def record() -> None:
        await calls.record("approval", {}, [EntryText("sql", owner.text, "select 1")])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(record)
        await wait_all_tasks_blocked()
        number, entry = gate.told[0]
        await calls.done({"call": number, "ok": {"seq": 1}})

    assert entry["texts"] == [
        {"field": "sql", "subject": "3:CRM,12:https://ïdp,2:42", "text": "select 1"}
    ]
