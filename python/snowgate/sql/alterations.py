"""ALTER TABLE and CREATE OR ALTER TABLE, where they can fail by what the rows hold (F3).

    ALTER TABLE customers ALTER COLUMN phone SET DATA TYPE VARCHAR(9)    fails where one is longer
    CREATE OR ALTER TABLE customers (phone VARCHAR(9))                   so does this

What is listed here does the same whatever the values are. Any other form, of a table with tagged
columns, is an error oracle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from snowgate._core import StatementHead
from snowgate.model.statement import ObjectName
from snowgate.sql import stored
from snowgate.sql.conversions import fail_if
from snowgate.sql.ddl import TABLES, said
from snowgate.sql.parser import ListedColumn, column_list, solid_tokens
from snowgate.sql.relations import Column
from snowgate.sql.state import Refused, State
from snowgate.sql.tables import relation_of
from snowgate.sql.values import UNKNOWN, Shape, Value

_REASON = "alters a table in a way that fails by what a tagged column holds"
# First words of what ALTER TABLE and its kin may do.
_SAME = (
    "RENAME TO",
    "RENAME COLUMN",
    "SWAP WITH",
    "DROP",
    "SET",
    "UNSET",
    "CLUSTER BY",
    "RECLUSTER",
    "SUSPEND",
    "RESUME",
    "REFRESH",
)
# What may be done to one column.
_OF_COLUMN = (
    "SET MASKING POLICY",
    "UNSET MASKING POLICY",
    "SET PROJECTION POLICY",
    "UNSET PROJECTION POLICY",
    "SET TAG",
    "UNSET TAG",
    "SET DEFAULT",
    "DROP DEFAULT",
    "DROP NOT NULL",
    "COMMENT",
    "UNSET COMMENT",
)


def check(head: StatementHead, names: Sequence[ObjectName], state: State) -> None:
    """Check that DDL of a table neither queries nor fails by tagged values.

    Raises:
        Refused: It computes a default by a query, or checks rows by a condition.
    """
    if head.verb not in ("CREATE", "ALTER") or head.object_kind not in TABLES:
        return
    words = [piece.upper() for _, piece in solid_tokens(head.rest)]
    listed = column_list(head.rest)
    inside = words if head.verb == "ALTER" else [w for column in listed for w in column.words]
    if "SELECT" in inside or ["CHECK", "("] in (words[at : at + 2] for at in range(len(words))):
        raise Refused(
            "unparsed",
            "has a default that is a query, or checks rows by a condition",
            "leave it out: give a constant as the default, and check rows with a query",
        )
    for name in names[:1]:
        table = state.catalog.tables.get(name)
        columns = () if table is None else relation_of(table, name).columns
        if head.verb == "ALTER":
            fallible = _fallible(words, columns, head)
        elif said(head, "OR", "ALTER"):
            fallible = _restated(listed, columns)
        else:
            continue
        for value in fallible:
            fail_if(state, [value], _REASON)


def _restated(listed: Sequence[ListedColumn], columns: Sequence[Column]) -> Iterator[Value]:
    """Columns that are given a type of which nobody knows that their values have it."""
    stated = {column.name: column for column in listed}
    for column in columns:
        again = stated.get(column.name or "")
        # One that is not listed is dropped.
        if again is not None and not stored.fits(column.value, again):
            yield column.value


def _fallible(words: list[str], columns: Sequence[Column], head: StatementHead) -> Iterator[Value]:
    if words[:1] in (["ALTER"], ["MODIFY"]):
        known = {column.name or "": column.value for column in columns}
        yield from _changed(head, known)
    elif not _same(words):
        yield from (column.value for column in columns)


def _same(words: list[str]) -> bool:
    if words[:1] == ["ADD"]:
        return words[1:3] != ["DATA", "METRIC"]
    return _begins(words, _SAME)


def _begins(words: Sequence[str], forms: Sequence[str]) -> bool:
    return any([*words[: len(form.split())]] == form.split() for form in forms)


def _changed(head: StatementHead, known: dict[str, Value]) -> Iterator[Value]:
    """Columns whose rows are read when they are changed so."""
    for item in column_list(f"({_without_column(head.rest)})"):
        words = item.words
        if words[:1] in (("=",), (".",)):
            # The next of several tags that are set.
            continue
        value = known.get(item.name, UNKNOWN)
        if words[:3] == ("SET", "NOT", "NULL"):
            # Whether a raw one is NULL somewhere, a predicate that passes tells as well.
            if value.shape is not Shape.RAW:
                yield value
        elif not _begins(words, _OF_COLUMN):
            yield value


def _without_column(text: str) -> str:
    """What follows ALTER or MODIFY, without brackets around all and COLUMN before names."""
    tokens = solid_tokens(text)[1:]
    if tokens and tokens[0][1] == "(":
        tokens = tokens[1:-1]
    kept, depth, first = [], 0, True
    for _, piece in tokens:
        depth += (piece == "(") - (piece == ")")
        if not (first and piece.upper() == "COLUMN"):
            kept.append(piece)
        first = depth == 0 and piece == ","
    return " ".join(kept)
