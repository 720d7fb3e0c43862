"""A column that is set to something computed from itself: `SET phone = REPLACE(phone, '-')`.

What it stores is not laundered: the tag is there. But equality on tagged columns passes, and asks
of what was stored:

    UPDATE customers SET email = IFF(email LIKE 'a%', 'x', 'y'); SELECT … WHERE email = 'x'

So who sees a mask may rewrite a column only such that different values stay different, up to
LOWER, UPPER, TRIM and NULL: then equality tells what it would have told before.
"""

from __future__ import annotations

from sqlglot import exp

from snowgate.sql import conversions
from snowgate.sql.magnitude import digits_of
from snowgate.sql.names import fold
from snowgate.sql.state import Knob, State
from snowgate.sql.values import Value

# A raise or a correction. By what is as large as a column's range, the error of what is too large
# for it would tell where in the range a value is.
_ADDED_DIGITS = 6
_FACTOR_DIGITS = 1
_FILLS = frozenset({"COALESCE", "NVL", "IFNULL"})
# Of one argument: what they make equal, LOWER and TRIM make equal too.
_TIDIES = frozenset({"INITCAP", "LTRIM", "RTRIM"})


def only_rewrites(expression: exp.Expr | None, name: str) -> bool:
    """Whether an assignment to a column uses columns of that name only."""
    if expression is None or expression.find(exp.Query) is not None:
        return False
    return all(fold(column) == name for column in expression.find_all(exp.Column))


def check(state: State, expression: exp.Expr | None, value: Value) -> None:
    """Check an assignment to a tagged column that only rewrites it.

    Args:
        state: Where a violation is recorded.
        expression: What it is set to.
        value: What is known of that.
    """
    if expression is None or not _keeps_apart(expression):
        state.violate(
            Knob.PREDICATE,
            "rewrites a tagged column by what is computed from it, which equality would then tell",
            value,
            remedy="set it to a constant, or rewrite it by LOWER, UPPER, TRIM, INITCAP, COALESCE,"
            " or a small sum or factor",
        )


def _keeps_apart(node: exp.Expr) -> bool:
    match node:
        case exp.Column() | exp.Literal() | exp.Null() | exp.Placeholder():
            return True
        case exp.Paren() | exp.Neg():
            return _keeps_apart(node.this)
        case exp.Add() | exp.Sub():
            return _beside_number(node, 0, _ADDED_DIGITS)
        case exp.Mul():
            return _beside_number(node, 1, _FACTOR_DIGITS)
        case exp.Anonymous():
            name = str(node.this).upper()
            tidies = name in _TIDIES and len(node.expressions) == 1
            passes = name in _FILLS or tidies or conversions.is_fold(node)
            return passes and all(map(_keeps_apart, node.expressions))
        case _:
            return False


def _beside_number(node: exp.Expr, least: int, digits: int) -> bool:
    """Whether one side is a number from `least` on that is not too long, and the other passes."""
    for number, other in ((node.this, node.expression), (node.expression, node.this)):
        if isinstance(number, exp.Literal) and not number.is_string:
            text = str(number.this)
            fits = digits_of(text) <= digits and float(text) >= least
            return fits and _keeps_apart(other)
    return False
