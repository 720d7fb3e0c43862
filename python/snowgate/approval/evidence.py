"""What the ledger says about approvals that are still open (F7).

The store can be put back to an older state as a whole; the ledger cannot. So a vote counts only if
its entry is here with the same content, and what the ledger has seen end is ended, whatever the
store says. Filled while running by the desk's own entries, at start by `ApprovalDesk.witness`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from snowgate.model.approval import Approval, ApprovalState, HeldStatement, Vote

_ENDS = {
    state.value: state
    for state in ApprovalState
    if state not in (ApprovalState.PENDING, ApprovalState.APPROVED)
}


@dataclass(slots=True)
class Evidence:
    """The ledger's entries on one approval.

    Attributes:
        votes: Content of each accepted vote, by sequence number.
        end: The first final state recorded, or None.
    """

    votes: dict[int, dict[str, object]] = field(default_factory=dict)
    end: ApprovalState | None = None

    def add(self, seq: int, fields: Mapping[str, object]) -> None:
        """Take in one entry of kind `approval`."""
        event = fields.get("event")
        if event == "vote" and fields.get("accepted") is True:
            self.votes[seq] = {name: fields[name] for name in _VOTE if name in fields}
        elif isinstance(event, str) and self.end is None:
            self.end = _ENDS.get(event)

    def covers(self, approval: Approval) -> bool:
        """Whether each vote on an approval is in the ledger, as it is in the store."""
        return all(
            self.votes.get(vote.entry) == vote_fields(approval, vote) for vote in approval.votes
        )


_VOTE = (
    "approval",
    "statement_digest",
    "context_digest",
    "unmask",
    "definitions",
    "person",
    "voter",
    "groups",
    "approve",
    "reason",
    "at_ms",
)


def vote_fields(approval: Approval, vote: Vote) -> dict[str, object]:
    """What the ledger entry of a vote says, as JSON."""
    return {
        "approval": approval.id,
        "statement_digest": approval.held.statement_digest,
        "context_digest": approval.held.context_digest,
        **unmask_fields(approval.held),
        "person": vote.person,
        "voter": {"issuer": vote.issuer, "subject": vote.subject, "name": vote.name},
        "groups": list(vote.groups),
        "approve": vote.approve,
        "reason": vote.reason,
        # A whole number: a float may come back from another language with another last digit.
        "at_ms": round(vote.at_s * 1000),
    }


def unmask_fields(held: HeldStatement) -> dict[str, object]:
    """What an entry says of the tags that an approval shows; nothing where it shows none."""
    if not held.unmask:
        return {}
    return {"unmask": list(held.unmask), "definitions": held.definitions}
