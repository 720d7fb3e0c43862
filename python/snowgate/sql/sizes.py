"""How long texts and arrays can get: beyond what a value can hold they fail (F3).

    REPEAT(REPEAT(IFF(ssn LIKE '1%', 'x', ''), 99999), 99999)      16 MB hold no more

A value knows how many characters it has at most: a constant its own, a column `COLUMN_CHARS`, a
bind as many as a request holds. What is put together out of several has those of all of them.
Where something that a tagged value decides may get too long, the statement fails on its account.

Source of the limit: <https://docs.snowflake.com/en/sql-reference/data-types-text>
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from sqlglot import exp

from snowgate.sql.catalog import family_of_type
from snowgate.sql.conversions import ONE_CHARACTER, fail_if
from snowgate.sql.functions import Role, builtins
from snowgate.sql.state import State
from snowgate.sql.values import ANY_CHARS, Family, Value

# 16 MB, with room for characters of more than one byte.
_MOST_CHARS = 10_000_000
# A bind may have half of that; two of them are too long.
BIND_CHARS = _MOST_CHARS // 2
# What an aggregate puts together of the columns of many rows.
_AGGREGATE_CHARS = 1_500_000

_REASON = "makes a text or an array on account of a tagged column that can get too long"
_LONG = frozenset({Family.TEXT, Family.BINARY, Family.VARIANT, Family.ANY})
# By how much they write something longer than it is.
_FACTORS = {"TO_JSON": 6, "HEX_ENCODE": 3, "BASE64_ENCODE": 3, "SPLIT": 4, "STRTOK_TO_ARRAY": 4}
# Where the number of characters, or of repetitions, stands.
_COUNT_AT = {"REPEAT": 1, "LPAD": 1, "RPAD": 1, "SPACE": 0, "RANDSTR": 0}


def check(state: State, value: Value) -> None:
    """Record it where a value may get too long on account of a tagged one."""
    if value.chars >= _MOST_CHARS and value.family in _LONG:
        fail_if(state, [value], _REASON, always=True)


def called(name: str, nodes: Sequence[exp.Expr], values: Sequence[Value], result: Value) -> Value:
    """The value of a builtin, which may be longer than its arguments."""
    if result.family not in _LONG:
        return result
    chars = min(_chars(name, nodes, [value.chars for value in values], result), ANY_CHARS)
    return result if chars == result.chars else replace(result, chars=chars)


def _chars(name: str, nodes: Sequence[exp.Expr], chars: Sequence[int], result: Value) -> int:
    match name:
        case "REPEAT" | "LPAD" | "RPAD" | "SPACE" | "RANDSTR":
            at = _COUNT_AT[name]
            count = _count(nodes[at]) if at < len(nodes) else ANY_CHARS
            return count * chars[0] if name == "REPEAT" else count
        case "REPLACE" | "REGEXP_REPLACE":
            return (chars[0] + 1) * max(chars[2] if len(chars) > 2 else 0, 1)
        case "ARRAY_TO_STRING" | "TRANSFORM":
            return chars[0] * max(1, *chars[1:])
        case "CONCAT_WS":
            return sum(chars) + chars[0] * len(chars)
        case "REDUCE":
            # Each step may double what the step before has made.
            return ANY_CHARS
        case _ if builtins()[name].role is Role.AGGREGATE and builtins()[name].returns:
            return _AGGREGATE_CHARS
        case _:
            return result.chars * _FACTORS.get(name, 1)


def _count(node: exp.Expr) -> int:
    """A number that is written out; any other could be any."""
    text = str(node.this) if isinstance(node, exp.Literal) and not node.is_string else ""
    return int(text) if text.isdecimal() and len(text) < len(str(ANY_CHARS)) else ANY_CHARS


# DDL may name any number of types.
@lru_cache(maxsize=1024)
def of_type(name: str) -> int | None:
    """Characters or bytes that a type is given, or digits before the point; None without."""
    if name in ONE_CHARACTER:
        return 1
    size = _SIZE.fullmatch(name.upper())
    if size is None or family_of_type(name) not in _SIZED:
        return None
    return int(size[1]) - int(size[2] or 0)


_SIZED = frozenset({Family.TEXT, Family.NUMBER, Family.BINARY})
_SIZE = re.compile(r"[A-Z0-9 ]+\( *(\d{1,9}) *(?:, *(\d{1,2}) *)?\)")
