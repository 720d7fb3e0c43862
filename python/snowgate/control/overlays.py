"""Temporary objects of each session: nobody else sees them, and they end with it (F9).

    release ── begin ──► nothing is known of the name ── outcome ──► its columns, with their tags

Kept in memory only: after a restart no name of a temporary object means anything, so that what
reads one is denied until it is created anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from snowgate.model.statement import ObjectName
from snowgate.sql.catalog import NOTHING, Catalog, Table
from snowgate.sql.codec import Change, NamedTable, change_between

# A session with more has its further ones denied.
MAX_OBJECTS = 1000

_UNKNOWN = Table((), opaque=True)


@dataclass(frozen=True, slots=True)
class _Pending:
    """What a statement changes that was let run, and has no outcome yet."""

    session: str
    change: Change


class Overlays:
    """The temporary objects of all sessions. Used on the trio thread only."""

    def __init__(self) -> None:
        self._own: dict[str, Catalog] = {}
        self._pending: dict[str, _Pending] = {}

    def of(self, session: str) -> Change:
        """A session's own objects, as what makes them of nothing."""
        own = self._own.get(session, NOTHING)
        for pending in self._pending.values():
            if pending.session == session:
                own = _with_unknown(own, pending.change.names)
        return change_between(NOTHING, own)

    def names(self, session: str) -> frozenset[ObjectName]:
        """Names of a session's own objects."""
        return frozenset(self._own.get(session, NOTHING).tables)

    def begin(self, session: str, reference: str, change: Change) -> None:
        """A statement that creates, alters or drops objects of a session is about to be sent."""
        self._pending[reference] = _Pending(session, change)

    def drop(self, session: str, reference: str, names: frozenset[ObjectName]) -> None:
        """As `begin`, for a statement that drops these."""
        change = Change(tuple(NamedTable(name, None) for name in sorted(names)))
        self.begin(session, reference, change)

    def widen(self, session: str, change: Change) -> None:
        """A statement that adds tags to columns of these objects is about to be sent."""
        self._own[session] = change.onto(self._own.get(session, NOTHING))

    def ended(self, reference: str, *, succeeded: bool, settled: bool) -> bool:
        """The statement has its outcome.

        Args:
            reference: Of the statement.
            succeeded: Whether it did what it was to do.
            settled: Whether it is sure that it runs no more.

        Returns:
            Whether it was about temporary objects.
        """
        pending = self._pending.pop(reference, None)
        if pending is None:
            return False
        before = self._own.get(pending.session, NOTHING)
        if not settled:
            after = _with_unknown(before, pending.change.names)
        else:
            after = _changed(before, pending.change) if succeeded else before
        if len(after.tables) <= MAX_OBJECTS:
            self._own[pending.session] = after
        return True

    def forget(self, reference: str) -> None:
        """The statement was never sent."""
        self._pending.pop(reference, None)

    def close(self, session: str) -> None:
        """The session is over, and its objects with it."""
        self._own.pop(session, None)
        for reference, pending in [*self._pending.items()]:
            if pending.session == session:
                del self._pending[reference]


def _changed(own: Catalog, change: Change) -> Catalog:
    """A dropped view has a text no more."""
    gone: dict[ObjectName, str | None] = {
        each.name: None for each in change.tables if each.table is None
    }
    return change.onto(own).replacing({}, gone)


def _with_unknown(own: Catalog, names: frozenset[ObjectName]) -> Catalog:
    return own.replacing(dict.fromkeys(names, _UNKNOWN), dict.fromkeys(names))
