"""Makes a failing session small: a text that is read in one go and fails in the same way.

Delta debugging on the syntax tree of each statement: leave out a statement, a clause, an item of a
list; put a part in the place of the whole. What is left is written by the parser's own generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlglot import exp

from snowgate.sql.parser import parse
from snowgate.sql.state import Refused

from .client import tree_of
from .duck import Gap

# A session is small before that.
MAX_TRIES = 2000
# Clauses that can go.
_OPTIONAL = (
    *("where", "group", "having", "qualify", "order", "limit", "offset", "distinct", "with_"),
    *("joins", "laterals", "default", "partition_by", "using", "spec", "side"),
)
_LISTS = ("expressions", "joins", "laterals", "ifs", "partition_by", "rollup", "cube")


@dataclass(frozen=True, slots=True)
class _Edit:
    """One way to make a tree smaller: what to do with the n-th node.

    Without `part` a descendant, the `item`-th, takes the node's place, or the number 1 if there is
    no `item`. With it the part goes, or that item of it.
    """

    node: int
    part: str = ""
    item: int | None = None


def shrink(texts: Sequence[str], fails: Callable[[Sequence[str]], bool]) -> list[str]:
    """The smallest session found that still fails.

    Args:
        texts: A session that fails.
        fails: Whether a session fails in the way that is looked for.
    """
    best, tries = list(texts), 0
    while tries < MAX_TRIES:
        for smaller in _smaller(best):
            tries += 1
            if tries >= MAX_TRIES or fails(smaller):
                break
        else:
            break
        if tries < MAX_TRIES:
            best = smaller
    return best


def _smaller(texts: Sequence[str]) -> Iterator[list[str]]:
    for at in range(len(texts)):
        if len(texts) > 1:
            yield [*texts[:at], *texts[at + 1 :]]
    for at, text in enumerate(texts):
        for smaller in _smaller_text(text):
            yield [*texts[:at], smaller, *texts[at + 1 :]]


def _smaller_text(text: str) -> Iterator[str]:
    try:
        tree = tree_of(text)
    except Gap:
        return
    made = tree.sql("snowflake")
    at = text.upper().index(" AS ") + 4 if text.upper().startswith("CREATE") else 0
    prefix = text[:at]
    seen: set[str] = set()
    for edit in _edits(tree):
        smaller = _edited(tree, edit)
        if smaller is not None and len(smaller) < len(made) and smaller not in seen:
            seen.add(smaller)
            yield prefix + smaller


def _edits(tree: exp.Expr) -> Iterator[_Edit]:
    """Large parts first."""
    for number, node in enumerate(tree.bfs()):
        for at, inner in enumerate(node.bfs()):
            if 0 < at < 40 and _fits(node, inner):
                yield _Edit(number, item=at)
        if isinstance(node, exp.Condition) and not isinstance(node, (exp.Query, exp.Literal)):
            yield _Edit(number)
        for part in _OPTIONAL:
            if node.args.get(part):
                yield _Edit(number, part)
        for part in _LISTS:
            items = node.args.get(part)
            if isinstance(items, list) and len(items) > 1:
                for at in range(len(items)):
                    yield _Edit(number, part, at)


def _fits(node: exp.Expr, inner: exp.Expr) -> bool:
    """Whether a part can stand where the whole stands."""
    if isinstance(node, exp.Query):
        return isinstance(inner, exp.Query) and not isinstance(inner, exp.Table)
    values = (exp.Condition, exp.Alias, exp.Paren)
    if isinstance(node, (exp.Table, exp.From, exp.Join, exp.Identifier, exp.DataType)):
        return False
    return (
        isinstance(node, values) and isinstance(inner, values) and not isinstance(inner, exp.Star)
    )


def _edited(tree: exp.Expr, edit: _Edit) -> str | None:
    root = exp.Paren(this=tree.copy())
    node = _nth(root.this, edit.node)
    if edit.part:
        value = node.args[edit.part]
        node.set(
            edit.part,
            [item for at, item in enumerate(value) if at != edit.item]
            if edit.item is not None
            else None,
        )
    else:
        smaller = exp.Literal.number(1) if edit.item is None else _nth(node, edit.item)
        node.replace(smaller)
    try:
        text = str(root.this.sql("snowflake"))
        parse(text)
    except (Refused, ValueError, AttributeError, TypeError, IndexError):
        return None
    return text


def _nth(tree: exp.Expr, number: int) -> exp.Expr:
    return next(node for at, node in enumerate(tree.bfs()) if at == number)
