"""Columns that values are stored in: what does not fit one is an error (F3).

    CREATE TABLE t (a VARCHAR(1)) AS SELECT IFF(ssn LIKE '1%', 'xx', 'x') FROM customers
    INSERT INTO t SELECT IFF(ssn LIKE '1%', 'xx', 'x') FROM customers

A raw tagged column may be declared of its own type, without a length, and NOT NULL: whether it is
NULL somewhere, a predicate that passes tells as well (F1).
"""

from __future__ import annotations

from collections.abc import Sequence

from snowgate.sql import sizes
from snowgate.sql.catalog import CatalogColumn, family_of_type
from snowgate.sql.conversions import ONE_CHARACTER, fail_if
from snowgate.sql.parser import ListedColumn
from snowgate.sql.relations import Relation
from snowgate.sql.state import State
from snowgate.sql.values import Family, Shape, Value

_REASON = "stores a tagged column where not every value fits"


def check(state: State, declared: Sequence[ListedColumn], body: Relation, *, keyed: bool) -> None:
    """Check what a query makes against the columns that are to hold it.

    Args:
        state: Where a violation is recorded.
        declared: The columns, as far as the statement lists them.
        body: What the query makes.
        keyed: Two rows with one key are an error.
    """
    if keyed:
        fail_if(
            state, [body.everything()], "stores tagged columns under a key, which fails by them"
        )
    for at, column in enumerate(declared):
        known = not body.open and at < len(body.columns)
        value = body.columns[at].value if known else body.everything()
        if not fits(value, column):
            fail_if(state, [value], _REASON)


def check_size(state: State, column: CatalogColumn, value: Value) -> None:
    """Check what is stored in a column that is there, by the length or digits of its type."""
    size = sizes.of_type(column.type)
    number = column.family is Family.NUMBER
    # Of a raw number nobody knows how many digits its own column has.
    if size is None or (number and value.shape is Shape.RAW):
        return
    if (value.digits if number else value.chars) > size:
        fail_if(state, [value], _REASON)


def fits(value: Value, column: ListedColumn) -> bool:
    """Whether whatever a value is can be held by a column that is declared so."""
    if column.type not in _UNTYPED:
        family = family_of_type(column.type)
        if column.type in ONE_CHARACTER:
            return False
        if family is not value.family or (family in _SIZED and "(" in column.words[:2]):
            return False
    return value.shape is Shape.RAW or "NOT" not in column.words


# What follows the name of a column that is given no type.
_UNTYPED = frozenset({"", "COMMENT", "CONSTRAINT", "MASKING", "NOT", "PROJECTION", "TAG", "WITH"})
_SIZED = frozenset({Family.TEXT, Family.NUMBER, Family.BINARY})
