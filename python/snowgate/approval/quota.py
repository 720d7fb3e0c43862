"""How many statements one principal may hold (F27). Pure: the caller says what time it is."""

from __future__ import annotations

from collections import deque

from snowgate.errors import HoldRefused
from snowgate.model.approval import HeldStatement

MAX_PENDING = 50
MAX_NEW_PER_MINUTE = 10
_MINUTE_S = 60.0

PrincipalKey = tuple[str, str, str]


class Quota:
    """Counts new approvals of each principal over the last minute.

    Args:
        max_pending: Open approvals of one principal.
        max_new_per_minute: New ones within any minute.
    """

    def __init__(
        self, max_pending: int = MAX_PENDING, max_new_per_minute: int = MAX_NEW_PER_MINUTE
    ) -> None:
        self._max_pending = max_pending
        self._max_new_per_minute = max_new_per_minute
        self._recent: dict[PrincipalKey, deque[float]] = {}

    def take(self, statement: HeldStatement, pending: int, now_s: float) -> None:
        """Count one more request, or refuse it before it costs anything.

        Args:
            statement: What is to be held.
            pending: Open approvals of its principal.
            now_s: Monotonic time.

        Raises:
            HoldRefused: Too many wait, too many came, or the terms cannot be met by anybody.
        """
        if not statement.approvers or statement.quorum < 1 or statement.expires_s <= 0:
            raise HoldRefused(
                "approval-terms",
                "the rule that holds this statement names no approvers, quorum or time",
                "mend the rule's `hold`",
            )
        if pending >= self._max_pending:
            raise HoldRefused(
                "approval-limit",
                f"{self._max_pending} statements of this principal wait for approval already",
                "have some decided, or cancel them",
            )
        self._forget(now_s)
        recent = self._recent.setdefault(statement.principal.key, deque())
        if len(recent) >= self._max_new_per_minute:
            raise HoldRefused(
                "approval-limit",
                f"this principal asked for {self._max_new_per_minute} approvals within a minute",
                "run it again in a minute",
            )
        recent.append(now_s)

    def _forget(self, now_s: float) -> None:
        for key, times in [*self._recent.items()]:
            while times and now_s - times[0] >= _MINUTE_S:
                times.popleft()
            if not times:
                del self._recent[key]
