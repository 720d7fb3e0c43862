"""Identifiers: how they are stored, and what constants that name objects mean."""

from __future__ import annotations

from sqlglot import exp

from snowgate._core import SqlError, lex
from snowgate.model.statement import Namespace, ObjectName
from snowgate.sql.state import Refused

# Longest constant that is read as a name; Snowflake's identifiers have at most 255 characters.
_MAX_NAME = 1024


def fold(identifier: object) -> str:
    """An identifier as Snowflake stores it: upper-case unless quoted."""
    if isinstance(identifier, exp.Identifier):
        name = str(identifier.this)
        return name if identifier.args.get("quoted") else name.upper()
    if isinstance(identifier, exp.Column):
        return fold(identifier.this)
    raise Refused("unparsed", "a name is not a plain identifier", "name columns and tables plainly")


def names_of(alias: object) -> list[str]:
    """The column names of a table alias, `AS t(a, b)`."""
    if not isinstance(alias, exp.TableAlias):
        return []
    return [fold(column) for column in alias.args.get("columns") or ()]


def parse_name(text: str) -> list[str]:
    """The parts of a name in a constant, such as IDENTIFIER('db.schema."T"').

    Raises:
        Refused: It is no name.
    """
    try:
        tokens = [] if len(text) > _MAX_NAME else lex(text)
    except SqlError:
        tokens = []
    parts: list[str] = []
    wants_name = True
    for kind, piece in tokens:
        if kind == "word" and wants_name:
            parts.append(piece.upper())
        elif kind == "quoted" and wants_name:
            parts.append(piece[1:-1].replace('""', '"'))
        elif piece == "." and (not wants_name or len(parts) == 1):
            if wants_name:
                parts.append("")
            wants_name = True
            continue
        else:
            raise dynamic_name()
        wants_name = False
    if not parts or wants_name or len(parts) > 3:
        raise dynamic_name()
    return parts


def dynamic_name() -> Refused:
    """A name that only Snowflake would know."""
    return Refused(
        "dynamic-name",
        "an object or column is named by something other than a plain name",
        "write the name itself",
    )


def resolve(parts: list[str], namespace: Namespace) -> ObjectName:
    """A name of one to three parts in full; an empty part is the schema PUBLIC of `db..name`."""
    if len(parts) == 3:
        return ObjectName(parts[0], parts[1] or "PUBLIC", parts[2])
    if len(parts) == 2:
        return ObjectName(namespace.database, parts[0], parts[1])
    return ObjectName(namespace.database, namespace.schema, parts[0])
