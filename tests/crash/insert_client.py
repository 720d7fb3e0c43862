"""A service that inserts rows and relies on its driver's own retries; knows nothing of any gateway.

Runs in the stand-in's virtual environment. Each thread inserts ids of its own, one statement each,
and appends what it was told of each to a file, a JSON line at once: `ok`, `unknown` or `refused`.
When its session is gone it logs in again and goes on with the next id: no id is ever sent in two
statements.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

import snowflake.connector

SPREAD = 1_000_000


def connect(target: dict[str, Any]) -> Any:
    while True:
        try:
            return snowflake.connector.connect(
                host=target["host"],
                port=target["port"],
                protocol="https",
                account=target["account"],
                authenticator="oauth",
                token=os.environ["DEMO_TOKEN"],
                database="CRM",
                schema="PUBLIC",
                login_timeout=20,
                disable_ocsp_checks=True,
            )
        except snowflake.connector.errors.Error:
            time.sleep(0.2)


def insert(target: dict[str, Any], first: int, out: TextIO, stop: Path) -> None:
    connection, number = connect(target), first
    while not stop.exists():
        number += 1
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"INSERT INTO products (id, name) VALUES ({number}, 'crash')")
            told = "ok"
        except Exception as error:  # noqa: BLE001 - whatever went wrong is told
            told = "unknown" if "outcome of the statement is unknown" in str(error) else "refused"
            if getattr(error, "errno", None) != 3001:
                connection = connect(target)
        out.write(json.dumps({"id": number, "told": told}) + "\n")
        out.flush()


def main() -> None:
    target = json.loads(sys.argv[1])
    stop, folder = Path(target["stop"]), Path(target["folder"])
    threads = []
    for index in range(target["threads"]):
        first = target["first"] + index * SPREAD
        out = (folder / f"{first}.jsonl").open("a")
        threads.append(threading.Thread(target=insert, args=(target, first, out, stop)))
        threads[-1].start()
    for thread in threads:
        thread.join()


main()
