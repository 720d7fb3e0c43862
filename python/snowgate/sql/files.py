"""COPY INTO: what an unload would write to files, and where to; what a load may not do.

    COPY INTO @stage/path FROM table | (query)  [PARTITION BY (expression)] [OPTION = value] …

Files pass no mask, so the source of an unload is walked as the query it is: whatever it touches
would be in the files, in their names, or in how many there are.

Source: <https://docs.snowflake.com/en/sql-reference/sql/copy-into-location>
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from snowgate._core import StatementHead, lex, string_value
from snowgate.model.statement import Namespace, ObjectName
from snowgate.sql import callees
from snowgate.sql.names import parse_name, resolve
from snowgate.sql.parser import solid_tokens
from snowgate.sql.state import Refused, State

_Token = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Unload:
    """A COPY INTO location, taken apart.

    Attributes:
        queries: Texts of the queries it runs: its source, and what names the files.
        stage: Where to; None for a user's own stage and for a location outside the account.
    """

    queries: tuple[str, ...]
    stage: ObjectName | None


def unload(head: StatementHead, namespace: Namespace) -> Unload:
    """Take a COPY INTO location apart.

    Raises:
        Refused: It has another form than the documented one.
    """
    tokens = solid_tokens(head.text)
    # COPY INTO location FROM source
    if len(tokens) < 5 or not _is_word(tokens[3], "FROM"):
        raise _form()
    source, rest = _source(tokens[4:])
    queries = [source]
    while rest:
        if _is_word(rest[0], "PARTITION") and len(rest) > 2 and _is_word(rest[1], "BY"):
            expression, rest = _bracketed(rest[2:])
            queries.append(f"SELECT ({expression}) FROM ({source})")  # noqa: S608
        elif len(rest) > 2 and rest[0][0] == "word" and rest[1][1] == "=":
            rest = _bracketed(rest[2:])[1] if rest[2][1] == "(" else rest[3:]
        else:
            raise _form()
    return Unload(tuple(queries), _stage(tokens[2], namespace))


def check_load(head: StatementHead, state: State) -> None:
    """Check a COPY INTO table: it stores what is in files, and shows none of it.

    Raises:
        Refused: It shows rows of the files, or calls what nobody has reviewed.
    """
    words = {piece.upper() for kind, piece in lex(head.rest) if kind == "word"}
    if "VALIDATION_MODE" in words:
        raise Refused("stage-read", "shows what is in files", "load the files into a table")
    callees.check(head, exp.Null(), state)


def _source(tokens: list[_Token]) -> tuple[str, list[_Token]]:
    """The query of what follows FROM, and what follows that."""
    if tokens[0][1] == "(":
        return _bracketed(tokens)
    parts, wants_name = 0, True
    for kind, piece in tokens:
        if piece != "." and not (wants_name and kind in ("word", "quoted")):
            break
        wants_name = piece == "."
        parts += 1
    if wants_name:
        raise _form()
    name = "".join(piece for _, piece in tokens[:parts])
    return f"SELECT * FROM {name}", tokens[parts:]  # noqa: S608 - analysed, and never sent


def _bracketed(tokens: list[_Token]) -> tuple[str, list[_Token]]:
    """The text in the brackets that tokens begin with, and what follows them."""
    depth = 0
    for at, (_, piece) in enumerate(tokens):
        depth += (piece == "(") - (piece == ")")
        if depth == 0:
            if at == 0:
                break
            return " ".join(piece for _, piece in tokens[1:at]), tokens[at + 1 :]
    raise _form()


def _stage(token: _Token, namespace: Namespace) -> ObjectName | None:
    """The stage of a location; a table's own stage is called `%` and the table's name."""
    kind, piece = token
    location = piece if kind == "stage" else string_value(piece) or ""
    if not location.startswith("@") or location.startswith("@~"):
        return None
    name = _before_path(location[1:])
    before, table, after = name.rpartition("%")
    parts = parse_name(before + after)
    if table:
        parts[-1] = f"%{parts[-1]}"
    return resolve(parts, namespace)


def _before_path(location: str) -> str:
    """What stands before the first `/` outside quotes."""
    quoted = False
    for at, char in enumerate(location):
        quoted ^= char == '"'
        if char == "/" and not quoted:
            return location[:at]
    return location


def _is_word(token: _Token, word: str) -> bool:
    return token[0] == "word" and token[1].upper() == word


def _form() -> Refused:
    return Refused(
        "unknown-form",
        "is not one of the known forms of COPY INTO a location",
        "write COPY INTO a stage FROM a table or a query in brackets, options as NAME = value and"
        " the expression of PARTITION BY in brackets",
    )
