"""Real connectors as processes; one serves many sessions, so that its slow start is paid once."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROGRAM = Path(__file__).parents[1] / "drivers" / "connector_client.py"
# A held statement may wait this long in a test.
LIMIT_S = 150.0


@dataclass(eq=False)
class DriverError(Exception):
    """What the connector raised."""

    errno: int | None
    sqlstate: str | None
    msg: str


@dataclass(frozen=True, slots=True)
class Rows:
    """What the connector returned; the first rows as text, and a digest over all of them."""

    columns: list[str]
    rows: list[list[str | None]]
    rowcount: int
    digest: str
    sfqid: str


class Connector:
    """One connector process.

    Args:
        python: Interpreter of the virtual environment with the connector.
        ca_file: The private CA: 4.x reads REQUESTS_CA_BUNDLE, 5.x SSL_CERT_FILE.
    """

    def __init__(self, python: Path, ca_file: Path) -> None:
        bundle = {"REQUESTS_CA_BUNDLE": str(ca_file), "SSL_CERT_FILE": str(ca_file)}
        self._process = subprocess.Popen(
            [str(python), str(PROGRAM)],
            env={**os.environ, **bundle},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[Any]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def start(self, do: str, **command: object) -> Future[Any]:
        """Send a command; its answer comes in the future."""
        number = next(self._numbers)
        future: Future[Any] = Future()
        self._waiting[number] = future
        line = json.dumps({"id": number, "do": do, **command}) + "\n"
        if self._process.stdin is None:
            raise RuntimeError("the connector has no input")
        self._process.stdin.write(line)
        self._process.stdin.flush()
        return future

    def connect(self, options: dict[str, object]) -> Session:
        """Open a session.

        Raises:
            DriverError: The connector could not.
        """
        name = f"c{next(self._numbers)}"
        self.start("connect", name=name, options=options).result(LIMIT_S)
        return Session(self, name)

    def _read(self) -> None:
        if self._process.stdout is None:
            return
        for line in self._process.stdout:
            answer = json.loads(line)
            future = self._waiting.pop(answer["id"])
            if "error" in answer:
                future.set_exception(DriverError(**answer["error"]))
            else:
                future.set_result(answer.get("ok"))
        for future in self._waiting.values():
            future.set_exception(RuntimeError("the connector process ended"))


@dataclass(frozen=True, slots=True)
class Session:
    """One session of a connector."""

    connector: Connector
    name: str

    def start(self, sql: str, **options: object) -> Future[Any]:
        """Run a statement; `Rows.of` its result when it comes."""
        return self.connector.start("execute", name=self.name, sql=sql, **options)

    def run(self, sql: str, **options: object) -> Rows:
        """Run a statement and return its result.

        Raises:
            DriverError: The connector raised.
        """
        return rows_of(self.start(sql, **options))

    def close(self) -> None:
        self.connector.start("close", name=self.name).result(LIMIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def rows_of(future: Future[Any], limit_s: float = LIMIT_S) -> Rows:
    """The result of a started statement.

    Raises:
        DriverError: The connector raised.
    """
    return Rows(**future.result(limit_s))
