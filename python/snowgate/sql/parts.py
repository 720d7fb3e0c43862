"""Parts of syntax nodes that the analysis reads.

A handler that picks some parts of its node would overlook what stands in the others. Every such
node is listed here with the parts it may have; one with another part is not understood.
"""

from __future__ import annotations

from sqlglot import exp

from snowgate.sql.state import unreadable

_NOTHING: frozenset[str] = frozenset()
_ONLY_THIS = frozenset({"this"})
_ONLY_EXPRESSION = frozenset({"expression"})
_READ: dict[type, frozenset[str]] = {
    exp.Column: frozenset({"this", "table", "db", "catalog"}),
    exp.Paren: _ONLY_THIS,
    exp.Alias: frozenset({"this", "alias"}),
    exp.PivotAlias: frozenset({"this", "alias"}),
    exp.Kwarg: frozenset({"this", "expression"}),
    exp.PropertyEQ: frozenset({"this", "expression"}),
    exp.Neg: _ONLY_THIS,
    exp.Not: _ONLY_THIS,
    exp.Div: frozenset({"this", "expression"}),
    exp.Mod: frozenset({"this", "expression"}),
    exp.RegexpLike: frozenset({"this", "expression"}),
    exp.Escape: frozenset({"this", "expression"}),
    exp.In: frozenset({"this", "query", "expressions"}),
    exp.Exists: _ONLY_THIS,
    exp.Case: frozenset({"this", "ifs", "default"}),
    exp.Cast: frozenset({"this", "to"}),
    exp.TryCast: frozenset({"this", "to"}),
    exp.Extract: frozenset({"this", "expression"}),
    exp.StrPosition: frozenset({"this", "substr", "position"}),
    exp.JSONExtract: frozenset({"this", "expression"}),
    exp.Interval: frozenset({"this", "unit"}),
    exp.Prior: _ONLY_THIS,
    exp.ConnectByRoot: _ONLY_THIS,
    exp.Anonymous: frozenset({"this", "expressions"}),
    exp.Window: frozenset({"this", "partition_by", "order", "spec"}),
    exp.WindowSpec: frozenset({"start", "end"}),
    exp.IgnoreNulls: _ONLY_THIS,
    exp.RespectNulls: _ONLY_THIS,
    exp.Where: _ONLY_THIS,
    exp.Order: frozenset({"this", "expressions"}),
    exp.Ordered: _ONLY_THIS,
    exp.If: frozenset({"this", "true"}),
    exp.Lambda: frozenset({"this", "expressions"}),
    exp.Parameter: _ONLY_THIS,
    exp.CurrentDate: _NOTHING,
    exp.CurrentTime: _NOTHING,
    exp.CurrentTimestamp: _NOTHING,
    exp.Localtime: _NOTHING,
    exp.Localtimestamp: _NOTHING,
    exp.CurrentUser: _NOTHING,
    exp.Distinct: frozenset({"expressions"}),
    exp.Group: frozenset({"expressions", "grouping_sets", "cube", "rollup"}),
    exp.Limit: frozenset({"expression", "limit_options"}),
    exp.Fetch: frozenset({"count", "limit_options"}),
    exp.Offset: _ONLY_EXPRESSION,
    exp.TableSample: frozenset({"method", "percent", "rows", "size", "seed"}),
}


def check(node: exp.Expr) -> None:
    """Check that a node has no part that its handler does not read.

    Raises:
        Refused: It has one.
    """
    known = _READ.get(type(node))
    if known is None:
        return
    for part, value in node.args.items():
        if part not in known and _holds(value):
            raise unreadable(f"`{part.strip('_')}` of `{type(node).__name__}`")


def _holds(value: object) -> bool:
    """Whether a part holds anything that could have a value; flags and words do not."""
    if isinstance(value, list):
        return any(map(_holds, value))
    return isinstance(value, exp.Expr)
