"""MATCH_RECOGNIZE: rows that follow one another in a pattern.

What finds the matches (partition, order, DEFINE) decides which rows there are, so nothing tagged
may stand there (F3). Measures are outputs like any other.
Source: <https://docs.snowflake.com/en/sql-reference/constructs/match_recognize>
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from snowgate._core import lex
from snowgate.sql.names import fold, names_of
from snowgate.sql.relations import Column, Relation, Scope, Source, rows_of
from snowgate.sql.state import Knob, unreadable
from snowgate.sql.values import Value, derived

if TYPE_CHECKING:
    from snowgate.sql.walk import Walk

_PARTS = {"partition_by", "order", "measures", "rows", "after", "pattern", "define", "alias"}


def matched(walk: Walk, node: exp.MatchRecognize, scope: Scope) -> Source:
    """The matches found in the sources of a scope."""
    for part, value in node.args.items():
        if value and part not in _PARTS:
            raise unreadable(f"`{part}` of MATCH_RECOGNIZE")
    relation = _searched(walk, scope)
    inner = Scope(parent=scope.parent, ctes=scope.ctes)
    inner.sources = [*scope.sources, *(Source(name, relation) for name in _symbols(node))]
    keys = list(node.args.get("partition_by") or ())
    _check(walk, [*keys, *_conditions(node)], inner)
    measures = [_measure(walk, item, inner) for item in node.args.get("measures") or ()]
    if _shows_every_row(node):
        shown, is_open = list(relation.columns), relation.open
    else:
        shown, is_open = [_key(walk, key, inner) for key in keys], False
    found = Relation(
        (*shown, *measures), is_open, relation.rest, rows_of(one.relation for one in scope.sources)
    )
    name = scope.sources[0].name
    alias = node.args.get("alias")
    if isinstance(alias, exp.TableAlias):
        found = found.renamed(names_of(alias))
        name = fold(alias.this) if alias.this is not None else name
    return Source(name, found)


def _searched(walk: Walk, scope: Scope) -> Relation:
    """The rows that are searched: of the only source."""
    if len(scope.sources) == 1:
        return scope.sources[0].relation
    # The tree does not say which of the sources it follows.
    value = derived(source.relation.everything() for source in scope.sources)
    if value.touched:
        walk.state.violate(Knob.ROWS, "matches patterns over a join with a tagged column", value)
    return Relation(open=True, rest=value)


def _symbols(node: exp.MatchRecognize) -> set[str]:
    """Names in the pattern, which stand for the rows they match. More of them do no harm."""
    names = {fold(item.args["alias"]) for item in node.args.get("define") or ()}
    pattern = node.args.get("pattern")
    for kind, piece in lex(pattern.name) if isinstance(pattern, exp.Var) else ():
        if kind == "word":
            names.add(piece.upper())
        elif kind == "quoted":
            names.add(piece[1:-1].replace('""', '"'))
    return names


def _conditions(node: exp.MatchRecognize) -> list[exp.Expr]:
    order = node.args.get("order")
    ordered = [] if order is None else [item.this for item in order.expressions]
    return [*ordered, *(item.this for item in node.args.get("define") or ())]


def _check(walk: Walk, deciding: list[exp.Expr], scope: Scope) -> None:
    value = derived(walk.value(item, scope) for item in deciding)
    if value.touched:
        walk.state.violate(Knob.ROWS, "matches patterns of rows by a tagged column", value)


def _key(walk: Walk, node: exp.Expr, scope: Scope) -> Column:
    return Column(fold(node) if isinstance(node, exp.Column) else None, walk.value(node, scope))


def _measure(walk: Walk, node: exp.Expr, scope: Scope) -> Column:
    """A measure under its name. What is picked from some row of a match is no raw column."""
    item = node.this if isinstance(node, exp.MatchRecognizeMeasure) else node
    if not isinstance(item, exp.Alias):
        raise unreadable("a measure without a name")
    value: Value = walk.value(item.this, scope)
    return Column(fold(item.args["alias"]), derived([value], value.family))


def _shows_every_row(node: exp.MatchRecognize) -> bool:
    rows = node.args.get("rows")
    return rows is not None and rows.name.upper().startswith("ALL")
