"""Real analysis workers: what they answer, what they have, and how they end (F27)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from snowgate.control.analysts import Analysts, Question
from snowgate.control.refusals import NO_ANSWER, TOO_LARGE, TOO_SLOW
from snowgate.control.workers import WorkerLost, open_worker
from snowgate.model.statement import Namespace
from snowgate.sql.analysis import examine
from snowgate.sql.catalog import Catalog
from snowgate.sql.codec import MAX_REPLY_BYTES, Findings, Reply, encode
from snowgate.sql.worker import RETIRE_KIB

from .doubles import HERE, catalog, current, table

VECTORS = Path(__file__).parents[2] / "vectors"


def children() -> set[int]:
    """Processes that this one has started and not reaped."""
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


def texts() -> list[str]:
    found: list[str] = []
    for line in (VECTORS / "evasions.jsonl").read_text().splitlines():
        sql = json.loads(line)["sql"]
        found += [sql] if isinstance(sql, str) else sql
    return found


async def test_a_worker_finds_what_an_analysis_in_this_process_finds() -> None:
    """Over every attack of the corpus: nothing is lost, and nothing fails, behind the limits."""
    known = Catalog.from_json((VECTORS / "reference" / "catalog.json").read_text())
    here = Namespace(known.database, known.schema)
    analysts = Analysts(current(known), size=1)
    async with trio.open_nursery() as nursery:
        await nursery.start(analysts.run)
        for text in texts():
            found = (await analysts.analyse("p", Question(text, here, "ANALYST"))).result
            expected = examine(text, here, known, role="ANALYST")

            assert isinstance(found, Findings), text
            assert found.statement == expected.statement
            assert found.change.onto(known).digest == expected.catalog.digest
        nursery.cancel_scope.cancel()


async def test_a_gateway_that_has_grown_does_not_lose_its_workers() -> None:
    """Linux counts the memory of the process that starts another as that one's own peak."""
    grown = bytearray(RETIRE_KIB * 1024 + 2**26)
    analysts = Analysts(current(catalog(T=table("ID"))), size=1)
    async with trio.open_nursery() as nursery:
        await nursery.start(analysts.run)
        for number in range(3):
            asked = Question(f"SELECT {number}, id FROM t", Namespace("CRM", "PUBLIC"), "R")
            found = (await analysts.analyse("p", asked)).result

            assert isinstance(found, Findings)
        nursery.cancel_scope.cancel()
    assert grown


async def test_a_worker_has_no_secret_no_descriptor_and_little_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SNOWGATE_TOKEN", "canary-of-the-environment")
    before = children()
    with (tmp_path / "open").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        async with open_worker() as worker:
            assert (await worker.reply()).ready is not None
            (pid,) = children() - before
            process = Path(f"/proc/{pid}")

            assert b"canary" not in (process / "environ").read_bytes()
            pipes = {one.name: str(one.readlink()) for one in (process / "fd").iterdir()}
            limits = (process / "limits").read_text()

    assert pipes.keys() == {"0", "1", "2"}
    assert pipes["2"] == "/dev/null"
    rows = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
    assert rows["Max core file size"] == ["0", "0"]
    assert rows["Max address space"] == [str(2**30)] * 2
    assert rows["Max open files"] == ["3", "3"]
    assert rows["Max file size"] == ["0", "0"]


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.socket()",
        "open('/etc/hostname')",
        "import os; os.pipe()",
        "bytearray(2**30)",
    ],
)
def test_what_an_analysis_does_not_need_fails_in_a_worker(attempt: str) -> None:
    code = f"from snowgate.sql import worker; import socket; worker.confine(); {attempt}"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

    assert ended.returncode == 1
    error = ended.stderr.decode().splitlines()[-1]
    assert "Too many open files" in error or "MemoryError" in error


