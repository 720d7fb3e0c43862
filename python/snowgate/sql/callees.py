"""Function names of a statement, from its text.

The lexer lists every name that stands before a bracket. Each must be a reviewed builtin, unquoted
and without a prefix, or be explained by the tree as something else: a function that was vetted, the
table of an INSERT with its columns, a CTE or an alias with its columns.
"""

from __future__ import annotations

from collections import Counter

from sqlglot import exp

from snowgate._core import StatementHead, classify, lex
from snowgate.sql import routines
from snowgate.sql.calls import lookup, unreviewed
from snowgate.sql.functions import builtins
from snowgate.sql.names import fold
from snowgate.sql.parser import after_word, column_list
from snowgate.sql.state import State

# IDENTIFIER and the forms with their own syntax; they are checked where they stand.
_FORMS = frozenset({"IDENTIFIER", "CAST", "TRY_CAST", "EXTRACT", "POSITION"})


def check(head: StatementHead, tree: exp.Expr, state: State) -> None:
    """Check every called name of a statement.

    Raises:
        Refused: A name is no reviewed builtin, or does more than compute, and was not vetted.
    """
    strange: list[str] = []
    for name, qualified in head.calls:
        if qualified or (name not in builtins() and name not in _FORMS):
            strange.append(name)
        elif name not in _FORMS:
            lookup(state, name)
    if not strange:
        return
    explained = _explained(tree) + _vetted(tree, state)
    if head.verb in ("CREATE", "COPY") and head.target:
        # `CREATE TABLE t (a, b) AS …`, `COPY INTO t (a, b) FROM …`
        explained[head.target[-1]] += 1
        # `(a VARCHAR(20))`
        explained.update(column.type for column in column_list(head.rest))
    if head.verb == "CREATE":
        explained["TAG"] += _tags_given(head.rest)
    for name, times in sorted(Counter(strange).items()):
        if times > explained[name]:
            raise unreviewed(name)


def check_text(tree: exp.Expr, text: str, state: State) -> None:
    """As `check`, for a text that is an expression or a query inside another statement."""
    # A head is wanted for the names alone, so any verb will do.
    for head in classify(f"SELECT {text}").statements:
        check(head, tree, state)


def _vetted(tree: exp.Expr, state: State) -> Counter[str]:
    """The last names of calls of vetted functions, and how often each is called."""
    names: Counter[str] = Counter()
    for node in tree.find_all(exp.Anonymous):
        # `a.b.f(x)` is a chain whose last link is the call.
        whole = node.parent if isinstance(node.parent, exp.Dot) else node
        if routines.called(state, whole):
            names[(routines.parts_of(whole) or [""])[-1]] += 1
    return names


def _tags_given(rest: str) -> int:
    """How often `WITH TAG (…)` stands before the query of a CREATE."""
    body = after_word(rest, "AS") or ""
    given, before = 0, ("", "", "")
    for kind, piece in lex(rest[: len(rest) - len(body)]):
        if kind not in ("space", "comment"):
            before = (*before[1:], piece.upper())
            given += before == ("WITH", "TAG", "(")
    return given


def _explained(tree: exp.Expr) -> Counter[str]:
    """Names before brackets that call nothing, and how often."""
    names: Counter[str] = Counter()
    for node in tree.find_all(exp.Schema, exp.TableAlias):
        if isinstance(node, exp.Schema) and isinstance(node.this, exp.Table):
            names[fold(node.this.this)] += 1
        elif node.args.get("columns") and node.this is not None:
            names[fold(node.this)] += 1
    for pivot in tree.find_all(exp.Pivot):
        # `UNPIVOT INCLUDE NULLS (…)`, `PIVOT(… DEFAULT ON NULL (…))`
        names["NULLS"] += pivot.args.get("include_nulls") is not None
        # `DEFAULT ON NULL (…)`
        names["NULL"] += isinstance(pivot.args.get("default_on_null"), exp.Expr)
    for column in tree.find_all(exp.Column):
        # `a.x = b.y(+)`
        if column.args.get("join_mark"):
            names[fold(column)] += 1
    return names
