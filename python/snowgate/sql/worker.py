"""A process that analyses statements, one at a time: `python -I -m snowgate.sql.worker`.

    stdin ── Request ──► examine ── Reply ──► stdout

Rule at the door: it has no secret, no descriptor but its two pipes and no way to open another, and
memory for one statement. A text that takes too long or too much ends this process and nothing else:
the control plane kills it, denies the statement and starts another.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
from dataclasses import replace

from snowgate.model.statement import Namespace
from snowgate.sql.analysis import examine
from snowgate.sql.catalog import NOTHING, Catalog
from snowgate.sql.codec import (
    HEAD_BYTES,
    MAX_REQUEST_BYTES,
    Findings,
    Job,
    Load,
    Reply,
    Request,
    change_between,
    decode,
    encode,
)
from snowgate.sql.parser import COMPILED

# The largest text within the lexer's bounds needs 230 MB to parse (sql.md section 2.3).
MEMORY_BYTES = 2**30
# Standard input, output and error are there; a socket or a file would be a fourth.
DESCRIPTORS = 3
# A process that has taken this much gives it back by ending after its answer. Linux counts what its
# parent had taken when it was started as its own, so it is that much if that is more.
RETIRE_KIB = 512 * 1024
# What the first statements would otherwise pay: tables read, expressions compiled, caches filled.
_WARM_UP = (
    "WITH a AS (SELECT c, UPPER(d) AS e, COUNT(*) AS n FROM t GROUP BY c, d) SELECT a.c, CASE WHEN"
    " a.n > 1 THEN 'x' ELSE a.e END AS f, ROW_NUMBER() OVER (PARTITION BY a.c ORDER BY a.n) FROM a"
    " LEFT JOIN t ON a.c = t.c WHERE t.d IN ('x', 'y') AND t.c = 1 ORDER BY a.n LIMIT 10",
    "INSERT INTO t SELECT * FROM t WHERE c = 1",
    "UPDATE t SET d = 'x' WHERE c = 1",
    "MERGE INTO t USING t AS s ON t.c = s.c WHEN MATCHED THEN UPDATE SET d = s.d",
    "CREATE OR REPLACE VIEW v AS SELECT c FROM t",
    "ALTER TABLE t ADD COLUMN x NUMBER",
    "SHOW TABLES",
)
_WARM_UP_CATALOG = (
    '{"tables": {"A.B.T": [{"name": "C", "type": "NUMBER", "tags": ["t"]},'
    ' {"name": "D", "type": "VARCHAR"}]}}'
)


def confine() -> None:
    """Take away what an analysis does not need. Nothing gives it back."""
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_NOFILE, DESCRIPTORS),
    ):
        resource.setrlimit(what, (most, most))


def warm_up() -> None:
    """Analyse a few statements for nothing."""
    catalog = Catalog.from_json(_WARM_UP_CATALOG)
    for text in _WARM_UP:
        examine(text, Namespace("A", "B"), catalog)


class Worker:
    """The catalog in hand, and what is done with each request."""

    def __init__(self) -> None:
        self._catalog = Catalog.of({})
        self._number = 0

    def answer(self, request: Request) -> Reply:
        """Do what a request says.

        Raises:
            ValueError: It asks for nothing, or for a catalog that is not here.
        """
        if request.load is not None:
            return self._load(request.load)
        if request.job is not None:
            return self._examine(request.job)
        raise ValueError("a request asks for nothing")

    def _load(self, load: Load) -> Reply:
        if load.base not in (0, self._number):
            raise ValueError("a change starts from another catalog")
        base = self._catalog if load.base else Catalog.of({})
        changed = load.change.onto(base)
        self._catalog = replace(changed, database=load.database, schema=load.schema)
        self._number = load.number
        # A catalog holds no cycles and lives long: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        return Reply(loaded=load.number)

    def _examine(self, job: Job) -> Reply:
        if job.catalog != self._number:
            raise ValueError("a job names another catalog")
        own = job.own.onto(NOTHING)
        found = examine(
            job.sql, job.namespace, self._catalog, role=job.role, binds=job.binds, own=own
        )
        change = change_between(self._catalog, found.catalog)
        own_change = change_between(own, found.own)
        return Reply(findings=Findings(job.number, found.statement, change, own_change))


def serve() -> None:
    """Answer requests until the control plane closes the pipe."""
    worker, retire_kib = Worker(), max(RETIRE_KIB, _peak_kib())
    _write(Reply(ready=COMPILED))
    while True:
        body = _read()
        if body is None:
            return
        try:
            reply = worker.answer(decode(Request, body))
        except MemoryError:
            reply = Reply(exhausted=True)
        if reply.exhausted or _peak_kib() > retire_kib:
            _write(replace(reply, leaving=True))
            return
        _write(reply)
        # Trees refer to their parents, so only the collector frees them. The client has its answer.
        gc.collect()


def _peak_kib() -> int:
    """The most memory this process has had; of its parent too, see `RETIRE_KIB`."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Run a worker on standard input and output."""
    warm_up()
    confine()
    # Collected after each answer, and not in the middle of an analysis.
    gc.disable()
    gc.collect()
    gc.freeze()
    try:
        serve()
    except (OSError, ValueError):
        # The control plane is gone or speaks another language; it must not see a traceback.
        sys.exit(1)


def _read() -> bytes | None:
    """The body of the next frame; None at the end."""
    head = _read_exactly(HEAD_BYTES)
    if head is None:
        return None
    length = int.from_bytes(head, "big")
    if length > MAX_REQUEST_BYTES:
        raise ValueError("a request is too long")
    return _read_exactly(length)


def _read_exactly(count: int) -> bytes | None:
    pieces: list[bytes] = []
    while count:
        piece = os.read(0, min(count, 2**20))
        if not piece:
            return None
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def _write(reply: Reply) -> None:
    frame = memoryview(encode(reply))
    while frame:
        frame = frame[os.write(1, frame) :]


if __name__ == "__main__":
    main()
