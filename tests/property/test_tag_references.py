"""Whatever is done upstream, and however often the gateway starts: no tag is ever lost (F16)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from snowgate.control.references import TagReferences
from snowgate.model.statement import ObjectName
from snowgate.policy.rules import Policy, SnowflakeTag, compile_policy
from snowgate.sql.catalog import Catalog, CatalogColumn, Table
from snowgate.sql.tag_reader import read_assigned, read_effective

SOURCE, OTHER = ObjectName("G", "TAGS", "PII"), ObjectName("G", "TAGS", "COST")
TABLES = [ObjectName("CRM", schema, name) for schema in ("A", "B") for name in ("T", "U")]
COLUMNS = ("ID", "EMAIL")
VALUES = ("high", "low", "")
POLICY = compile_policy((), (), (SnowflakeTag("pii", SOURCE, ("high",)),))

Path = tuple[str, ...]
Tags = Mapping[Path, Mapping[ObjectName, str]]

columns = [(*(one.database, one.schema, one.name), column) for one in TABLES for column in COLUMNS]
paths = sorted({path[:depth] for path in columns for depth in (1, 2, 3, 4)})
tags = st.dictionaries(
    st.sampled_from(paths),
    st.dictionaries(st.sampled_from([SOURCE, OTHER]), st.sampled_from(VALUES), max_size=2),
    max_size=5,
)
present = st.sets(st.sampled_from(TABLES), min_size=1)


@dataclass
class Rows:
    """A store in memory."""

    rows: dict[tuple[str, str, str], dict[str, object]] = field(default_factory=dict)

    def put(self, name: tuple[str, str, str], body: dict[str, object]) -> None:
        self.rows[name] = {**body, "name": [*name]}

    def load_all(self) -> list[dict[str, object]]:
        return [*self.rows.values()]


def value_of(said: Tags, path: Path) -> str | None:
    """By the book: the nearest object that has the tag says its value."""
    for depth in (4, 3, 2, 1):
        if SOURCE in said.get(path[:depth], {}):
            return said[path[:depth]][SOURCE]
    return None


@dataclass
class Snowflake:
    """Says what is set, in the bulk view or object by object."""

    said: Tags
    bulk: bool

    async def query(self, sql: str, purpose: str) -> Sequence[Sequence[str | None]]:
        await trio.lowlevel.checkpoint()
        return self._assigned() if "ACCOUNT_USAGE" in sql else self._effective(sql)

    def _assigned(self) -> list[list[str | None]]:
        domains = ("DATABASE", "SCHEMA", "TABLE", "COLUMN")
        rows: list[list[str | None]] = []
        for path, tags in self.said.items():
            match path:
                case (database,):
                    place: list[str | None] = [None, None, database, None]
                case (database, schema):
                    place = [database, None, schema, None]
                case _:
                    place = [*path, *[None] * (4 - len(path))]
            for tag, value in tags.items():
                head = [tag.database, tag.schema, tag.name, value, domains[len(path) - 1]]
                rows.append([*head, *place])
        return rows if self.bulk else []

    def _effective(self, sql: str) -> list[list[str | None]]:
        asked = re.findall(r"\'\"(\w+)\"\.\"(\w+)\"\.\"(\w+)\"\'", sql)
        return [
            [str(number), column, SOURCE.database, SOURCE.schema, SOURCE.name, value]
            for number, parts in enumerate(asked)
            for column in COLUMNS
            if (value := value_of(self.said, (*parts, column))) is not None
        ]


async def read(rows: Rows, said: Tags, names: set[ObjectName], *, bulk: bool) -> set[Path]:
    """A gateway starts and reads once: the columns it tags."""
    table = Table(tuple(CatalogColumn(column) for column in COLUMNS))
    catalog = Catalog.of(dict.fromkeys(names, table))
    policy: Policy = POLICY
    found = await TagReferences(rows).onto(catalog, policy, Snowflake(said, bulk), frozenset())
    return {
        (name.database, name.schema, name.name, column.name)
        for name, table in found.catalog.tables.items()
        for column in table.columns
        if column.tags
    }


@given(tags)
def test_the_bulk_view_with_inheritance_says_what_single_objects_say(said: Tags) -> None:
    async def run() -> None:
        table = Table(tuple(CatalogColumn(column) for column in COLUMNS))
        catalog, snowflake = Catalog.of(dict.fromkeys(TABLES, table)), Snowflake(said, bulk=True)

        bulk = await read_assigned(snowflake, {SOURCE}, catalog)
        single = await read_effective(snowflake, {SOURCE}, TABLES)

        of_source = {
            (name, column): {value for tag, value in references if tag == SOURCE}
            for name, found in bulk.items()
            for column, references in found.items()
        }
        assert {place: values for place, values in of_source.items() if values} == {
            (name, column): {value for _, value in references}
            for name, found in single.references.items()
            for column, references in found.items()
        }

    trio.run(run)


@given(st.lists(st.tuples(tags, present, st.booleans()), min_size=1, max_size=5))
@settings(max_examples=150)
def test_a_column_is_tagged_exactly_if_it_ever_was_while_it_could_be_seen(
    steps: list[tuple[Tags, set[ObjectName], bool]],
) -> None:
    async def run() -> None:
        rows, ever = Rows(), set[Path]()
        for said, names, bulk in steps:
            shown = {path for path in columns if ObjectName(*path[:3]) in names}
            ever |= {path for path in shown if value_of(said, path) == "high"}

            assert await read(rows, said, names, bulk=bulk) == ever & shown

    trio.run(run)
