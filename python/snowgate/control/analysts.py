"""The analysis workers, and who gets one: every text is analysed in a process of its own.

    judge ── analyse ──► turns ──► a worker ──► Analysed(what was in force, findings | refusal)
                                     └─ too slow, too large, gone: killed, replaced; denied

Rule at the door: an answer counts only with the policy and catalog that were in force when the
worker began. A text that cost a worker its life is remembered, and refused at once while the
catalog stays the same.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import trio

from snowgate.control.current import Current, Present
from snowgate.control.refusals import (
    ANALYSIS_LIMIT_S,
    CATALOG_UNAVAILABLE,
    MAX_WAITING,
    NO_ANSWER,
    NO_WORKER,
    TOO_LARGE,
    TOO_MANY,
    TOO_SLOW,
)
from snowgate.control.turns import Turns
from snowgate.control.workers import Worker, WorkerLost, open_worker
from snowgate.errors import StartError
from snowgate.model.statement import Namespace, Refusal
from snowgate.sql.catalog import NOTHING, Catalog
from snowgate.sql.codec import Change, Findings, Job, Load, Request, change_between, encode

log = logging.getLogger(__name__)

# One keeps a core busy; a second answers others while one is killed and started again.
WORKERS = 2
# An interpreter and its parser start in 0.3 s; a machine that starts everything at once is slower.
START_LIMIT_S = 30.0
# A catalog of 50,000 columns takes a second to read.
LOAD_LIMIT_S = 10.0
# The gate waits 5 s for a verdict (`judge_limit_s`); the rest is for what comes after.
WAIT_LIMIT_S = 4.0
# A worker that does not start is tried again after this.
RETRY_S = 1.0
# Texts that are remembered; an attacker who sends more has each of them analysed once.
MAX_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be analysed: the arguments of `snowgate.sql.analysis.examine`."""

    sql: str
    namespace: Namespace
    role: str
    binds: tuple[str, ...] | None = None
    own: Change = field(default_factory=Change)


@dataclass(frozen=True, slots=True)
class Analysed:
    """An answer, and what was in force when it was worked out."""

    present: Present
    result: Findings | Refusal


@dataclass(slots=True, eq=False)
class _Waiting:
    question: Question
    done: trio.Event = field(default_factory=trio.Event)
    answer: Analysed | None = None

    def settle(self, present: Present, result: Findings | Refusal) -> None:
        self.answer = Analysed(present, result)
        self.done.set()


