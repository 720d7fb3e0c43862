"""Functions and procedures of users: what the registry vetted, and what is there.

A routine is named by its signature: `DATABASE.SCHEMA.NAME(TYPE, …)`. Snowflake chooses between
overloads by the types of the arguments, which only Snowflake knows for sure; so what is said of a
call is said of every overload of its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from snowgate._core import SqlError, lex
from snowgate.model.statement import ObjectName

# Snowflake's name of a type in a signature, which has neither length nor precision.
# Source: <https://docs.snowflake.com/en/sql-reference/intro-summary-data-types>
_SYNONYMS = {
    "VARCHAR": "CHAR CHARACTER NCHAR NVARCHAR NVARCHAR2 STRING TEXT",
    "NUMBER": "NUMERIC DECIMAL DEC INT INTEGER BIGINT SMALLINT TINYINT BYTEINT",
    "FLOAT": "FLOAT4 FLOAT8 DOUBLE REAL",
    "BOOLEAN": "BOOL",
    "BINARY": "VARBINARY",
    "TIMESTAMP_NTZ": "DATETIME TIMESTAMP TIMESTAMPNTZ",
    "TIMESTAMP_LTZ": "TIMESTAMPLTZ",
    "TIMESTAMP_TZ": "TIMESTAMPTZ",
}
_TYPE_OF = {word: name for name, words in _SYNONYMS.items() for word in words.split()}
# Its element and its dimension are part of the type.
_WITH_BRACKETS = "VECTOR"
# Digits of a digest that a message shows: enough to tell two apart, and to find one.
_SHOWN_DIGITS = 12

Token = tuple[str, str]


class RoutineKind(Enum):
    """What a routine is; the value is Snowflake's word in lower case."""

    FUNCTION = "function"
    PROCEDURE = "procedure"


class RoutineEffect(Enum):
    """What a vetted routine does at most."""

    PURE = "pure"  # computes from its arguments, and fails for none of them
    FALLIBLE = "fallible"  # computes from its arguments, and can fail for some
    READS = "reads"  # reads the listed objects as well
    WRITES = "writes"  # reads some and writes to the listed ones
    EXTERNAL = "external"  # sends its arguments, and what it reads, out of Snowflake


@dataclass(frozen=True, slots=True, order=True)
class Signature:
    """A routine's full name and the types of its arguments, in Snowflake's words."""

    name: ObjectName
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.arguments)})"


@dataclass(frozen=True, slots=True)
class Vetted:
    """What the registry says of one routine.

    Attributes:
        kind: Function or procedure.
        signature: Which one.
        effect: What it does at most.
        reads, writes: Objects; one with an empty name is a schema with all it holds.
        body: SHA-256, hex, of what GET_DDL returns for it.
    """

    kind: RoutineKind
    signature: Signature
    effect: RoutineEffect
    reads: tuple[ObjectName, ...]
    writes: tuple[ObjectName, ...]
    body: str


@dataclass(frozen=True, slots=True)
class Overload:
    """One routine of a name, as it was found upstream.

    Attributes:
        kind: Function or procedure.
        arguments: Types of its arguments; None where they could not be read.
        returns: Its type, such as `VARCHAR` or `TABLE (ID NUMBER)`.
        body: SHA-256, hex, of what GET_DDL returned; empty where that says nothing of the body.
        vetted: What the registry says of it; None where it says nothing.
    """

    kind: RoutineKind
    arguments: tuple[str, ...] | None
    returns: str = ""
    body: str = ""
    vetted: Vetted | None = None

    def signature(self, name: ObjectName) -> Signature | None:
        """Its signature, where that is known."""
        return None if self.arguments is None else Signature(name, self.arguments)

    @property
    def as_vetted(self) -> bool:
        """Whether it is what the registry vetted."""
        return self.vetted is not None and self.body == self.vetted.body


def shown_digest(body: str) -> str:
    """The beginning of a digest, for messages."""
    return f"sha256:{body[:_SHOWN_DIGITS]}…" if body else "not readable"


def parse_signature(text: str) -> Signature:
    """Read `DATABASE.SCHEMA.NAME(TYPE, …)`. Quoted names keep their case.

    Raises:
        ValueError: It is none; the message says why.
    """
    tokens = _tokens(text)
    opening = next((at for at, (_, piece) in enumerate(tokens) if piece == "("), len(tokens))
    names, dots = tokens[:opening:2], tokens[1:opening:2]
    plain = all(kind in ("word", "quoted") for kind, _ in names)
    if opening != 5 or not plain or any(piece != "." for _, piece in dots):
        raise ValueError("has no name of three parts, such as `DATABASE.SCHEMA.NAME(VARCHAR)`")
    items = _items(tokens[opening:])
    if items is None:
        raise ValueError("has no list of types at its end, such as `(VARCHAR, NUMBER)`")
    return Signature(ObjectName(*(_stored(*each) for each in names)), _types(items))


def parse_arguments(text: str) -> tuple[str, ...] | None:
    """The types of `(NAME TYPE, NAME TYPE DEFAULT …)`; None where it is no such list.

    Source: ARGUMENT_SIGNATURE of INFORMATION_SCHEMA.FUNCTIONS and PROCEDURES.
    """
    try:
        items = _items(_tokens(text))
        return None if items is None else _types([item[1:] for item in items])
    except ValueError:
        return None


def _tokens(text: str) -> list[Token]:
    try:
        tokens = lex(text)
    except SqlError:
        raise ValueError("holds what no signature does") from None
    return [(kind, piece) for kind, piece in tokens if kind not in ("space", "comment")]


def _items(tokens: list[Token]) -> list[list[Token]] | None:
    """What stands between the commas of one pair of brackets; None where there is more, or less."""
    depth = 0
    items: list[list[Token]] = [[]]
    for at, (kind, piece) in enumerate(tokens):
        depth += (piece == "(") - (piece == ")")
        if depth == 0:
            if piece != ")" or at + 1 != len(tokens):
                return None
            return items if len(items) > 1 or items[0] else []
        if depth == 1 and piece == ",":
            items.append([])
        elif at:
            items[-1].append((kind, piece))
    return None


def _types(items: list[list[Token]]) -> tuple[str, ...]:
    return tuple(_type(item) for item in items)


def _type(tokens: list[Token]) -> str:
    if not tokens or tokens[0][0] != "word":
        raise ValueError("has something else than a type among its arguments")
    word = tokens[0][1].upper()
    if word == _WITH_BRACKETS:
        # A default value may follow.
        end = next((at for at, (_, piece) in enumerate(tokens) if piece == ")"), 0)
        return "".join(piece.upper() for _, piece in tokens[: end + 1])
    return _TYPE_OF.get(word, word)


def _stored(kind: str, piece: str) -> str:
    return piece.upper() if kind == "word" else piece[1:-1].replace('""', '"')
