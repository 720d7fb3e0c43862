"""The parts by themselves: the ledger beside SQLite, masks beside orjson and pyarrow, verdicts."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson
import trio

from snowgate._core import LedgerWriter, mask_arrow_stream, mask_json_rowset
from snowgate.config import load_policy
from snowgate.control.analysts import Analysts, Question
from snowgate.control.current import Current
from snowgate.control.judging import judge
from snowgate.model.identity import Principal
from snowgate.model.statement import Namespace
from snowgate.policy import Subject
from snowgate.sql.catalog import Catalog
from snowgate.sql.codec import Findings

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "tests" / "vectors" / "reference"
ROUNDS = 3
ENTRIES = 4_000


@dataclass(frozen=True, slots=True)
class Pair:
    """One figure of ours beside a peer's in the same run."""

    name: str
    unit: str
    ours: float
    peer_name: str
    peer: float


def ledger(folder: Path) -> list[Pair]:
    """Durable entries per second: the ledger beside SQLite (WAL, FULL), one and 64 writers."""
    entry = orjson.dumps({"kind": "intent", "fields": {"note": "x" * 900}})
    pairs = []
    for writers in (1, 64):
        count = ENTRIES if writers > 1 else ENTRIES // 8
        ours, theirs = [], []
        for round_ in range(ROUNDS):
            place = folder / f"ledger-{writers}-{round_}"
            ours.append(_ledger_rate(place, entry, writers, count))
            theirs.append(_sqlite_rate(place / "peer.sqlite", entry, writers, count))
        name = f"durable entries, {writers} writer{'s' * (writers > 1)}"
        pairs.append(
            Pair(name, "1/s", statistics.median(ours), "SQLite WAL FULL", statistics.median(theirs))
        )
    return pairs


def _ledger_rate(place: Path, entry: bytes, writers: int, count: int) -> float:
    for part in ("ledger", "texts"):
        (place / part).mkdir(parents=True)
    root = place / "root.key"
    root.write_bytes(os.urandom(32))
    root.chmod(0o600)
    writer = LedgerWriter(
        place / "ledger", "snowgate/bench", place / "ledger.key", place / "texts", root
    )
    return _rate(lambda: writer.append(entry), writers, count)


def _sqlite_rate(path: Path, entry: bytes, writers: int, count: int) -> float:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE log (seq INTEGER PRIMARY KEY, entry BLOB)")
    lock = threading.Lock()

    def append() -> None:
        with lock:
            connection.execute("INSERT INTO log (entry) VALUES (?)", (entry,))

    with contextlib.closing(connection):
        return _rate(append, writers, count)