class Analysts:
    """The pool of workers. `run` must run while it is used.

    Args:
        current: What is in force.
        start: Starts a worker; it ends when its context does.
        size: Workers.
    """

    def __init__(
        self,
        current: Current,
        start: Callable[[], AbstractAsyncContextManager[Worker]] = open_worker,
        size: int = WORKERS,
    ) -> None:
        self._current = current
        self._start = start
        self._size = size
        self._turns: Turns[_Waiting] = Turns(MAX_WAITING)
        self._idle: list[trio.Event] = []
        self._remembered = _Remembered()
        self._numbers = itertools.count(1)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start the workers, report readiness once they are warm, and keep them running.

        Cancel-safe: the workers are killed.

        Raises:
            StartError: The first ones did not start.
        """
        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as starting:
                for _ in range(self._size):
                    starting.start_soon(nursery.start, self._employ)
            task_status.started()

    async def analyse(self, principal: str, question: Question) -> Analysed:
        """Analyse a text, when its principal's turn comes.

        Cancel-safe: a text that waits is withdrawn, one that is being analysed is let go.

        Args:
            principal: Who asks, as one text; turns go by it.
            question: The text, and where it stands.
        """
        present = self._current.now
        known = self._remembered.get(present, question)
        if known is not None:
            return Analysed(present, known)
        waiting = _Waiting(question)
        if not self._turns.put(principal, waiting):
            return Analysed(present, TOO_MANY)
        self._wake()
        try:
            with trio.move_on_after(WAIT_LIMIT_S):
                await waiting.done.wait()
        finally:
            withdrawn = self._turns.withdraw(principal, waiting)
        if withdrawn:
            return Analysed(present, NO_WORKER)
        if waiting.answer is None:
            # It is with a worker, which has its own deadline.
            await waiting.done.wait()
        return waiting.answer or Analysed(present, NO_ANSWER)

    async def _employ(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Keep one place filled: a worker, and another one when it is lost."""
        warm = False
        while True:
            ready = False
            try:
                async with self._start() as worker:
                    with trio.fail_after(START_LIMIT_S):
                        compiled = (await worker.reply()).ready
                    if compiled is None:
                        raise WorkerLost("did not say that it is ready")
                    ready = True
                    if not warm:
                        warm = True
                        _warn_if_interpreted(compiled)
                        task_status.started()
                    await self._serve(worker)
            except (WorkerLost, trio.TooSlowError) as error:
                if not warm:
                    raise StartError(
                        f"an analysis worker does not start: {error}; what to do: run `python -I -m"
                        " snowgate.sql.worker`, which should wait without a word"
                    ) from error
                log.warning("an analysis worker was lost: %s", error)
                if not ready:
                    await trio.sleep(RETRY_S)

    async def _serve(self, worker: Worker) -> None:
        """Give a worker one text after another.

        Raises:
            WorkerLost: It is of no use any more; whoever waited for it has an answer.
        """
        loaded, number = NOTHING, 0
        try:
            while True:
                principal, waiting = await self._next()
                present = self._current.now
                try:
                    if self._settled_already(present, waiting):
                        continue
                    catalog = present.catalog or NOTHING
                    if catalog is not loaded:
                        load = next(self._numbers)
                        await _load(worker, load, number, loaded, catalog)
                        loaded, number = catalog, load
                    await self._examine(worker, number, present, waiting)
                finally:
                    if not waiting.done.is_set():
                        waiting.settle(present, NO_WORKER)
                    self._turns.done(principal)
        finally:
            # Whoever has the next turn now was this one's to serve.
            self._wake()

    async def _next(self) -> tuple[str, _Waiting]:
        while True:
            taken = self._turns.take()
            if taken is not None:
                return taken
            wanted = trio.Event()
            self._idle.append(wanted)
            try:
                await wanted.wait()
            finally:
                if not wanted.is_set():
                    self._idle.remove(wanted)

    def _wake(self) -> None:
        """Have an idle worker look for a turn: the last to rest is the quickest to go on."""
        if self._idle:
            self._idle.pop().set()

    def _settled_already(self, present: Present, waiting: _Waiting) -> bool:
        if present.catalog is None:
            waiting.settle(present, CATALOG_UNAVAILABLE)
            return True
        known = self._remembered.get(present, waiting.question)
        if known is not None:
            waiting.settle(present, known)
        return known is not None

    async def _examine(
        self, worker: Worker, catalog: int, present: Present, waiting: _Waiting
    ) -> None:
        question = waiting.question
        job = Job(
            next(self._numbers),
            catalog,
            question.sql,
            question.namespace,
            question.role,
            question.binds,
            question.own,
        )
        refusal = NO_WORKER
        try:
            with trio.move_on_after(ANALYSIS_LIMIT_S) as limit:
                # A worker that takes no message has ended while it was idle.
                await worker.send(encode(Request(job=job)))
                refusal = NO_ANSWER
                reply = await worker.reply()
            if limit.cancelled_caught:
                refusal = TOO_SLOW
                raise WorkerLost("took too long")
            if reply.exhausted:
                refusal = TOO_LARGE
                raise WorkerLost("ran out of memory")
            findings = reply.findings
            if findings is None or findings.number != job.number:
                raise WorkerLost("answered something else")
        except WorkerLost:
            if refusal is not NO_WORKER:
                self._remembered.add(present, question, refusal)
            waiting.settle(present, refusal)
            raise
        waiting.settle(present, findings)
        if reply.leaving:
            raise WorkerLost("has taken much memory, which it gives back")


async def _load(worker: Worker, number: int, base: int, loaded: Catalog, wanted: Catalog) -> None:
    change = change_between(loaded, wanted)
    load = Load(number, base, change, wanted.database, wanted.schema)
    try:
        with trio.fail_after(LOAD_LIMIT_S):
            await worker.send(encode(Request(load=load)))
            reply = await worker.reply()
    except trio.TooSlowError as error:
        raise WorkerLost("took too long to read the catalog") from error
    if reply.loaded != number:
        raise WorkerLost("did not take the catalog")


class _Remembered:
    """Texts that cost a worker its life, under one catalog."""

    def __init__(self) -> None:
        self._catalog: Catalog | None = None
        self._known: dict[bytes, Refusal] = {}

    def get(self, present: Present, question: Question) -> Refusal | None:
        """What such a text is refused for; None for any other."""
        if not self._known or self._catalog is not present.catalog:
            return None
        return self._known.get(_digest(question))

    def add(self, present: Present, question: Question, refusal: Refusal) -> None:
        """Remember a text. The oldest is forgotten beyond the limit."""
        if self._catalog is not present.catalog:
            self._catalog = present.catalog
            self._known.clear()
        self._known[_digest(question)] = refusal
        if len(self._known) > MAX_REMEMBERED:
            del self._known[next(iter(self._known))]


def _digest(question: Question) -> bytes:
    here = question.namespace
    parts = (here.database, here.schema, question.sql)
    # Lengths keep two texts apart whose parts only join to the same.
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).digest()


def _warn_if_interpreted(compiled: bool) -> None:
    if not compiled:
        log.error(
            "sqlglot runs without its compiled part: analyses take several times as long, and texts"
            " that nest deeper than 40 levels are denied; install `sqlglot[rs]`"
        )
