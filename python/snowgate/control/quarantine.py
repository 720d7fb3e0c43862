"""Objects whose definition is about to change, or has changed and was not read again (F8).

    release ── put ──► quarantined ── outcome ──► ended ── a reading that began later ──► lifted

    crash ── start ──► quarantined again ── UNSETTLED_S, a reading ──► lifted

Between the last byte of a DDL statement and the next reading of the catalog, nobody knows which of
two definitions a reader gets. Whatever touches a quarantined object meanwhile waits, or is denied;
only the statement that changes it is judged as if there were no quarantine.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import trio

from snowgate._core import SqlError, lex, string_value
from snowgate.errors import StoreError
from snowgate.model.statement import ObjectName
from snowgate.sql.catalog import Catalog

log = logging.getLogger(__name__)

# Snowflake ends a statement after two days unless told otherwise (STATEMENT_TIMEOUT_IN_SECONDS):
# what nobody has heard of by then has ended, or was never sent.
STATEMENT_LIMIT_S = 2 * 24 * 3600.0
# Whose outcome is unknown may still run. What only changes definitions takes seconds, and the tags
# of what copies rows were moved before.
UNSETTLED_S = 600.0

_NAME = re.compile(r'"((?:[^"]|"")+)"|([\w$]+)')


@dataclass(slots=True)
class _Entry:
    """What one statement changes.

    Attributes:
        names: Objects; one with empty parts is a schema or database with all it holds.
        ended: When its outcome came, by the marks; None before.
        limit_s: When any reading lifts it, by trio's clock.
    """

    names: frozenset[ObjectName]
    limit_s: float
    ended: int | None = None

    def ended_before(self, mark: int) -> bool:
        return self.ended is not None and self.ended < mark


class ChangeTable(Protocol):
    """What is needed of the store."""

    def put(self, reference: str, names: Sequence[tuple[str, str, str]]) -> None:
        """Write what a statement changes, durably."""

    def delete_all(self, references: Iterable[str]) -> None:
        """Forget statements, durably."""

    def load_all(self) -> list[dict[str, object]]:
        """All of them: `reference` and `names`."""


class Quarantine:
    """The objects in quarantine, by the reference of the statement that changes them.

    Args:
        table: Where they outlive a crash. What is in it now was under way when the gateway ended.

    Raises:
        StoreError: A stored row is not as it was written.
    """

    def __init__(self, table: ChangeTable) -> None:
        self._table = table
        self._kept = dict(map(_read, table.load_all()))
        self._entries = {
            reference: _Entry(names, trio.current_time() + UNSETTLED_S)
            for reference, names in self._kept.items()
        }
        if self._entries:
            log.warning("objects were being changed when the gateway ended: %s", self._listed())
        # Rows that nobody needs any more.
        self._over: set[str] = set()
        self._lock = trio.Lock()
        self._marks = itertools.count(1)
        self._lifted = trio.Event()

    async def keep(self, reference: str, names: frozenset[ObjectName]) -> None:
        """Write down what a statement is about to change, before it is `put`.

        Raises:
            StoreError: It could not be written: the statement must not be forwarded.
        """
        async with self._lock:
            known = self._kept.get(reference, frozenset())
            if not names <= known:
                both = [(one.database, one.schema, one.name) for one in sorted(names | known)]
                await trio.to_thread.run_sync(self._table.put, reference, both)
                self._kept[reference] = names | known
            self._over.discard(reference)

    async def forget(self) -> None:
        """Remove what was written of statements that are over.

        Raises:
            StoreError: It could not be removed; it is tried again the next time.
        """
        async with self._lock:
            over = self._over & self._kept.keys()
            if over:
                await trio.to_thread.run_sync(self._table.delete_all, [*over])
                self._over -= over
                for reference in over:
                    del self._kept[reference]

    def put(self, reference: str, names: frozenset[ObjectName]) -> bool:
        """Quarantine what a statement is about to change.

        Returns:
            Whether that is anything new: verdicts made before must then end.
        """
        known = self._entries.get(reference)
        limit_s = trio.current_time() + STATEMENT_LIMIT_S
        if known is None:
            self._entries[reference] = _Entry(names, limit_s)
            return bool(names)
        new = names - known.names
        self._entries[reference] = _Entry(known.names | names, limit_s)
        return bool(new)

    def ended(self, reference: str, *, settled: bool) -> bool:
        """The statement has its outcome, or will never be sent.

        Args:
            reference: Of the statement.
            settled: Whether it is sure that it runs no more.

        Returns:
            Whether its objects are in quarantine.
        """
        entry = self._entries.get(reference)
        if entry is None:
            if reference in self._kept:  # written down, and judged another way meanwhile
                self._over.add(reference)
            return False
        if settled:
            entry.ended = next(self._marks)
        else:
            entry.limit_s = min(entry.limit_s, trio.current_time() + UNSETTLED_S)
        return True

    def mark(self) -> int:
        """Note that a reading of the catalog begins."""
        return next(self._marks)

    def due(self, mark: int) -> frozenset[ObjectName]:
        """The objects of every statement that had ended before `mark`."""
        return frozenset().union(
            *(entry.names for entry in self._entries.values() if entry.ended_before(mark))
        )

    def read(self, mark: int, *, whole: bool = True) -> None:
        """What was read from `mark` on is in force: lift what had ended before.

        Args:
            mark: When the reading began.
            whole: Everything was read, not only what was `due`: that lifts as well what never had
                an outcome and is too old.
        """
        now_s = trio.current_time()
        for reference, entry in [*self._entries.items()]:
            late = whole and entry.ended is None and entry.limit_s <= now_s
            if late:
                log.warning("a change of the catalog never had an outcome", extra={"of": reference})
            if late or entry.ended_before(mark):
                del self._entries[reference]
                self._over.add(reference)
        self._lifted.set()
        self._lifted = trio.Event()

    def _listed(self) -> str:
        return ", ".join(sorted(map(str, self.names)))

    @property
    def names(self) -> frozenset[ObjectName]:
        """All objects in quarantine."""
        return frozenset().union(*(entry.names for entry in self._entries.values()))

    def blocks(self, reference: str, names: Collection[ObjectName]) -> bool:
        """Whether one of these objects is being changed by another statement."""
        wide = {place for name in names for place in (name, *_places(name))}
        return any(
            not wide.isdisjoint(entry.names)
            for owner, entry in self._entries.items()
            if owner != reference
        )

    async def wait(self, reference: str, names: Collection[ObjectName], limit_s: float) -> bool:
        """Wait until none of these objects is being changed. Cancel-safe.

        Returns:
            Whether that came within the limit.
        """
        with trio.move_on_after(limit_s):
            while self.blocks(reference, names):
                await self._lifted.wait()
            return True
        return False


def affected(names: Iterable[ObjectName], before: Catalog, after: Catalog) -> frozenset[ObjectName]:
    """What changes with these objects: what is in them, and the views that show any of it.

    A view depends on what its text mentions by its last name: a view too many waits for a moment, a
    view too few would show what nobody judged.
    """
    found = set(names)
    known = {*before.tables, *before.views, *after.tables, *after.views}
    found |= {name for name in known if not found.isdisjoint(_places(name))}
    texts = [*before.views.items(), *after.views.items()]
    while True:
        last = {name.name for name in found}
        new = {
            view
            for view, text in texts
            if view not in found and ((said := mentioned(text)) is None or said & last)
        }
        if not new:
            return frozenset(found)
        found |= new


def _read(body: Mapping[str, Any]) -> tuple[str, frozenset[ObjectName]]:
    try:
        names = (ObjectName(str(d), str(s), str(n)) for d, s, n in body["names"])
        return str(body["reference"]), frozenset(names)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError("a stored change has another form") from error


def _places(name: ObjectName) -> tuple[ObjectName, ObjectName]:
    """The schema and the database an object is in."""
    return ObjectName(name.database, name.schema, ""), ObjectName(name.database, "", "")


@lru_cache(maxsize=16_384)
def mentioned(text: str) -> frozenset[str] | None:
    """Every name a text could mean, as stored, also those in constants; None: it has no reading."""
    names: set[str] = set()
    try:
        for kind, piece in lex(text):
            if kind == "word":
                names.add(piece.upper())
            elif kind == "quoted":
                names.add(piece[1:-1].replace('""', '"'))
            elif kind in ("text", "dollar"):
                # IDENTIFIER('db.schema."T"'), TABLE('t')
                for quoted, bare in _NAME.findall(string_value(piece) or ""):
                    names.add(quoted.replace('""', '"') if quoted else bare.upper())
    except SqlError:
        return None
    return frozenset(names)
