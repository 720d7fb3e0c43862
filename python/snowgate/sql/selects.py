"""One SELECT: sources, outputs, and the clauses that decide which rows there are in which order.

Each clause of the syntax tree is named here with what it may do; a clause that is not named is not
understood, so that a clause the parser learns later is refused and not overlooked.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from snowgate.sql import joins, matches, parts
from snowgate.sql.functions import Role, builtins
from snowgate.sql.names import fold
from snowgate.sql.relations import Column, Relation, Scope, Source, rows_of
from snowgate.sql.state import Knob, unreadable
from snowgate.sql.values import CLEAN, Shape, Value, branches, derived
from snowgate.sql.windows import check_order

if TYPE_CHECKING:
    from snowgate.sql.walk import Walk

_SELECT_PARTS = {
    "with_",
    "expressions",
    "distinct",
    "from_",
    "joins",
    "laterals",
    "match",
    "connect",
    "where",
    "group",
    "having",
    "qualify",
    "order",
    "limit",
    "offset",
    "sample",
}
_STAR_PARTS = {"except_", "replace", "rename", "ilike"}


def select(walk: Walk, node: exp.Select, scope: Scope) -> Relation:
    """The relation of one SELECT. `scope` holds its CTEs already."""
    for part, value in node.args.items():
        if value and part not in _SELECT_PARTS:
            raise unreadable(f"`{part.strip('_')}` of a query")
    args = node.args
    if not node.expressions:
        raise unreadable("a query without outputs")
    aliases = [_alias(item) for item in node.expressions]
    last = {name: at for at, name in enumerate(aliases) if name is not None}
    scope.later = set(last)
    _sources(walk, node, scope)
    rows = rows_of(source.relation for source in scope.sources)
    connect = args.get("connect")
    scope.pseudo = connect is not None
    outputs = _Outputs(walk, scope)
    for at, (item, alias) in enumerate(zip(node.expressions, aliases, strict=True)):
        if alias is not None and last[alias] == at:
            scope.later.discard(alias)
        outputs.add(item, alias)
    for clause in ("where", "having", "qualify"):
        predicate = args.get(clause)
        if predicate is not None:
            rows |= walk.filter(predicate.this, scope)
    if connect is not None:
        _check_recursion(walk, connect, scope)
    group = args.get("group")
    if group is not None:
        _check_group(walk, group, outputs, scope)
    distinct = args.get("distinct")
    if distinct:
        parts.check(distinct)
        _check_distinct(walk, outputs)
    single = group is None and (not scope.sources or _aggregates(node))
    relation = Relation(
        tuple(outputs.columns),
        outputs.open,
        branches(outputs.rest) if outputs.open else CLEAN,
        rows,
        single,
    )
    return modified(walk, node, relation, scope)


def _sources(walk: Walk, node: exp.Select, scope: Scope) -> None:
    from_ = node.args.get("from_")
    if from_ is not None:
        scope.sources = walk.source(from_.this, scope)
    for lateral in node.args.get("laterals") or ():
        scope.sources = scope.sources + walk.source(lateral, scope)
    joins.join_all(walk, node.args.get("joins") or (), scope)
    match = node.args.get("match")
    if match is not None:
        scope.sources = [matches.matched(walk, match, scope)]


class _Outputs:
    """Collects the outputs of a SELECT, left to right; later ones may use earlier aliases."""

    def __init__(self, walk: Walk, scope: Scope) -> None:
        self._walk = walk
        self._scope = scope
        self.columns: list[Column] = []
        self.items: list[exp.Expr | None] = []
        self.open = False
        self.rest: list[Value] = []

    def add(self, item: exp.Expr, alias: str | None) -> None:
        """Add one item of the select list, and its alias if it has one."""
        star = item.this if isinstance(item, exp.Column) else item
        if isinstance(star, exp.Star):
            self._add_star(star, item.args.get("table") if star is not item else None)
            return
        value = self._walk.value(item, self._scope)
        self.columns.append(Column(_column_name(item) if alias is None else alias, value))
        self.items.append(item)
        if alias is not None:
            known = self._scope.aliases.get(alias)
            self._scope.aliases[alias] = value if known is None else branches([known, value])

    def _add_star(self, star: exp.Star, table: exp.Expr | None) -> None:
        for part, value in star.args.items():
            if value and part not in _STAR_PARTS:
                raise unreadable(f"`{part.strip('_')}` of a star")
        relation = self._starred(table)
        left_out = {fold(item) for item in star.args.get("except_") or ()}
        renamed = {
            fold(item.this): fold(item.args["alias"]) for item in star.args.get("rename") or ()
        }
        replaced = {
            fold(item.args["alias"]): self._walk.value(item.this, self._scope)
            for item in star.args.get("replace") or ()
        }
        pattern = _like(star.args.get("ilike"))
        for column in relation.columns:
            name = column.name
            if name in left_out or (pattern and not (name and pattern.fullmatch(name))):
                continue
            value = replaced.get(name or "", column.value)
            self._walk.state.touch(value)
            if name in renamed:
                self.columns.append(Column(renamed[name], value))
            else:
                self.columns.append(replace(column, value=value))
            self.items.append(None)
        if relation.open:
            self.open = True
            self.rest.append(self._walk.state.touch(relation.rest))

    def _starred(self, table: exp.Expr | None) -> Relation:
        if table is None:
            return joins.star_of(self._scope)
        found = self._scope.source(fold(table))
        if not found:
            raise unreadable("a star of a table that is not in FROM")
        if len(found) == 1:
            return found[0].relation
        return Relation(open=True, rest=self._scope.everything())


def _column_name(item: exp.Expr) -> str | None:
    """The name of an output without alias as Snowflake returns it; None where it makes one up."""
    if isinstance(item, exp.Column) and isinstance(item.this, exp.Identifier):
        return fold(item)
    return None


def _alias(item: exp.Expr) -> str | None:
    return fold(item.args["alias"]) if isinstance(item, exp.Alias) else None


def _like(literal: exp.Expr | None) -> re.Pattern[str] | None:
    """`* ILIKE 'pattern'` as a regular expression over stored names."""
    if literal is None:
        return None
    if not isinstance(literal, exp.Literal) or not literal.is_string or "\\" in literal.this:
        raise unreadable("the pattern of a star")
    text = re.escape(str(literal.this)).replace("%", ".*").replace("_", ".")
    return re.compile(text, re.IGNORECASE | re.DOTALL)


def _check_recursion(walk: Walk, connect: exp.Connect, scope: Scope) -> None:
    """START WITH and CONNECT BY decide rows step by step: no form of theirs passes."""
    for part in ("start", "connect"):
        node = connect.args.get(part)
        value = CLEAN if node is None else walk.value(node, scope)
        if value.touched:
            walk.state.violate(
                Knob.PREDICATE, "connects or starts a hierarchy by a tagged column", value
            )


def _check_group(walk: Walk, group: exp.Group, outputs: _Outputs, scope: Scope) -> None:
    """A raw tagged key tells how often its values occur, as COUNT does; a computed one more."""
    parts.check(group)
    keys: list[Value] = []
    waiting = [*group.expressions]
    for part in ("grouping_sets", "cube", "rollup"):
        waiting += group.args.get(part) or ()
    if group.args.get("all"):
        keys += [
            column.value
            for column, item in zip(outputs.columns, outputs.items, strict=True)
            if item is None or not _has_aggregate(item)
        ]
    while waiting:
        key = waiting.pop()
        if isinstance(key, (exp.GroupingSets, exp.Cube, exp.Rollup, exp.Tuple)):
            waiting += key.expressions
        elif isinstance(key, exp.Paren):
            waiting.append(key.this)
        else:
            keys.append(_ordinal(key, outputs.columns) or walk.value(key, scope))
    for value in keys:
        if value.tainted and value.shape is not Shape.RAW:
            walk.state.violate(
                Knob.GROUP, "groups by something computed from a tagged column", value
            )


def _check_distinct(walk: Walk, outputs: _Outputs) -> None:
    values = [column.value for column in outputs.columns] + outputs.rest
    for value in values:
        if value.tainted and value.shape is not Shape.RAW:
            walk.state.violate(Knob.GROUP, "removes duplicates of a computed tagged value", value)


def modified(walk: Walk, node: exp.Expr, relation: Relation, scope: Scope) -> Relation:
    """A relation after ORDER BY, LIMIT, OFFSET and SAMPLE of its query."""
    order = node.args.get("order")
    if order is not None:
        _check_order_by(walk, node, order, relation, scope)
    for part in ("limit", "offset", "sample"):
        clause = node.args.get(part)
        if clause is None:
            continue
        parts.check(clause)
        for inner in clause.args.values():
            if not isinstance(inner, exp.Expr) or isinstance(inner, exp.LimitOptions):
                continue
            value = walk.value(inner, scope)
            if value.touched:
                walk.state.violate(
                    Knob.ROWS, f"has a {part} that depends on a tagged column", value
                )
    limit = node.args.get("limit")
    if limit is not None and _is_one(limit):
        relation = replace(relation, single=True)
    return relation


def _check_order_by(
    walk: Walk, node: exp.Expr, order: exp.Order, relation: Relation, scope: Scope
) -> None:
    parts.check(order)
    # Names after a set operation or a bracket are those of its outputs.
    outputs = Scope(scope.parent, [Source(None, relation)], ctes=scope.ctes)
    seen = scope if isinstance(node, exp.Select) else outputs
    for item in order.expressions:
        parts.check(item)
        key = item.this
        if isinstance(key, exp.Column) and key.name.upper() == "ALL" and not key.args.get("table"):
            check_order(walk, relation.everything())
            continue
        value = _ordinal(key, relation.columns)
        check_order(walk, walk.value(key, seen) if value is None else value)


def _ordinal(key: exp.Expr, columns: tuple[Column, ...] | list[Column]) -> Value | None:
    """The output that a number names, also one in brackets or with a collation."""
    while isinstance(key, (exp.Paren, exp.Collate)):
        key = key.this
    if not isinstance(key, exp.Literal) or key.is_string:
        return None
    text = str(key.this)
    at = int(text) - 1 if text.isdigit() else -1
    if 0 <= at < len(columns):
        return columns[at].value
    return derived(column.value for column in columns)


def _is_one(limit: exp.Expr) -> bool:
    count = limit.args.get("expression") or limit.args.get("count")
    return isinstance(count, exp.Literal) and str(count.this) in ("0", "1")


def _aggregates(node: exp.Select) -> bool:
    """Whether a SELECT without GROUP BY makes one row: some output aggregates."""
    return any(_has_aggregate(item) for item in node.expressions)


def _has_aggregate(node: exp.Expr) -> bool:
    """Whether an expression aggregates rows of its own query: not in a window or a subquery."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, (exp.Query, exp.Window)):
            continue
        if isinstance(part, exp.Anonymous) and isinstance(part.this, str):
            function = builtins().get(part.this.upper())
            if function is not None and function.role is Role.AGGREGATE:
                return True
        waiting += part.iter_expressions()
    return False
