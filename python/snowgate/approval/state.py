"""The states of an approval and the only ways between them. Pure."""

from __future__ import annotations

import dataclasses

from snowgate.errors import ApprovalClosed
from snowgate.model.approval import Approval, ApprovalState, Vote

_NEXT = {
    ApprovalState.PENDING: frozenset(
        {
            ApprovalState.APPROVED,
            ApprovalState.DENIED,
            ApprovalState.EXPIRED,
            ApprovalState.CANCELLED,
            ApprovalState.ABANDONED,
        }
    ),
    ApprovalState.APPROVED: frozenset(
        {ApprovalState.CONSUMED, ApprovalState.EXPIRED, ApprovalState.ABANDONED}
    ),
}


def ended(approval: Approval) -> bool:
    """Whether nothing can change any more."""
    return approval.state not in _NEXT


def possible(approval: Approval, state: ApprovalState) -> bool:
    """Whether there is a way from its state to that one."""
    return state in _NEXT.get(approval.state, frozenset())


def move(approval: Approval, state: ApprovalState) -> Approval:
    """The approval in another state.

    Raises:
        ApprovalClosed: There is no way from its state to that one.
    """
    if not possible(approval, state):
        raise ApprovalClosed(f"approval is {approval.state.value} and cannot become {state.value}")
    return dataclasses.replace(approval, state=state)


def cast(approval: Approval, vote: Vote) -> Approval:
    """The approval with one more vote: a denial ends it, the quorum's last vote approves it.

    Whether the voter may vote is for `rules.objection`.

    Raises:
        ApprovalClosed: It is not pending.
    """
    if approval.state is not ApprovalState.PENDING:
        raise ApprovalClosed(f"approval is {approval.state.value}")
    voted = dataclasses.replace(approval, votes=(*approval.votes, vote))
    if not vote.approve:
        return move(voted, ApprovalState.DENIED)
    if len(voted.votes) >= approval.held.quorum:
        return move(voted, ApprovalState.APPROVED)
    return voted
