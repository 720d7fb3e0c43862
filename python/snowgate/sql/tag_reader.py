"""Reads which columns carry a tag of Snowflake, as a user and role of the gateway's own.

    ACCOUNT_USAGE.TAG_REFERENCES      all that is tagged, as it was set; up to two hours late
    TAG_REFERENCES_ALL_COLUMNS(…)     one table or view, at once, with what its columns inherit

A tag on a table, schema, database or the account reaches every column in it, but for the views of
INFORMATION_SCHEMA; the value nearest to the column counts. Classification sets tags like any other:
`SNOWFLAKE.CORE.PRIVACY_CATEGORY`.

Sources: <https://docs.snowflake.com/en/sql-reference/account-usage/tag_references>,
<https://docs.snowflake.com/en/sql-reference/functions/tag_references_all_columns>,
<https://docs.snowflake.com/en/user-guide/object-tagging/inheritance>
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from snowgate.errors import UpstreamError
from snowgate.model.ports import UpstreamReader
from snowgate.model.statement import ObjectName
from snowgate.sql.catalog import Catalog
from snowgate.sql.catalog_reader import PURPOSE, cells, constant, quoted
from snowgate.sql.metadata import METADATA_SCHEMA

# Snowflake plans a statement of that many branches in about a second.
LOOKED_AT_ONCE = 50

# A tag of Snowflake, and its value.
Reference = tuple[ObjectName, str]
References = Mapping[ObjectName, Mapping[str, frozenset[Reference]]]

_ASSIGNED = (
    "SELECT TAG_DATABASE, TAG_SCHEMA, TAG_NAME, TAG_VALUE, DOMAIN, OBJECT_DATABASE, OBJECT_SCHEMA,"
    " OBJECT_NAME, COLUMN_NAME FROM SNOWFLAKE.ACCOUNT_USAGE.TAG_REFERENCES"
    " WHERE OBJECT_DELETED IS NULL AND ({sources})"
)
_SOURCE = "(TAG_DATABASE = {} AND TAG_SCHEMA = {} AND TAG_NAME = {})"
_EFFECTIVE = (
    "SELECT '{number}', COLUMN_NAME, TAG_DATABASE, TAG_SCHEMA, TAG_NAME, TAG_VALUE"
    " FROM TABLE({db}.INFORMATION_SCHEMA.TAG_REFERENCES_ALL_COLUMNS({name}, 'TABLE'))"
)


async def read_assigned(
    reader: UpstreamReader, sources: Collection[ObjectName], catalog: Catalog
) -> References:
    """What all columns of a catalog carry, as far as Snowflake's bulk view knows by now.

    Cancel-safe: nothing is kept.

    Args:
        reader: Runs the gateway's own statements.
        sources: Snowflake's tags that are asked for, as stored.
        catalog: Tables and views, as read.

    Raises:
        UpstreamError: The view cannot be read: nobody knows what is tagged.
    """
    wanted = sorted(sources)
    names = (_SOURCE.format(*map(constant, (t.database, t.schema, t.name))) for t in wanted)
    try:
        rows = await reader.query(_ASSIGNED.format(sources=" OR ".join(names)), PURPOSE)
    except UpstreamError as error:
        raise UpstreamError(
            error.code,
            f"the view of Snowflake's tags cannot be read ({error.code}); what to do: grant the"
            " gateway's role the database role SNOWFLAKE.GOVERNANCE_VIEWER",
        ) from error
    places = _assigned(rows)
    found: dict[ObjectName, dict[str, frozenset[Reference]]] = {}
    for table, known in catalog.tables.items() if places else ():
        if table.schema == METADATA_SCHEMA:
            continue
        parts = (table.database, table.schema, table.name)
        inherited = _nearest([places.get(parts[:depth], {}) for depth in range(4)])
        for column in known.columns:
            own = _nearest([inherited, places.get((*parts, column.name), {})])
            if own:
                said = frozenset((tag, value) for tag, values in own.items() for value in values)
                found.setdefault(table, {})[column.name] = said
    return found


@dataclass(frozen=True, slots=True)
class Look:
    """What single objects carry, now.

    Attributes:
        references: What their columns carry, inherited tags included.
        unread: Objects that Snowflake did not answer for.
    """

    references: References
    unread: frozenset[ObjectName]


async def read_effective(
    reader: UpstreamReader,
    sources: Collection[ObjectName],
    objects: Sequence[ObjectName],
    apart: Collection[ObjectName] = (),
) -> Look:
    """What the columns of these tables and views carry now.

    One that has been dropped meanwhile, or is not shown to the gateway's role, fails its whole
    statement: such a statement is cut in halves until it is found. Cancel-safe: nothing is kept.

    Args:
        reader: Runs the gateway's own statements.
        sources: Snowflake's tags that are asked for, as stored.
        objects: Tables and views.
        apart: Those that were not shown the last time, which would fail the others again.

    Raises:
        UpstreamError: Snowflake does not answer, or for none of several objects.
    """
    found: dict[ObjectName, dict[str, frozenset[Reference]]] = {}
    unread: set[ObjectName] = set()
    together = [name for name in objects if name not in apart]
    batches = range(0, len(together), LOOKED_AT_ONCE)
    waiting = [together[at : at + LOOKED_AT_ONCE] for at in batches]
    waiting += [[name] for name in objects if name in apart]
    while waiting:
        batch = waiting.pop()
        try:
            rows = await reader.query(_effective(batch), PURPOSE)
        except UpstreamError as error:
            # A code is Snowflake's answer to this statement, a word is no answer at all.
            if not error.code.isdigit():
                raise
            half = len(batch) // 2
            if half:
                waiting += [batch[:half], batch[half:]]
                continue
            unread.update(batch)
            if 1 < len(objects) == len(unread):
                raise UpstreamError(
                    error.code, f"Snowflake shows the tags of no object ({error.code})"
                ) from error
            continue
        for number, column, *tag, value in (cells(row, 6) for row in rows):
            name, source = _numbered(batch, number), ObjectName(*tag)
            if source in sources:
                columns = found.setdefault(name, {})
                columns[column] = columns.get(column, frozenset()) | {(source, value)}
    return Look(found, frozenset(unread))


def _effective(objects: Sequence[ObjectName]) -> str:
    return " UNION ALL ".join(
        _EFFECTIVE.format(
            number=number,
            db=quoted(one.database),
            name=constant(".".join(map(quoted, (one.database, one.schema, one.name)))),
        )
        for number, one in enumerate(objects)
    )


def _numbered(objects: Sequence[ObjectName], number: str) -> ObjectName:
    if not number.isdigit() or int(number) >= len(objects):
        raise UpstreamError("catalog", "a row of tags has another form than asked for")
    return objects[int(number)]


# Values of each tag at one place.
_Values = dict[ObjectName, frozenset[str]]


def _assigned(rows: Sequence[Sequence[str | None]]) -> dict[tuple[str, ...], _Values]:
    """What was set where. A place is a path: none, database, schema, object or column."""
    places: dict[tuple[str, ...], _Values] = {}
    for *tag, value, domain, database, schema, name, column in (cells(row, 9) for row in rows):
        match domain.upper():
            case "ACCOUNT":
                place: tuple[str, ...] = ()
            case "DATABASE":
                place = (name or database,)
            case "SCHEMA":
                place = (database, name or schema)
            case "COLUMN":
                place = (database, schema, name, column)
            case _:
                place = (database, schema, name)
        values = places.setdefault(place, {})
        source = ObjectName(*tag)
        values[source] = values.get(source, frozenset()) | {value}
    return places


def _nearest(levels: Sequence[_Values]) -> _Values:
    """The values that count: a later level is nearer."""
    merged: _Values = {}
    for level in levels:
        merged.update(level)
    return merged
