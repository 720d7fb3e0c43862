"""What people agreed to show in clear, and whether they have met the terms of now (F12)."""

from __future__ import annotations

from dataclasses import dataclass

from snowgate.model.approval import Approval
from snowgate.model.verdict import Hold


@dataclass(frozen=True, slots=True)
class Approved:
    """What people agreed to show in clear, and on which terms they were asked.

    Attributes:
        unmask: Tags.
        definitions: Digest of the objects that the query stood on when it was asked for.
        approvers, quorum, expires_s: The terms.
    """

    unmask: frozenset[str] = frozenset()
    definitions: str = ""
    approvers: frozenset[str] = frozenset()
    quorum: int = 0
    expires_s: float = 0

    @classmethod
    def by(cls, approval: Approval) -> Approved:
        """What an approval, if it is given, agrees to."""
        held = approval.held
        return cls(
            frozenset(held.unmask),
            held.definitions,
            frozenset(held.approvers),
            held.quorum,
            held.expires_s,
        )

    def meets(self, hold: Hold) -> bool:
        """Whether whoever agreed to this has met these terms too."""
        return (
            self.approvers <= frozenset(hold.approvers)
            and self.quorum >= hold.quorum
            and self.expires_s <= hold.expires_s
        )


NOTHING_APPROVED = Approved()
