"""Queries: CTEs, set operations, brackets; a SELECT itself is in `selects`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from snowgate.sql import predicates, selects, sources
from snowgate.sql.conversions import check_common
from snowgate.sql.names import fold, names_of, resolve
from snowgate.sql.relations import NOWHERE, Column, Relation, Scope
from snowgate.sql.state import Knob, unreadable
from snowgate.sql.values import ANY_CHARS, ANY_DIGITS, CLEAN, Shape, Value, branches, derived

if TYPE_CHECKING:
    from snowgate.sql.walk import Walk

# A recursive CTE grows its columns' tags until they stop; tags are few.
_MAX_ROUNDS = 8
_SET_OPERATIONS = (exp.Union, exp.Intersect, exp.Except)
_SET_PARTS = {"with_", "this", "expression", "distinct", "by_name", "order", "limit", "offset"}
_BRACKET_PARTS = {"with_", "this", "order", "limit", "offset"}
_VALUES_PARTS = {"with_", "expressions", "order", "limit", "offset"}
_WITH_PARTS = {"expressions", "recursive"}
_CTE_PARTS = {"this", "alias"}
_COMPARES = "compares, position by position, a tagged column with one that is not tagged the same;"


def query(walk: Walk, node: exp.Expr, parent: Scope | None) -> Relation:
    """The relation a query makes.

    Args:
        walk: The walk.
        node: A SELECT, set operation, VALUES, or one of them in brackets.
        parent: The scope around it, for correlation; None at the top.
    """
    scope = Scope(parent=parent)
    with_ = node.args.get("with_")
    if with_ is not None:
        _define(walk, with_, scope)
    match node:
        case exp.Select():
            return selects.select(walk, node, scope)
        case exp.Union() | exp.Intersect() | exp.Except():
            return _set_operation(walk, node, scope)
        case exp.Subquery():
            check_parts(node, _BRACKET_PARTS)
            return selects.modified(walk, node, walk.query(node.this, scope), scope)
        case exp.Values():
            check_parts(node, _VALUES_PARTS)
            return selects.modified(walk, node, sources.values(walk, node, scope), scope)
        case exp.Paren():
            return walk.query(node.this, scope)
    raise unreadable(f"`{type(node).__name__}` as a query")


def check_parts(node: exp.Expr, known: set[str]) -> None:
    """A part of a node that is not known is not understood."""
    for part, value in node.args.items():
        if value and part not in known:
            raise unreadable(f"`{part.strip('_')}` of a query")


def _define(walk: Walk, with_: exp.With, scope: Scope) -> None:
    check_parts(with_, _WITH_PARTS)
    for cte in with_.expressions:
        check_parts(cte, _CTE_PARTS)
        alias = cte.args["alias"]
        name, names = fold(alias.this), names_of(alias)
        if _is_recursive(cte.this, name):
            scope.ctes[name] = _recursive(walk, cte.this, name, names, scope)
        else:
            scope.ctes[name] = walk.query(cte.this, scope).renamed(names)


def _is_recursive(body: exp.Expr, name: str) -> bool:
    return isinstance(body, _SET_OPERATIONS) and any(
        isinstance(table.this, exp.Identifier)
        and not table.args.get("db")
        and fold(table.this) == name
        for table in body.find_all(exp.Table)
    )


def _recursive(walk: Walk, body: exp.Expr, name: str, names: list[str], scope: Scope) -> Relation:
    """Grow from the first branch until nothing is added."""
    if walk.state.catalog.knows(resolve([name], walk.state.namespace)):
        # The name could mean the table as well as the CTE.
        walk.query(body, scope)
        scope.ctes[name] = NOWHERE
        walk.query(body, scope)
        return NOWHERE
    first = body
    while isinstance(first, _SET_OPERATIONS):
        first = first.this
    started = walk.query(first, scope).renamed(names)
    relation = _of_any_size(started, started)
    for _ in range(_MAX_ROUNDS):
        scope.ctes[name] = relation
        grown = _of_any_size(walk.query(body, scope).renamed(names), relation)
        if _same(grown, relation):
            return grown
        relation = grown
    return replace(
        relation, columns=tuple(replace(c, value=relation.everything()) for c in relation.columns)
    )


def _of_any_size(relation: Relation, before: Relation) -> Relation:
    """Who knows how often a number is multiplied, or how far a text grows that has grown."""
    lengths = dict(enumerate(column.value.chars for column in before.columns))

    def sized(at: int, value: Value) -> Value:
        grows = value.chars > lengths.get(at, 0)
        return replace(value, digits=ANY_DIGITS, chars=ANY_CHARS if grows else value.chars)

    columns = (
        replace(column, value=sized(at, column.value)) for at, column in enumerate(relation.columns)
    )
    return replace(relation, columns=tuple(columns))


def _same(one: Relation, two: Relation) -> bool:
    return one.open == two.open and one.columns == two.columns and one.rest == two.rest


def _set_operation(walk: Walk, node: exp.Expr, scope: Scope) -> Relation:
    """A chain of set operations, left to right, however long."""
    chain: list[exp.Expr] = []
    left: exp.Expr = node
    while isinstance(left, _SET_OPERATIONS):
        check_parts(left, _SET_PARTS)
        chain.append(left)
        left = left.this
        if isinstance(left, _SET_OPERATIONS) and left.args.get("with_") is not None:
            break
    relation = walk.query(left, scope)
    for operation in reversed(chain):
        right = walk.query(operation.args["expression"], scope)
        relation = _combined(walk, operation, relation, right)
        relation = selects.modified(walk, operation, relation, scope)
    return relation


def _combined(walk: Walk, node: exp.Expr, left: Relation, right: Relation) -> Relation:
    if node.args.get("by_name"):
        left, right = _by_name(left, right)
    rows = left.rows | right.rows
    if node.args.get("distinct") or not isinstance(node, exp.Union):
        rows |= _compare(walk, node, left, right)
    if left.open or right.open or len(left.columns) != len(right.columns):
        value = derived([left.everything(), right.everything()])
        columns = tuple(replace(column, value=value) for column in left.columns)
        return Relation(columns, True, value, rows)
    united: list[Column] = []
    for one, two in zip(left.columns, right.columns, strict=True):
        check_common(walk.state, [one.value, two.value])
        united.append(replace(one, value=branches([one.value, two.value])))
    return Relation(tuple(united), rows=rows)


def _compare(walk: Walk, node: exp.Expr, left: Relation, right: Relation) -> frozenset[str]:
    """UNION, INTERSECT and EXCEPT decide by equality which rows there are (F1)."""
    hint = (
        "UNION ALL compares nothing" if isinstance(node, exp.Union) else "join on an untagged key"
    )
    reason = f"{_COMPARES} {hint}"
    if left.open or right.open or len(left.columns) != len(right.columns):
        value = derived([left.everything(), right.everything()])
        if value.tainted:
            walk.state.violate(Knob.DICTIONARY, reason, value)
        return value.tags
    predicates.equate_columns(walk.state, left, right, reason)
    tagged = [column.value for side in (left, right) for column in side.columns]
    for value in tagged:
        if value.tainted and value.shape is Shape.DERIVED:
            walk.state.violate(Knob.GROUP, "removes duplicates of a computed tagged value", value)
    return derived(tagged).tags


def _by_name(left: Relation, right: Relation) -> tuple[Relation, Relation]:
    """BY NAME: columns that one side lacks are NULL there."""
    names = [column.name for column in left.columns]
    names += [column.name for column in right.columns if column.name not in names]
    return _arranged(left, names), _arranged(right, names)


def _arranged(relation: Relation, names: list[str | None]) -> Relation:
    missing = relation.rest if relation.open else CLEAN
    found: list[Column] = []
    for name in names:
        value: Value | None = None if name is None else relation.find(name)
        if value is None:
            value = relation.everything() if name is None else missing
        found.append(Column(name, value))
    return replace(relation, columns=tuple(found))
