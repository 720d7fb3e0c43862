"""Joins, and what a star shows of them.

USING and NATURAL are equalities (F1), and show each of their columns once: first, in the order
given, then the rest of the left side, then of the right.
Source: <https://docs.snowflake.com/en/sql-reference/constructs/join>
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from snowgate.sql.names import fold
from snowgate.sql.predicates import equate
from snowgate.sql.relations import Column, Relation, Scope, Source, rows_of
from snowgate.sql.state import Knob, unreadable
from snowgate.sql.values import UNKNOWN, Value, branches, derived

if TYPE_CHECKING:
    from snowgate.sql.walk import Walk

_JOIN_PARTS = {
    "this",
    "on",
    "side",
    "kind",
    "using",
    "method",
    "match_condition",
    "directed",
    "expressions",
}
_METHODS = {"", "NATURAL", "ASOF"}
_KINDS = {"", "INNER", "OUTER", "CROSS"}
_SIDES = {"", "LEFT", "RIGHT", "FULL"}


def join_all(walk: Walk, nodes: Iterable[exp.Expr], scope: Scope) -> None:
    """Join everything to the scope's sources, in order. Conditions see what is joined so far."""
    for node in nodes:
        _join(walk, node, scope)


def joined(
    walk: Walk, nodes: Sequence[exp.Expr], sources: list[Source], scope: Scope
) -> list[Source]:
    """`sources` with what is joined to them inside their own brackets."""
    if not nodes:
        return sources
    inner = Scope(parent=scope, sources=list(sources), merged=scope.merged)
    join_all(walk, nodes, inner)
    return inner.sources


def _join(walk: Walk, node: exp.Expr, scope: Scope) -> None:
    for part, value in node.args.items():
        if value and part not in _JOIN_PARTS:
            raise unreadable(f"`{part}` of a join")
    words = [str(node.args.get(part) or "").upper() for part in ("method", "kind", "side")]
    if words[0] not in _METHODS or words[1] not in _KINDS or words[2] not in _SIDES:
        raise unreadable(f"a `{' '.join(filter(None, words))}` join")
    left = list(scope.sources)
    right = walk.source(node.this, scope)
    scope.sources = left + right
    if words[0] == "NATURAL":
        _natural(walk, left, right, scope)
    using = node.args.get("using")
    if using:
        _equate(walk, [fold(name) for name in using], left, right, scope)
    condition = node.args.get("on")
    if condition is not None:
        rows = walk.filter(condition, scope)
        _decide(scope, rows)
    matched = node.args.get("match_condition")
    if matched is not None:
        value = walk.value(matched, scope)
        if value.touched:
            walk.state.violate(Knob.PREDICATE, "matches rows by a tagged column", value)


def _decide(scope: Scope, rows: frozenset[str]) -> None:
    """Note on the last source what decides the rows of the join."""
    if rows:
        last = scope.sources[-1]
        relation = replace(last.relation, rows=last.relation.rows | rows)
        scope.sources[-1] = replace(last, relation=relation)


def _natural(walk: Walk, left: list[Source], right: list[Source], scope: Scope) -> None:
    open_ends = [source for source in left + right if source.relation.open]
    for source in open_ends:
        if source.relation.rest.tainted:
            walk.state.violate(
                Knob.DICTIONARY,
                "joins naturally on columns that are not known",
                source.relation.rest,
            )
    theirs = {column.name for source in right for column in source.relation.columns}
    names = [
        column.name
        for source in left
        for column in source.relation.columns
        if column.name in theirs and column.name is not None and column.name not in source.hidden
    ]
    _equate(walk, list(dict.fromkeys(names)), left, right, scope)


def _equate(
    walk: Walk, names: list[str], left: list[Source], right: list[Source], scope: Scope
) -> None:
    for name in names:
        one = scope.merged.get(name) or _find(left, name)
        two = _find(right, name)
        walk.state.touch(one)
        walk.state.touch(two)
        equate(walk.state, one, two)
        # Invariant: the newest join's columns come first.
        scope.merged.pop(name, None)
    merged = {name: branches([_find(left, name), _find(right, name)]) for name in names}
    before = dict(scope.merged)
    scope.merged.clear()
    scope.merged.update({**merged, **before})
    hidden = frozenset(names)
    scope.sources = [
        replace(source, hidden=source.hidden | _has(source, hidden)) for source in scope.sources
    ]
    _decide(scope, frozenset().union(*(value.tags for value in merged.values())))


def _has(source: Source, names: frozenset[str]) -> frozenset[str]:
    return names & {column.name for column in source.relation.columns if column.name is not None}


def _find(sources: list[Source], name: str) -> Value:
    """A column of one side of a join; anything of the side if it is not there."""
    found = [source.relation.find(name) for source in sources]
    known = [value for value in found if value is not None]
    if known:
        return known[0] if len(known) == 1 else branches(known)
    return derived([*(source.relation.everything() for source in sources), UNKNOWN])


def star_of(scope: Scope) -> Relation:
    """What `SELECT *` shows of a scope's sources."""
    columns = [Column(name, value) for name, value in scope.merged.items()]
    is_open = False
    rest: list[Value] = []
    for source in scope.sources:
        columns += [c for c in source.relation.columns if c.name not in source.hidden]
        if source.relation.open:
            is_open = True
            rest.append(source.relation.rest)
    rows = rows_of(source.relation for source in scope.sources)
    return Relation(tuple(columns), is_open, branches(rest), rows)
