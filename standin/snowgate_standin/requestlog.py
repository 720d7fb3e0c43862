"""One JSON line per request, written when it is received and before anything is done for it."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import orjson


class RequestLog:
    """Appends lines in one write each; without a path it writes nothing."""

    def __init__(self, path: Path | None) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._file = None if path is None else os.open(path, flags, 0o600)

    def received(
        self, path: str, request_id: str | None, sql: str | None, session: int | None
    ) -> None:
        if self._file is None:
            return
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        line = {
            "time": now,
            "path": path,
            "request_id": request_id,
            "sql": sql,
            "session": session,
        }
        os.write(self._file, orjson.dumps(line) + b"\n")
