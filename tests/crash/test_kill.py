"""`kill -9` of the gateway during load: nothing upstream without its record, and nothing twice."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from snowgate.demo.layout import Layout
from snowgate.demo.world import World

from .aftermath import Aftermath, open_intents, verified
from .load import Load, gateway_pid, wait_for

ROOT = Path(__file__).parents[2]
SEED = 20261124
MANY = 10
# A gateway that has come back is killed after so many requests, and then at any moment.
REQUESTS = (8, 30)
MOMENT_S = 0.2
# Every third round it is killed while it starts, too: that takes about two seconds.
STARTING_S = (0.3, 2.5)


@contextmanager
def running_world(folder: Path, *options: str) -> Iterator[World]:
    world = World(Layout(ROOT, folder), upstream_options=("--big-rows", "1000", *options))
    try:
        world.start()
        yield world
    finally:
        world.stop()


@dataclass(slots=True)
class Crashes:
    """Kills the gateway again and again; remembers what it cut short.

    Attributes:
        times_s: When, in Unix seconds.
        cut_short: Intents that had no outcome then.
        newest: The newest checkpoint seen; each later ledger must extend it.
    """

    world: World
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))
    times_s: list[float] = field(default_factory=list)
    cut_short: set[int] = field(default_factory=set)
    newest: str | None = None

    def round(self, *, also_while_starting: bool) -> None:
        """Kill it at a moment of its load, look at what lies there, and start it again."""
        self._wait_for_load()
        children = _children(gateway_pid(self.world))
        assert children, "the gateway analyses in processes of their own"
        self.world.kill_gateway()
        self.times_s.append(time.time())
        self._look()
        self.cut_short |= open_intents(self.world)
        if also_while_starting:
            starting = subprocess.Popen(
                self.world.gateway_command,
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(self.chance.uniform(*STARTING_S))
            starting.kill()
            starting.wait()
            self._look()
            self.cut_short |= open_intents(self.world)
        self.world.start_gateway()
        self._look()
        wait_for(lambda: not any(map(_lives, children)), "a killed gateway's processes end")

    def _wait_for_load(self) -> None:
        log, wanted = self.world.layout.upstream_log, self.chance.randint(*REQUESTS)
        before = log.stat().st_size
        # A line is about 300 bytes; counting them all each time would be the heavier load.
        wait_for(lambda: log.stat().st_size - before > 300 * wanted, "statements come through")
        time.sleep(self.chance.uniform(0, MOMENT_S))

    def _look(self) -> None:
        """A crashed ledger verifies as it lies: what was acknowledged is signed."""
        self.newest = verified(self.world, self.newest).checkpoint


def _children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # Whose parent is gone, and is not yet reaped, has ended all the same.
    stat = Path(f"/proc/{process}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] != "Z"


def crash(world: World, rounds: int) -> None:
    """Kill the gateway so many times during load, then check everything."""
    crashes = Crashes(world)
    with Load(world, "crash") as load:
        load.wait_until_told(1, "ok")
        for number in range(rounds):
            crashes.round(also_while_starting=number % 3 == 2)
        load.wait_until_told(2, "ok")
        after = Aftermath.of(world, load.finish())

    after.check(crashes.cut_short)

    # The rounds were what they are meant to be: statements were cut short, and drivers went on over
    # a crash in the session they had, which needs more rounds than a few to be sure of.
    assert crashes.cut_short
    assert after.inserts("unknown")
    assert len(after.inserts("ok")) > rounds
    assert len(after.inserts("denied")) > rounds / 2
    retried = [
        line
        for line in after.told
        if line.told == "ok" and any(line.began_s < at < line.ended_s for at in crashes.times_s)
    ]
    assert retried or rounds < MANY
    assert not after.inserts("gone")
    logins = [entry for entry in after.kind("login") if entry.fields["principal"] == "etl"]
    assert len(logins) == len({line.id // 1_000_000 for line in after.told})
    assert len(after.kind("start")) > rounds


@pytest.mark.parametrize("options", [(), ("--no-dedup",)], ids=["dedup", "no-dedup"])
def test_a_few_crashes_lose_and_repeat_nothing(tmp_path: Path, options: tuple[str, ...]) -> None:
    with running_world(tmp_path, *options) as world:
        crash(world, 3)


@pytest.mark.long
@pytest.mark.parametrize("options", [(), ("--no-dedup",)], ids=["dedup", "no-dedup"])
def test_fifty_crashes_lose_and_repeat_nothing(tmp_path: Path, options: tuple[str, ...]) -> None:
    with running_world(tmp_path, *options) as world:
        crash(world, 50)
