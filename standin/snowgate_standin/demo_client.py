"""A small client that knows nothing of any gateway: the real connector and a command line.

It runs the statements given as arguments on one connection and prints one JSON line for each:
`{"columns": [...], "rows": [...first rows...], "rowcount": n}` or
`{"error": {"errno": n, "sqlstate": "...", "msg": "..."}}`. The token is read from standard input
or from the environment, never from the command line. Exit status: 0 all ran, 1 one was refused,
2 no connection (one line with `"connected": false` then).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

import snowflake.connector
from snowflake.connector.errors import Error


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m snowgate_standin.demo_client")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--protocol", default="https", choices=["http", "https"])
    parser.add_argument("--account", required=True)
    parser.add_argument("--user", default="")
    parser.add_argument("--authenticator", default="oauth", help="oauth, PROGRAMMATIC_ACCESS_TOKEN")
    parser.add_argument("--token-env", help="name of the variable with the token; else stdin")
    parser.add_argument("--role")
    parser.add_argument("--warehouse")
    parser.add_argument("--database")
    parser.add_argument("--schema")
    parser.add_argument("--ca-file", help="PEM of a private CA, as REQUESTS_CA_BUNDLE")
    parser.add_argument("--timeout", type=int, help="seconds after which a statement is cancelled")
    parser.add_argument("--login-timeout", type=int, default=30)
    parser.add_argument("--fetch", choices=["rows", "arrow"], default="rows")
    parser.add_argument("--rows", type=int, default=20, help="rows printed of each result")
    parser.add_argument("--json-results", action="store_true", help="ask for JSON results")
    parser.add_argument("statements", nargs="+")
    return parser.parse_args(given)


def _connect(options: argparse.Namespace) -> snowflake.connector.SnowflakeConnection:
    token = os.environ[options.token_env] if options.token_env else sys.stdin.read().strip()
    if options.ca_file:
        os.environ["REQUESTS_CA_BUNDLE"] = options.ca_file
    named = {
        name: getattr(options, name)
        for name in ("role", "warehouse", "database", "schema", "user")
        if getattr(options, name)
    }
    parameters = {"PYTHON_CONNECTOR_QUERY_RESULT_FORMAT": "JSON"} if options.json_results else {}
    return snowflake.connector.connect(
        account=options.account,
        host=options.host,
        port=options.port,
        protocol=options.protocol,
        authenticator=options.authenticator,
        token=token,
        login_timeout=options.login_timeout,
        disable_ocsp_checks=True,
        session_parameters=parameters,
        **named,
    )


def _error(error: Exception) -> dict[str, Any]:
    if not isinstance(error, Error):
        return {"errno": None, "sqlstate": None, "msg": f"{type(error).__name__}: {error}"}
    return {"errno": error.errno, "sqlstate": error.sqlstate, "msg": str(error.raw_msg or error)}


def _run(cursor: Any, sql: str, options: argparse.Namespace) -> dict[str, Any]:
    cursor.execute(sql, timeout=options.timeout)
    columns = [column.name for column in cursor.description or []]
    if options.fetch == "arrow":
        table = cursor.fetch_arrow_all(force_return_table=True)
        cells = zip(*(column.to_pylist() for column in table.columns), strict=True)
        return {
            "columns": columns,
            "rows": [list(row) for _, row in zip(range(options.rows), cells, strict=False)],
            "rowcount": table.num_rows,
        }
    rows, count = [], 0
    for row in cursor:
        if count < options.rows:
            rows.append(list(row))
        count += 1
    return {"columns": columns, "rows": rows, "rowcount": count}


def main(given: list[str] | None = None) -> int:
    """Run the statements; the exit status."""
    options = _arguments(given)
    try:
        connection = _connect(options)
    except Error as error:
        print(json.dumps({"connected": False, "error": _error(error)}), flush=True)
        return 2
    refused = 0
    cursor = connection.cursor()
    for sql in options.statements:
        try:
            line = _run(cursor, sql, options)
        except Exception as error:  # noqa: BLE001  a client reports whatever went wrong
            line, refused = {"error": _error(error)}, 1
        print(json.dumps(line, default=str), flush=True)
    connection.close()
    return refused


if __name__ == "__main__":
    sys.exit(main())