def _rate(append: Callable[[], object], writers: int, count: int) -> float:
    def work() -> None:
        for _ in range(count // writers):
            append()

    threads = [threading.Thread(target=work) for _ in range(writers)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count // writers * writers / (time.perf_counter() - started)


def masks() -> list[Pair]:
    """Bytes per second through the masks, redact 1 and partial 1 of 8 columns, one core."""
    import pyarrow

    rows = 50_000
    texts = [f"canary-{row:08}" for row in range(rows)]
    cells = [
        [str(row), str(row % 97), "a", "b", "c", "d", texts[row], texts[row]] for row in range(rows)
    ]
    rowset = orjson.dumps(cells)
    plan: list[list[object]] = [["fixed", "pass"], ["fixed", "pass"]] + [["text", "pass"]] * 4
    plan += [["text", "redact"], ["text", {"partial": [0, 4]}]]
    described = json.dumps(plan)

    def partial(text: str) -> str:
        return "***" + text[-4:]

    def python_json() -> bytes:
        found = orjson.loads(rowset)
        for row in found:
            row[6], row[7] = "***", partial(row[7])
        return orjson.dumps(found)

    if orjson.loads(mask_json_rowset(described, rowset)[0]) != orjson.loads(python_json()):
        raise RuntimeError("the two masks of JSON differ")
    pairs = [
        Pair(
            "JSON masked",
            "MB/s",
            len(rowset) / 1e6 / _seconds(lambda: mask_json_rowset(described, rowset)),
            "orjson load, mask, dump",
            len(rowset) / 1e6 / _seconds(python_json),
        )
    ]
    meta = [{"logicalType": "FIXED" if at < 2 else "TEXT"} for at in range(8)]
    columns = [pyarrow.array(range(rows)), pyarrow.array(range(rows))]
    columns += [pyarrow.array(["a"] * rows) for _ in range(4)]
    columns += [pyarrow.array(texts), pyarrow.array(texts)]
    schema = pyarrow.schema(
        [pyarrow.field(f"C{at}", c.type, metadata=meta[at]) for at, c in enumerate(columns)]
    )
    stream = _arrow(schema, columns)

    def python_arrow() -> bytes:
        import pyarrow.compute as compute

        table = pyarrow.ipc.open_stream(stream).read_all()
        kept = compute.utf8_slice_codeunits(table.column(7), -4)
        stars = pyarrow.array(["***"] * table.num_rows)
        masked = compute.binary_join_element_wise(stars, kept.combine_chunks(), "")
        changed = table.set_column(6, schema.field(6), stars)
        changed = changed.set_column(7, schema.field(7), masked)
        return _arrow(schema, [column.combine_chunks() for column in changed.columns])

    ours = pyarrow.ipc.open_stream(mask_arrow_stream(described, stream)[0]).read_all()
    theirs = pyarrow.ipc.open_stream(python_arrow()).read_all()
    if ours.to_pydict() != theirs.to_pydict():
        raise RuntimeError("the two masks of Arrow differ")
    pairs.append(
        Pair(
            "Arrow masked",
            "MB/s",
            len(stream) / 1e6 / _seconds(lambda: mask_arrow_stream(described, stream)),
            "pyarrow decode, mask, encode",
            len(stream) / 1e6 / _seconds(python_arrow),
        )
    )
    return pairs


def _arrow(schema: object, columns: list[object]) -> bytes:
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, schema) as writer:
        writer.write_table(pyarrow.Table.from_arrays(columns, schema=schema), max_chunksize=8192)
    return bytes(sink.getvalue())


def _seconds(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(7):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a first verdict takes, through a worker process and the policy.

    Attributes:
        goal_ms: What the median is to stay under on a quiet machine.
    """

    name: str
    goal_ms: int
    p50_ms: float
    p99_ms: float


def verdicts() -> list[Latency]:
    """First verdicts of one line, 20 lines and 350 lines over the reference catalog."""
    return trio.run(_verdicts)


async def _verdicts() -> list[Latency]:
    policy = load_policy(REFERENCE / "policy.yaml").policy
    current = Current(policy)
    catalog = Catalog.from_json((REFERENCE / "catalog.json").read_bytes())
    current.replace_catalog(catalog)
    subject = Subject(Principal("", "", "a", "a"), frozenset({"analysts"}), "ANALYST")
    analysts = Analysts(current)
    found = []
    async with trio.open_nursery() as nursery:
        await nursery.start(analysts.run)
        for text, goal_ms, count in ((_one_line, 1, 300), (_medium, 5, 200), (_large, 60, 100)):
            lines = text(0).count("\n") + 1
            name = f"{lines} line{'s' * (lines > 1)}"
            took = []
            for number in range(count):
                question = Question(text(number), Namespace("CRM", "PUBLIC"), "ANALYST")
                started = time.perf_counter()
                answer = await analysts.analyse("bench", question)
                if not isinstance(answer.result, Findings):
                    raise TypeError(f"{name}: {answer.result}")
                verdict = judge(policy, answer.result.statement, subject)
                took.append((time.perf_counter() - started) * 1e3)
                if verdict.decision.value != "allow":
                    raise RuntimeError(f"{name}: {verdict.reason}")
            quantiles = statistics.quantiles(took, n=100)
            found.append(Latency(name, goal_ms, quantiles[49], quantiles[98]))
        nursery.cancel_scope.cancel()
    return found


def _one_line(number: int) -> str:
    return f"SELECT id, email, country FROM customers WHERE id = {number}"


def _medium(number: int) -> str:
    return (
        "WITH recent AS (\n  SELECT id, customer_id, amount, order_date\n  FROM orders\n"
        f"  WHERE order_date >= '2026-01-01' AND amount > {number}\n),\n"
        "totals AS (\n  SELECT customer_id, SUM(amount) AS total, COUNT(*) AS n\n  FROM recent\n"
        "  GROUP BY customer_id\n)\n"
        "SELECT\n  c.id,\n  c.email,\n  c.country,\n  t.total,\n  t.n,\n"
        "  ROW_NUMBER() OVER (PARTITION BY c.country ORDER BY t.total DESC) AS place\n"
        "FROM customers c\nJOIN totals t ON t.customer_id = c.id\nWHERE t.total > 10"
    )


def _large(number: int) -> str:
    parts = [
        f"step{at} AS (\n  SELECT\n    o.id,\n    o.customer_id,\n    o.amount + {at} AS amount,\n"
        f"    o.region\n  FROM {'orders' if at == 0 else f'step{at - 1}'} o\n"
        f"  WHERE o.amount > {number}\n    AND o.region <> 'r{at}'\n)"
        for at in range(35)
    ]
    return "WITH " + ",\n".join(parts) + "\nSELECT id, SUM(amount) FROM step34 GROUP BY id"
