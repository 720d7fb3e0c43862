"""The result of a statement, kept for fetching again, and its chunks, encoded when asked for."""

from __future__ import annotations

import functools
import gzip
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from snowgate_standin import encode, tokens
from snowgate_standin.columns import Column

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
        self._bodies: OrderedDict[tuple[int, str, int], bytes] = OrderedDict()
        self._bytes = 0

    def body(self, result: Result, fmt: str, first: int, count: int) -> bytes:
        """The gzip-compressed body of a chunk. Called from worker threads."""
        key = (id(result), fmt, first)
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

    def forget(self, result: Result) -> None:
        with self._lock:
            for key in [key for key in self._bodies if key[0] == id(result)]:
                self._bytes -= len(self._bodies.pop(key))
