"""Objects that end with their session: what only one session sees, over what all see (F9).

    shared catalog ─┬─► overlaid ──► one statement ──► split ─┬─► shared catalog
    session's own  ─┘                                         └─► session's own

A temporary object hides a permanent one of the same name. None is created under a name that is
taken; where the permanent one came later, each column may be any of either.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import TypeVar

from snowgate._core import StatementHead, lex
from snowgate.model.statement import Namespace, ObjectName
from snowgate.sql.catalog import Catalog, Table
from snowgate.sql.ddl import TABLES, VIEWS, places, said
from snowgate.sql.names import resolve
from snowgate.sql.state import Refused
from snowgate.sql.values import NO_TAGS

_T = TypeVar("_T")


def overlaid(shared: Catalog, own: Catalog) -> Catalog:
    """What a session sees: everything shared, and before it what is its own."""
    if not own.tables and not own.views:
        return shared
    tables: dict[ObjectName, Table | None] = {}
    views: dict[ObjectName, str | None] = {}
    for name, table in own.tables.items():
        hides = shared.knows(name)
        tables[name] = _either(table, shared.tables.get(name)) if hides else table
        if name in shared.views:
            tables[name] = Table(table.columns, opaque=True)
        views[name] = None if hides else own.views.get(name)
        if hides and name in own.views:
            tables[name] = Table(table.columns, opaque=True)
    return shared.replacing(tables, views)


def _either(table: Table, hidden: Table | None) -> Table:
    """A table whose name may mean another one as well."""
    if hidden is None:
        return table
    tags = NO_TAGS.union(*(column.tags for column in hidden.columns))
    unknown = hidden.opaque or any(column.unknown for column in hidden.columns)
    if not tags and not unknown:
        return table
    columns = (
        replace(c, tags=c.tags | tags, derived=True, unknown=c.unknown or unknown)
        for c in table.columns
    )
    return replace(table, columns=tuple(columns))


def check(head: StatementHead, namespace: Namespace, shared: Catalog, own: Catalog) -> None:
    """Check that a DDL statement leaves no doubt about which object a name means.

    Raises:
        Refused: It gives one name to a temporary and a permanent object, or alters a temporary one
            in a way that only reading it again would show.
    """
    if head.object_kind not in TABLES | VIEWS or not head.target:
        return
    name = resolve(head.target, namespace)
    if head.verb == "CREATE":
        if head.temporary and shared.knows(name) and not own.knows(name):
            raise Refused(
                "temporary-name",
                "creates a temporary object under the name of one that exists",
                "give it a name of its own",
            )
        if not head.temporary and own.knows(name):
            raise Refused(
                "temporary-name",
                "creates an object under the name of a temporary one of the session",
                "drop the temporary object first, or give it a name of its own",
            )
    elif head.verb == "ALTER":
        first = next((piece.upper() for kind, piece in lex(head.rest) if kind == "word"), "")
        if first != "ADD" and any(map(own.knows, places(head, namespace).writes)):
            raise Refused(
                "temporary-name",
                "renames, swaps or alters a temporary object",
                "create it anew, under the name and with the columns it should have",
            )


def split(
    head: StatementHead,
    namespace: Namespace,
    catalogs: tuple[Catalog, Catalog],
    before: Catalog,
    after: Catalog,
) -> tuple[Catalog, Catalog]:
    """What a statement leaves behind for all, and for its session.

    Args:
        head: The statement.
        namespace: Where its names resolve.
        catalogs: The shared one and the session's own, as they were.
        before: The overlaid catalog as it was.
        after: The overlaid catalog once the statement has run.
    """
    if after is before:
        return catalogs
    shared, own = catalogs
    mine = {*own.tables, *own.views}
    if head.verb == "CREATE" and head.temporary and head.target:
        name = resolve(head.target, namespace)
        if name in mine and said(head, "IF", "NOT", "EXISTS"):
            return catalogs
        mine.add(name)
    tables = _differing(before.tables, after.tables)
    views = _differing(before.views, after.views)
    changed = tables.keys() | views.keys()

    def with_(catalog: Catalog, names: AbstractSet[ObjectName]) -> Catalog:
        if not names:
            return catalog
        return catalog.replacing(
            {name: table for name, table in tables.items() if name in names},
            {name: text for name, text in views.items() if name in names},
        )

    return with_(shared, changed - mine), with_(own, changed & mine)


def _differing(
    before: Mapping[ObjectName, _T], after: Mapping[ObjectName, _T]
) -> dict[ObjectName, _T | None]:
    changed: dict[ObjectName, _T | None] = {
        name: value for name, value in after.items() if before.get(name) is not value
    }
    changed.update({name: None for name in before if name not in after})
    return changed
