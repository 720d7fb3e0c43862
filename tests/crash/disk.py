"""Disks that are full, files that may not grow, syncs that fail, power cuts."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from snowgate.demo.world import World

from .load import gateway_pid

DISK = "24m"


class Trouble(Protocol):
    """Something that can go wrong with a disk.

    Attributes:
        why: What the gateway's log says of it.
    """

    why: str

    def begin(self, world: World) -> None:
        """From now on it is so."""

    def end(self, world: World) -> None:
        """The operator has put it right."""


class FullDisk:
    """Not a byte is left on the disk of the data directory."""

    why = "No space left on device"

    def begin(self, world: World) -> None:
        with self._filler(world).open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with suppress(OSError):
                    while file.write(b"\0" * size):
                        pass

    def end(self, world: World) -> None:
        self._filler(world).unlink()

    @staticmethod
    def _filler(world: World) -> Path:
        return world.layout.data_dir / "filler"


class FullFile:
    """No file may grow beyond what the ledger's segment is now, and a piece of an entry."""

    why = "File too large"
    piece_bytes = 700

    def begin(self, world: World) -> None:
        segments = world.layout.data_dir / "ledger" / "segments"
        largest = max(file.stat().st_size for file in segments.iterdir())
        self._limit(world, largest + self.piece_bytes)

    def end(self, world: World) -> None:
        self._limit(world, resource.RLIM_INFINITY)

    @staticmethod
    def _limit(world: World, size: int) -> None:
        limits = (size, resource.RLIM_INFINITY)
        resource.prlimit(gateway_pid(world), resource.RLIMIT_FSIZE, limits)


class FailedSync:
    """One sync of the ledger fails; the ones after it would succeed."""

    why = "Input/output error"

    def __init__(self, armed: Path) -> None:
        self._armed = armed

    def begin(self, world: World) -> None:
        self._armed.touch()

    def end(self, world: World) -> None:
        assert not self._armed.exists(), "no sync has failed"


@contextmanager
def small_disk(at: Path) -> Iterator[None]:
    """A file system of its own, of a few megabytes.

    Raises:
        PermissionError: Only root may mount.
    """
    at.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=700", "tmpfs", str(at)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode != 0:
        raise PermissionError("cannot mount")
    try:
        yield
    finally:
        # Lazily: also when a process that would not end still has it.
        subprocess.run(["umount", "--lazy", str(at)], check=True)


@dataclass(frozen=True, slots=True)
class Synced:
    """What gateways have synced.

    Attributes:
        lines: Sizes of files, and names in directories, in the order in which they became durable.
    """

    lines: tuple[str, ...]

    @classmethod
    def read(cls, record: Path) -> Self:
        """What the preloaded library has written until now."""
        return cls(tuple(record.read_text().splitlines()))

    def moments(self) -> Iterator[Synced]:
        """What had been synced each time entries of the ledger were."""
        for number, line in enumerate(self.lines, 1):
            if not line.startswith("name ") and line.endswith(".seg"):
                yield Synced(self.lines[:number])

    def power_cut(self, folder: Path, left: Path) -> None:
        """Copy what a power cut leaves of a folder whose files only grow.

        Args:
            folder: As it is.
            left: The copy: nothing is in it that was not synced, neither a name nor a byte.
        """
        names, sizes = set(), {}
        for what, _, path in (line.partition(" ") for line in self.lines):
            if what == "name":
                names.add(path)
            else:
                sizes[path.removesuffix(".new")] = int(what)
        for each in (folder, *sorted(folder.rglob("*"))):
            target = left / each.relative_to(folder)
            if str(each) not in names or not target.parent.is_dir():
                continue
            if each.is_dir():
                target.mkdir(mode=0o700)
            else:
                shutil.copy(each, target)
                os.truncate(target, min(each.stat().st_size, sizes.get(str(each), 0)))


@contextmanager
def failing_syncs(folder: Path) -> Iterator[Path]:
    """Gateways started inside have a disk whose sync fails once this file is made."""
    armed = folder / "armed"
    with _preloaded("failing_sync", folder, FAILING_SYNC=armed):
        yield armed


@contextmanager
def recorded_syncs(folder: Path) -> Iterator[Path]:
    """Gateways started inside have a slow disk, and record in this file what they sync."""
    record = folder / "synced"
    with _preloaded("recorded_sync", folder, RECORDED_SYNCS=record):
        yield record


@contextmanager
def _preloaded(name: str, folder: Path, **files: Path) -> Iterator[None]:
    """Processes started inside have this library, which is told of these files."""
    shim = folder / f"{name}.so"
    source = str(Path(__file__).with_name(f"{name}.c"))
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(shim), source],
        check=True,
    )
    told = {"LD_PRELOAD": str(shim), **{key: str(file) for key, file in files.items()}}
    os.environ.update(told)
    try:
        yield
    finally:
        for key in told:
            del os.environ[key]
