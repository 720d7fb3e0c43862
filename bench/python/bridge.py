"""One crossing of the bridge: a question from a Rust task to a trio task and back.

Run by `bench/run.py`; `measure()` returns rows for the report. Compared in the same run with the
way that needs no code of ours: a worker thread's `trio.from_thread.run_sync`.
"""

from __future__ import annotations

import resource
import statistics
import threading
import time
from dataclasses import dataclass

import trio

from snowgate._core import Bridge
from snowgate.control.plane import BATCH

# As large as a question about a short statement.
QUESTION_BYTES = 600
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report; latencies in microseconds."""

    name: str
    in_flight: int
    per_second: float
    p50_us: float
    p99_us: float
    cpu_us: float


def measure() -> list[Row]:
    """Crossings per second, latency and CPU per crossing, at 1, 64 and 1024 in flight."""
    runs = [
        (_bridge, 1, 4_000),
        (_from_thread, 1, 2_000),
        (_bridge, 64, 60_000),
        (_from_thread, 64, 12_800),
        (_bridge, 1024, 100_000),
        (_from_thread, 1024, 10_240),
    ]
    rounds = [[trio.run(*run) for run in runs] for _ in range(ROUNDS)]
    return [
        sorted(rows, key=lambda row: row.cpu_us)[ROUNDS // 2] for rows in zip(*rounds, strict=True)
    ]


async def _bridge(in_flight: int, total: int) -> Row:
    bridge = Bridge()
    result: list[tuple[float, list[float]]] = []

    async def answer() -> None:
        descriptor = bridge.wake_fd()
        while True:
            await trio.lowlevel.wait_readable(descriptor)
            bridge.answer([(number, b"{}") for number, _, _ in bridge.take(BATCH)])

    started = _cpu_s()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        result.append(
            await trio.to_thread.run_sync(bridge.measure, total, in_flight, QUESTION_BYTES)
        )
        nursery.cancel_scope.cancel()
    cpu_s = _cpu_s() - started
    wall_s, latencies = result[0]
    if len(latencies) != total // in_flight * in_flight:
        raise RuntimeError("questions were lost")
    return _row("bridge", in_flight, wall_s, latencies, cpu_s)


async def _from_thread(in_flight: int, total: int) -> Row:
    latencies: list[float] = []
    token = trio.lowlevel.current_trio_token()

    def ask(count: int) -> None:
        for _ in range(count):
            asked = time.perf_counter()
            trio.from_thread.run_sync(len, b"x" * QUESTION_BYTES, trio_token=token)
            latencies.append((time.perf_counter() - asked) * 1e6)

    started, wall = _cpu_s(), time.perf_counter()
    threads = [threading.Thread(target=ask, args=(total // in_flight,)) for _ in range(in_flight)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await trio.to_thread.run_sync(thread.join)
    wall_s, cpu_s = time.perf_counter() - wall, _cpu_s() - started
    return _row("trio.from_thread.run_sync", in_flight, wall_s, sorted(latencies), cpu_s)


def _row(name: str, in_flight: int, wall_s: float, latencies: list[float], cpu_s: float) -> Row:
    quantiles = statistics.quantiles(latencies, n=100)
    count = len(latencies)
    return Row(name, in_flight, count / wall_s, quantiles[49], quantiles[98], cpu_s / count * 1e6)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
