"""What became of tagged columns behind the gateway's back, as far as two catalogs show (F16).

A pattern of the configuration finds a column by its name, so a rename that did not pass the gateway
takes the tag away. What came in the place of a tagged column keeps its tags:

    a table that is gone, and a new one with the same columns           it was renamed
    a column that is gone, and a new one in its place, of its type      it was renamed

No state but what each pattern matched last.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import trio

from snowgate.model.statement import ObjectName
from snowgate.policy.rules import Policy, TagPattern
from snowgate.sql.catalog import Catalog, CatalogColumn, Table

# About a millisecond's work.
TABLES_AT_ONCE = 100

# The columns that a pattern matches.
Matches = Mapping[TagPattern, frozenset[tuple[ObjectName, str]]]


async def tagged(catalog: Catalog, policy: Policy) -> tuple[Catalog, Matches]:
    """A catalog as read with the tags of the policy's patterns, and what each of them matches.

    A large account has a million pairs of column and pattern, so others go on in between.
    Cancel-safe: nothing is kept.
    """
    matches: dict[TagPattern, set[tuple[ObjectName, str]]] = {one: set() for one in policy.tags}
    tables: dict[ObjectName, Table | None] = {}
    for at, (name, table) in enumerate(catalog.tables.items()):
        if at % TABLES_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
        place = (name.database, name.schema, name.name)
        near = [one for one in policy.tags if one.columns.matches(place)]
        if not near:
            continue
        columns = []
        for column in table.columns:
            found = [one for one in near if one.columns.parts[3].matches(column.name)]
            for one in found:
                matches[one].add((name, column.name))
            tags = column.tags | {one.tag for one in found}
            columns.append(replace(column, tags=tags) if found else column)
        tables[name] = replace(table, columns=tuple(columns))
    marked = catalog.replacing(tables).with_registry(policy.registry)
    return marked, {one: frozenset(places) for one, places in matches.items()}


@dataclass(frozen=True, slots=True)
class Lost:
    """A pattern that matched columns and matches none any more."""

    pattern: TagPattern
    places: frozenset[tuple[ObjectName, str]]

    def labels(self) -> dict[ObjectName, Table]:
        """Its last match, as labels."""
        tables: dict[ObjectName, list[CatalogColumn]] = {}
        for name, column in sorted(self.places):
            tables.setdefault(name, []).append(
                CatalogColumn(column, tags=frozenset({self.pattern.tag}))
            )
        return {name: Table(tuple(columns)) for name, columns in tables.items()}


class PatternWatch:
    """Remembers what each pattern matched last."""

    def __init__(self) -> None:
        self._last: dict[TagPattern, frozenset[tuple[ObjectName, str]]] = {}
        self._lost: set[TagPattern] = set()

    def look(self, matches: Matches) -> list[Lost]:
        """Take in what the patterns match now.

        Returns:
            Those that have stopped matching and were not `told` yet.
        """
        lost: list[Lost] = []
        for pattern, places in matches.items():
            if places:
                self._last[pattern] = places
                self._lost.discard(pattern)
            elif pattern in self._last and pattern not in self._lost:
                lost.append(Lost(pattern, self._last[pattern]))
        return lost

    def told(self, lost: Lost) -> None:
        """Say nothing more of a pattern until it matches again."""
        self._lost.add(lost.pattern)


def moved_outside(
    before: Catalog, now: Catalog, ours: Collection[ObjectName]
) -> dict[ObjectName, Table]:
    """Tags of tables and columns that seem to have been renamed, under their new names.

    Args:
        before: As it was in force.
        now: As it was read.
        ours: Objects that statements through the gateway change: their tags were moved already.
    """
    gone: dict[tuple[str, ...], Table] = {
        _names(table): table
        for name, table in before.tables.items()
        if name not in now.tables
        and name not in ours
        and any(column.labelled for column in table.columns)
    }
    moved: dict[ObjectName, Table] = {}
    for name, table in now.tables.items():
        if name in ours:
            continue
        known = before.tables.get(name)
        if known is None:
            known = gone.get(_names(table))
            if known is not None:
                moved[name] = known
        elif _names(known) != _names(table):
            columns = _renamed(known, table)
            if columns:
                moved[name] = Table(columns)
    return moved


def _renamed(before: Table, now: Table) -> tuple[CatalogColumn, ...]:
    """The labels of tagged columns under the names that stand in their places now."""
    if len(before.columns) != len(now.columns):
        return ()
    old, new = set(_names(before)), set(_names(now))
    pairs = zip(before.columns, now.columns, strict=True)
    return tuple(
        replace(was, name=column.name)
        for was, column in pairs
        if was.name not in new and column.name not in old and was.labelled
    )


def _names(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)
