"""Names in FROM: CTEs, catalog tables, views through their text, and what nobody knows."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from snowgate.model.statement import Namespace, ObjectName
from snowgate.sql import sizes
from snowgate.sql.catalog import CatalogColumn, Table
from snowgate.sql.metadata import METADATA_SCHEMA, is_account_metadata, metadata_table
from snowgate.sql.names import resolve
from snowgate.sql.parser import parse_view
from snowgate.sql.relations import NOWHERE, Column, Relation, Scope
from snowgate.sql.state import Refused
from snowgate.sql.values import (
    COLUMN_CHARS,
    NO_TAGS,
    Family,
    Shape,
    Value,
    clean,
    derived,
)

if TYPE_CHECKING:
    from snowgate.sql.walk import Walk

# Views on views on views: beyond this depth nothing is known.
MAX_VIEW_DEPTH = 24
# One row without columns, unless somebody has made a table of that name.
_DUAL = "DUAL"


def lookup(walk: Walk, parts: list[str], scope: Scope) -> Relation:
    """What a name in FROM means: the innermost CTE, else an object of the catalog."""
    if len(parts) == 1:
        cte = scope.cte(parts[0])
        if cte is not None:
            return cte
        if parts == [_DUAL] and not walk.state.catalog.knows(resolve(parts, walk.state.namespace)):
            return NOWHERE
    return catalogued(walk, resolve(parts, walk.state.namespace))


def catalogued(walk: Walk, name: ObjectName) -> Relation:
    """A table or view by its full name. What is not known could hold anything."""
    state = walk.state
    state.bases.add(name)
    if not state.views:
        state.reads.add(name)
    if name.schema == METADATA_SCHEMA:
        table = metadata_table(name.name, state.catalog.tables.get(name))
        if table is not None:
            return relation_of(table, name)
    if is_account_metadata(name):
        state.metadata = True
    table = state.catalog.tables.get(name)
    text = state.catalog.views.get(name)
    if text is not None:
        return _view(walk, name, text, table)
    if table is None or (table.opaque and not table.columns):
        state.unknown.add(name)
        return NOWHERE
    return relation_of(table, name)


# Statements are about the same few tables. More would cost the collector time after each answer.
@lru_cache(maxsize=32)
def relation_of(table: Table, name: ObjectName) -> Relation:
    """A table's columns as values."""
    opaque = table.opaque
    return Relation(
        tuple([Column(column.name, _value_of(column, opaque, name)) for column in table.columns])
    )


def _value_of(column: CatalogColumn, opaque: bool, table: ObjectName | None = None) -> Value:
    """What is known of a column; without its table, not which one it is."""
    family, unknown = column.family, opaque or column.unknown
    if not column.tags and not unknown:
        return clean(family)
    shape = Shape.DERIVED if unknown or column.derived else Shape.RAW
    origin = "" if table is None else f"{table}.{column.name}"
    size = sizes.of_type(column.type) if family is Family.TEXT else None
    chars = COLUMN_CHARS if size is None else min(size, COLUMN_CHARS)
    return Value(column.tags, shape, unknown, NO_TAGS, family, origin, chars=chars)


def _view(walk: Walk, name: ObjectName, text: str, listed: Table | None) -> Relation:
    """A view is what its text says where it lives; tags put on its columns count as well."""
    state = walk.state
    if name in state.resolved:
        return state.resolved[name]
    if name in state.views or len(state.views) >= MAX_VIEW_DEPTH:
        state.unknown.add(name)
        return NOWHERE
    outer = state.namespace
    state.views.append(name)
    state.namespace = Namespace(name.database, name.schema)
    try:
        query, names = parse_view(text)
        relation = walk.query(query, None).renamed(names)
    except Refused:
        # A view that cannot be read is a view whose columns are not known.
        relation = NOWHERE
    finally:
        state.namespace = outer
        state.views.pop()
    if listed is not None:
        relation = _aligned(relation, listed)
    state.resolved[name] = relation
    return relation


def _aligned(relation: Relation, listed: Table) -> Relation:
    """A view's columns as the catalog lists them, with what its text says of each."""
    if relation.open or len(relation.columns) != len(listed.columns):
        # Altered since the text or the list was read: each column could be any.
        rest = derived([relation.everything(), *(_value_of(c, True) for c in listed.columns)])
        return Relation(tuple(Column(column.name, rest) for column in listed.columns))
    columns = []
    for known, column in zip(relation.columns, listed.columns, strict=True):
        value = known.value
        own = _value_of(column, False)
        if own.tags - value.tags:
            shape = value.shape if value.tainted else own.shape
            value = Value(value.tags | own.tags, shape, value.unknown, value.grouping, value.family)
        columns.append(Column(column.name, value))
    return Relation(tuple(columns), rows=relation.rows, single=relation.single)
