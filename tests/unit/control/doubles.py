"""What stands in for the rooms around the control room."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import trio

from snowgate.approval.outcome import Ended, Released, Waiting
from snowgate.config import Catalog as CatalogSettings
from snowgate.config import Credential
from snowgate.control.analysts import Analysed, Question
from snowgate.control.counted import ValueHasher
from snowgate.control.current import Current
from snowgate.control.workers import Worker, WorkerLost
from snowgate.errors import LedgerError, SnowgateError, StoreError, UpstreamError
from snowgate.model.approval import Approval, ApprovalState, HeldStatement
from snowgate.model.ports import EntryText
from snowgate.model.routine import Overload, RoutineKind
from snowgate.model.statement import Namespace, ObjectName, Refusal, Statement, StatementClass
from snowgate.model.verdict import MaskKind
from snowgate.policy.pattern import parse_pattern
from snowgate.policy.rules import (
    Allow,
    HoldFor,
    Mask,
    Match,
    Policy,
    Rule,
    TagPattern,
    compile_policy,
)
from snowgate.sql.analysis import examine
from snowgate.sql.catalog import NOTHING, Catalog, CatalogColumn, Table
from snowgate.sql.codec import Findings, Job, Load, Reply, Request, change_between, decode

HASHER = ValueHasher(bytes([7]) * 32)
HERE = Namespace("CRM", "PUBLIC")
PII = tuple(
    TagPattern("pii", pattern)
    for pattern in parse_pattern("CRM.PUBLIC.CUSTOMERS.{EMAIL,PHONE}", 4, "")
)
READS = frozenset({StatementClass.SELECT, StatementClass.SHOW, StatementClass.DESCRIBE})
DDL = frozenset({StatementClass.CREATE, StatementClass.ALTER, StatementClass.DROP})
ALLOW_ALL = Rule("all", Match(classes=READS | DDL | {StatementClass.INSERT}), Allow())
HOLD_DDL = Rule("ddl", Match(classes=DDL), HoldFor(frozenset({"data-platform"}), 1, 3600.0))
MASK_PII = Rule("mask-pii", Match(tags=frozenset({"pii"})), Mask(MaskKind.REDACT, 0, 0))

# Tagged values may go where they are not tagged: the tags follow.
LAUNDERING = (
    ALLOW_ALL,
    Rule(
        "copies", Match(classes=DDL | {StatementClass.INSERT}, launders=frozenset({"pii"})), Allow()
    ),
    MASK_PII,
)


def name(text: str) -> ObjectName:
    """`A.B.C`, or `C` in the schema of the tests."""
    parts = text.split(".")
    return ObjectName(*parts) if len(parts) == 3 else ObjectName("CRM", "PUBLIC", text)


def table(*columns: str, pii: Sequence[str] = ()) -> Table:
    """A table of texts; those in `pii` are tagged."""
    return Table(
        tuple(
            CatalogColumn(one, "TEXT", frozenset({"pii"} if one in pii else ())) for one in columns
        )
    )


def catalog(views: dict[str, str] | None = None, **tables: Table) -> Catalog:
    """Tables and views of the schema of the tests."""
    return Catalog.of(
        {name(one): value for one, value in tables.items()},
        {name(one): text for one, text in (views or {}).items()},
        "CRM",
        "PUBLIC",
    )


def catalog_settings(max_age_s: float) -> CatalogSettings:
    """How the control room is told to read the catalog of CRM."""
    own = Credential("SVC_CATALOG", Path("catalog.p8"))
    return CatalogSettings(own, "SNOWGATE", "WH", ("CRM",), max_age_s)


def held_question(session: dict[str, Any], now: Current) -> dict[str, Any]:
    """What the gate says of a held statement, whatever it asks about it."""
    return {
        "reference": "r-1",
        "query_id": "q-1",
        "session": session,
        "database": "CRM",
        "schema": "PUBLIC",
        "context_digest": "context",
        "statement_digest": "statement",
        "epoch": now.epoch,
    }


def policy(*rules: Rule, tags: Sequence[TagPattern] = PII) -> Policy:
    """A policy of these rules."""
    return compile_policy(tags, rules or (ALLOW_ALL,))


def current(known: Catalog | None, *rules: Rule) -> Current:
    """What is in force, after the first reading of the catalog."""
    now = Current(policy(*rules))
    now.tried.set()
    if known is not None:
        now.replace_catalog(known)
    return now


class InProcess:
    """An analyst without a process. `before` runs before each analysis."""

    def __init__(self, now: Current) -> None:
        self._now = now
        self.asked: list[tuple[str, Question]] = []
        self.before: Callable[[Question], None] = lambda _: None

    async def analyse(self, principal: str, question: Question) -> Analysed:
        await trio.lowlevel.checkpoint()
        self.asked.append((principal, question))
        self.before(question)
        present = self._now.now
        known = present.catalog or Catalog.of({})
        own = question.own.onto(NOTHING)
        found = examine(
            question.sql,
            question.namespace,
            known,
            role=question.role,
            binds=question.binds,
            own=own,
        )
        change, own_change = change_between(known, found.catalog), change_between(own, found.own)
        return Analysed(present, Findings(1, found.statement, change, own_change))


class Refusing:
    """An analyst that has no worker for anybody."""

    def __init__(self, now: Current, refusal: Refusal) -> None:
        self._now = now
        self._refusal = refusal

    async def analyse(self, principal: str, question: Question) -> Analysed:
        await trio.lowlevel.checkpoint()
        return Analysed(self._now.now, self._refusal)


@dataclass
class Labelled:
    """A store of labels in memory, whose disk can fail."""

    rows: dict[tuple[str, str, str], dict[str, object]] = field(default_factory=dict)
    broken: bool = False

    def put(self, key: tuple[str, str, str], body: dict[str, object]) -> None:
        self.put_all({key: body})

    def put_all(self, rows: Mapping[tuple[str, str, str], dict[str, object] | None]) -> None:
        if self.broken:
            raise StoreError("store cannot be used")
        for key, body in rows.items():
            self.rows.pop(key, None)
            if body is not None:
                self.rows[key] = {**body, "name": list(key)}

    def load_all(self) -> list[dict[str, object]]:
        return [*self.rows.values()]


@dataclass
class Underway:
    """A store of changes in memory, whose disk can fail."""

    rows: dict[str, list[list[str]]] = field(default_factory=dict)
    broken: bool = False

    def put(self, reference: str, names: Sequence[tuple[str, str, str]]) -> None:
        if self.broken:
            raise StoreError("store cannot be used")
        self.rows[reference] = [*map(list, names)]

    def delete_all(self, references: Iterable[str]) -> None:
        if self.broken:
            raise StoreError("store cannot be used")
        for reference in references:
            self.rows.pop(reference, None)

    def load_all(self) -> list[dict[str, object]]:
        return [{"reference": one, "names": names} for one, names in self.rows.items()]


def _shown(holds: Catalog, sql: str) -> Catalog:
    """What a statement asks for, if it names objects."""
    asked = re.findall(r"TABLE_SCHEMA = '(\w+)' AND TABLE_NAME IN \(([^)]*)\)", sql)
    if not asked:
        return holds
    names = {(schema, one) for schema, listed in asked for one in re.findall(r"'(\w+)'", listed)}
    return Catalog.of(
        {key: one for key, one in holds.tables.items() if (key.schema, key.name) in names},
        {key: text for key, text in holds.views.items() if (key.schema, key.name) in names},
    )


@dataclass
class Snowflake:
    """An account whose catalog and tags can be read: one database, CRM, as a catalog says.

    Attributes:
        tags: Columns, and the tags that each carries with their values.
        bulk: What of it the view of the whole account knows.
        hidden: Objects whose tags are not shown.
    """

    holds: Catalog
    broken: bool = False
    reads: int = 0
    whole_reads: int = 0
    # What GET_DDL returns, by its arguments as they are written.
    texts: dict[str, str] = field(default_factory=dict)
    # Set, and a reading waits until it is not.
    gate: trio.Event | None = None
    tags: set[tuple[ObjectName, str, ObjectName, str]] = field(default_factory=set)
    bulk: set[tuple[ObjectName, str, ObjectName, str]] = field(default_factory=set)
    tags_broken: bool = False
    hidden: set[ObjectName] = field(default_factory=set)

    async def query(self, sql: str, purpose: str) -> Sequence[Sequence[str | None]]:
        assert purpose == "catalog"
        await trio.lowlevel.checkpoint()
        holds = _shown(self.holds, sql)
        if ".COLUMNS" in sql:
            self.reads += 1
            self.whole_reads += " IN (" not in sql
            if self.gate is not None:
                await self.gate.wait()
        if self.broken:
            raise UpstreamError("late", "snowflake did not answer in time")
        if "ACCOUNT_USAGE.TAG_REFERENCES" in sql:
            return self._bulk()
        if "TAG_REFERENCES_ALL_COLUMNS" in sql:
            return self._effective(sql)
        if ".COLUMNS" in sql:
            return [
                [key.schema, key.name, column.name, column.type]
                for key, one in sorted(holds.tables.items())
                for column in one.columns
            ]
        if ".FUNCTIONS" in sql or ".PROCEDURES" in sql:
            kind = RoutineKind.FUNCTION if ".FUNCTIONS" in sql else RoutineKind.PROCEDURE
            return [
                [key.schema, key.name, _signature(one), one.returns]
                for key, found in sorted(holds.routines.items())
                for one in found
                if one.kind is kind
            ]
        if "GET_DDL" in sql:
            # In place of texts: what they are digests of is not said in a catalog.
            return [[self.texts.get(asked) for asked in re.findall(r"GET_DDL\((.+?\)')\)", sql)]]
        if ".VIEWS" in sql:
            return [[key.schema, key.name, text] for key, text in sorted(holds.views.items())]
        return [
            [key.schema, key.name, "VIEW" if key in holds.views else "BASE TABLE", "NO"]
            for key in sorted(holds.tables)
        ]

    def _bulk(self) -> list[list[str | None]]:
        if self.tags_broken:
            raise UpstreamError("002003", "object does not exist or not authorized")
        rows: list[list[str | None]] = []
        for one, column, tag, value in sorted(self.bulk):
            place = (one.database, one.schema, one.name, column)
            rows.append([tag.database, tag.schema, tag.name, value, "COLUMN", *place])
        return rows

    def _effective(self, sql: str) -> list[list[str | None]]:
        asked = re.findall(r"COLUMNS\('\"(\w+)\"\.\"(\w+)\"\.\"(\w+)\"'", sql)
        numbers = {ObjectName(*parts): number for number, parts in enumerate(asked)}
        if not self.hidden.isdisjoint(numbers):
            raise UpstreamError("002003", "object does not exist or not authorized")
        return [
            [str(numbers[one]), column, tag.database, tag.schema, tag.name, value]
            for one, column, tag, value in sorted(self.tags)
            if one in numbers
        ]


def _signature(one: Overload) -> str:
    return "(" + ", ".join(f"A{at} {kind}" for at, kind in enumerate(one.arguments or ())) + ")"


@dataclass
class Ledger:
    """A recorder in memory."""

    entries: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    broken: bool = False

    async def record(
        self, kind: str, fields: dict[str, Any], texts: Sequence[EntryText] = ()
    ) -> int:
        await trio.lowlevel.checkpoint()
        if self.broken:
            raise LedgerError("disk full")
        self.entries.append((kind, fields))
        return len(self.entries) - 1


@dataclass
class Desk:
    """The desk, which knows one approval in a state that the test sets."""

    approval: Approval | None = None
    refusal: SnowgateError | None = None
    requested: list[HeldStatement] = field(default_factory=list)
    told: list[tuple[str, ...]] = field(default_factory=list)

    async def request(self, statement: HeldStatement) -> Approval:
        await trio.lowlevel.checkpoint()
        self.requested.append(statement)
        if self.refusal is not None:
            raise self.refusal
        self.approval = Approval("a-1", statement, ApprovalState.PENDING, 0.0, 3600.0)
        return self.approval

    async def find(self, query_id: str) -> Approval | None:
        await trio.lowlevel.checkpoint()
        return self.approval

    def seen(self, query_id: str) -> None:
        self.told.append(("seen", query_id))

    async def consume(
        self, query_id: str, statement_digest: str, context_digest: str
    ) -> Waiting | Released | Ended:
        await trio.lowlevel.checkpoint()
        self.told.append(("consume", query_id, statement_digest, context_digest))
        assert self.approval is not None
        self.turn(ApprovalState.CONSUMED)
        return Released(self.approval)

    async def abandon(self, query_id: str, why: str) -> None:
        await trio.lowlevel.checkpoint()
        self.told.append(("abandon", query_id))

    async def cancel(self, query_id: str, why: str) -> None:
        await trio.lowlevel.checkpoint()
        self.told.append(("cancel", query_id, why))

    def turn(self, state: ApprovalState) -> None:
        assert self.approval is not None
        self.approval = replace(self.approval, state=state)


class Workers:
    """Workers in place of processes; `work` says what each job takes and answers.

    Attributes:
        started, ended: How many were.
        jobs: All jobs, in the order in which they began.
        loads: Catalogs sent, as numbers with the base they start from.
    """

    def __init__(self, work: Callable[[Job], Any] | None = None) -> None:
        self.work = work
        self.started = self.ended = 0
        self.jobs: list[Job] = []
        self.loads: list[tuple[int, int]] = []
        self.refuse_to_start = False
        self.deaf = False

    @asynccontextmanager
    async def start(self) -> AsyncGenerator[Worker]:
        self.started += 1
        if self.refuse_to_start:
            raise WorkerLost("cannot be started")
        try:
            yield _Worker(self)
        finally:
            self.ended += 1


class _Worker:
    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._next: Reply | Job = Reply(ready=True)

    async def send(self, frame: bytes) -> None:
        if self._workers.deaf:
            raise WorkerLost("takes no message")
        request = decode(Request, frame[4:])
        match request:
            case Request(load=Load(number, base)):
                self._workers.loads.append((number, base))
                self._next = Reply(loaded=number)
            case Request(job=Job() as job):
                self._workers.jobs.append(job)
                self._next = job

    async def reply(self) -> Reply:
        await trio.lowlevel.checkpoint()
        said = self._next
        if isinstance(said, Reply):
            return said
        work = self._workers.work
        answer = None if work is None else await work(said)
        return answer or Reply(
            findings=Findings(
                said.number, Statement(StatementClass.SELECT), change_between(_EMPTY, _EMPTY)
            )
        )


_EMPTY = Catalog.of({})


def tags_of(now: Current, place: str, column: str) -> frozenset[str]:
    """What a column of the catalog in force carries."""
    assert now.catalog is not None
    columns = now.catalog.tables[name(place)].columns
    return next(one.tags for one in columns if one.name == column)
