"""An approval as the API shows it. Text is exact: whoever prints it makes it safe (F29)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from snowgate.model.approval import Approval
from snowgate.model.identity import Identified


def visible(approval: Approval, reader: Identified) -> bool:
    """Whether a person may see an approval: only those asked to decide, since text holds data."""
    return bool(set(reader.groups) & set(approval.held.approvers))


def view(approval: Approval) -> dict[str, Any]:
    """The JSON object of an approval."""
    held = approval.held
    return {
        "id": approval.id,
        "state": approval.state.value,
        "principal": held.principal.name,
        "identity": {
            "account": held.principal.account,
            "issuer": held.principal.issuer,
            "subject": held.principal.subject,
        },
        "triggered_by": list(held.principal.triggered_by),
        "sql": held.sql,
        "binds": held.binds,
        "parameters": held.parameters,
        "role": held.role,
        "database": held.database,
        "schema": held.schema,
        "query_id": held.query_id,
        "reference": held.reference,
        "rules": list(held.rules),
        "approvers": list(held.approvers),
        "quorum": held.quorum,
        "unmask": list(held.unmask),
        "requested_at": timestamp(approval.requested_at_s),
        "expires_at": timestamp(approval.expires_at_s),
        "statement_digest": held.statement_digest,
        "votes": [
            {
                "name": vote.name,
                "approve": vote.approve,
                "reason": vote.reason,
                "at": timestamp(vote.at_s),
            }
            for vote in approval.votes
        ],
    }


def timestamp(unix_s: float) -> str:
    """A Unix time as RFC 3339, UTC, to the millisecond."""
    text = datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
