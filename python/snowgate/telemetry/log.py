"""Log lines as JSON on stderr, one object a line, times in UTC."""

from __future__ import annotations

import datetime
import logging
import sys

import orjson

from snowgate import _core

# What `logging` itself puts on a record; all else was given by the caller as `extra`.
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One record as one line of JSON: time, level, room, message, and the caller's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "room": record.name.removeprefix("snowgate."),
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in record.__dict__.items() if key not in _OWN}
        if record.exc_info and record.exc_info[0] is not None:
            # The type only: messages and frames of foreign exceptions may hold what they handled.
            line["error"] = record.exc_info[0].__name__
        return orjson.dumps(line, default=str).decode()


def log_to_stderr(level: int) -> None:
    """Send all logs to stderr as JSON, those of the Rust half too; replaces earlier handlers."""
    stderr = logging.StreamHandler(sys.stderr)
    stderr.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [stderr]
    root.setLevel(level)
    _core.log_to_stderr(level)
