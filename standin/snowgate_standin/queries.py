"""Queries of the process: running ones that can be waited for and cancelled, finished ones kept."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections import Counter, OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from snowgate_standin.errors import SnowflakeError, canceled
from snowgate_standin.result import Result

if TYPE_CHECKING:
    from snowgate_standin.engine import Engine
    from snowgate_standin.session import Session

_KEPT = 5_000
_KEPT_BYTES = 4 * 1024**3
_KEPT_S = 60


@dataclass(slots=True, eq=False)
class Query:
    """One statement from its request to its result; times are UNIX seconds."""

    session: Session
    request_id: str
    sql: str
    parameters: dict[str, Any]
    binds: list[Any] | None = None
    batch: list[list[Any]] | None = None
    describe_only: bool = False
    detached: bool = False
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = field(default_factory=time.time)
    ended: float | None = None
    result: Result | None = None
    error: SnowflakeError | None = None
    ending: SnowflakeError = field(default_factory=canceled)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    _cancel: threading.Event = field(default_factory=threading.Event)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _duck: Any = None

    @property
    def status(self) -> str:
        if self.ended is None:
            return "RUNNING"
        if self.error is None:
            return "SUCCESS"
        return "ABORTED" if self.error.code == "000604" else "FAILED_WITH_ERROR"

    def setting(self, name: str) -> Any:
        """A parameter of the statement, or else of its session."""
        return self.parameters.get(name, self.session.parameters.get(name))

    def wait(self, seconds: float) -> None:
        """Sleep in the worker thread, or raise the cancellation as soon as it comes."""
        if self._cancel.wait(seconds):
            raise canceled()

    @contextlib.contextmanager
    def running(self, duck: Any) -> Iterator[None]:
        """Mark the query as the one that runs on a connection, so that it can be interrupted."""
        with self._guard:
            self.wait(0)
            self._duck = duck
        try:
            yield
        finally:
            with self._guard:
                self._duck = None

    def interrupt(self) -> None:
        """Ask the query to end: it stops waiting, and DuckDB stops running it."""
        self._cancel.set()
        with self._guard:
            if self._duck is not None:
                self._duck.interrupt()

    @property
    def asked_to_end(self) -> bool:
        return self._cancel.is_set()


class Queries:
    """Starts, finds, cancels and forgets queries. Used from the event loop only."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(64, thread_name_prefix="query")
        self._by_id: OrderedDict[str, Query] = OrderedDict()
        self._by_request: dict[tuple[int, str], Query] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.executions: list[dict[str, Any]] = []
        self.by_request: Counter[str] = Counter()
        self.by_sql: Counter[str] = Counter()
        loop = asyncio.get_running_loop()
        engine.find_result = self._find_result
        engine.history = self._history
        engine.cancel_session = lambda session: self._soon(loop, self.cancel_session, session)
        engine.cancel_query = self._cancel_from_thread(loop)

    def _cancel_from_thread(self, loop: asyncio.AbstractEventLoop) -> Any:
        def cancel(query_id: str) -> bool:
            query = self._by_id.get(query_id)
            if query is None or query.ended is not None:
                return False
            self._soon(loop, self.cancel, query)
            return True

        return cancel

    @staticmethod
    def _soon(loop: asyncio.AbstractEventLoop, call: Any, argument: Any) -> None:
        loop.call_soon_threadsafe(call, argument)

    def _find_result(self, query_id: str) -> Result | None:
        query = self._by_id.get(query_id)
        return query.result if query else None

    def _history(self) -> list[Query]:
        return list(self._by_id.values())

    def find(self, query_id: str) -> Query | None:
        return self._by_id.get(query_id)

    def of_request(self, session: Session, request_id: str) -> Query | None:
        return self._by_request.get((session.id, request_id))

    def start(self, query: Query) -> None:
        """Register a query and run it in a thread."""
        self._by_id[query.id] = query
        self._by_request[query.session.id, query.request_id] = query
        self._shrink()
        limit = float(query.setting("STATEMENT_TIMEOUT_IN_SECONDS") or 0)
        if limit:
            asyncio.get_running_loop().call_later(limit, self._time_out, query, limit)
        task = asyncio.get_running_loop().create_task(self._run(query))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, query: Query) -> None:
        loop = asyncio.get_running_loop()
        try:
            query.result = await loop.run_in_executor(self._threads, self._execute, query)
        except SnowflakeError as error:
            query.error = query.ending if query.asked_to_end else error
        finally:
            query.ended = time.time()
            query.session.last_query_id = query.id
            query.done.set()

    def _execute(self, query: Query) -> Result:
        if not query.describe_only:
            self.by_request[query.request_id] += 1
            self.by_sql[query.sql] += 1
            self.executions.append(
                {
                    "request_id": query.request_id,
                    "query_id": query.id,
                    "sql": query.sql,
                    "session": query.session.id,
                    "user": query.session.user,
                    "role": query.session.role,
                    "secondary": query.session.secondary,
                    "query_tag": query.setting("QUERY_TAG"),
                }
            )
        return self._engine.execute(query.session, query)

    def _time_out(self, query: Query, limit: float) -> None:
        if query.ended is None:
            query.ending = SnowflakeError(
                "000630",
                "57014",
                f"Statement reached its statement or warehouse timeout of {limit:g} second(s) and "
                "was canceled.",
            )
            self.cancel(query)

    def cancel(self, query: Query) -> None:
        """End a running query; DuckDB is asked again until it has stopped."""
        if query.ended is not None:
            return
        query.interrupt()
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, self.cancel, query)

    def cancel_session(self, session: int) -> None:
        for query in list(self._by_id.values()):
            if query.session.id == session and query.ended is None:
                self.cancel(query)

    def _shrink(self) -> None:
        """Forget the oldest queries beyond 5,000 or 4 GiB of results, a minute after their end."""
        held = sum(q.result.table.nbytes for q in self._by_id.values() if q.result)
        for key, query in list(self._by_id.items())[:-1]:
            if len(self._by_id) <= _KEPT and held <= _KEPT_BYTES:
                break
            if query.ended is None or time.time() - query.ended < _KEPT_S:
                continue
            if query.result is not None:
                held -= query.result.table.nbytes
            del self._by_id[key]
            self._by_request.pop((query.session.id, query.request_id), None)
