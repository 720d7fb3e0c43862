"""PIVOT and UNPIVOT.

PIVOT turns values into column names: with constants they are the statement's own, with ANY or a
subquery they are data, which no mask covers. UNPIVOT drops rows whose value is NULL (F3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from snowgate.sql import constants, parts
from snowgate.sql.conversions import check_common
from snowgate.sql.names import fold
from snowgate.sql.relations import Column, Relation, Scope, Source
from snowgate.sql.state import Knob, unreadable
from snowgate.sql.values import Family, Shape, Value, clean, derived, family_of
from snowgate.sql.windows import check_order

if TYPE_CHECKING:
    from snowgate.sql.walk import Walk

# `columns` are the parser's guess at the names.
_PARTS = {"expressions", "fields", "default_on_null", "alias", "columns"}
_CONSTANTS = (exp.Literal, exp.Null, exp.Boolean, exp.Neg, exp.Cast)


def pivot(walk: Walk, node: exp.Pivot, relation: Relation, scope: Scope) -> Relation:
    """A relation after one PIVOT or UNPIVOT."""
    for part, value in node.args.items():
        if isinstance(value, (exp.Expr, list)) and value and part not in _PARTS:
            raise unreadable(f"`{part}` of a pivot")
    inner = Scope(parent=scope.parent, sources=[Source(None, relation)], ctes=scope.ctes)
    if node.args.get("unpivot"):
        return _unpivot(walk, node, relation, inner)
    return _pivot(walk, node, relation, inner)


def _pivot(walk: Walk, node: exp.Pivot, relation: Relation, scope: Scope) -> Relation:
    cells = [walk.value(item, scope) for item in node.expressions]
    default = node.args.get("default_on_null")
    if isinstance(default, exp.Expr):
        cells.append(walk.value(default, scope))
        check_common(walk.state, cells)
    aggregates = derived(cells, family_of(cells))
    used = {fold(c) for item in node.expressions for c in item.find_all(exp.Column)}
    keys: list[Value] = []
    width, dynamic = len(node.expressions), relation.open
    for field in node.args.get("fields") or ():
        if not isinstance(field, exp.In):
            raise unreadable("a pivot")
        parts.check(field)
        key = walk.value(field.this, scope)
        keys.append(key)
        used |= {fold(column) for column in field.this.find_all(exp.Column)}
        width *= len(field.expressions)
        if _is_constant(field):
            _count_constants(walk, field, key)
        else:
            dynamic = True
            _check_names(walk, field, key, scope)
    kept = tuple(column for column in relation.columns if column.name not in used)
    for column in kept:
        # The columns that are left are what the rows are grouped by.
        if column.value.tainted and column.value.shape is not Shape.RAW:
            walk.state.violate(
                Knob.GROUP, "groups by something computed from a tagged column", column.value
            )
    value = derived([aggregates, *keys], aggregates.family)
    if dynamic:
        rest = derived([value, relation.rest])
        return Relation(kept, open=True, rest=rest, rows=relation.rows)
    made = (Column(None, value) for _ in range(width))
    return Relation((*kept, *made), rows=relation.rows)


def _is_constant(field: exp.In) -> bool:
    return not field.args.get("query") and all(
        isinstance(_plain(item), _CONSTANTS) for item in field.expressions
    )


def _plain(node: exp.Expr) -> exp.Expr:
    while isinstance(node, (exp.PivotAlias, exp.Alias, exp.Paren)):
        node = node.this
    return node


def _count_constants(walk: Walk, field: exp.In, key: Value) -> None:
    if key.tainted:
        for item in field.expressions:
            constants.compare(walk.state, _plain(item), key)


def _check_names(walk: Walk, field: exp.In, key: Value, scope: Scope) -> None:
    query = field.args.get("query")
    found = [key]
    for item in [*field.expressions, *([] if query is None else [query])]:
        named = _plain(item)
        if isinstance(named, exp.Query):
            relation = walk.query(named, scope)
            found += [relation.everything(), Value(relation.rows)]
        elif isinstance(named, exp.PivotAny):
            for one in named.this.expressions if named.this else ():
                parts.check(one)
                check_order(walk, walk.value(one.this, scope))
        else:
            found.append(walk.value(named, scope))
    value = derived(found)
    if value.touched:
        walk.state.violate(Knob.ROWS, "makes column names out of a tagged column", value)


def _unpivot(walk: Walk, node: exp.Pivot, relation: Relation, scope: Scope) -> Relation:
    used: set[str] = set()
    inputs: list[Value] = []
    names: list[str] = []
    for field in node.args.get("fields") or ():
        if not isinstance(field, exp.In) or not isinstance(
            field.this, (exp.Identifier, exp.Column)
        ):
            raise unreadable("an unpivot")
        parts.check(field)
        if field.find(exp.Query) is not None:
            raise unreadable("a query in an unpivot")
        names.append(fold(field.this))
        for item in field.expressions:
            for column in item.find_all(exp.Column):
                used.add(fold(column))
                inputs.append(walk.value(column, scope))
    value = derived(inputs, inputs[0].family if inputs else Family.ANY)
    if value.touched:
        walk.state.violate(Knob.ROWS, "unpivots a tagged column, which drops its NULLs", value)
    columns = [column for column in relation.columns if column.name not in used]
    columns += [Column(name, clean(Family.TEXT)) for name in names]
    columns += [Column(fold(item), value) for item in node.expressions]
    rest = derived([relation.rest, value])
    return Relation(tuple(columns), relation.open, rest, relation.rows)
