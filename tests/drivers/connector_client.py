"""A real Snowflake connector, driven by JSON lines.

It knows nothing of any gateway and runs in the virtual environment of one connector version. Each
line on standard input is a command, `{"id": n, "do": …}`; each runs in a thread of its own and is
answered by one line, `{"id": n, "ok": …}` or `{"id": n, "error": {"errno", "sqlstate", "msg"}}`:

- `connect`: `name`, and `options` as keyword arguments of `snowflake.connector.connect`
- `execute`: `name`, `sql`; optionally `binds`, `timeout`, `fetch` (`rows`, `arrow`, `pandas`,
  `none`), `keep`
- `close`: `name`

A result is `{"columns", "rows", "rowcount", "digest", "sfqid"}`: the first `keep` rows as lists of
text, and a digest over all of them. The program ends with its standard input.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Iterable
from typing import Any

import snowflake.connector
from snowflake.connector.errors import Error

KEEP = 20

_connections: dict[str, Any] = {}
_out = threading.Lock()


def _say(line: dict[str, Any]) -> None:
    with _out:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def _error(error: Exception) -> dict[str, Any]:
    if not isinstance(error, Error):
        return {"errno": None, "sqlstate": None, "msg": f"{type(error).__name__}: {error}"}
    return {"errno": error.errno, "sqlstate": error.sqlstate, "msg": str(error.msg or error)}


def _connect(command: dict[str, Any]) -> str:
    _connections[command["name"]] = snowflake.connector.connect(**command["options"])
    return str(snowflake.connector.__version__)


def _rows(cursor: Any, fetch: str) -> Iterable[Iterable[Any]]:
    if fetch == "arrow":
        table = cursor.fetch_arrow_all(force_return_table=True)
        return zip(*(column.to_pylist() for column in table.columns), strict=True)
    if fetch == "pandas":
        return [tuple(row) for row in cursor.fetch_pandas_all().itertuples(index=False)]
    return iter(cursor)


def _execute(command: dict[str, Any]) -> dict[str, Any]:
    options = {"timeout": command["timeout"]} if command.get("timeout") else {}
    with _connections[command["name"]].cursor() as cursor:
        cursor.execute(command["sql"], command.get("binds"), **options)
        columns = [column.name for column in cursor.description or []]
        kept: list[list[str | None]] = []
        count, digest = 0, hashlib.sha256()
        if command.get("fetch", "rows") != "none":
            for row in _rows(cursor, command.get("fetch", "rows")):
                cells = [None if cell is None else str(cell) for cell in row]
                digest.update(repr(cells).encode())
                if count < command.get("keep", KEEP):
                    kept.append(cells)
                count += 1
        return {
            "columns": columns,
            "rows": kept,
            "rowcount": count,
            "digest": digest.hexdigest(),
            "sfqid": cursor.sfqid,
        }


def _close(command: dict[str, Any]) -> None:
    _connections.pop(command["name"]).close()


_DO = {"connect": _connect, "execute": _execute, "close": _close}


def _run(command: dict[str, Any]) -> None:
    try:
        _say({"id": command["id"], "ok": _DO[command["do"]](command)})
    except Exception as error:  # noqa: BLE001  a client reports whatever went wrong
        _say({"id": command["id"], "error": _error(error)})


def main() -> None:
    """Run commands until there are no more."""
    for line in sys.stdin:
        threading.Thread(target=_run, args=(json.loads(line),), daemon=True).start()


if __name__ == "__main__":
    main()
