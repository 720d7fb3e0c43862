"""Takes Snowflake's tags over into the catalog, and keeps what it once saw of them (F16).

A tag that somebody takes away upstream stays here: only a change of the policy removes it, by
`except:`. What a column was seen to carry is therefore written down before the catalog that shows
it is in force; tag and value as Snowflake names them, so that another policy reads the same record.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from typing import Any

import trio

from snowgate.control.labels import ObjectTable
from snowgate.errors import StoreError
from snowgate.model.ports import UpstreamReader
from snowgate.model.statement import ObjectName
from snowgate.policy.rules import Policy, SnowflakeTag
from snowgate.sql.catalog import Catalog, Table, untraceable
from snowgate.sql.metadata import METADATA_SCHEMA
from snowgate.sql.tag_reader import Reference, References, read_assigned, read_effective

# Objects that each reading asks for one by one, beside those that have changed. An account with
# fewer has all its tags at once; in a larger one they come round, long before the bulk view.
LOOKED_IN_TURN = 100
# About a millisecond's work.
TABLES_AT_ONCE = 100

Columns = Mapping[str, frozenset[Reference]]
_NONE: frozenset[Reference] = frozenset()


@dataclass(frozen=True, slots=True)
class Taken:
    """A column that carries a tag only because it did so before.

    Attributes:
        table, column: The column.
        tags: The policy's tags that Snowflake would not give it any more.
    """

    table: ObjectName
    column: str
    tags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Tagged:
    """A catalog with Snowflake's tags.

    Attributes:
        catalog: As read, with the policy's tags for them.
        taken: What somebody took away upstream; each is told once.
        missing: Snowflake's tags that no column ever carried; told once, after the first reading.
    """

    catalog: Catalog
    taken: tuple[Taken, ...] = ()
    missing: tuple[ObjectName, ...] = ()


class TagReferences:
    """What columns were seen to carry.

    Args:
        table: Where it is kept.

    Raises:
        StoreError: A stored row is not as it was written.
    """

    def __init__(self, table: ObjectTable) -> None:
        self._table = table
        self._kept: dict[ObjectName, Columns] = dict(map(_read, table.load_all()))
        # The number of the reading that last asked for an object; 0 for one not asked for yet.
        self._asked: dict[ObjectName, int] = {}
        self._readings = 0
        self._unread: frozenset[ObjectName] = frozenset()
        self._told: dict[tuple[ObjectName, str], frozenset[str]] = {}

    async def onto(
        self,
        catalog: Catalog,
        policy: Policy,
        reader: UpstreamReader,
        changed: frozenset[ObjectName],
    ) -> Tagged:
        """Read Snowflake's tags onto a catalog as read.

        Args:
            catalog: Tables and views, as read.
            policy: Says which of Snowflake's tags count.
            reader: Runs the gateway's own statements.
            changed: Objects that statements have changed: the bulk view knows of it later.

        Raises:
            UpstreamError: The tags cannot be read: nobody knows what is tagged.
            StoreError: They could not be kept.
        """
        if not policy.snowflake:
            return Tagged(catalog)
        sources = frozenset(one.source for one in policy.snowflake)
        asked = self._due(catalog, changed)
        assigned = await read_assigned(reader, sources, catalog)
        look = await read_effective(reader, sources, asked, self._unread)
        await self._keep(assigned, look.references)
        missing = self._missing(sources) if not self._readings else ()
        self._readings += 1
        self._unread = (self._unread - {*asked}) | look.unread
        self._asked = {name: self._asked.get(name, 0) for name in catalog.tables}
        self._asked |= dict.fromkeys(asked, self._readings)
        tables: dict[ObjectName, Table | None] = {}
        taken: list[Taken] = []
        for at, (name, kept) in enumerate(self._kept.items()):
            if at % TABLES_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            table = catalog.tables.get(name)
            if table is not None:
                tables[name] = _tagged(name, table, kept, policy.snowflake)
        for name in asked:
            now = _both(assigned.get(name, {}), look.references.get(name, {}))
            if name not in look.unread:
                taken += self._taken(name, catalog.tables[name], now, policy.snowflake)
        for name in look.unread:
            tables[name] = untraceable(tables.get(name) or catalog.tables[name])
        # What the text of a view says is not all of it, if its own tags cannot be read.
        texts = dict.fromkeys(look.unread, None)
        return Tagged(catalog.replacing(tables, texts), tuple(taken), missing)

    def told(self, taken: Collection[Taken]) -> None:
        """Say nothing more of these, until Snowflake tags them again."""
        self._told |= {(one.table, one.column): one.tags for one in taken}

    def _due(self, catalog: Catalog, changed: frozenset[ObjectName]) -> list[ObjectName]:
        """Objects to ask for: what is new or changed, and those whose turn it is."""
        objects = [name for name in catalog.tables if name.schema != METADATA_SCHEMA]
        new = (name for name in objects if self._readings and name not in self._asked)
        first = dict.fromkeys((*new, *changed & {*objects}))
        others = (name for name in objects if name not in first)
        longest_ago = nsmallest(LOOKED_IN_TURN, others, key=lambda name: self._asked.get(name, 0))
        return [*first, *longest_ago]

    async def _keep(self, *read: References) -> None:
        """Write down what is new, durably.

        Raises:
            StoreError: It could not be written.
        """
        for references in read:
            for name, columns in references.items():
                known = self._kept.get(name, {})
                both = _both(known, columns)
                if both != known:
                    key = (name.database, name.schema, name.name)
                    await trio.to_thread.run_sync(self._table.put, key, _written(both))
                    self._kept[name] = both

    def _missing(self, sources: frozenset[ObjectName]) -> tuple[ObjectName, ...]:
        every = (reference for columns in self._kept.values() for reference in columns.values())
        found = {tag for references in every for tag, _ in references}
        return tuple(sorted(sources - found))

    def _taken(
        self, name: ObjectName, table: Table, now: Columns, policy: Sequence[SnowflakeTag]
    ) -> list[Taken]:
        kept = self._kept.get(name, {})
        taken = []
        for column in table.columns:
            before = _tags(name, column.name, kept.get(column.name, _NONE), policy)
            tags = before - _tags(name, column.name, now.get(column.name, _NONE), policy)
            if not tags:
                self._told.pop((name, column.name), None)
            elif self._told.get((name, column.name)) != tags:
                taken.append(Taken(name, column.name, tags))
        return taken


def _tagged(name: ObjectName, table: Table, kept: Columns, policy: Sequence[SnowflakeTag]) -> Table:
    columns = (
        replace(one, tags=one.tags | _tags(name, one.name, kept.get(one.name, _NONE), policy))
        for one in table.columns
    )
    return replace(table, columns=tuple(columns))


def _tags(
    name: ObjectName,
    column: str,
    references: frozenset[Reference],
    policy: Sequence[SnowflakeTag],
) -> frozenset[str]:
    """The policy's tags for what a column carries in Snowflake."""
    return frozenset(
        one.tag
        for source, value in references
        for one in policy
        if one.source == source and one.covers(name, column, value)
    )


def _both(left: Columns, right: Columns) -> Columns:
    names = {*left, *right}
    return {name: left.get(name, _NONE) | right.get(name, _NONE) for name in names}


def _written(columns: Columns) -> dict[str, object]:
    return {
        "columns": {
            name: sorted([tag.database, tag.schema, tag.name, value] for tag, value in references)
            for name, references in columns.items()
        }
    }


def _read(body: Mapping[str, Any]) -> tuple[ObjectName, Columns]:
    try:
        columns = {
            str(column): frozenset(
                (ObjectName(str(database), str(schema), str(name)), str(value))
                for database, schema, name, value in references
            )
            for column, references in body["columns"].items()
        }
        return ObjectName(*map(str, body["name"])), columns
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError("a stored reference of a tag has another form") from error
