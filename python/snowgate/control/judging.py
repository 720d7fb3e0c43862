"""Answers what may be done with a statement: analysis, then policy, then the answer's form.

The analysis runs in a worker thread with a deadline, so that a slow text holds up no login and no
poll; what is not analysed in time is denied.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import trio

from snowgate.control.current import Current
from snowgate.control.question import namespace_of, subject_of
from snowgate.model.statement import Namespace, Refusal, Statement, StatementClass
from snowgate.model.verdict import ColumnMask, MaskKind, Verdict
from snowgate.policy.engine import judge
from snowgate.sql.analysis import analyse
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
    """A statement, its verdict, and the epoch both were made in."""

    statement: Statement
    verdict: Verdict
    epoch: int

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
    """Answers `judge`, and judges held statements again."""

    def __init__(self, current: Current) -> None:
        self._current = current
        self._threads = trio.CapacityLimiter(ANALYSES_AT_ONCE)

    async def judge(self, question: dict[str, Any]) -> Mapping[str, Any]:
        """Judge one statement for one session."""
        judged = await self.again(question["session"], namespace_of(question), str(question["sql"]))
        return judged.fields()

    async def again(self, session: Mapping[str, Any], namespace: Namespace, sql: str) -> Judged:
        """Judge a text as of now, for a session as the gate describes it."""
        epoch, policy = self._current.epoch, self._current.policy
        catalog = self._current.catalog
        subject = subject_of(dict(session))
        statement = await self._analyse(sql, namespace, catalog)
        return Judged(statement, judge(policy, statement, subject), epoch)

    async def _analyse(self, sql: str, namespace: Namespace, catalog: Catalog | None) -> Statement:
        if catalog is None:
            return _refused(
                "catalog-unavailable",
                "the gateway could not read Snowflake's catalog, so it cannot tell what is tagged",
                "try again in a minute; if it stays, tell the gateway's operator",
            )
        with trio.move_on_after(ANALYSIS_LIMIT_S):
            return await trio.to_thread.run_sync(
                analyse, sql, namespace, catalog, limiter=self._threads, abandon_on_cancel=True
            )
        log.warning("an analysis took too long")
        return _refused(
            "analysis-limit",
            f"the statement could not be analysed within {ANALYSIS_LIMIT_S:g} s",
            "split it into smaller statements",
        )


def denial(rule: str, reason: str, remedy: str) -> dict[str, str]:
    """A denial that is no verdict of the policy."""
    return {"rule": rule, "reason": reason, "remedy": remedy}


def _refused(rule: str, reason: str, remedy: str) -> Statement:
    return Statement(StatementClass.UNKNOWN, refusal=Refusal(rule, reason, remedy))


def _column(column: ColumnMask) -> dict[str, Any]:
    mask: str | dict[str, list[int]] = column.mask.value
    if column.mask is MaskKind.PARTIAL:
        mask = {"partial": [column.keep_first, column.keep_last]}
    return {"name": column.name, "mask": mask, "tags": list(column.tags)}