async def test_a_text_that_needs_too_much_memory_is_said_to_be_one() -> None:
    code = (
        "from snowgate.sql import worker\n"
        "def greedy(*_, **__): return bytearray(2**30)\n"
        "worker.warm_up = lambda: None; worker.examine = greedy; worker.main()"
    )
    analysts = Analysts(
        current(catalog(T=table("A"))), lambda: open_worker([sys.executable, "-c", code]), 1
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(analysts.run)
        found = (await analysts.analyse("p", Question("select 1", HERE, "R"))).result
        nursery.cancel_scope.cancel()

    assert "memory" in getattr(found, "reason", "")


async def test_a_worker_that_hangs_is_killed_and_replaced() -> None:
    before = children()
    analysts = Analysts(current(catalog(T=table("A"))), size=1)
    async with trio.open_nursery() as nursery:
        await nursery.start(analysts.run)
        await analysts.analyse("p", Question("select 1", HERE, "R"))
        (pid,) = children() - before
        os.kill(pid, signal.SIGSTOP)
        hung = (await analysts.analyse("p", Question("select a from t", HERE, "R"))).result
        good = (await analysts.analyse("p", Question("select a as b from t", HERE, "R"))).result
        (other,) = children() - before
        nursery.cancel_scope.cancel()

    assert hung is TOO_SLOW
    assert isinstance(good, Findings)
    assert other != pid
    assert children() == before


async def test_a_text_that_multiplies_itself_is_denied_and_the_next_is_not() -> None:
    """446 bytes that stand for three million columns: no bound on the text sees that coming."""
    stars = ", ".join(["*"] * 60)
    bomb = f"with a as (select {stars} from t), b as (select {stars} from a) select {stars} from b"
    known = catalog(T=table(*(f"C{at}" for at in range(15))))
    analysts = Analysts(current(known), size=1)
    async with trio.open_nursery() as nursery:
        await nursery.start(analysts.run)
        with trio.fail_after(5):
            bombed = (await analysts.analyse("p", Question(bomb, HERE, "R"))).result
            good = (await analysts.analyse("p", Question("select c1 from t", HERE, "R"))).result
        nursery.cancel_scope.cancel()

    # Killed, or refused by the analysis itself, which counts its steps.
    assert bombed in (TOO_SLOW, TOO_LARGE) or bombed.statement.refusal is not None
    assert good.statement.columns[0].name == "C1"


async def test_a_worker_that_is_killed_denies_what_it_was_at_work_on() -> None:
    before = children()
    analysts = Analysts(current(catalog(T=table("A"))), size=1)
    answers: list[object] = []

    async def ask() -> None:
        answers.append((await analysts.analyse("p", Question("select a from t", HERE, "R"))).result)

    async with trio.open_nursery() as nursery:
        await nursery.start(analysts.run)
        await analysts.analyse("p", Question("select 1", HERE, "R"))
        (pid,) = children() - before
        os.kill(pid, signal.SIGSTOP)
        async with trio.open_nursery() as asking:
            asking.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked(0.01)
            os.kill(pid, signal.SIGKILL)
        nursery.cancel_scope.cancel()

    assert answers == [NO_ANSWER]


async def test_a_worker_ends_when_its_gateway_is_gone() -> None:
    process = await trio.lowlevel.open_process(
        [sys.executable, "-I", "-m", "snowgate.sql.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.receive_some()
    await process.stdin.aclose()
    with trio.fail_after(5):
        assert await process.wait() == 0
    await process.stdout.aclose()


def said(frame: bytes) -> list[str]:
    """A program that sends this and then reads until it is killed."""
    code = f"import sys; sys.stdout.buffer.write({frame!r}); sys.stdout.flush(); sys.stdin.read()"
    return [sys.executable, "-c", code]


READY = encode(Reply(ready=True))


@pytest.mark.parametrize(
    "frame",
    [
        (MAX_REPLY_BYTES + 1).to_bytes(4, "big"),
        b"\x00\x00\x00\x02no",
        b"\x00\x00\x00\x02{}",
        READY.replace(b'"ready"', b'"Ready"'),
        READY.replace(b"true", b'"ye"'),
        READY + READY,
        READY[:-1],
    ],
    ids=["too long", "no JSON", "no members", "other member", "other type", "too much", "too few"],
)
async def test_what_a_worker_must_not_send_ends_it(frame: bytes) -> None:
    if frame == READY[:-1]:
        command = [sys.executable, "-c", f"import sys; sys.stdout.buffer.write({frame!r})"]
    else:
        command = said(frame)

    async with open_worker(command) as worker:
        with pytest.raises(WorkerLost):
            await worker.reply()


async def test_a_program_that_is_not_there_is_a_lost_worker() -> None:
    with pytest.raises(WorkerLost, match="cannot be started"):
        async with open_worker(["/nonexistent/program"]):
            pass
