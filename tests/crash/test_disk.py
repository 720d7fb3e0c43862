"""A ledger that cannot be written: everything is denied, nothing passes, and a restart mends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from snowgate.demo.layout import Layout
from snowgate.demo.script import Driver
from snowgate.demo.world import World
from snowgate.errors import StartError

from .aftermath import Aftermath, open_intents, verified
from .disk import FailedSync, FullDisk, FullFile, Trouble, failing_syncs, small_disk
from .load import Load

ROOT = Path(__file__).parents[2]
RULE = "ledger-unavailable"


@dataclass(slots=True)
class Patient:
    """A world with a disk of its own.

    Attributes:
        mounted: Whether that disk is small; only root may have one.
        armed: The file that makes a sync fail.
        cut_short: Intents that had no outcome when a gateway ended.
        loads: How many loads it has seen.
    """

    world: World
    mounted: bool
    armed: Path
    cut_short: set[int] = field(default_factory=set)
    loads: int = 0

    def load(self) -> Load:
        """New clients, with ids of their own."""
        self.loads += 1
        return Load(self.world, f"disk-{self.loads}", self.loads * 100_000_000)

    def statements(self) -> list[str]:
        """Every statement that reached upstream."""
        lines = map(json.loads, self.world.layout.upstream_log.read_text().splitlines())
        return [line["sql"] for line in lines if line["sql"] is not None]

    def suffer(self, load: Load, trouble: Trouble) -> None:
        """Run into trouble; check that all is denied and nothing passes."""
        load.wait_until_told(2, "ok")
        trouble.begin(self.world)
        load.wait_until_told(1, "denied", RULE)
        passed = self.statements()
        load.wait_until_told(3, "denied", RULE)

        assert self.statements() == passed
        assert "the ledger cannot be written" in self.login_error()
        assert self.statements() == passed
        assert self.world.running("gateway")
        assert trouble.why in self.log()
        denied = [line.message for line in load.told() if RULE in line.message]
        assert all("what to do: ask the operator" in message for message in denied)
        # What was acknowledged verifies as it lies there.
        verified(self.world)

    def log(self) -> str:
        """What the gateway has said, over all its starts."""
        return self.world.layout.log("gateway").read_text()

    def login_error(self) -> str:
        """What somebody is told who would log in now."""
        with Driver(self.world).start("analyst", ["SELECT 1"]) as client:
            answer, _ = client.communicate(timeout=30)
        return str(json.loads(answer)["error"]["msg"])

    def stop(self) -> None:
        """End the gateway as an operator would; what it cannot write then, it says."""
        assert self.world.stop_gateway() in (0, 2)
        assert "the ledger was not closed cleanly" in self.log()
        self.cut_short |= open_intents(self.world)

    def recover(self, load: Load) -> None:
        """Start the gateway again; check that it works, and that nothing was lost or repeated."""
        self.world.start_gateway()
        load.wait_until_told(2, "ok")
        after = Aftermath.of(self.world, load.finish())
        after.check(self.cut_short)
        verified(self.world)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    world = World(
        Layout(ROOT, tmp_path_factory.mktemp("disk")), upstream_options=("--big-rows", "1000")
    )
    world.prepare()
    with ExitStack() as stack:
        mounted = False
        with suppress(PermissionError):
            stack.enter_context(small_disk(world.layout.data_dir))
            mounted = True
        armed = stack.enter_context(failing_syncs(world.layout.path()))
        stack.callback(world.stop)
        world.start_issuer()
        world.start_upstream()
        world.wait_ready("issuer", world.layout.path("issuer", "ready.json"))
        world.wait_ready("standin", world.layout.path("standin.ready.json"))
        yield Patient(world, mounted, armed)


@pytest.fixture(autouse=True)
def it_serves(patient: Patient) -> Iterator[None]:
    """A gateway for each test; one that a failed test has left is of no use to the next."""
    patient.world.start_gateway()
    yield
    if patient.world.running("gateway"):
        patient.world.kill_gateway()


def test_a_full_disk_denies_everything_until_there_is_space(patient: Patient) -> None:
    if not patient.mounted:
        pytest.skip("only root may mount a small disk")
    trouble = FullDisk()
    with patient.load() as load:
        patient.suffer(load, trouble)
        patient.stop()

        with pytest.raises(StartError) as caught:
            patient.world.start_gateway()
        assert trouble.why in str(caught.value)
        assert "Traceback" not in str(caught.value)

        trouble.end(patient.world)
        patient.recover(load)


def test_a_file_that_may_not_grow_stays_closed_until_the_restart(patient: Patient) -> None:
    trouble = FullFile()
    with patient.load() as load:
        patient.suffer(load, trouble)

        # A torn entry may lie on the disk: space alone does not open the ledger again.
        trouble.end(patient.world)
        load.wait_until_told(2, "denied", RULE)

        patient.stop()
        patient.recover(load)


def test_a_sync_that_fails_once_is_never_taken_for_done(patient: Patient) -> None:
    trouble = FailedSync(patient.armed)
    with patient.load() as load:
        patient.suffer(load, trouble)
        trouble.end(patient.world)
        patient.stop()
        patient.recover(load)
