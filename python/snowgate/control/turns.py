"""Whose statement is analysed next: principals in turn, one statement each (F27).

    put ──► a line per principal ──► take: the next principal that has none under way ──► done

Pure: no clock and no task. A principal that floods fills its own line and nobody else's.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Line(Generic[T]):
    waiting: deque[T] = field(default_factory=deque)
    under_way: bool = False


class Turns(Generic[T]):
    """Items that wait, by principal.

    Args:
        most_waiting: Items of one principal that may wait, beside the one under way.
    """

    def __init__(self, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        self._lines: dict[str, _Line[T]] = {}
        # Invariant: those with something waiting and nothing under way, each once.
        self._next: deque[str] = deque()

    def put(self, principal: str, item: T) -> bool:
        """Add an item at the end of a principal's line; False if the line is full."""
        line = self._lines.setdefault(principal, _Line())
        # The one that a worker is about to take does not count as waiting.
        if len(line.waiting) >= self._most_waiting + (not line.under_way):
            return False
        line.waiting.append(item)
        if len(line.waiting) == 1 and not line.under_way:
            self._next.append(principal)
        return True

    def take(self) -> tuple[str, T] | None:
        """The next item, now under way, with its principal; None if nobody has a turn."""
        if not self._next:
            return None
        principal = self._next.popleft()
        line = self._lines[principal]
        line.under_way = True
        return principal, line.waiting.popleft()

    def done(self, principal: str) -> None:
        """A principal's item is no longer under way: it goes behind those who wait."""
        line = self._lines[principal]
        line.under_way = False
        if line.waiting:
            self._next.append(principal)
        else:
            del self._lines[principal]

    def withdraw(self, principal: str, item: T) -> bool:
        """Take an item out of its line; False if it does not wait any more."""
        line = self._lines.get(principal)
        if line is None or item not in line.waiting:
            return False
        line.waiting.remove(item)
        if not line.waiting and not line.under_way:
            self._next.remove(principal)
            del self._lines[principal]
        return True
