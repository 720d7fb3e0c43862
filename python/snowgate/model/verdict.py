"""The answer to a statement: a decision and, independent of it, a mask plan (F12)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from snowgate.model.budget import NO_LIMIT, Budget, ResultLimit


class Decision(Enum):
    """What happens to a statement. The strictest matching rule wins: deny over hold over allow."""

    ALLOW = "allow"
    HOLD = "hold"
    DENY = "deny"

    @property
    def strictness(self) -> int:
        """Rank: a larger one wins."""
        return ("allow", "hold", "deny").index(self.value)


class MaskKind(Enum):
    """How a raw tagged column is shown; from `pass` (clear) to `void` ever stricter."""

    PASS = "pass"  # noqa: S105 - a mask, not a password
    PARTIAL = "partial"
    REDACT = "redact"
    NULL = "null"
    VOID = "void"

    @property
    def strictness(self) -> int:
        """Rank: a larger one wins where two rules mask one column (F12)."""
        return ("pass", "partial", "redact", "null", "void").index(self.value)


@dataclass(frozen=True, slots=True)
class ColumnMask:
    """The mask of one output column.

    Attributes:
        name: Predicted name; None where Snowflake makes one up. A name that disagrees voids the
            result.
        mask: What the reader sees.
        tags: Tags that reach the column, for the ledger.
        keep_first, keep_last: Characters that `partial` leaves at each end; 0 for other masks.
    """

    name: str | None
    mask: MaskKind
    tags: tuple[str, ...] = ()
    keep_first: int = 0
    keep_last: int = 0


@dataclass(frozen=True, slots=True)
class MaskPlan:
    """Masks in output order. A result with other columns than these is voided whole, and alarms."""

    columns: tuple[ColumnMask, ...]

    @property
    def clear(self) -> bool:
        """Whether nothing is masked."""
        return all(column.mask is MaskKind.PASS for column in self.columns)


@dataclass(frozen=True, slots=True)
class Hold:
    """The terms on which a held statement is released.

    Attributes:
        rule: The rule, or budget, that waits for the shortest time.
        approvers: Groups that may decide.
        quorum: How many people must.
        expires_s: How long it waits.
        unmask: Tags that it touches, hidden from the reader, that an approval shows in clear;
            sorted.
    """

    rule: str
    approvers: tuple[str, ...]
    quorum: int
    expires_s: float
    unmask: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer.

    Attributes:
        decision: Allow, hold or deny.
        rules: Names of the rules that decided it, sorted, masks included.
        reason: For the client; names no literal.
        remedy: What the client can do; empty when allowed.
        plan: Set when the statement returns rows whose columns are predicted. None for what
            returns none (DDL, the counts of DML, SHOW), and beside `void_all`. That of a hold shows
            nothing more than the reader may see without an approval.
        void_all: Every column of whatever comes back is voided (its columns could not be
            predicted).
        hide_errors: Upstream's error text may quote tagged values: only its code is passed on.
        hold: Terms, when the decision is hold.
        policy_digest: SHA-256, hex, of the policy in force.
        valid_until_s: Unix time at which the verdict ends, or None.
        cacheable: Whether the gate may reuse it for the same bytes and the same policy input.
        shadow: Names of rules that match and are not enforced, sorted: recorded only.
        limit: The largest result that is given.
        budgets: What it counts in, sorted by name.
        over: Budgets that the hold is for too, sorted: an approval lets the statement go over them.
    """

    decision: Decision
    rules: tuple[str, ...]
    reason: str = ""
    remedy: str = ""
    plan: MaskPlan | None = None
    void_all: bool = False
    hide_errors: bool = False
    hold: Hold | None = None
    policy_digest: str = ""
    valid_until_s: float | None = None
    cacheable: bool = False
    shadow: tuple[str, ...] = ()
    limit: ResultLimit = NO_LIMIT
    budgets: tuple[Budget, ...] = ()
    over: tuple[str, ...] = ()
