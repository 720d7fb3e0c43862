"""What is known of an expression: which tags reach it, and whether it can fail on their account.

The value of an expression is derived from all of its parts, conditions and windows included (F2),
but for a few forms that keep a raw column raw (brackets, aliases) or let go of its tag (COUNT).
Along the way every operation that can fail at run time is checked: if a tagged value decides
between success and error, that is an output too (F3).

A node that is not in the table of handlers is not understood, and the statement is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from snowgate.sql import calls, columns, conversions, magnitude, parts, sizes, windows
from snowgate.sql.chains import operands
from snowgate.sql.relations import Scope
from snowgate.sql.state import Knob, unreadable
from snowgate.sql.values import ANY_DIGITS, Family, Value, branches, clean, derived, one_of

if TYPE_CHECKING:
    from snowgate.sql.walk import Walk

Handler = Callable[["Walk", Any, Scope], Value]


def value(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    """What is known of an expression.

    Raises:
        Refused: It holds something the analysis does not know.
    """
    handler = _HANDLERS.get(type(node))
    if handler is None:
        raise unreadable(f"`{type(node).__name__}`")
    parts.check(node)
    found = handler(walk, node, scope)
    sizes.check(walk.state, found)
    return found


def _values(walk: Walk, nodes: Iterable[exp.Expr], scope: Scope) -> list[Value]:
    return [walk.value(node, scope) for node in nodes]


def _inner(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    return walk.value(node.args["this"], scope)


def _constant(family: Family) -> Handler:
    return lambda _walk, _node, _scope: clean(family)


def _literal(_walk: Walk, node: exp.Literal, _scope: Scope) -> Value:
    if node.args.get("is_string"):
        return clean(Family.TEXT, chars=len(str(node.this)))
    return clean(Family.NUMBER, magnitude.digits_of(str(node.this)))


def _derived(family: Family) -> Handler:
    """All parts of the node, whatever they are, decide its value."""
    return lambda walk, node, scope: derived(_values(walk, node.iter_expressions(), scope), family)


def _container(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    parts = derived(_values(walk, node.iter_expressions(), scope), Family.VARIANT)
    return replace(parts, container=True)


def _concatenation(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    return derived(_values(walk, operands(node), scope), Family.TEXT)


def _logic(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    """AND and OR: a later operand may not be evaluated, as an earlier one decides."""
    seen: list[Value] = []
    for operand in operands(node):
        with walk.state.under(*seen):
            seen.append(walk.value(operand, scope))
    conversions.check_boolean(walk.state, seen)
    return derived(seen, Family.BOOL)


def _negation(walk: Walk, node: exp.Not, scope: Scope) -> Value:
    operand = _inner(walk, node, scope)
    conversions.check_boolean(walk.state, [operand])
    return derived([operand], Family.BOOL)


def _sum(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    """Addition and subtraction, of dates and intervals too."""
    parts = operands(node)
    values = _values(walk, parts, scope)
    conversions.check_arithmetic(walk.state, values)
    if any(item.family is Family.TIME for item in values):
        return magnitude.moved(walk.state, parts, values)
    return magnitude.total(walk.state, values)


def _product(walk: Walk, node: exp.Mul, scope: Scope) -> Value:
    values = _values(walk, operands(node), scope)
    conversions.check_arithmetic(walk.state, values)
    return magnitude.product(walk.state, values)


def _quotient(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    parts = [node.args["this"], node.args["expression"]]
    values = _values(walk, parts, scope)
    conversions.check_arithmetic(walk.state, values)
    conversions.check_division(walk.state, parts[1], values)
    return magnitude.quotient(walk.state, parts[1], values)


def _sign(walk: Walk, node: exp.Neg, scope: Scope) -> Value:
    operand = _inner(walk, node, scope)
    conversions.check_arithmetic(walk.state, [operand])
    return magnitude.total(walk.state, [operand])


def _comparison(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    values = _values(walk, node.iter_expressions(), scope)
    conversions.check_common(walk.state, values)
    return derived(values, Family.BOOL)


def _match(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    """RLIKE and REGEXP: a pattern can be invalid."""
    subject = _inner(walk, node, scope)
    pattern = walk.value(node.args["expression"], scope)
    if pattern.touched or walk.state.control.touched:
        walk.state.violate(
            Knob.ERROR,
            "matches a regular expression that can be invalid on account of a tagged column",
            pattern,
            walk.state.control,
        )
    return derived([subject, pattern], Family.BOOL)


def _escaped(walk: Walk, node: exp.Escape, scope: Scope) -> Value:
    """`x LIKE pattern ESCAPE '#'`: a pattern that ends with the escape is invalid."""
    matched = _inner(walk, node, scope)
    parts = [node.args["expression"], node.this.args.get("expression")]
    risky = [walk.value(part, scope) for part in parts if isinstance(part, exp.Expr)]
    reason = "matches a pattern that can be invalid on account of a tagged column"
    conversions.fail_if(walk.state, risky, reason)
    return derived([matched, *risky], Family.BOOL)


def _membership(walk: Walk, node: exp.In, scope: Scope) -> Value:
    """IN as a value: all of the subquery, its predicates included."""
    subject = _inner(walk, node, scope)
    query = node.args.get("query")
    if query is not None:
        relation = walk.query(query, scope)
        values = [subject, relation.everything(), rows_value(relation.rows)]
    else:
        values = [subject, *_values(walk, node.expressions, scope)]
    conversions.check_common(walk.state, values)
    return derived(values, Family.BOOL)


def _exists(walk: Walk, node: exp.Exists, scope: Scope) -> Value:
    """EXISTS as a value: what decides the rows decides it (F1)."""
    relation = walk.query(node.args["this"], scope)
    return derived([rows_value(relation.rows)], Family.BOOL)


def _subquery(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    """A scalar subquery. It fails when it finds two rows."""
    relation = walk.query(node, scope)
    rows = rows_value(relation.rows)
    if not relation.single and (rows.touched or walk.state.control.touched):
        walk.state.violate(
            Knob.ERROR,
            "has a subquery that finds one row or more on account of a tagged column",
            rows,
            walk.state.control,
        )
    return derived([relation.value(), rows], relation.value().family)


def rows_value(rows: frozenset[str]) -> Value:
    """The existence of rows, as a value."""
    return derived([Value(rows)])


def _case(walk: Walk, node: exp.Case, scope: Scope) -> Value:
    """A branch is evaluated as the conditions before it say."""
    state = walk.state
    subject = node.args.get("this")
    conditions = [] if subject is None else [walk.value(subject, scope)]
    results: list[Value] = []
    for branch in node.args["ifs"]:
        parts.check(branch)
        with state.under(*conditions):
            conditions.append(walk.value(branch.args["this"], scope))
        with state.under(*conditions):
            results.append(walk.value(branch.args["true"], scope))
    default = node.args.get("default")
    if default is not None:
        with state.under(*conditions):
            results.append(walk.value(default, scope))
    if subject is not None:
        conversions.check_common(state, conditions)
    else:
        conversions.check_boolean(state, conditions)
    conversions.check_common(state, results)
    magnitude.alternatives(state, results, [*conditions, *results])
    return one_of(derived([*conditions, *results], branches(results).family), results)


def _cast(walk: Walk, node: exp.Cast, scope: Scope) -> Value:
    operand = _inner(walk, node, scope)
    target = conversions.target_family(node)
    if not isinstance(node, exp.TryCast):
        conversions.check_cast(walk.state, node, operand)
    result = magnitude.converted(walk.state, operand, target)
    container = str(node.args["to"].this.value).upper() in ("ARRAY", "OBJECT")
    return replace(result, container=True) if container else result


def _extract(walk: Walk, node: exp.Extract, scope: Scope) -> Value:
    operand = walk.value(node.args["expression"], scope)
    conversions.check_arguments(walk.state, "EXTRACT", [operand], [node.args["expression"]])
    magnitude.counted(walk.state, node.this, [operand])
    return derived([operand], Family.NUMBER)


def _position(walk: Walk, node: exp.StrPosition, scope: Scope) -> Value:
    return derived(_values(walk, node.iter_expressions(), scope), Family.NUMBER)


def _element(walk: Walk, node: exp.Bracket, scope: Scope) -> Value:
    """`x[i]`: of an array, a text that is no number is an error."""
    indexes = [item for item in node.expressions if not isinstance(item, exp.Literal)]
    values = _values(walk, indexes, scope)
    conversions.check_index(walk.state, values)
    return derived([_inner(walk, node, scope), *values], Family.VARIANT)


def _path(walk: Walk, node: exp.JSONExtract, scope: Scope) -> Value:
    """`v:a.b`: a tag covers the whole variant (F28)."""
    return derived([_inner(walk, node, scope)], Family.VARIANT)


def _keyword(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    return walk.value(node.args["expression"], scope)


def _parameter(walk: Walk, node: exp.Parameter, scope: Scope) -> Value:
    """`$1` is a column; `$x` a session variable, which can only hold a constant."""
    position = node.args["this"]
    if isinstance(position, exp.Literal):
        return columns.by_position(walk, position, scope, None)
    return clean(Family.ANY, ANY_DIGITS)


def _bind(walk: Walk, node: exp.Placeholder, _scope: Scope) -> Value:
    return clean(conversions.bind_family(walk.state, node), ANY_DIGITS, sizes.BIND_CHARS)


def _order(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    """An order inside an aggregate shows only in what the aggregate returns (F2)."""
    parts = [*node.expressions] if isinstance(node, exp.Order) else [node.args["this"]]
    aggregated = node.args.get("this")
    if isinstance(node, exp.Order) and aggregated is not None:
        parts.append(aggregated)
    return derived(_values(walk, parts, scope))


def _interval(walk: Walk, node: exp.Interval, scope: Scope) -> Value:
    amount = node.args.get("this")
    if amount is None:
        return clean(Family.TIME, ANY_DIGITS)
    return magnitude.interval(amount, walk.value(amount, scope))


_HANDLERS: dict[type, Handler] = {
    exp.Column: columns.column,
    exp.Identifier: columns.parameter,
    exp.Star: columns.star,
    exp.Parameter: _parameter,
    exp.Placeholder: _bind,
    exp.Literal: _literal,
    exp.Null: _constant(Family.NULL),
    exp.Boolean: _constant(Family.BOOL),
    exp.RawString: _constant(Family.TEXT),
    exp.HexString: _constant(Family.BINARY),
    exp.Var: _constant(Family.TEXT),
    exp.CurrentDate: _constant(Family.TIME),
    exp.CurrentTime: _constant(Family.TIME),
    exp.CurrentTimestamp: _constant(Family.TIME),
    exp.Localtime: _constant(Family.TIME),
    exp.Localtimestamp: _constant(Family.TIME),
    exp.CurrentUser: _constant(Family.TEXT),
    exp.CurrentRole: _constant(Family.TEXT),
    exp.Paren: _inner,
    exp.Alias: _inner,
    exp.PivotAlias: _inner,
    exp.Kwarg: _keyword,
    exp.PropertyEQ: _keyword,
    exp.Neg: _sign,
    exp.Add: _sum,
    exp.Sub: _sum,
    exp.Mul: _product,
    exp.Div: _quotient,
    exp.Mod: _quotient,
    exp.DPipe: _concatenation,
    exp.And: _logic,
    exp.Or: _logic,
    exp.Not: _negation,
    exp.EQ: _comparison,
    exp.NEQ: _comparison,
    exp.GT: _comparison,
    exp.GTE: _comparison,
    exp.LT: _comparison,
    exp.LTE: _comparison,
    exp.NullSafeEQ: _comparison,
    exp.NullSafeNEQ: _comparison,
    exp.Between: _comparison,
    exp.Is: _derived(Family.BOOL),
    exp.Like: _derived(Family.BOOL),
    exp.ILike: _derived(Family.BOOL),
    exp.Escape: _escaped,
    exp.RegexpLike: _match,
    exp.Any: _derived(Family.ANY),
    exp.All: _derived(Family.ANY),
    exp.In: _membership,
    exp.Exists: _exists,
    exp.Subquery: _subquery,
    exp.Select: _subquery,
    exp.Union: _subquery,
    exp.Intersect: _subquery,
    exp.Except: _subquery,
    exp.Case: _case,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Extract: _extract,
    exp.StrPosition: _position,
    exp.JSONExtract: _path,
    exp.Bracket: _element,
    exp.Slice: _derived(Family.VARIANT),
    exp.Array: _container,
    exp.Struct: _container,
    exp.Tuple: _derived(Family.ANY),
    exp.Distinct: _derived(Family.ANY),
    exp.Collate: _derived(Family.TEXT),
    exp.Interval: _interval,
    exp.Prior: _inner,
    exp.ConnectByRoot: _inner,
    exp.Anonymous: calls.call,
    exp.Dot: columns.path,
    exp.Window: windows.window,
    exp.IgnoreNulls: _inner,
    exp.RespectNulls: _inner,
    exp.WithinGroup: _derived(Family.ANY),
    exp.Filter: _derived(Family.ANY),
    exp.Where: _inner,
    exp.Order: _order,
    exp.Ordered: _order,
}
