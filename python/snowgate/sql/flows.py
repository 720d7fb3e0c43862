"""What goes on by itself: rows that come to a table after the statement that let them (F16).

    CREATE TASK t AS INSERT INTO stats SELECT note FROM inbox      stats is fed by inbox
    INSERT INTO inbox SELECT email FROM customers                  … and holds e-mails an hour later

A dynamic or interactive table, a materialized view, a stream, and what a task or an alert writes to
are fed. What feeds them may be clean when they are made. So once it gains a tag, nobody knows any
more what they hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace

from snowgate.model.statement import ObjectName
from snowgate.sql.catalog import Catalog, Table, untraceable

# Kinds of objects that show, or take over, rows of others as these change.
FED = frozenset({"DYNAMIC TABLE", "INTERACTIVE TABLE", "MATERIALIZED VIEW", "STREAM"})


def fed(catalog: Catalog, names: Iterable[ObjectName], sources: AbstractSet[ObjectName]) -> Catalog:
    """With these tables fed by those objects from now on."""
    changed: dict[ObjectName, Table | None] = {}
    for name in names:
        table = catalog.tables.get(name)
        if table is not None and sources - table.fed_by:
            changed[name] = replace(table, fed_by=table.fed_by | sources)
    return catalog.replacing(changed) if changed else catalog


def flowed(before: Catalog, after: Catalog) -> Catalog:
    """The catalog after a statement, where what a table gained has gone on to those it feeds.

    Args:
        before: As the statement found it.
        after: With what the statement itself does.
    """
    if after is before:
        return after
    waiting = {
        name: table for name, table in after.tables.items() if table.fed_by and not table.opaque
    }
    if not waiting:
        return after
    gained = {
        name
        for name, table in after.tables.items()
        if table is not before.tables.get(name) and gains(table, before.tables.get(name))
    }
    # What a view shows now is another thing altogether.
    gained |= {n for n, text in after.views.items() if before.views.get(n, text) != text}
    changed: dict[ObjectName, Table | None] = {}
    while gained:
        gained = {name for name, table in waiting.items() if table.fed_by & gained}
        for name in gained:
            changed[name] = replace(untraceable(waiting.pop(name)), opaque=True)
    return after.replacing(changed) if changed else after


def gains(table: Table, before: Table | None) -> bool:
    """Whether a column carries more than before."""
    known = {} if before is None else {column.name: column for column in before.columns}
    if table.opaque and not (before is not None and before.opaque):
        return True
    for column in table.columns:
        was = known.get(
            column.name, replace(column, tags=frozenset(), derived=False, unknown=False)
        )
        if (
            column.tags - was.tags
            or (column.derived and not was.derived)
            or (column.unknown and not was.unknown)
        ):
            return True
    return False
