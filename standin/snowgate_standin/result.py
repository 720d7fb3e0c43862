"""The result of a statement, kept for fetching again, and its chunks, encoded when asked for."""

from __future__ import annotations

import functools
import gzip
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlglot import exp

from snowgate_standin import encode, tokens
from snowgate_standin.columns import Column

if TYPE_CHECKING:
    from snowgate_standin.engine import Job
    from snowgate_standin.session import Session

_KEPT_CHUNK_BYTES = 256 * 1024 * 1024


@dataclass(eq=False)
class Result:
    """Columns and rows of one finished statement.

    `arrow` is false for what Snowflake only gives as JSON: SHOW, DDL, counts of changed rows.
    `extra` are further keys of the reply, such as those of PUT and GET.
    """

    columns: tuple[Column, ...]
    table: pa.Table
    type_id: int
    arrow: bool = False
    stats: dict[str, int] | None = None
    binds: int = 0
    extra: dict[str, Any] | None = None
    key: str = field(default_factory=lambda: tokens.mint("chunk-key"))

    @functools.cached_property
    def widths(self) -> encode.Widths:
        """The physical types of all pieces of the result."""
        return encode.widths(self.columns, self.table)

    @property
    def rows(self) -> int:
        return self.table.num_rows


_REPEATABLE = (
    exp.Select,
    exp.From,
    exp.Table,
    exp.TableAlias,
    exp.Identifier,
    exp.Star,
    exp.Column,
    exp.Literal,
    exp.Limit,
    exp.Order,
    exp.Ordered,
    exp.Where,
    exp.Predicate,
    exp.Connector,
    exp.Count,
)
_RECENT = 16


class RecentResults:
    """Results of plain SELECTs, used again while no data has changed, as Snowflake does it.

    Any statement but a query empties it. USE_CACHED_RESULT = FALSE passes it by.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._results: OrderedDict[tuple[str, str | None, str | None], Result] = OrderedDict()
        self._changes = 0

    def clear(self) -> None:
        with self._lock:
            self._results.clear()
            self._changes += 1

    def get_or_run(
        self, session: Session, job: Job, query: exp.Expression, run: Callable[[], Result]
    ) -> Result:
        """The kept result of the same text in the same schema, or a fresh one."""
        plain = all(isinstance(node, _REPEATABLE) for node in query.walk())
        asked = str(job.setting("USE_CACHED_RESULT")).lower() != "false"
        if (
            not plain
            or not asked
            or job.describe_only
            or session.in_transaction
            or session.temporary
        ):
            return run()
        key = (job.sql, session.database, session.schema)
        with self._lock:
            before = self._changes
            if (found := self._results.get(key)) is not None:
                self._results.move_to_end(key)
                return found
        result = run()
        with self._lock:
            if before == self._changes:
                self._results[key] = result
                if len(self._results) > _RECENT:
                    self._results.popitem(last=False)
        return result


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where one chunk lies in its result; sizes in bytes, compressed is an estimate."""

    first: int
    rows: int
    size: int


def chunks(result: Result, inline: int, rows: int) -> list[Chunk]:
    """What follows the inline rows, in pieces of `rows`."""
    width = result.table.nbytes / result.rows if result.rows else 0
    found = []
    for first in range(inline, result.rows, rows):
        count = min(rows, result.rows - first)
        found.append(Chunk(first, count, int(width * count) + 1))
    return found


class ChunkStore:
    """Encoded chunks of stored results, the last 256 MiB of them kept.

    With `vary`, FIXED widths differ from chunk to chunk.
    """

    def __init__(self, *, vary: bool) -> None:
        self._vary = vary
        self._lock = threading.Lock()
        self._bodies: OrderedDict[tuple[str, str, int], bytes] = OrderedDict()
        self._bytes = 0

    def body(self, result: Result, fmt: str, first: int, count: int) -> bytes:
        """The gzip-compressed body of a chunk. Called from worker threads."""
        key = (result.key, fmt, first)
        with self._lock:
            if (found := self._bodies.get(key)) is not None:
                self._bodies.move_to_end(key)
                return found
        piece = result.table.slice(first, count)
        kinds = encode.widths(result.columns, piece) if self._vary else result.widths
        if fmt == "json":
            raw = encode.json_rows(result.columns, piece)
        else:
            raw = encode.arrow_stream(result.columns, piece, kinds)
        body = gzip.compress(raw, compresslevel=1)
        with self._lock:
            self._bodies[key] = body
            self._bytes += len(body)
            while self._bytes > _KEPT_CHUNK_BYTES:
                _, dropped = self._bodies.popitem(last=False)
                self._bytes -= len(dropped)
        return body
