"""What a waiter is told when it asks for its statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from snowgate.model.approval import Approval, ApprovalState


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not decided yet: poll again."""

    approval: Approval


@dataclass(frozen=True, slots=True)
class Released:
    """Run it now. Given once."""

    approval: Approval


@dataclass(frozen=True, slots=True)
class Ended:
    """It will not run.

    Attributes:
        approval: In its last state.
        message: For the client, with the remedy.
    """

    # Snowflake's codes for access control and for a cancelled statement (protocol note, 5).
    _DENIED: ClassVar[tuple[str, str]] = ("003001", "42501")
    _CANCELLED: ClassVar[tuple[str, str]] = ("000604", "57014")

    approval: Approval
    message: str

    @property
    def state(self) -> ApprovalState:
        """The last state."""
        return self.approval.state

    @property
    def code(self) -> str:
        """Snowflake's code."""
        return self._codes()[0]

    @property
    def sqlstate(self) -> str:
        """The five characters the driver sees."""
        return self._codes()[1]

    def _codes(self) -> tuple[str, str]:
        return self._DENIED if self.state is ApprovalState.DENIED else self._CANCELLED


def ended(approval: Approval, why: str = "") -> Ended:
    """What the waiter of an ended approval is told.

    Args:
        approval: In a final state.
        why: What ended it, where the state does not say.
    """
    held = approval.held
    reference = f"; reference {held.reference}; what to do: "
    match approval.state:
        case ApprovalState.DENIED:
            text = (
                f"denied by rule {', '.join(held.rules)}: approval {approval.id} was denied"
                f"{_by(approval)}{reference}talk to the approver before you run it again"
            )
        case ApprovalState.EXPIRED:
            text = (
                f"approval {approval.id} expired after {held.expires_s:g} s{reference}"
                f"ask a member of {', '.join(held.approvers)}, then run it again"
            )
        case ApprovalState.CONSUMED:
            text = (
                f"approval {approval.id} was used already{reference}"
                "look the reference up in the ledger before you run it again"
            )
        case _:
            cause = f": {why}" if why else ""
            text = (
                f"approval {approval.id} was {approval.state.value}{cause}{reference}run it again"
            )
    return Ended(approval, text)


def _by(approval: Approval) -> str:
    against = [vote for vote in approval.votes if not vote.approve]
    if not against:  # known from the ledger alone
        return ""
    said = f", saying: {_line(against[-1].reason)}" if against[-1].reason else ""
    return f" by {_line(against[-1].name)}{said}"


def _line(text: str) -> str:
    """What a person wrote, on one line and without control characters (F29)."""
    return "".join(c if c.isprintable() else "�" for c in text)
