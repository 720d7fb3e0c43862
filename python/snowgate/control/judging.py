"""Answers what may be done with a statement: analysis, then policy, then the answer's form.

    look ──► what it is and what policy says now          changes nothing
    judge, release ──► and about to be forwarded: its tags are moved, what it changes is quarantined

What people agreed to show in clear is known here by the reference of the statement, once it is
released. Who asks by another one, for a reply that is there already, sees what needs no approval.

Rule at the door: a verdict that lets a statement run carries the epoch in which the moved tags and
the quarantine are in force, so that no other verdict of an older epoch is used beside it (F8, F16).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import trio

from snowgate.control.analysts import Analysed, Question
from snowgate.control.approved import NOTHING_APPROVED, Approved
from snowgate.control.counted import ValueHasher, budget_fields, compared_fields, limit_fields
from snowgate.control.current import Current, Present
from snowgate.control.definitions import definitions_digest
from snowgate.control.labels import Labels
from snowgate.control.overlays import Overlays
from snowgate.control.quarantine import Quarantine, affected
from snowgate.control.question import namespace_of, subject_of
from snowgate.control.refusals import (
    CATALOG_UNAVAILABLE,
    PASSING,
    QUARANTINED,
    REGISTRY_UNREAD,
)
from snowgate.errors import SnowgateError
from snowgate.model.statement import (
    Namespace,
    ObjectName,
    Refusal,
    Statement,
    StatementClass,
)
from snowgate.model.verdict import ColumnMask, Decision, MaskKind, Verdict
from snowgate.policy.engine import judge
from snowgate.policy.matching import Subject
from snowgate.sql.catalog import NOTHING
from snowgate.sql.codec import Change

log = logging.getLogger(__name__)

# A procedure that is another one each time it is read back is none to rely on.
MAX_READ_BACK = 3
# Most DDL takes less, so that a reader beside it only sees a slow answer.
QUARANTINE_WAIT_S = 2.0
# A client that was faster than the first reading of the catalog waits for it; the gate waits 5 s.
START_WAIT_S = 3.0
# Approved statements whose verdict may have to be made again before they are sent.
MAX_APPROVED = 1024

_CHANGES_CATALOG = frozenset(
    {
        StatementClass.CREATE,
        StatementClass.ALTER,
        StatementClass.DROP,
        StatementClass.CODE,
        # External and Iceberg tables, databases from shares.
        StatementClass.INTEGRATION,
        StatementClass.SHARE,
    }
)


class Analyst(Protocol):
    """What analyses texts: `snowgate.control.analysts.Analysts`."""

    async def analyse(self, principal: str, question: Question) -> Analysed:
        """Analyse a text, when its principal's turn comes."""


