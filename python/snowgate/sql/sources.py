"""Items of FROM: tables, views, subqueries, VALUES, table functions, and joins of them.

Whatever makes rows (the arguments of FLATTEN and its kin, UNPIVOT, a sample) must not depend on
tagged values: their number is an output (F3).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from snowgate.sql import joins, pivots, routines, tables
from snowgate.sql.calls import constant_argument, lookup, name_of
from snowgate.sql.functions import Role
from snowgate.sql.names import fold, names_of, parse_name
from snowgate.sql.relations import Column, Relation, Scope, Source
from snowgate.sql.state import Knob, Refused, unreadable
from snowgate.sql.values import Family, Value, branches, clean, derived

if TYPE_CHECKING:
    from snowgate.sql.walk import Walk

# What a table function returns. GENERATOR has no columns of its own.
_FUNCTION_COLUMNS = {
    "FLATTEN": ("SEQ", "KEY", "PATH", "INDEX", "VALUE", "THIS"),
    "SPLIT_TO_TABLE": ("SEQ", "INDEX", "VALUE"),
    "STRTOK_SPLIT_TO_TABLE": ("SEQ", "INDEX", "VALUE"),
    "GENERATOR": (),
}
_FAMILIES = {
    "SEQ": Family.NUMBER,
    "INDEX": Family.NUMBER,
    "KEY": Family.TEXT,
    "PATH": Family.TEXT,
}
# Parts of a FROM item that are handled here; any other is not understood.
_TABLE_PARTS = {"this", "db", "catalog", "alias", "pivots", "joins", "when", "changes", "sample"}
_SUBQUERY_PARTS = {"this", "alias", "pivots", "joins", "sample"}
_LATERAL_PARTS = {"this", "alias", "view", "outer", "ordinality"}
# `(SHOW TABLES)` is a table with an alias to the parser.
_VERBS = frozenset({"SHOW", "DESC", "DESCRIBE", "CALL", "LIST", "EXECUTE"})
_VALUES_PARTS = {"expressions", "alias", "pivots", "joins"}


def source(walk: Walk, node: exp.Expr, scope: Scope) -> list[Source]:
    """The sources of one item of FROM: itself, and what is joined to it inside its brackets.

    Args:
        walk: The walk.
        node: Table, subquery, VALUES or lateral.
        scope: The query it stands in; a lateral sees the sources already there.
    """
    match node:
        case exp.Table():
            _only(node, _TABLE_PARTS)
            first = _table(walk, node, scope)
        case exp.Subquery() if _holds_items(node):
            _only(node, _SUBQUERY_PARTS)
            return _bracketed(walk, node, scope)
        case exp.Subquery():
            first = _derived_table(walk, node, scope)
        case exp.Lateral():
            _only(node, _LATERAL_PARTS)
            first = _lateral(walk, node, scope)
        case exp.Values():
            _only(node, _VALUES_PARTS)
            first = _named(node, values(walk, node, scope))
        case _:
            raise unreadable(f"`{type(node).__name__}` in FROM")
    first = _reshaped(walk, node, first, scope)
    return joins.joined(walk, node.args.get("joins") or (), [first], scope)


def _holds_items(node: exp.Subquery) -> bool:
    """Whether brackets in FROM hold items of FROM, `(a JOIN b …)`, and not a query."""
    inner = node.this
    if isinstance(inner, exp.Subquery):
        named = (inner.args.get(part) for part in ("alias", "joins", "pivots"))
        return any(named) or _holds_items(inner)
    if isinstance(inner, exp.Values):
        return bool(inner.args.get("alias") or inner.args.get("joins"))
    return isinstance(inner, (exp.Table, exp.Lateral))


def _only(node: exp.Expr, parts: set[str]) -> None:
    for part, value in node.args.items():
        if value and part not in parts:
            raise unreadable(f"`{part}` of a FROM item")


def _table(walk: Walk, node: exp.Table, scope: Scope) -> Source:
    inner = node.this
    if isinstance(inner, exp.Identifier):
        parts = [fold(inner)]
        for qualifier in (node.args.get("db"), node.args.get("catalog")):
            if qualifier is not None:
                # `db..t` has an empty schema.
                parts.insert(0, fold(qualifier) if qualifier else "")
        return _named(node, tables.lookup(walk, parts, scope), parts[-1])
    if isinstance(inner, exp.Anonymous) and node.args.get("db") is None:
        name = name_of(inner)
        if name in ("IDENTIFIER", "TABLE") and not _is_call(inner):
            parts = parse_name(constant_argument(inner))
            return _named(node, tables.lookup(walk, parts, scope), parts[-1])
        call = inner.expressions[0] if name == "TABLE" and inner.expressions else inner
        return _named(node, _function(walk, call, scope))
    if isinstance(inner, exp.Literal):
        raise Refused(
            "stage-read", "reads files of a stage or a location", "load the files into a table"
        )
    raise unreadable(f"`{type(inner).__name__}` as a table")


def _is_call(node: exp.Anonymous) -> bool:
    """`TABLE(f(…))`, where `TABLE('…')` names a table."""
    return any(isinstance(argument, (exp.Anonymous, exp.Dot)) for argument in node.expressions)


def _function(walk: Walk, node: exp.Expr, scope: Scope) -> Relation:
    """A table function. Its arguments decide how many rows there are."""
    overloads = routines.called(walk.state, node)
    if overloads:
        return routines.rows(walk, node, scope, overloads)
    if not isinstance(node, exp.Anonymous):
        raise unreadable("a table function with a prefix")
    name = name_of(node)
    if lookup(walk.state, name).role is not Role.TABLE:
        raise Refused("unparsed", f"calls `{name}` in FROM", "call it in an expression")
    arguments = [
        argument.expression if isinstance(argument, exp.Kwarg) else argument
        for argument in node.expressions
    ]
    value = derived(walk.value(argument, scope) for argument in arguments)
    if value.touched:
        walk.state.violate(Knob.ROWS, f"makes rows with `{name}` out of a tagged column", value)
    columns = tuple(
        Column(column, value.of(_FAMILIES.get(column, Family.VARIANT)))
        for column in _FUNCTION_COLUMNS[name]
    )
    return Relation(columns)


def _derived_table(walk: Walk, node: exp.Subquery, scope: Scope) -> Source:
    # A derived table sees CTEs and outer queries, not its neighbours.
    return _named(node, walk.query(_plain(node), Scope(parent=scope.parent, ctes=scope.ctes)))


def _plain(node: exp.Subquery) -> exp.Expr:
    """The query of a derived table. Clauses of the bracket itself stay with it."""
    rest = {part for part, value in node.args.items() if value} - _SUBQUERY_PARTS
    if not rest:
        inner: exp.Expr = node.this
        return inner
    bare: exp.Expr = node.copy()
    for part in ("alias", "pivots", "joins", "sample"):
        bare.set(part, None)
    return bare


def _bracketed(walk: Walk, node: exp.Subquery, scope: Scope) -> list[Source]:
    """`(a JOIN b …)`: its sources, or one source if the bracket has a name."""
    if isinstance(node.this, exp.Table) and node.this.name.upper() in _VERBS:
        raise unreadable("a statement inside a query")
    inner = Scope(parent=scope.parent, ctes=scope.ctes)
    inner.sources = walk.source(node.this, inner)
    sources = inner.sources
    if node.args.get("alias") is not None or node.args.get("pivots"):
        relation = joins.star_of(inner)
        sources = [_reshaped(walk, node, _named(node, relation), scope)]
    return joins.joined(walk, node.args.get("joins") or (), sources, scope)


def _lateral(walk: Walk, node: exp.Lateral, scope: Scope) -> Source:
    inner = node.this
    if isinstance(inner, exp.Subquery):
        return _named(node, walk.query(inner, scope))
    return _named(node, _function(walk, inner, scope))


def values(walk: Walk, node: exp.Values, scope: Scope) -> Relation:
    """VALUES: a column is one value per row."""
    rows = [
        list(row.expressions) if isinstance(row, exp.Tuple) else [row] for row in node.expressions
    ]
    width = max(map(len, rows), default=0)
    known = [[_cell(walk, cell, scope) for cell in row] for row in rows]
    return Relation(
        tuple(
            Column(
                f"COLUMN{at + 1}", branches(row[at] for row in known if at < len(row)), sure=False
            )
            for at in range(width)
        ),
        single=len(rows) == 1,
    )


def _cell(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    if isinstance(node, exp.Literal):
        return clean(Family.TEXT if node.is_string else Family.NUMBER)
    return walk.value(node, scope)


def _named(node: exp.Expr, relation: Relation, name: str | None = None) -> Source:
    """With the names its alias gives."""
    alias = node.args.get("alias")
    if alias is None:
        return Source(name, relation)
    if not isinstance(alias, exp.TableAlias):
        raise unreadable("an alias in FROM")
    if alias.this is not None:
        name = fold(alias.this)
    return Source(name, relation.renamed(names_of(alias)))


def _reshaped(walk: Walk, node: exp.Expr, item: Source, scope: Scope) -> Source:
    """After time travel, changes, samples and pivots."""
    relation = item.relation
    changes = node.args.get("changes")
    if changes is not None:
        extra = (("METADATA$ACTION", Family.TEXT), ("METADATA$ISUPDATE", Family.BOOL))
        added = [Column(name, clean(family)) for name, family in extra]
        added.append(Column("METADATA$ROW_ID", clean(Family.TEXT)))
        relation = replace(relation, columns=(*relation.columns, *added))
    for part in ("when", "changes", "sample"):
        clause = node.args.get(part)
        if clause is not None:
            _check_clause(walk, clause, scope)
    name = item.name
    for pivot in node.args.get("pivots") or ():
        relation = pivots.pivot(walk, pivot, relation, scope)
        alias = pivot.args.get("alias")
        if isinstance(alias, exp.TableAlias):
            relation = relation.renamed(names_of(alias))
            name = fold(alias.this) if alias.this is not None else name
    return Source(name, relation)


def _check_clause(walk: Walk, clause: exp.Expr, scope: Scope) -> None:
    """AT, BEFORE, CHANGES, SAMPLE: what stands in them decides the rows."""
    for part in clause.args.values():
        for node in part if isinstance(part, list) else [part]:
            if isinstance(node, exp.HistoricalData):
                _check_clause(walk, node, scope)
            elif isinstance(node, exp.Expr):
                value = walk.value(node, scope)
                if value.touched:
                    walk.state.violate(
                        Knob.ROWS, "chooses rows of a table by a tagged column", value
                    )
