"""Window functions.

PARTITION BY of raw tagged columns tells how often their values occur, as COUNT does, and passes as
a grouping; the order of a window is an order of rows (F3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from snowgate.sql import parts
from snowgate.sql.calls import COUNTS, name_of
from snowgate.sql.conversions import fail_if
from snowgate.sql.relations import Scope
from snowgate.sql.state import Knob
from snowgate.sql.values import NO_TAGS, Shape, Value, derived

if TYPE_CHECKING:
    from snowgate.sql.walk import Walk


def window(walk: Walk, node: exp.Window, scope: Scope) -> Value:
    """`f(…) OVER (PARTITION BY … ORDER BY … ROWS …)`."""
    inner = walk.value(node.this, scope)
    grouping = NO_TAGS
    for key in node.args.get("partition_by") or ():
        value = walk.value(key, scope)
        grouping |= value.all_tags
        if value.tainted and value.shape is not Shape.RAW:
            walk.state.violate(
                Knob.GROUP, "partitions by something computed from a tagged column", value
            )
    keys: list[Value] = []
    order = node.args.get("order")
    if order is not None:
        parts.check(order)
        for item in order.expressions:
            parts.check(item)
            keys.append(walk.value(item.this, scope))
            check_order(walk, keys[-1])
    spec = node.args.get("spec")
    limits: list[Value] = []
    if spec is not None:
        parts.check(spec)
        bounds = (spec.args.get("start"), spec.args.get("end"))
        limits = [walk.value(bound, scope) for bound in bounds if isinstance(bound, exp.Expr)]
        fail_if(walk.state, limits, "sizes the frame of a window by a tagged column")
    if _counts(node.this) and not inner.touched:
        grouping = NO_TAGS
    return derived([inner, *keys, *limits, Value(grouping=grouping)], inner.family)


def check_order(walk: Walk, value: Value) -> None:
    """The order of rows is an output of its own."""
    if value.touched:
        walk.state.violate(Knob.ORDER, "orders rows by a tagged column", value)


def _counts(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and name_of(node) in COUNTS
