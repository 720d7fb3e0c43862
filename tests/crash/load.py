"""Clients that insert while the gateway suffers, and what they were told."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from snowgate.demo.tokens import mint_token
from snowgate.demo.world import World

CLIENT = Path(__file__).with_name("insert_client.py")
PROCESSES = 2
THREADS = 2
# Ids of one client process; each of its threads has a million of them.
SPREAD = 10_000_000
# The driver's own retries back off for up to sixteen seconds.
LIMIT_S = 60.0


def wait_for(condition: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} within {limit_s:g} s"
        time.sleep(0.01)


def gateway_pid(world: World) -> int:
    """The process of the running gateway."""
    return int(world.layout.path("gateway.pid").read_text())


@dataclass(frozen=True, slots=True)
class Told:
    """What a client was told of one statement; times are Unix seconds."""

    id: int
    kind: str
    told: str
    message: str
    began_s: float
    ended_s: float


@dataclass(slots=True)
class Load:
    """Running clients.

    Args:
        world: What they connect to.
        name: Sets this load apart from others in the same world.
        first: All ids are above it, by less than a hundred millions.
    """

    world: World
    name: str
    first: int = 100_000_000
    _clients: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.folder.mkdir()
        token = mint_token(self.world.layout, "etl")
        trusted = str(self.world.layout.ca_file)
        for index in range(PROCESSES):
            target = {
                **self.world.connection(),
                "stop": str(self._stop),
                "folder": str(self.folder),
                "threads": THREADS,
                "first": self.first + index * SPREAD,
            }
            client = subprocess.Popen(
                [str(self.world.standin_python), str(CLIENT), json.dumps(target)],
                env={**os.environ, "DEMO_TOKEN": token, "REQUESTS_CA_BUNDLE": trusted},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            self._clients.append(client)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self._clients:
            client.kill()
            client.wait()

    @property
    def folder(self) -> Path:
        return self.world.layout.path(f"told-{self.name}")

    @property
    def _stop(self) -> Path:
        return self.world.layout.path(f"stop-{self.name}")

    def told(self) -> list[Told]:
        """What the clients were told until now."""
        lines = []
        for file in self.folder.iterdir():
            # The last line may be half written.
            whole, _, _ = file.read_text().rpartition("\n")
            lines += [Told(**json.loads(line)) for line in whole.splitlines()]
        return lines

    def finish(self) -> list[Told]:
        """Let every client end its last statement; what they were told."""
        self._stop.touch()
        for client in self._clients:
            assert client.wait(LIMIT_S) == 0
        return self.told()

    def wait_until_told(self, times: int, told: str, saying: str = "") -> None:
        """Wait until every client thread was told something, so many times from now on."""
        before = {file: self._count(file, told, saying) for file in self.folder.iterdir()}

        def enough() -> bool:
            files = [*self.folder.iterdir()]
            counts = [self._count(each, told, saying) - before.get(each, 0) for each in files]
            return len(files) == PROCESSES * THREADS and min(counts) >= times

        wait_for(enough, f"clients are told `{told}` {saying}")

    def _count(self, file: Path, told: str, saying: str) -> int:
        with suppress(FileNotFoundError):
            return sum(
                f'"told": "{told}"' in line and saying in line
                for line in file.read_text().splitlines()
            )
        return 0
