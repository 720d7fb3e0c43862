"""INSERT, UPDATE, DELETE, MERGE: what they write where, and which rows they change.

A value may go only where its tags are. Rows are changed by predicates, which are checked as those
of queries: the row count comes back (F3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from snowgate.model.statement import ObjectName
from snowgate.sql import joins, rewrites, stored, tables
from snowgate.sql.catalog import CatalogColumn
from snowgate.sql.conversions import check_common
from snowgate.sql.names import fold, resolve
from snowgate.sql.predicates import always
from snowgate.sql.queries import check_parts
from snowgate.sql.relations import Column, Relation, Scope, Source
from snowgate.sql.state import Knob, unreadable
from snowgate.sql.values import CLEAN, UNKNOWN, Family, Shape, Value, branches, derived

if TYPE_CHECKING:
    from snowgate.sql.walk import Walk

_INSERT_PARTS = {"this", "expression", "overwrite"}
_UPDATE_PARTS = {"this", "expressions", "from_", "where"}
_DELETE_PARTS = {"this", "using", "where"}
_MERGE_PARTS = {"this", "using", "on", "whens"}
_WHEN_PARTS = {"matched", "condition", "then"}
_TABLE_PARTS = {"this", "db", "catalog", "alias"}


@dataclass(frozen=True, slots=True)
class Written:
    """What a DML statement does.

    Attributes:
        targets: Tables written to.
        unbounded: It changes rows without asking which.
    """

    targets: tuple[ObjectName, ...]
    unbounded: bool = False


@dataclass(frozen=True, slots=True)
class _Target:
    name: ObjectName
    alias: str
    columns: tuple[CatalogColumn, ...]

    def column(self, name: str) -> CatalogColumn:
        """The column of that name; one without tags if it is not known."""
        found = (column for column in self.columns if column.name == name)
        return next(found, CatalogColumn(name))


def dml(walk: Walk, node: exp.Expr) -> Written:
    """Walk a DML statement."""
    match node:
        case exp.Insert():
            return _insert(walk, node)
        case exp.MultitableInserts():
            return _insert_all(walk, node)
        case exp.Update():
            return _update(walk, node)
        case exp.Delete():
            return _delete(walk, node)
        case exp.Merge():
            return _merge(walk, node)
    raise unreadable(f"`{type(node).__name__}`")


def _target(walk: Walk, node: exp.Expr) -> _Target:
    if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
        raise unreadable("the table that is written to")
    check_parts(node, _TABLE_PARTS)
    parts = [fold(node.this)]
    for qualifier in (node.args.get("db"), node.args.get("catalog")):
        if qualifier is not None:
            parts.insert(0, fold(qualifier) if qualifier else "")
    name = resolve(parts, walk.state.namespace)
    known = walk.state.catalog.tables.get(name)
    alias = node.args.get("alias")
    shown = fold(alias.this) if isinstance(alias, exp.TableAlias) and alias.this else parts[-1]
    return _Target(name, shown, () if known is None else known.columns)


def _named_columns(node: exp.Expr | None, target: _Target) -> list[str] | None:
    """The columns an INSERT names, or all of the target's; None if those are not known."""
    if isinstance(node, (exp.Schema, exp.Tuple)):
        return [fold(column) for column in node.expressions]
    return [column.name for column in target.columns] or None


def _insert(walk: Walk, node: exp.Insert) -> Written:
    check_parts(node, _INSERT_PARTS)
    table = node.this.this if isinstance(node.this, exp.Schema) else node.this
    target = _target(walk, table)
    names = _named_columns(node.this, target)
    body = node.args.get("expression")
    if body is None:
        raise unreadable("an INSERT without rows")
    if isinstance(body, exp.Values):
        relation = _rows(walk, body, Scope())
    else:
        relation = walk.query(body, None)
    _store_all(walk, target, names, relation)
    return Written((target.name,), bool(node.args.get("overwrite")))


def _rows(walk: Walk, node: exp.Values, scope: Scope) -> Relation:
    """VALUES of an INSERT, where a cell may be DEFAULT."""
    rows = [
        list(row.expressions) if isinstance(row, exp.Tuple) else [row] for row in node.expressions
    ]
    width = max(map(len, rows), default=0)
    known = [[_cell(walk, cell, scope) for cell in row] for row in rows]
    columns = (branches(row[at] for row in known if at < len(row)) for at in range(width))
    return Relation(tuple(Column(None, value) for value in columns))


def _cell(walk: Walk, node: exp.Expr, scope: Scope) -> Value:
    if isinstance(node, exp.Var) or _is_default(node):
        return CLEAN.of(Family.NULL)
    return walk.value(node, scope)


def _is_default(node: exp.Expr) -> bool:
    return isinstance(node, exp.Column) and not node.args.get("table") and fold(node) == "DEFAULT"


def _store_all(walk: Walk, target: _Target, names: list[str] | None, relation: Relation) -> None:
    """Store the columns of a relation in order."""
    if names is None or relation.open or len(names) != len(relation.columns):
        # Which value goes where is not known: any could go anywhere.
        value = relation.everything()
        for name in names or [""]:
            _store(walk, target, name, value, None)
        return
    for name, column in zip(names, relation.columns, strict=True):
        _store(walk, target, name, column.value, None)


