"""Answers what may be done with a statement: analysis, then policy, then the answer's form.

The analysis runs in a worker thread with a deadline, so that a slow text holds up no login and no
poll; what is not analysed in time is denied.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import trio

from snowgate.control.current import Current
from snowgate.control.labels import Labels
from snowgate.control.question import namespace_of, subject_of
from snowgate.model.statement import Namespace, Refusal, Statement, StatementClass
from snowgate.model.verdict import ColumnMask, Decision, MaskKind, Verdict
from snowgate.policy.engine import judge
from snowgate.policy.matching import Subject
from snowgate.policy.rules import Policy
from snowgate.sql.analysis import examine
from snowgate.sql.catalog import Catalog

log = logging.getLogger(__name__)

# 350 lines take 60 ms (`bench`); what takes longer than this is an attack or a mistake.
ANALYSIS_LIMIT_S = 2.0
# The interpreter lock lets one analysis run at a time; two keep it busy.
ANALYSES_AT_ONCE = 2

_CHANGES_CATALOG = frozenset(
    {StatementClass.CREATE, StatementClass.ALTER, StatementClass.DROP, StatementClass.CODE}
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A statement, its verdict, and the epoch both were made in.

    Attributes:
        before: The catalog it was judged with.
        after: The catalog once it has run.
    """

    statement: Statement
    verdict: Verdict
    epoch: int
    before: Catalog | None = field(default=None, repr=False)
    after: Catalog | None = field(default=None, repr=False)

    def fields(self) -> dict[str, Any]:
        """The answer to the gate."""
        statement, verdict = self.statement, self.verdict
        touched = {*statement.reads, *statement.writes, *statement.unknown_sources}
        return {
            "epoch": self.epoch,
            "decision": verdict.decision.value,
            "class": statement.kind.value,
            "verb": statement.verb,
            "rules": list(verdict.rules),
            "reason": verdict.reason,
            "remedy": verdict.remedy,
            "objects": sorted(map(str, touched)),
            "tags": sorted(statement.tags),
            "barrier": statement.barrier,
            "read_only": statement.read_only,
            "plan": None if verdict.plan is None else [*map(_column, verdict.plan.columns)],
            "void_all": verdict.void_all,
            "hide_errors": verdict.hide_errors,
            "changes_catalog": statement.kind in _CHANGES_CATALOG,
            "hold": None
            if verdict.hold is None
            else {
                "rule": verdict.hold.rule,
                "approvers": list(verdict.hold.approvers),
                "quorum": verdict.hold.quorum,
                "expires_s": verdict.hold.expires_s,
            },
            "policy": verdict.policy_digest,
            "valid_until_s": verdict.valid_until_s,
            "cacheable": verdict.cacheable,
        }

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
        labels: Where tags go that a statement moves.
    """

    def __init__(self, current: Current, labels: Labels) -> None:
        self._current = current
        self._labels = labels
        self._threads = trio.CapacityLimiter(ANALYSES_AT_ONCE)

    async def judge(self, question: dict[str, Any]) -> Mapping[str, Any]:
        """Judge one statement for one session. What is allowed is about to be forwarded."""
        session, namespace = question["session"], namespace_of(question)
        binds = [str(kind) for kind in question["binds"]]
        judged = await self.look(session, namespace, str(question["sql"]), binds)
        if judged.verdict.decision is Decision.ALLOW:
            judged = await self.release(judged)
        return judged.fields()

    async def look(
        self,
        session: Mapping[str, Any],
        namespace: Namespace,
        sql: str,
        binds: Sequence[str] | None = None,
    ) -> Judged:
        """Judge a text as of now, for a session as the gate describes it. Changes nothing.

        Args:
            session: The session of the question.
            namespace: Where names resolve.
            sql: The exact text.
            binds: Types of its binds, or None if not told.
        """
        epoch, policy = self._current.epoch, self._current.policy
        catalog = self._current.catalog
        subject = subject_of(dict(session))
        if catalog is None:
            refusal = Refusal(
                "catalog-unavailable",
                "the gateway could not read Snowflake's catalog, so it cannot tell what is tagged",
                "try again in a minute; if it stays, tell the gateway's operator",
            )
            return _refused(policy, subject, epoch, refusal)
        with trio.move_on_after(ANALYSIS_LIMIT_S):
            examined = await trio.to_thread.run_sync(
                partial(examine, sql, namespace, catalog, role=subject.role, binds=binds),
                limiter=self._threads,
                abandon_on_cancel=True,
            )
            verdict = judge(policy, examined.statement, subject)
            return Judged(examined.statement, verdict, epoch, catalog, examined.catalog)
        log.warning("an analysis took too long")
        refusal = Refusal(
            "analysis-limit",
            f"the statement could not be analysed within {ANALYSIS_LIMIT_S:g} s",
            "split it into smaller statements",
        )
        return _refused(policy, subject, epoch, refusal)

    async def release(self, judged: Judged) -> Judged:
        """Let tags follow what a statement does, before it is forwarded (F16).

        Returns:
            The same verdict, of the epoch that has the moved tags.

        Raises:
            StoreError: The tags could not be kept: the statement must not be forwarded.
        """
        before, after = judged.before, judged.after
        if before is None or after is None or after is before:
            return judged
        if await self._labels.move(before, after) and self._current.epoch == judged.epoch:
            self._current.replace_catalog(self._labels.onto(after))
            return replace(judged, epoch=self._current.epoch, before=None, after=None)
        return judged


def _refused(policy: Policy, subject: Subject, epoch: int, refusal: Refusal) -> Judged:
    statement = Statement(StatementClass.UNKNOWN, refusal=refusal)
    return Judged(statement, judge(policy, statement, subject), epoch)


def denial(rule: str, reason: str, remedy: str) -> dict[str, str]:
    """A denial that is no verdict of the policy."""
    return {"rule": rule, "reason": reason, "remedy": remedy}


def _column(column: ColumnMask) -> dict[str, Any]:
    mask: str | dict[str, list[int]] = column.mask.value
    if column.mask is MaskKind.PARTIAL:
        mask = {"partial": [column.keep_first, column.keep_last]}
    return {"name": column.name, "mask": mask, "tags": list(column.tags)}
