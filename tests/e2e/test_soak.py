"""Hours in small: mixed load for SOAK_S seconds, and memory and descriptors stay where they are.

`make soak`. Every kind of work repeats within a minute or so, and whatever is kept on purpose
(verdicts, templates, sessions) has reached its size by then; what grows after that is a leak.
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from .rig import Rig

SOAK_S = float(os.environ.get("SOAK_S", "600"))
FORMS = 500
BIG_ROWS = 20_000
EVERY_S = 1.0
# Allocators and caches breathe; a leak of 200 bytes a statement is more than this in ten minutes.
MOST_GROWTH = 1.15
MOST_MORE_DESCRIPTORS = 10


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig.start(tmp_path / "soak", "--big-rows", str(BIG_ROWS))
    yield rig
    rig.stop()


def _rss_kib(process: int) -> int:
    """Resident memory of a process and its children: the gateway and its analysis workers."""
    own = next(
        int(line.split()[1])
        for line in Path(f"/proc/{process}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    )
    children = {
        child
        for task in Path(f"/proc/{process}/task").iterdir()
        for child in (task / "children").read_text().split()
    }
    return own + sum(_rss_kib(int(child)) for child in children)


def _reads(rig: Rig, turn: int) -> None:
    """A session with cached verdicts, by template and by text, in both formats."""
    with rig.wire("analyst", app=("JavaScript", "PythonConnector")[turn % 2]) as wire:
        for number in range(40):
            reply = wire.query(f"select id, email from customers where id = {turn * 40 + number}")
            assert reply.ok, reply.message
        wire.log_out()


def _forms(rig: Rig, turn: int) -> None:
    """First verdicts, allowed and denied."""
    with rig.wire("fraud") as wire:
        for number in range(20):
            form = (turn * 20 + number) % FORMS
            assert wire.query(f"select id as a{form} from orders where id = 1").ok
        wire.log_out()
    with rig.wire("analyst") as wire:
        for number in range(20):
            form = (turn * 20 + number) % FORMS
            reply = wire.query(f"select id as a{form} from customers where email like 'a%'")
            assert "pii_pattern_predicate" in reply.message
        wire.log_out()


def _chunks(rig: Rig, turn: int) -> None:
    """A result in chunks, all of it fetched, or none."""
    with rig.wire("analyst", app=("JavaScript", "PythonConnector")[turn % 2]) as wire:
        reply = wire.query("select * from big")
        assert reply.ok, reply.message
        if turn % 4 < 2:
            assert all(chunk.status == 200 for chunk in wire.chunks(reply))
        wire.log_out()


def _writes(rig: Rig, turn: int) -> None:
    """Changes of rows, barriers, and what is refused before it is analysed."""
    with rig.wire(rig.writer_token()) as wire:
        for sql in (
            "use schema crm.public",
            "begin",
            "update orders set status = 'open' where id = 1",
        ):
            assert wire.query(sql).ok
        assert wire.query("rollback").ok
        assert not wire.query("put file:///tmp/x @~").ok
        assert not wire.submit("x" * 1000).ok
        wire.log_out()


WORK: tuple[Callable[[Rig, int], None], ...] = (_reads, _reads, _forms, _chunks, _writes)


@pytest.mark.long
def test_memory_and_descriptors_stay_where_they_are_under_mixed_load(world: Rig) -> None:
    process = int(world.layout.path("gateway.pid").read_text())
    stop = Event()

    def repeat(work: Callable[[Rig, int], None]) -> int:
        for turn in itertools.count():
            if stop.is_set():
                return turn
            work(world, turn)
            # Replies are kept for tests that read them.
            world.wires.clear()
        return 0

    memory: list[int] = []
    descriptors: list[int] = []
    with ThreadPoolExecutor(len(WORK)) as pool:
        working = [pool.submit(repeat, work) for work in WORK]
        try:
            until_s = time.monotonic() + SOAK_S
            while time.monotonic() < until_s and not any(each.done() for each in working):
                time.sleep(EVERY_S)
                memory.append(_rss_kib(process))
                descriptors.append(len([*Path(f"/proc/{process}/fd").iterdir()]))
        finally:
            stop.set()
        turns = [each.result() for each in working]

    print(f"turns {turns}, KiB {memory[:: max(1, len(memory) // 20)]}")
    assert all(turns)
    fifth = len(memory) // 5
    early, late = memory[fifth : 2 * fifth], memory[-fifth:]
    assert statistics.median(late) < statistics.median(early) * MOST_GROWTH
    assert max(descriptors[-fifth:]) <= max(descriptors[:fifth]) + MOST_MORE_DESCRIPTORS