def _store(
    walk: Walk, target: _Target, name: str, value: Value, expression: exp.Expr | None
) -> None:
    """Store one value in one column."""
    state, column = walk.state, target.column(name)
    if not value.touched:
        return
    if all(known.name != name for known in target.columns):
        # Nobody could label it: whoever reads it later would see the values in clear.
        state.violate(Knob.COPY, "writes tagged values where nobody can tag them", UNKNOWN)
    missing = value.all_tags - column.tags
    state.launders |= missing
    computed = value.shape is Shape.DERIVED and not column.derived
    rewritten = computed and not missing and rewrites.only_rewrites(expression, name)
    if rewritten:
        # Its values stay whole, and who sees them in clear may do that.
        computed = False
        rewrites.check(state, expression, value)
    if missing or value.unknown or computed:
        before = state.moved.get((target.name, name), CLEAN)
        state.moved[target.name, name] = derived([before, value])
    if value.unknown:
        state.violate(Knob.COPY, "copies values whose origin is not known", value)
    elif not missing and computed:
        state.violate(
            Knob.COPY,
            "stores something computed from a tagged column where whole values are expected",
            value,
        )
    if column.type:
        check_common(state, [value, Value(family=column.family)])
        if not rewritten:
            stored.check_size(state, column, value)


def _insert_all(walk: Walk, node: exp.MultitableInserts) -> Written:
    """INSERT ALL and FIRST: each clause sees the columns of the query."""
    query = node.args.get("source")
    if query is None:
        raise unreadable("an INSERT without rows")
    relation = walk.query(query, None)
    scope = Scope(sources=[Source(None, relation)])
    targets: list[ObjectName] = []
    for clause in node.expressions:
        condition = clause.args.get("expression")
        if condition is not None:
            walk.filter(condition, scope)
        insert = clause.this
        check_parts(insert, _INSERT_PARTS)
        table = insert.this.this if isinstance(insert.this, exp.Schema) else insert.this
        target = _target(walk, table)
        targets.append(target.name)
        body = insert.args.get("expression")
        rows = relation if body is None else _rows(walk, body, scope)
        _store_all(walk, target, _named_columns(insert.this, target), rows)
    return Written(tuple(targets), bool(node.args.get("overwrite")))


def _own_source(walk: Walk, target: _Target) -> Source:
    return Source(target.alias, tables.catalogued(walk, target.name))


def _assign(walk: Walk, target: _Target, assignments: list[exp.Expr], scope: Scope) -> None:
    for assignment in assignments:
        if not isinstance(assignment, exp.EQ) or not isinstance(assignment.this, exp.Column):
            raise unreadable("an assignment")
        name, expression = fold(assignment.this), assignment.expression
        _store(walk, target, name, _cell(walk, expression, scope), expression)


def _update(walk: Walk, node: exp.Update) -> Written:
    check_parts(node, _UPDATE_PARTS)
    target = _target(walk, node.this)
    scope = Scope(sources=[_own_source(walk, target)])
    from_ = node.args.get("from_")
    if from_ is not None:
        scope.sources = scope.sources + walk.source(from_.this, scope)
    _assign(walk, target, node.expressions, scope)
    return Written((target.name,), _unbounded(walk, node.args.get("where"), scope))


def _delete(walk: Walk, node: exp.Delete) -> Written:
    check_parts(node, _DELETE_PARTS)
    target = _target(walk, node.this)
    scope = Scope(sources=[_own_source(walk, target)])
    for item in node.args.get("using") or ():
        scope.sources = scope.sources + walk.source(item, scope)
    return Written((target.name,), _unbounded(walk, node.args.get("where"), scope))


def _unbounded(walk: Walk, where: exp.Expr | None, scope: Scope) -> bool:
    if where is None:
        return True
    walk.filter(where.this, scope)
    return always(where.this)


def _merge(walk: Walk, node: exp.Merge) -> Written:
    check_parts(node, _MERGE_PARTS)
    target = _target(walk, node.this)
    scope = Scope(sources=[_own_source(walk, target)])
    used = walk.source(node.args["using"], Scope())
    scope.sources = scope.sources + used
    walk.filter(node.args["on"], scope)
    given = joins.star_of(Scope(sources=used))
    for when in node.args["whens"].expressions:
        check_parts(when, _WHEN_PARTS)
        condition = when.args.get("condition")
        if condition is not None:
            walk.filter(condition, scope)
        _then(walk, target, when.args["then"], given, scope)
    return Written((target.name,), always(node.args["on"]))


def _then(walk: Walk, target: _Target, action: exp.Expr, given: Relation, scope: Scope) -> None:
    match action:
        case exp.Var() if str(action.this).upper() == "DELETE":
            return
        case exp.Update() if any(isinstance(item, exp.Star) for item in action.expressions):
            _store_by_name(walk, target, given)
        case exp.Update():
            _assign(walk, target, action.expressions, scope)
        case exp.Insert() if isinstance(action.this, exp.Star):
            _store_by_name(walk, target, given)
        case exp.Insert() if isinstance(action.args.get("expression"), exp.Tuple):
            names = _named_columns(action.this, target)
            cells = [_cell(walk, cell, scope) for cell in action.expression.expressions]
            columns = tuple(Column(None, value) for value in cells)
            _store_all(walk, target, names, Relation(columns))
        case _:
            raise unreadable("what a MERGE does")


def _store_by_name(walk: Walk, target: _Target, given: Relation) -> None:
    """ALL BY NAME: each column to the one of its name."""
    for column in given.columns:
        walk.state.touch(column.value)
        _store(walk, target, column.name or "", column.value, None)
    if given.open:
        _store(walk, target, "", given.rest, None)
