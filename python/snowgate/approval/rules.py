"""Who may vote, and whether the votes on an approval are worth its release (F15).

A vote belongs to a person, not to a login. Excluded are the requester, whoever triggered it, and
whoever has voted. Persons are compared without case and in compatibility form: reading two
spellings as one can only exclude more. Pure.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from snowgate.model.approval import Approval, Vote
from snowgate.model.identity import Identified, Principal


def objection(approval: Approval, voter: Identified) -> str | None:
    """Why somebody may not vote on an approval, or None."""
    principal = voter.principal
    if not principal.people or not principal.person:
        return "only people decide, and this issuer is not declared for people"
    if not set(voter.groups) & set(approval.held.approvers):
        return f"only members of {', '.join(approval.held.approvers)} decide on this"
    if _same_login(principal.issuer, principal.subject, approval.held.principal):
        return "nobody decides on a statement of their own"
    persons = _keys((principal.person, *principal.triggered_by))
    if persons & _excluded(approval.held.principal):
        return "nobody decides on a statement that they asked for or triggered"
    if persons & _keys(vote.person for vote in approval.votes):
        return "this person has voted already"
    return None


def unsound(approval: Approval) -> str | None:
    """Why the votes of an approved statement do not release it, or None.

    The same questions as in `objection`, put again at consumption: whatever put a vote into the
    store, it does not count if it could not have been cast.
    """
    held = approval.held
    if held.quorum < 1 or len(approval.votes) < held.quorum:
        return "it has fewer votes than its quorum"
    if len(_keys(vote.person for vote in approval.votes)) != len(approval.votes):
        return "one person has two votes"
    if not all(_counts(vote, approval) for vote in approval.votes):
        return "a vote does not count"
    return None


def _counts(vote: Vote, approval: Approval) -> bool:
    held = approval.held
    return (
        vote.approve
        and bool(vote.person)
        and bool(set(vote.groups) & set(held.approvers))
        and not _same_login(vote.issuer, vote.subject, held.principal)
        and not _keys((vote.person,)) & _excluded(held.principal)
        and vote.at_s < approval.expires_at_s
    )


def _same_login(issuer: str, subject: str, requester: Principal) -> bool:
    return (issuer, subject) == (requester.issuer, requester.subject)


def _excluded(requester: Principal) -> set[str]:
    return _keys((requester.person, *requester.triggered_by))


def _keys(persons: Iterable[str]) -> set[str]:
    """Comparable forms; an empty person is nobody, and equals nobody."""
    return {unicodedata.normalize("NFKC", person).casefold() for person in persons if person}
