"""Columns: by name, by position, all of them.

A name that finds nothing could be anything that is visible, never nothing: the catalog may be older
than the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from snowgate.sql import routines
from snowgate.sql.names import dynamic_name, fold, parse_name
from snowgate.sql.relations import Scope, Source
from snowgate.sql.state import Knob, unreadable
from snowgate.sql.values import Family, Value, clean, derived

if TYPE_CHECKING:
    from snowgate.sql.walk import Walk

# Columns of CONNECT BY; the first counts, the others mark.
_PSEUDO = frozenset({"LEVEL", "CONNECT_BY_ISLEAF", "CONNECT_BY_ISCYCLE"})


def column(walk: Walk, node: exp.Column, scope: Scope) -> Value:
    """A column by name, or by position, or all of one source."""
    inner, table = node.this, node.args.get("table")
    if isinstance(inner, exp.Star):
        sources = scope.sources if table is None else scope.source(fold(table))
        return _all_of(walk, sources, inner, scope)
    if isinstance(inner, exp.Parameter) and isinstance(inner.this, exp.Literal):
        return by_position(walk, inner.this, scope, None if table is None else fold(table))
    if not isinstance(inner, exp.Identifier):
        return walk.state.touch(scope.everything())
    name = fold(inner)
    if table is None:
        if name in _PSEUDO and any(around.pseudo for around in scope.chain()):
            return clean(Family.NUMBER)
        return walk.state.touch(scope.plain(name))
    prefix = fold(table)
    if name == "NEXTVAL" and not scope.source(prefix):
        walk.state.changes = True
        if walk.state.control.touched:
            walk.state.violate(
                Knob.ROWS, "advances a sequence on account of a tagged column", walk.state.control
            )
        return clean(Family.NUMBER)
    return walk.state.touch(scope.qualified(prefix, name))


def by_name(walk: Walk, text: str, scope: Scope) -> Value:
    """IDENTIFIER('…') of a constant in an expression: a column."""
    parts = parse_name(text)
    if len(parts) == 1:
        return walk.state.touch(scope.plain(parts[0]))
    if "" in parts:
        raise dynamic_name()
    return walk.state.touch(scope.qualified(parts[-2], parts[-1]))


def by_position(walk: Walk, position: exp.Literal, scope: Scope, table: str | None) -> Value:
    """`$n`: the column at that place of the only source, else anything."""
    sources = scope.sources if table is None else scope.source(table)
    if len(sources) == 1 and not sources[0].relation.open:
        columns = sources[0].relation.columns
        index = int(str(position.this)) - 1
        if 0 <= index < len(columns):
            return walk.state.touch(columns[index].value)
    return walk.state.touch(scope.everything())


def parameter(walk: Walk, node: exp.Identifier, scope: Scope) -> Value:
    """A bare identifier: the parameter of a lambda."""
    return walk.state.touch(scope.plain(fold(node)))


def star(walk: Walk, node: exp.Star, scope: Scope) -> Value:
    """A star inside an expression, `f(*)` or `{*}`: every column, but for those it leaves out."""
    return _all_of(walk, scope.sources, node, scope)


def _all_of(walk: Walk, sources: list[Source], node: exp.Star, scope: Scope) -> Value:
    if node.args.get("replace") or node.args.get("rename"):
        raise unreadable("a star with replacements inside an expression")
    left_out = {fold(item) for item in node.args.get("except_") or ()}
    values = [
        item.value
        for source in sources
        for item in source.relation.columns
        if item.name not in left_out
    ]
    values += [source.relation.rest for source in sources if source.relation.open]
    if not sources:
        values.append(scope.everything())
    return walk.state.touch(derived(values))


def path(walk: Walk, node: exp.Dot, scope: Scope) -> Value:
    """`a.b.c.f(x)`, and `a.b.c.d.e`: deeper than a column's full name, so any could be meant."""
    overloads = routines.called(walk.state, node)
    if overloads:
        return routines.call(walk, node, scope, overloads)
    if node.find(exp.Anonymous) is not None:
        raise unreadable("a call with a prefix")
    return walk.state.touch(scope.everything())
