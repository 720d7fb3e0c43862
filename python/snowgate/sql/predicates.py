"""Predicates of WHERE, ON, HAVING and QUALIFY: which rows exist is an output too (F3).

A predicate on a tagged value passes in these forms only (F1):

    column = constant, <>, IN (constants), NOT IN, EQUAL_NULL, IS [NOT] DISTINCT FROM, IS [NOT] NULL
    column = column of the same tags        also USING, NATURAL, IN (subquery), set operations

where a column is raw, or LOWER, UPPER or TRIM of a raw one. Everything else is a violation:
equality with an untagged column hands the value over to it, and other operators ask the value
questions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from snowgate.sql import constants, conversions, parts
from snowgate.sql.calls import name_of
from snowgate.sql.chains import operands
from snowgate.sql.relations import Relation, Scope
from snowgate.sql.state import Knob, State
from snowgate.sql.values import NO_TAGS, Family, Shape, Value, clean

if TYPE_CHECKING:
    from snowgate.sql.walk import Walk

_EQUALITIES = (exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.NullSafeNEQ)
_PATTERN = "filters rows by something computed from a tagged column"
_DICTIONARY = "equates a tagged column with one that is not tagged the same"


def check(walk: Walk, node: exp.Expr, scope: Scope) -> frozenset[str]:
    """Check one predicate.

    Returns:
        The tags of the columns that decide rows in a form that passes.
    """
    rows = NO_TAGS
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, (exp.And, exp.Or)):
            waiting += [part.this, part.expression]
        elif isinstance(part, (exp.Not, exp.Paren, exp.Where)):
            waiting.append(part.this)
        else:
            rows |= _atom(walk, part, scope)
    return rows


def _atom(walk: Walk, node: exp.Expr, scope: Scope) -> frozenset[str]:
    parts.check(node)
    if isinstance(node, exp.Exists):
        return walk.query(node.this, scope).rows
    if isinstance(node, _EQUALITIES):
        return _equality(walk, node.this, node.expression, scope)
    if isinstance(node, exp.Anonymous) and name_of(node) == "EQUAL_NULL":
        match node.expressions:
            case [left, right]:
                return _equality(walk, left, right, scope)
    if isinstance(node, exp.In):
        return _membership(walk, node, scope)
    if isinstance(node, exp.Is):
        if isinstance(node.expression, exp.Boolean):
            return check(walk, node.this, scope)
        if isinstance(node.expression, exp.Null):
            return _presence(walk, node.this, scope)
    value = walk.value(node, scope)
    conversions.check_boolean(walk.state, [value])
    if value.tainted:
        walk.state.violate(Knob.PREDICATE, _PATTERN, value)
    return value.tags


def _presence(walk: Walk, node: exp.Expr, scope: Scope) -> frozenset[str]:
    value, rows = _side(walk, node, scope)
    if value.tainted and not value.comparable:
        walk.state.violate(Knob.PREDICATE, _PATTERN, value)
    return rows | value.tags


def _membership(walk: Walk, node: exp.In, scope: Scope) -> frozenset[str]:
    query = node.args.get("query")
    if query is not None:
        return _in_query(walk, node.this, query, scope)
    left = _bare(node.this)
    if isinstance(left, exp.Tuple):
        found = [_equality(walk, left, item, scope) for item in node.expressions]
        return NO_TAGS.union(*found)
    side = _side(walk, left, scope)
    return NO_TAGS.union(*(_against(walk, side, item, scope) for item in node.expressions))


def _in_query(walk: Walk, left: exp.Expr, query: exp.Expr, scope: Scope) -> frozenset[str]:
    relation = walk.query(query, scope)
    while isinstance(left, exp.Paren):
        left = left.this
    sides = list(left.expressions) if isinstance(left, exp.Tuple) else [left]
    rows = relation.rows
    if relation.open or len(sides) != len(relation.columns):
        found = [relation.everything()] * len(sides)
    else:
        found = [column.value for column in relation.columns]
    for side, value in zip(sides, found, strict=True):
        own, own_rows = _side(walk, side, scope)
        equate(walk.state, own, value)
        rows |= own_rows | own.tags | value.tags
    return rows


def _equality(walk: Walk, left: exp.Expr, right: exp.Expr, scope: Scope) -> frozenset[str]:
    left, right = _bare(left), _bare(right)
    if isinstance(left, (exp.Any, exp.All)):
        left, right = right, left
    if isinstance(right, (exp.Any, exp.All)):
        inner = _bare(right.this)
        if isinstance(inner, (exp.Subquery, exp.Query)):
            return _in_query(walk, left, inner, scope)
        items = list(inner.expressions) if isinstance(inner, exp.Tuple) else [inner]
        found = [_equality(walk, left, item, scope) for item in items]
        return NO_TAGS.union(*found)
    both = isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple)
    if both and len(left.expressions) == len(right.expressions):
        pairs = zip(left.expressions, right.expressions, strict=True)
        return NO_TAGS.union(*(_equality(walk, a, b, scope) for a, b in pairs))
    return _compared(walk, left, right, scope)


def _compared(walk: Walk, left: exp.Expr, right: exp.Expr, scope: Scope) -> frozenset[str]:
    if conversions.constant_family(left, walk.state) is not None:
        left, right = right, left
    return _against(walk, _side(walk, left, scope), right, scope)


def _against(
    walk: Walk, side: tuple[Value, frozenset[str]], other: exp.Expr, scope: Scope
) -> frozenset[str]:
    """One side, evaluated already, against the other, which may be a constant."""
    state = walk.state
    value, rows = side
    family = conversions.constant_family(other, state)
    if family is not None:
        if value.tainted:
            _with_constant(state, value, family, other)
        else:
            conversions.check_common(state, [value, clean(family)])
        return rows | value.tags
    second, more = _side(walk, other, scope)
    if value.tainted or second.tainted:
        equate(state, value, second)
    else:
        conversions.check_common(state, [value, second])
    return rows | more | value.tags | second.tags


def _with_constant(state: State, column: Value, family: Family, constant: exp.Expr) -> None:
    if not column.comparable:
        state.violate(Knob.PREDICATE, _PATTERN, column)
        return
    constants.compare(state, constant, column)
    if not conversions.fits_column(column, family):
        state.violate(
            Knob.ERROR,
            "compares a tagged column with a constant of another type, which converts the column",
            column,
        )


def equate(state: State, left: Value, right: Value) -> None:
    """Two values that are compared for equality: with a tagged side, only the same tags pass."""
    if not left.tainted and not right.tainted:
        return
    comparable = left.comparable and right.comparable
    if not comparable or left.tags != right.tags:
        state.violate(Knob.DICTIONARY, _DICTIONARY, left, right)
    elif left.origin and left.origin == right.origin and left.folds != right.folds:
        # `LOWER(c.email) = c.email` asks how the value is written.
        state.violate(Knob.PREDICATE, "compares a tagged column with another form of itself", left)
    elif not conversions.same_family(left, right):
        state.violate(
            Knob.ERROR,
            "compares tagged columns of two types, which converts one of them",
            left,
            right,
        )


def equate_columns(state: State, left: Relation, right: Relation, reason: str) -> None:
    """Set operations that compare: UNION, INTERSECT, EXCEPT (F1)."""
    for one, two in zip(left.columns, right.columns, strict=False):
        values = (one.value, two.value)
        if not any(value.tainted for value in values):
            continue
        # They compare rows as DISTINCT does, so no fold counts as raw here (F3).
        raw = all(value.shape is Shape.RAW and not value.unknown for value in values)
        if not raw or one.value.tags != two.value.tags:
            state.violate(Knob.DICTIONARY, reason, *values)


def _side(walk: Walk, node: exp.Expr, scope: Scope) -> tuple[Value, frozenset[str]]:
    """One side of an equality. A scalar subquery of a raw column counts as that column."""
    node = _bare(node)
    if not isinstance(node, (exp.Subquery, exp.Query)):
        return walk.value(node, scope), NO_TAGS
    relation = walk.query(node, scope)
    if relation.rows and not relation.single:
        walk.state.violate(
            Knob.ERROR,
            "has a subquery that finds one row or more on account of a tagged column",
            Value(relation.rows),
        )
    return relation.value(), relation.rows


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def always(node: exp.Expr) -> bool:
    """Whether a predicate can hold for every row, whatever the row holds.

    It looks at no column then, or asks whether one equals itself.
    """
    match node:
        case exp.Paren() | exp.Where() | exp.Not():
            return always(node.this)
        case exp.Or():
            return any(always(operand) for operand in operands(node))
        case exp.And():
            return all(always(operand) for operand in operands(node))
        case exp.EQ() if node.this == node.expression:
            return True
        case _:
            return node.find(exp.Column, exp.Query) is None
