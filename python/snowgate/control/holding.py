"""Answers what becomes of held statements: held, released once, or ended.

A release is judged again first (F13, F14): the policy and the catalog may have changed since the
request. Approval never widens anything: what it releases is masked by the verdict of now. A rule
that unmasks makes the one exception, for the tags that were approved and that it still unmasks, of
a query whose objects are what they were.
"""

from __future__ import annotations

from typing import Any

from snowgate.approval.desk import ApprovalDesk
from snowgate.approval.outcome import Ended, Released, Waiting, ended
from snowgate.control.approved import Approved
from snowgate.control.judging import Judge, denial
from snowgate.control.question import namespace_of, principal_of
from snowgate.errors import ApprovalError, HoldRefused
from snowgate.model.approval import Approval, ApprovalState, HeldStatement
from snowgate.model.verdict import Decision

# Snowflake's codes of a cancelled statement and of one that is not allowed (protocol note, 5).
CANCELLED = ("000604", "57014")
NOT_ALLOWED = ("003001", "42501")


class Holding:
    """Answers `hold`, `consume`, `held` and `cancel_hold`."""

    def __init__(self, desk: ApprovalDesk, judge: Judge) -> None:
        self._desk = desk
        self._judge = judge

    async def hold(self, question: dict[str, Any]) -> dict[str, Any]:
        """Hold a statement on the terms of its verdict."""
        session, terms = question["session"], question["verdict"]["hold"]
        held = HeldStatement(
            session=str(session["id"]),
            query_id=str(question["query_id"]),
            principal=principal_of(session["principal"]),
            groups=tuple(str(group) for group in session["groups"]),
            role=str(session["role"]),
            database=str(question["database"]),
            schema=str(question["schema"]),
            sql=str(question["sql"]),
            binds=str(question["binds"] or ""),
            parameters=str(question["parameters"] or ""),
            context_digest=str(question["context_digest"]),
            statement_digest=str(question["statement_digest"]),
            reference=str(question["reference"]),
            rules=tuple(str(rule) for rule in question["verdict"]["rules"]),
            approvers=tuple(str(group) for group in terms["approvers"]),
            quorum=int(terms["quorum"]),
            expires_s=float(terms["expires_s"]),
            unmask=tuple(str(tag) for tag in terms.get("unmask") or ()),
            definitions=str(terms.get("definitions") or ""),
        )
        try:
            approval = await self._desk.request(held)
        except HoldRefused as refused:
            return {"deny": denial(refused.rule, str(refused), refused.remedy)}
        except ApprovalError as error:
            return {"deny": denial("hold", str(error), "run the statement again")}
        return {"approval": _approval_fields(approval)}

    async def consume(self, question: dict[str, Any]) -> dict[str, Any]:
        """Release an approved statement, once, if it may still run."""
        query_id = str(question["query_id"])
        self._desk.seen(query_id)
        approval = await self._desk.find(query_id)
        if approval is None:
            return _end("abandoned", *CANCELLED, "no statement is held under this query id")
        if approval.state is ApprovalState.PENDING:
            return {"wait": True}
        if approval.state is not ApprovalState.APPROVED:
            return _over(ended(approval))
        reference = str(question["reference"])
        approved = Approved.by(approval)
        judged = await self._judge.now(
            question["session"],
            namespace_of(question),
            approval.held.sql,
            reference,
            approved=approved,
        )
        if judged.passing:
            return {"wait": True}
        if judged.verdict.decision is Decision.DENY:
            await self._desk.abandon(query_id, "the verdict is now a denial")
            return _end("abandoned", *NOT_ALLOWED, judged.message(reference))
        outcome = await self._desk.consume(
            query_id, str(question["statement_digest"]), str(question["context_digest"])
        )
        if isinstance(outcome, Waiting):
            return {"wait": True}
        if isinstance(outcome, Released):
            released = await self._judge.release_approved(judged, reference, approved)
            return {"go": released.fields()}
        return _over(outcome)

    async def held(self, question: dict[str, Any]) -> dict[str, Any]:
        """Give a held statement back to a gate that was restarted."""
        approval = await self._desk.find(str(question["query_id"]))
        session = question["session"]
        if approval is None or approval.held.session != str(session["id"]):
            return {"none": True}
        if principal_of(session["principal"]).key != approval.held.principal.key:
            return {"none": True}
        held = approval.held
        # A rule or a budget held it: of the names, only those of budgets are taken for one.
        judged = await self._judge.look(session, namespace_of(question), held.sql, over=held.rules)
        return {
            "held": {
                "approval": approval.id,
                "sql": held.sql,
                "binds": held.binds,
                "parameters": held.parameters,
                "context_digest": held.context_digest,
                "statement_digest": held.statement_digest,
                "database": held.database,
                "schema": held.schema,
                "verdict": judged.fields(),
                "expires_at_s": approval.expires_at_s,
            }
        }

    async def cancel(self, question: dict[str, Any]) -> None:
        """End a held statement whose requester is gone."""
        await self._desk.cancel(str(question["query_id"]), str(question["why"]))


def _approval_fields(approval: Approval) -> dict[str, Any]:
    return {
        "id": approval.id,
        "expires_at_s": approval.expires_at_s,
        "state": approval.state.value,
    }


def _over(outcome: Ended) -> dict[str, Any]:
    return _end(outcome.state.value, outcome.code, outcome.sqlstate, outcome.message)


def _end(state: str, code: str, sqlstate: str, message: str) -> dict[str, Any]:
    return {"end": {"state": state, "code": code, "sqlstate": sqlstate, "message": message}}
