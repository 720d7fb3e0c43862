"""A service that inserts rows and relies on its driver's own retries; knows nothing of any gateway.

Runs in the stand-in's virtual environment: `python insert_client.py TARGET`, a JSON object. Each
thread inserts ids of its own, one in each statement, reads some of them back, and appends what it
was told to a file, a JSON line at once. When its session is gone it logs in again and goes on with
the next id: no id is ever sent in two statements.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

import snowflake.connector

# Ids of one thread.
SPREAD = 1_000_000
# A statement that is refused is not followed by the next at once.
PAUSE_S = 0.05

# `{number}` is the id. Most are as quick as they come; some run for a while, so that the gateway
# dies while they do; and one may not run at all: had it run, its id would be there.
PLAIN = "INSERT INTO products (id, name) VALUES ({number}, 'crash')"
SLOW = PLAIN + " /* standin:wait=0.15 */"
FORBIDDEN = (
    "INSERT INTO products (id, name) SELECT {number}, 'crash' FROM customers WHERE ssn > '5'"
)
KINDS = (PLAIN, SLOW, PLAIN, SLOW, PLAIN, FORBIDDEN)


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


def word(message: str) -> str:
    """What a message says about the statement."""
    if "outcome of the statement is unknown" in message:
        return "unknown"
    if "the statement succeeded" in message:
        return "ok"
    if "denied by rule" in message or "the statement did not run" in message:
        return "denied"
    return "gone"


class Thread(threading.Thread):
    """One session after the other, and what it was told."""

    def __init__(self, target: dict[str, Any], first: int) -> None:
        super().__init__()
        self.target = target
        self.number = first
        self.stop = Path(target["stop"])
        self.connection: Any = None

    def run(self) -> None:
        self.connection = connect(self.target)
        with (Path(self.target["folder"]) / f"{self.number}.jsonl").open("a") as out:
            while not self.stop.exists():
                self.step(out)

    def step(self, out: TextIO) -> None:
        self.number += 1
        sql = KINDS[self.number % len(KINDS)].format(number=self.number)
        told = self.tell(out, "insert", sql)
        if told == "ok" and self.number % 4 == 0:
            self.tell(out, "read", f"SELECT id FROM products WHERE id = {self.number}")

    def tell(self, out: TextIO, kind: str, sql: str) -> str:
        """Run a statement and write down what was told of it."""
        began_s, message = time.time(), ""
        try:
            with self.connection.cursor() as cursor:
                rows = cursor.execute(sql).fetchall()
            told = "ok" if rows else "lost"
        except Exception as error:  # noqa: BLE001 - whatever went wrong is told
            message = str(error)
            told = word(message)
        line = {"id": self.number, "kind": kind, "told": told, "message": message}
        out.write(json.dumps({**line, "began_s": began_s, "ended_s": time.time()}) + "\n")
        out.flush()
        if told == "gone":
            self.connection = connect(self.target)
        elif told != "ok":
            time.sleep(PAUSE_S)
        return told


def main() -> None:
    target = json.loads(sys.argv[1])
    threads = [
        Thread(target, target["first"] + index * SPREAD) for index in range(target["threads"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


main()
