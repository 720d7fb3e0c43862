"""A held statement and the votes on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from snowgate.model.identity import Principal


class ApprovalState(Enum):
    """Pending ends in exactly one other; approved ends in consumed, expired or abandoned."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    CONSUMED = "consumed"


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's decision. `person` is unique per approval (F15).

    Attributes:
        person: The human, across channels.
        name: Display name.
        approve: Whether the vote is for it; a vote against is final.
        reason: What the voter wrote.
        at_s: Unix time.
        issuer, subject: The voter's principal, beside the requester's account.
        groups: The voter's groups when voting.
        entry: Sequence number of the ledger entry of the vote; checked at consumption (F7).
    """

    person: str
    name: str
    approve: bool
    reason: str
    at_s: float
    issuer: str = ""
    subject: str = ""
    groups: tuple[str, ...] = ()
    entry: int = -1


@dataclass(frozen=True, slots=True)
class HeldStatement:
    """What is to be approved, exactly (F14).

    Attributes:
        session: Id of the client session.
        query_id: The gateway's query id, which the driver polls.
        principal: Who asked.
        groups: Groups at request time.
        role: Upstream role.
        database, schema: Namespace in which the text resolves.
        sql: Exact text.
        binds: Bind values as the driver sent them, JSON text; empty when none.
        parameters: Statement parameters that go upstream with it, JSON text; empty when none.
        context_digest: SHA-256, hex, over everything that changes what the text means; compared at
            consumption.
        statement_digest: SHA-256, hex, over text, binds, principal, role, namespace and context.
        reference: The gateway's reference id of the request.
        rules: Rules that held it.
        approvers: Groups that may decide.
        quorum: Distinct approving persons needed.
        expires_s: Seconds from request to expiry.
        unmask: Tags that it shows in clear once approved, sorted.
        definitions: SHA-256, hex, of the objects behind it, where it unmasks: another one at the
            release unmasks nothing.
    """

    session: str
    query_id: str
    principal: Principal
    groups: tuple[str, ...]
    role: str
    database: str
    schema: str
    sql: str
    binds: str
    parameters: str
    context_digest: str
    statement_digest: str
    reference: str
    rules: tuple[str, ...]
    approvers: tuple[str, ...]
    quorum: int
    expires_s: float
    unmask: tuple[str, ...] = ()
    definitions: str = ""


@dataclass(frozen=True, slots=True)
class Approval:
    """A held statement with its state. Immutable: a transition makes a new value."""

    id: str
    held: HeldStatement
    state: ApprovalState
    requested_at_s: float
    expires_at_s: float
    votes: tuple[Vote, ...] = field(default=())
