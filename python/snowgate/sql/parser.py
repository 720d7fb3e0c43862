"""Texts to syntax trees.

The parser is told to know no function: a call then arrives under the name in the text, not as what
another dialect means by it, and nothing is rewritten on the way. The setting is on the class, for
the whole process: nothing else here parses SQL.

A tree is accepted only if its root is of a listed kind and nothing in it is a `Command`, which is
how the parser spells "no idea".
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import sqlglot.tokens
from sqlglot import exp
from sqlglot.dialects.snowflake import Snowflake
from sqlglot.errors import SqlglotError

from snowgate._core import SqlError, classify, lex
from snowgate.sql.catalog import TYPES
from snowgate.sql.state import unreadable

# The parser warns about what it does not know; here that is a refusal.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

_DIALECT = Snowflake()
_CLASS = _DIALECT.parser_class
_CLASS.FUNCTIONS = {}
_CLASS.FUNCTION_PARSERS = {
    name: parse
    for name, parse in _CLASS.FUNCTION_PARSERS.items()
    if name in ("CAST", "TRY_CAST", "EXTRACT", "POSITION")
}

# Each reads its settings once, and begins every text anew.
_TOKENIZER = _DIALECT.tokenizer()
_PARSER = _DIALECT.parser()

# Pure Python fails at 40 levels of nesting, which real statements have.
COMPILED: bool = bool(sqlglot.tokens.SQLGLOTC_INSTALLED)

_QUERIES = (exp.Select, exp.Union, exp.Intersect, exp.Except, exp.Subquery, exp.Values)
_DML = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.MultitableInserts)


def parse(text: str) -> exp.Expr:
    """Parse one statement.

    Raises:
        Refused: It has no reading, or more than one statement.
    """
    try:
        plain = _plain(text)
        trees = [
            tree
            for tree in _PARSER.parse(_TOKENIZER.tokenize(plain), plain)
            if tree is not None and not isinstance(tree, exp.Semicolon)
        ]
    except (SqlglotError, RecursionError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise unreadable("the statement") from error
    if len(trees) != 1:
        raise unreadable("the statement")
    tree = trees[0]
    if tree.find(exp.Command) is not None:
        raise unreadable("a part of the statement")
    return tree


def _plain(text: str) -> str:
    """Without comments, and with `:1`, `:2` … for the binds.

    The parser attaches comments to what stands near them, and takes `?::` for an operator.
    """
    if not any(mark in text for mark in ("?", "--", "//", "/*")):
        return text
    pieces, binds = [], 0
    for kind, piece in lex(text):
        binds += kind == "bind"
        pieces.append({"bind": f":{binds}", "comment": " "}.get(kind, piece))
    return "".join(pieces)


def parse_query(text: str) -> exp.Expr:
    """Parse a text that must be a query."""
    tree = parse(text)
    if not isinstance(tree, _QUERIES):
        raise unreadable("the query")
    return tree


def parse_dml(text: str) -> exp.Expr:
    """Parse a text that must be INSERT, UPDATE, DELETE or MERGE."""
    tree = parse(text)
    if not isinstance(tree, _DML):
        raise unreadable("the statement")
    return tree


def body_of(text: str) -> tuple[str, list[str]]:
    """The query of a CREATE … AS text and the column names it lists; of a query, itself.

    Raises:
        Refused: It holds no query.
    """
    try:
        heads = classify(text).statements
    except SqlError as error:
        raise unreadable("the text of a view") from error
    if len(heads) != 1:
        raise unreadable("the text of a view")
    if heads[0].verb != "CREATE":
        return text, []
    body = after_word(heads[0].rest, "AS")
    if body is None:
        raise unreadable("the text of a view")
    return body, [column.name for column in column_list(heads[0].rest)]


def solid_tokens(text: str) -> list[tuple[str, str]]:
    """Kind and text of every token that is neither space nor comment."""
    return [(kind, piece) for kind, piece in lex(text) if kind not in ("space", "comment")]


def after_word(text: str, word: str) -> str | None:
    """What follows a word that stands outside brackets; None if it does not."""
    depth, at = 0, 0
    for kind, piece in lex(text):
        at += len(piece)
        depth += (piece == "(") - (piece == ")")
        if depth == 0 and kind == "word" and piece.upper() == word:
            return text[at:]
    return None


class ListedColumn(NamedTuple):
    """One column of a list: its stored name, its type's first word, whether it is computed.

    `words` are all that follows the name, in upper case.
    """

    name: str
    type: str
    computed: bool
    words: tuple[str, ...] = ()


def column_list(text: str) -> list[ListedColumn]:
    """The columns in the brackets that a text begins with.

    Constraints and other items that do not begin with a name of a column are left out.
    """
    depth = 0
    items: list[list[tuple[str, str]]] = [[]]
    for kind, piece in lex(text):
        if kind in ("space", "comment"):
            continue
        if depth == 0 and piece != "(":
            return []
        depth += (piece == "(") - (piece == ")")
        if depth == 0:
            break
        if depth == 1 and piece == ",":
            items.append([])
        elif piece != "(" or depth > 1:
            items[-1].append((kind, piece))
    return [
        ListedColumn(
            _stored(*item[0]),
            item[1][1].upper() if len(item) > 1 else "",
            any(kind == "word" and piece.upper() == "AS" for kind, piece in item[1:]),
            tuple(piece.upper() for _, piece in item[1:]),
        )
        for item in items
        if item and item[0][0] in ("word", "quoted") and not _is_constraint(item)
    ]


# Reserved words, which no column is called without quotes.
_CONSTRAINTS = frozenset({"CONSTRAINT", "UNIQUE", "CHECK"})


def _is_constraint(item: list[tuple[str, str]]) -> bool:
    first, second, third = [piece.upper() for _, piece in [*item[:3], ("", ""), ("", "")]][:3]
    if first in ("PRIMARY", "FOREIGN"):
        return second == "KEY"
    # A column may be called INDEX: it has a type, and an index has columns.
    return first in _CONSTRAINTS or (first == "INDEX" and second not in TYPES and third == "(")


def _stored(kind: str, piece: str) -> str:
    return piece.upper() if kind == "word" else piece[1:-1].replace('""', '"')


def parse_view(text: str) -> tuple[exp.Expr, list[str]]:
    """The query of a view's text, and the names it gives to its columns."""
    body, names = body_of(text)
    return parse_query(body), names
