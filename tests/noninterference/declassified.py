"""Which twins a statement may meet: those that keep alike what it lets go.

By names and not by the analysis, which is under test: a name is hot if it is a tagged column's, or
an alias of something that holds a hot name or a star, anywhere in the session. This calls too much
hot, which only leaves fewer twins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlglot import exp

from .twins import FIXED, MOVING, TAGGED, Kind

_FOLDS = ("LOWER", "UPPER", "TRIM")
_COUNTS = ("COUNT", "APPROX_COUNT_DISTINCT")
_EQUALITIES = (exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.NullSafeNEQ, exp.In, exp.Is)
_COMPARED = {form(core).strip().lower() for core in MOVING for form in (str, str.upper)} - {
    core.lower() for core in FIXED
}


def kinds(trees: Sequence[exp.Expr]) -> frozenset[Kind]:
    """The kinds of twins on which the statements must show the same."""
    found: set[Kind] = set()
    if any(_guesses(node) for tree in trees for node in tree.find_all(*_EQUALITIES, exp.Anonymous)):
        return frozenset()
    found.add(Kind.RENAMED)
    calls = {str(node.this).upper() for tree in trees for node in tree.find_all(exp.Anonymous)} | {
        type(node).__name__.upper() for tree in trees for node in tree.find_all(exp.Trim)
    }
    if calls.isdisjoint(_FOLDS):
        found.add(Kind.RECASED)
    if not _lets_go(trees):
        found.add(Kind.OTHER)
    return frozenset(found)


def _guesses(node: exp.Expr) -> bool:
    """Whether it compares something with a constant that is in one twin and not in the other."""
    if isinstance(node, exp.Anonymous):
        if str(node.this).upper() != "EQUAL_NULL":
            return False
        sides = list(node.expressions)
    elif isinstance(node, exp.In):
        sides = [node.this, *node.expressions]
    else:
        sides = [node.this, node.expression]
    return any(_is_guess(side) for side in sides) and any(_may_be_raw(side) for side in sides)


def _may_be_raw(node: exp.Expr) -> bool:
    """A column, or what may stand for one: a fold of it, a row, a query, a positional column."""
    if isinstance(node, (exp.Paren, exp.Tuple)):
        return any(_may_be_raw(part) for part in node.iter_expressions())
    if isinstance(node, exp.Anonymous) and str(node.this).upper() in _FOLDS:
        return any(_may_be_raw(part) for part in node.expressions)
    return isinstance(node, (exp.Column, exp.Parameter, exp.Subquery, exp.Query))


def _is_guess(node: exp.Expr) -> bool:
    """A constant, not a column or a query, whose text moves between twins."""
    if node.find(exp.Column, exp.Query) is not None:
        return False
    texts = [str(item.this) for item in node.find_all(exp.Literal) if item.is_string]
    if node.find(exp.DPipe) is not None:
        texts.append("".join(texts))
    return any(text.strip().lower() in _COMPARED for text in texts)


def hot_names(trees: Sequence[exp.Expr]) -> frozenset[str]:
    """Names that could mean a tagged value somewhere in the session."""
    hot = set(TAGGED)
    grown = True
    while grown:
        before = len(hot)
        for tree in trees:
            _grow(tree, hot)
        grown = len(hot) > before
    return frozenset(hot)


def _grow(tree: exp.Expr, hot: set[str]) -> None:
    for alias in tree.find_all(exp.Alias, exp.PivotAlias, exp.PropertyEQ):
        if is_hot(alias.this, hot):
            hot.add(alias.alias.upper())
    for table in tree.find_all(exp.TableAlias):
        # The names of a column list stand for positions: hot if anything in it can be.
        columns = table.args.get("columns") or ()
        if columns and table.parent is not None and is_hot(table.parent, hot):
            hot |= {column.name.upper() for column in columns}
    for pivot in tree.find_all(exp.Pivot):
        if is_hot(pivot, hot):
            hot |= {item.name.upper() for item in pivot.find_all(exp.Identifier)}
    for star in tree.find_all(exp.Star):
        for item in star.args.get("rename") or ():
            if item.this.name.upper() in hot:
                hot.add(item.args["alias"].name.upper())
        for item in star.args.get("replace") or ():
            if is_hot(item.this, hot):
                hot.add(item.args["alias"].name.upper())
    for operation in tree.find_all(exp.SetOperation):
        if is_hot(operation, hot):
            left = operation.find(exp.Select)
            if left is not None:
                hot |= {item.alias_or_name.upper() for item in left.expressions}
    for assignment in tree.find_all(exp.EQ):
        if isinstance(assignment.parent, exp.Update) and is_hot(assignment.expression, hot):
            hot.add(assignment.this.name.upper())


def is_hot(node: exp.Expr | None, hot: Iterable[str]) -> bool:
    """Whether a part of a statement names what could be a tagged value."""
    if node is None:
        return False
    for item in node.find_all(exp.Column, exp.Star, exp.Parameter, exp.Identifier):
        if isinstance(item, exp.Star):
            # COUNT(*) holds nothing.
            parent = item.parent
            if isinstance(parent, exp.Anonymous) and str(parent.this).upper() in _COUNTS:
                continue
            return True
        if isinstance(item, exp.Parameter) or item.name.upper() in hot:
            return True
    return False


def _lets_go(trees: Sequence[exp.Expr]) -> bool:
    hot = hot_names(trees)
    return any(_declassifies(node, hot) for tree in trees for node in tree.walk())


def _declassifies(node: exp.Expr, hot: frozenset[str]) -> bool:
    match node:
        case exp.EQ() if isinstance(node.parent, exp.Update):
            return False
        case exp.EQ() | exp.NEQ() | exp.NullSafeEQ() | exp.NullSafeNEQ() | exp.In() | exp.Is():
            return is_hot(node, hot)
        case exp.Exists() | exp.Group() | exp.Distinct():
            scope = node.find_ancestor(exp.Select) if not isinstance(node, exp.Exists) else node
            return is_hot(scope, hot)
        case exp.Join():
            named = any(name.name.upper() in hot for name in node.args.get("using") or ())
            return named or str(node.args.get("method") or "").upper() == "NATURAL"
        case exp.Union() | exp.Intersect() | exp.Except():
            compares = node.args.get("distinct") or not isinstance(node, exp.Union)
            return bool(compares) and is_hot(node, hot)
        case exp.Window():
            return any(is_hot(key, hot) for key in node.args.get("partition_by") or ())
        case exp.Pivot():
            return is_hot(node.parent, hot)
        case exp.Anonymous():
            name = str(node.this).upper()
            return (name in _COUNTS or name == "EQUAL_NULL") and is_hot(node, hot)
    return False