# Whether procedures are what the catalog in force says; if not, another one is in force now.
Confirm = Callable[[frozenset[ObjectName]], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Judged:
    """A statement, its verdict, and what was in force when both were made.

    Attributes:
        present: Its catalog is the one before the statement has run.
        change: What the catalog becomes once it has run.
        session: Who asks.
        own: What the session's temporary objects become.
        passing: It was refused for something that may be over in a moment.
        compared: What it compares with tagged columns, for the gate to count.
        definitions: Digest of the objects it stands on, if an approval would unmask any of them.
    """

    statement: Statement
    verdict: Verdict
    present: Present
    change: Change = field(default_factory=Change, repr=False)
    session: str = ""
    own: Change = field(default_factory=Change, repr=False)
    passing: bool = False
    compared: Sequence[Mapping[str, Any]] = ()
    definitions: str = ""

    @property
    def changes_catalog(self) -> bool:
        """Whether the catalog must be read again after it."""
        called = self.statement.kind is StatementClass.CALL and bool(self.statement.writes)
        return called or self.statement.kind in _CHANGES_CATALOG

    @property
    def moves(self) -> bool:
        """Whether it changes what verdicts are made from."""
        return self.changes_catalog or not (self.change.empty and self.own.empty)

    @property
    def touched(self) -> frozenset[ObjectName]:
        """Objects it reads, writes or names."""
        statement = self.statement
        named = (*statement.reads, *statement.writes, *statement.unknown_sources)
        return frozenset({*named, *statement.calls})

    def fields(self) -> dict[str, Any]:
        """The answer to the gate."""
        statement, verdict = self.statement, self.verdict
        return {
            "epoch": self.present.epoch,
            "decision": verdict.decision.value,
            "class": statement.kind.value,
            "verb": statement.verb,
            "rules": list(verdict.rules),
            "reason": verdict.reason,
            "remedy": verdict.remedy,
            "objects": sorted(map(str, self.touched)),
            "tags": sorted(statement.tags),
            "barrier": statement.barrier,
            "read_only": statement.read_only,
            "plan": None if verdict.plan is None else [*map(_column, verdict.plan.columns)],
            "void_all": verdict.void_all,
            "hide_errors": verdict.hide_errors,
            "changes_catalog": self.changes_catalog,
            "hold": None
            if verdict.hold is None
            else {
                "rule": verdict.hold.rule,
                "approvers": list(verdict.hold.approvers),
                "quorum": verdict.hold.quorum,
                "expires_s": verdict.hold.expires_s,
                "unmask": list(verdict.hold.unmask),
                "definitions": self.definitions,
            },
            "policy": verdict.policy_digest,
            "valid_until_s": verdict.valid_until_s,
            "shadow": list(verdict.shadow),
            "limit": limit_fields(verdict),
            "budgets": [budget_fields(budget) for budget in verdict.budgets],
            "compared": list(self.compared),
            "over": list(verdict.over),
            "cacheable": verdict.cacheable and not self.passing and not self._moves_something,
        }

    @property
    def _moves_something(self) -> bool:
        """Whether a verdict that lets it run must be asked for each time.

        Each run is quarantined, or its procedure read back.
        """
        runs = self.verdict.decision is not Decision.DENY
        called = self.statement.kind is StatementClass.CALL
        return runs and (called or self.moves)

    def message(self, reference: str) -> str:
        """A denial as the client reads it."""
        rules, verdict = ", ".join(self.verdict.rules), self.verdict
        return (
            f"denied by rule {rules}: {verdict.reason}; reference {reference}; "
            f"what to do: {verdict.remedy}"
        )


class Judge:
    """Answers `judge`, and judges held statements again.

    Args:
        current: Policy and catalog in force.
        analyst: Analyses texts.
        labels: Where tags go that a statement moves.
        quarantine: Where objects go that a statement changes.
        overlays: Temporary objects of each session.
        hasher: Hashes tagged values for budgets.
        confirm: Reads procedures back before they are called; without it none is.
        clock: Unix time.
    """

    def __init__(
        self,
        current: Current,
        analyst: Analyst,
        labels: Labels,
        quarantine: Quarantine,
        overlays: Overlays,
        hasher: ValueHasher,
        confirm: Confirm | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._current = current
        self._analyst = analyst
        self._labels = labels
        self._quarantine = quarantine
        self._overlays = overlays
        self._hasher = hasher
        self._confirm = confirm
        self._clock = clock
        self._approved: dict[str, Approved] = {}

    async def judge(self, question: dict[str, Any]) -> Mapping[str, Any]:
        """Judge one statement for one session.

        With `run`, the statement is to be forwarded; without it, its reply is there already, or its
        result is fetched again. A template is not forwarded itself: nothing is moved for it, and
        nobody approves it.
        """
        session, namespace = question["session"], namespace_of(question)
        reference, run = str(question["reference"]), bool(question["run"])
        binds = [str(kind) for kind in question["binds"]]
        sql = str(question["sql"])
        over = [str(budget) for budget in question["over"]]
        approved = None
        if not question.get("template"):
            # A reply that is there already waits for nobody.
            approved = self._approved.get(reference, None if run else NOTHING_APPROVED)
        judged = await self.now(
            session, namespace, sql, reference, binds, run=run, over=over, approved=approved
        )
        allowed = judged.verdict.decision is Decision.ALLOW
        held = judged.verdict.decision is Decision.HOLD and reference in self._approved
        if (allowed or held) and not question.get("template"):
            judged = await self.release(judged, reference, run=run)
        fields = judged.fields()
        if question.get("template") and judged.compared:
            # Its instances compare other values, and each must be counted.
            fields["cacheable"] = False
        return fields

    async def look(
        self,
        session: Mapping[str, Any],
        namespace: Namespace,
        sql: str,
        binds: Sequence[str] | None = None,
        over: Sequence[str] = (),
        approved: Approved | None = None,
    ) -> Judged:
        """Judge a text as of now, for a session as the gate describes it. Changes nothing.

        Args:
            session: The session of the question.
            namespace: Where names resolve.
            sql: The exact text.
            binds: Types of its binds, or None if not told.
            over: Budgets that it is over.
            approved: What people agreed to show; None where it is still to be asked.
        """
        subject = subject_of(dict(session), self._clock())
        if not self._current.tried.is_set():
            with trio.move_on_after(START_WAIT_S):
                await self._current.tried.wait()
        present = self._current.now
        if present.catalog is None:
            return _refused(present, subject, CATALOG_UNAVAILABLE)
        types = None if binds is None else tuple(binds)
        asker = str(session["id"])
        own = self._overlays.of(asker)
        question = Question(sql, namespace, subject.role, types, own)
        analysed = await self._analyst.analyse(subject.principal.text, question)
        present, found = analysed.present, analysed.result
        if isinstance(found, Refusal):
            return _refused(present, subject, found)
        agreed = None if approved is None else _agreed(approved, found.statement, present, own)
        verdict = judge(present.policy, found.statement, subject, over, agreed)
        if approved is not None and verdict.hold is not None and not approved.meets(verdict.hold):
            # Policy asks for more people by now before it shows anything.
            verdict = judge(present.policy, found.statement, subject, over, ())
        definitions = ""
        if verdict.hold is not None and verdict.hold.unmask:
            # What was agreed to is shown as long as it stands on the same objects.
            definitions = (
                _definitions(found.statement, present, own)
                if approved is None
                else approved.definitions
            )
        compared = compared_fields(found.statement, verdict, self._hasher)
        return Judged(
            found.statement,
            verdict,
            present,
            found.change,
            asker,
            found.own,
            compared=compared,
            definitions=definitions,
        )

    async def now(
        self,
        session: Mapping[str, Any],
        namespace: Namespace,
        sql: str,
        reference: str,
        binds: Sequence[str] | None = None,
        *,
        run: bool = True,
        over: Sequence[str] = (),
        approved: Approved | None = None,
    ) -> Judged:
        """As `look`; what touches an object in quarantine waits for a moment, and is then denied.

        A procedure that is about to be called is read back first (F18).

        Args:
            session: The session of the question.
            namespace: Where names resolve.
            sql: The exact text.
            binds: Types of its binds, or None if not told.
            reference: Of the statement: what it has quarantined itself does not count.
            run: Whether it is to be forwarded. The reply of what has run is shown if it has no rows
                of data.
            over: Budgets that it is over.
            approved: As in `look`.
        """
        until_s, readings = trio.current_time() + QUARANTINE_WAIT_S, 0
        while True:
            judged = await self.look(session, namespace, sql, binds, over, approved)
            if judged.verdict.decision is Decision.DENY or not (run or judged.statement.query):
                return judged
            names = judged.touched | judged.change.names
            if not self._quarantine.blocks(reference, names):
                if not run or await self._confirmed(judged):
                    return judged
                readings += 1
                if readings < MAX_READ_BACK:
                    continue
                subject = subject_of(dict(session), self._clock())
                return _refused(judged.present, subject, REGISTRY_UNREAD, judged.statement)
            limit_s = max(0.0, until_s - trio.current_time())
            if not await self._quarantine.wait(reference, names, limit_s):
                subject = subject_of(dict(session), self._clock())
                return _refused(judged.present, subject, QUARANTINED, judged.statement)

    async def _confirmed(self, judged: Judged) -> bool:
        """Whether the procedure it calls, if any, is still as it was judged."""
        if judged.statement.kind is not StatementClass.CALL:
            return True
        if self._confirm is None:
            return False
        try:
            return await self._confirm(frozenset(judged.statement.calls))
        except SnowgateError as error:
            log.warning("a procedure could not be read back: %s", error)
            return False

    async def release(self, judged: Judged, reference: str, *, run: bool = True) -> Judged:
        """Prepare for a statement that is about to be forwarded, or has been (F8, F16).

        Its tags are moved, durably; what it changes is quarantined until `catalog_changed`.

        Args:
            judged: Not a denial.
            reference: Of the statement.
            run: Whether it is to be forwarded.

        Returns:
            The same verdict, of the epoch in which all that is in force; as it was if the epoch has
            changed meanwhile: it must be judged again.

        Raises:
            StoreError: Neither tags nor quarantine would outlive a crash: the statement must not be
                forwarded.
        """
        before = judged.present.catalog
        if before is None or not judged.moves:
            return judged
        after = judged.change.onto(before)
        own, names = self._own_names(judged), frozenset[ObjectName]()
        # What only its session sees is in nobody else's way.
        temporary = {name for name in own if before.tables.get(name) is None}
        changes = run and judged.changes_catalog
        if changes:
            named = () if judged.statement.kind is StatementClass.CODE else judged.statement.writes
            names = affected({*named, *judged.change.names} - temporary, before, after)
            await self._quarantine.keep(reference, names)
        moved = await self._labels.move(before, after)
        if self._current.epoch != judged.present.epoch:
            return judged
        self._release_own(judged, reference, run=run)
        quarantined = changes and (bool(names) or not temporary)
        new = quarantined and self._quarantine.put(reference, names)
        widened = bool(own) and not judged.changes_catalog
        if not (moved or new or widened):
            return judged
        self._current.replace_catalog(self._labels.onto(after))
        return replace(judged, present=self._current.now)

    def _own_names(self, judged: Judged) -> frozenset[ObjectName]:
        """Temporary objects of the session that a statement makes, changes or drops."""
        dropped: frozenset[ObjectName] = frozenset()
        if judged.statement.kind is StatementClass.DROP:
            dropped = self._overlays.names(judged.session).intersection(judged.statement.writes)
        return judged.own.names | dropped

    def _release_own(self, judged: Judged, reference: str, *, run: bool) -> None:
        """As `release`, for temporary objects of the session."""
        dropped = self._own_names(judged) - judged.own.names
        if not judged.changes_catalog:
            if not judged.own.empty:
                self._overlays.widen(judged.session, judged.own)
        elif run and dropped:
            self._overlays.drop(judged.session, reference, dropped)
        elif run and not judged.own.empty:
            self._overlays.begin(judged.session, reference, judged.own)

    async def release_approved(self, judged: Judged, reference: str, approved: Approved) -> Judged:
        """As `release`, for a statement whose approval was consumed.

        Should its verdict be overtaken before it is sent, it is released again when judged again.
        """
        self._approved[reference] = approved
        if len(self._approved) > MAX_APPROVED:
            del self._approved[next(iter(self._approved))]
        return await self.release(judged, reference)


def _agreed(
    approved: Approved, statement: Statement, present: Present, own: Change
) -> frozenset[str]:
    """The tags that people agreed to show: none once the query stands on other objects."""
    if not approved.unmask or approved.definitions != _definitions(statement, present, own):
        return frozenset()
    return approved.unmask


def _definitions(statement: Statement, present: Present, own: Change) -> str:
    return definitions_digest(statement, own.onto(present.catalog or NOTHING))


def _refused(
    present: Present, subject: Subject, refusal: Refusal, statement: Statement | None = None
) -> Judged:
    refused = replace(statement or Statement(StatementClass.UNKNOWN), refusal=refusal)
    verdict = judge(present.policy, refused, subject)
    return Judged(refused, verdict, present, passing=refusal in PASSING)


def denial(rule: str, reason: str, remedy: str) -> dict[str, str]:
    """A denial that is no verdict of the policy."""
    return {"rule": rule, "reason": reason, "remedy": remedy}


def _column(column: ColumnMask) -> dict[str, Any]:
    mask: str | dict[str, list[int]] = column.mask.value
    if column.mask is MaskKind.PARTIAL:
        mask = {"partial": [column.keep_first, column.keep_last]}
    return {"name": column.name, "mask": mask, "tags": list(column.tags)}
