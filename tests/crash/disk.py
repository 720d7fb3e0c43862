"""Disks that are full, files that may not grow, syncs that fail."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from snowgate.demo.world import World

from .load import gateway_pid

SHIM = Path(__file__).with_name("failing_sync.c")
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


@contextmanager
def failing_syncs(folder: Path) -> Iterator[Path]:
    """Gateways started inside have a disk whose sync fails once this file is made."""
    shim, armed = folder / "failing_sync.so", folder / "armed"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(shim), str(SHIM)],
        check=True,
    )
    os.environ["LD_PRELOAD"], os.environ["FAILING_SYNC"] = str(shim), str(armed)
    try:
        yield armed
    finally:
        del os.environ["LD_PRELOAD"], os.environ["FAILING_SYNC"]
