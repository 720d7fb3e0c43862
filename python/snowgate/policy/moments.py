"""Hours and days of a rule, in UTC, and when they next begin or end.

UTC only: a local zone has days of 23 and 25 hours, and its rules change by decree. A verdict that
a time had a part in ends at the next boundary (F4), so that no cached one outlives it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

DAY_S = 86_400
MINUTE_S = 60
MINUTES = DAY_S // MINUTE_S
# 1 January 1970 was a Thursday; Monday is 0.
_FIRST_WEEKDAY = 3


@dataclass(frozen=True, slots=True, order=True)
class Hours:
    """A part of the day in minutes after midnight: `start` included, `end` not."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class When:
    """Times. An empty set asks nothing; of a set, one is enough; both must agree.

    Attributes:
        hours: Parts of each day.
        days: Days of the week, Monday is 0.
    """

    hours: frozenset[Hours] = frozenset()
    days: frozenset[int] = frozenset()

    @property
    def asks(self) -> bool:
        """Whether it asks anything."""
        return bool(self.hours or self.days)

    def misses(self, at_s: float | None, *, sure: bool) -> Iterator[str]:
        """The keys that a moment, Unix time, does not fit.

        Args:
            at_s: The moment; None if not told.
            sure: Whether a moment that is not told fits none of them, or could be any.
        """
        if at_s is None:
            if sure:
                yield from (
                    key for key, asked in (("days", self.days), ("hours", self.hours)) if asked
                )
            return
        day, second = divmod(at_s, DAY_S)
        if self.days and int(day + _FIRST_WEEKDAY) % 7 not in self.days:
            yield "days"
        minute = second / MINUTE_S
        if self.hours and not any(one.start <= minute < one.end for one in self.hours):
            yield "hours"

    def next_change_s(self, at_s: float) -> float:
        """The first moment after `at_s` at which `misses` may answer otherwise."""
        minutes = {minute % MINUTES for one in self.hours for minute in (one.start, one.end)}
        if self.days:
            minutes.add(0)
        midnight_s = at_s - at_s % DAY_S
        moments = (midnight_s + minute * MINUTE_S for minute in minutes)
        return min(moment if moment > at_s else moment + DAY_S for moment in moments)


ALWAYS = When()
