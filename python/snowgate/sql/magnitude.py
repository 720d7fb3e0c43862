"""How large numbers can get, and how far dates can move: beyond their range they fail (F3).

    IFF(ssn LIKE '1%', 9999…, 0) + 1                      38 digits hold no more
    DATEADD(year, IFF(ssn LIKE '1%', 99999, 0), d)        no calendar goes that far

A value knows how many digits it has at most: a constant its own, a column `COLUMN_DIGITS`, a bind
or what was a text any number. Where a calculation with a tagged operand may leave the range, the
statement fails on account of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from snowgate.sql.conversions import LOOSE, fail_if
from snowgate.sql.state import State
from snowgate.sql.values import ANY_DIGITS, COLUMN_DIGITS, Family, Value, derived

# Snowflake's NUMBER: https://docs.snowflake.com/en/sql-reference/data-types-numeric
_MOST_DIGITS = 38
# What is left beside as many digits after the point as a literal or a column has.
_WHOLE_DIGITS = 28
# A sum over this many rows is far from the end.
_ROWS_DIGITS = 12
# A date that moves by 9999 years stays within the range, a few times.
_MOVE_DIGITS = 4
_MOST_MOVES = 3

_REASON = "calculates with a tagged column beyond what a number can hold"
_MOVED = "moves a date on account of a tagged column, which can leave the calendar"

# Their values can be much larger than their arguments, or come from a text.
_GROWING_NAMES = """
    AS_DECIMAL AS_DOUBLE AS_INTEGER AS_NUMBER AS_REAL BITSHIFTLEFT BIT_SHIFTLEFT COSH COT EXP
    FACTORIAL NORMAL POW POWER SINH TAN TO_DECFLOAT TO_DECIMAL TO_DOUBLE TO_NUMBER TO_NUMERIC
    TRY_TO_DECFLOAT TRY_TO_DECIMAL TRY_TO_DOUBLE TRY_TO_NUMBER TRY_TO_NUMERIC UNIFORM ZIPF
"""
_GROWING = frozenset(_GROWING_NAMES.split())
# They add up what they are given.
_SUMS = frozenset({"SUM", "AVG"})
_QUOTIENTS = frozenset({"DIV0", "DIV0NULL"})
# They square what they are given, and add it up.
_SPREAD_NAMES = """
    CORR COVAR_POP COVAR_SAMP KURTOSIS REGR_AVGX REGR_AVGY REGR_INTERCEPT REGR_R2 REGR_SLOPE
    REGR_SXX REGR_SXY REGR_SYY SKEW STDDEV STDDEV_POP STDDEV_SAMP VARIANCE VARIANCE_POP
    VARIANCE_SAMP VAR_POP VAR_SAMP
"""
_SPREADS = frozenset(_SPREAD_NAMES.split())
# Numbers to moments. What has more digits than a column is beyond the calendar.
_INSTANTS = frozenset(f"TO_TIMESTAMP{kind}" for kind in ("", "_LTZ", "_NTZ", "_TZ"))
# They count parts of a date; nanoseconds of a thousand years are more than 64 bits.
_DIFFERENCES = frozenset({"DATEDIFF", "TIMEDIFF", "TIMESTAMPDIFF", "DATE_PART"})
_NANOSECONDS = "counts nanoseconds on account of a tagged column, which can be too many"
# They move a date: the place of the amount.
_MOVERS = {"DATEADD": 1, "TIMEADD": 1, "TIMESTAMPADD": 1, "ADD_MONTHS": 1}


def digits_of(number: str) -> int:
    """Digits before the point of a number as it is written."""
    mantissa, _, exponent = number.lower().partition("e")
    whole = len(mantissa.partition(".")[0].lstrip("0"))
    if not exponent:
        return max(whole, 1)
    return max(whole + int(exponent), 1) if len(exponent) <= 3 else ANY_DIGITS


def total(state: State, values: Sequence[Value]) -> Value:
    """A sum or a difference."""
    return _within(state, values, max(map(_size, values)) + (len(values) > 1))


def product(state: State, values: Sequence[Value]) -> Value:
    """A product."""
    return _within(state, values, sum(map(_size, values)))


def quotient(state: State, divisor: exp.Expr, values: Sequence[Value]) -> Value:
    """A quotient: a divisor below one makes it larger than the dividend."""
    while isinstance(divisor, (exp.Paren, exp.Neg)):
        divisor = divisor.this
    grows = COLUMN_DIGITS
    if isinstance(divisor, exp.Literal) and not divisor.is_string:
        text = str(divisor.this)
        whole, _, fraction = text.partition(".")
        small = not whole.strip("0")
        grows = len(fraction) if small else 0
        grows = ANY_DIGITS if "e" in text.lower() else grows
    return _within(state, values, _size(values[0]) + grows)


def converted(state: State, operand: Value, target: Family) -> Value:
    """A value of another type. A text, or what may be one, can be any number."""
    result = derived([operand], target)
    if target is not Family.NUMBER:
        return result
    if operand.family is Family.NUMBER:
        return _within(state, [operand], operand.digits)
    return replace(result, digits=ANY_DIGITS) if operand.family in LOOSE else result


def called(
    state: State, name: str, nodes: Sequence[exp.Expr], values: Sequence[Value], result: Value
) -> Value:
    """The value of a builtin, whose arguments it may exceed."""
    if name in _INSTANTS:
        _check_instant(state, values)
    if name in _DIFFERENCES and nodes:
        counted(state, nodes[0], values)
    if name in _MOVERS and len(values) > _MOVERS[name]:
        return _move(state, values, [values[_MOVERS[name]]])
    if result.family is not Family.NUMBER:
        return result
    digits = max(map(_size, values), default=COLUMN_DIGITS)
    if name == "SQUARE":
        return product(state, [*values, *values])
    if name in _SPREADS and digits > COLUMN_DIGITS:
        fail_if(state, values, _REASON, always=True)
    if name in _SUMS:
        return _within(state, values, digits + _ROWS_DIGITS)
    if name in _QUOTIENTS:
        return _within(state, values, digits + COLUMN_DIGITS)
    if name in _GROWING:
        digits = ANY_DIGITS
    elif all(value.family is not Family.NUMBER for value in values):
        digits = COLUMN_DIGITS
    return replace(result, digits=digits)


def _check_instant(state: State, values: Sequence[Value]) -> None:
    """Seconds since 1970, or, from eleven digits on, something smaller than seconds."""
    counted = [value for value in values[:1] if value.family is Family.NUMBER]
    if len(values) > 1 or any(value.digits > COLUMN_DIGITS for value in counted):
        fail_if(state, counted, _MOVED)


def counted(state: State, part: exp.Expr, values: Sequence[Value]) -> None:
    """A date or a difference of dates, counted in a part of it."""
    if not _is_coarse(part):
        fail_if(state, values, _NANOSECONDS, always=True)


def _is_coarse(part: exp.Expr) -> bool:
    """Whether the part of a date is a word for something longer than a nanosecond."""
    if isinstance(part, exp.Literal):
        word = str(part.this)
    elif isinstance(part, (exp.Column, exp.Var)):
        word = part.name
    else:
        return False
    return not re.search(r"(^|_)N(ANO)?S", word.upper())


def alternatives(state: State, results: Sequence[Value], values: Sequence[Value]) -> None:
    """Branches of one value: each gets the digits after the point that another has.

    Args:
        state: Where a violation is recorded.
        results: The branches.
        values: All that decides which branch it is, and the branches.
    """
    if max(map(_digits, results), default=0) > _WHOLE_DIGITS:
        fail_if(state, values, _REASON, always=True)


def interval(amount: exp.Expr, value: Value) -> Value:
    """`INTERVAL '2 days, 3 hours'`: its largest number counts."""
    digits = value.digits
    if isinstance(amount, exp.Literal):
        digits = max(map(len, re.findall(r"\d+", str(amount.this))), default=ANY_DIGITS)
    return replace(derived([value], Family.TIME), digits=digits)


def moved(state: State, parts: Sequence[exp.Expr], values: Sequence[Value]) -> Value:
    """A date with days or intervals added."""
    amounts = [
        value
        for part, value in zip(parts, values, strict=True)
        if value.family is not Family.TIME or isinstance(part, exp.Interval)
    ]
    return _move(state, values, amounts)


def _move(state: State, values: Sequence[Value], amounts: Sequence[Value]) -> Value:
    # The digits of a date count how often it has moved.
    moves = max((value.digits for value in values if value not in amounts), default=COLUMN_DIGITS)
    moves += len(amounts)
    far = any(_size(amount) > _MOVE_DIGITS for amount in amounts)
    if far or moves > COLUMN_DIGITS + _MOST_MOVES:
        fail_if(state, values, _MOVED, always=True)
    return replace(derived(values, Family.TIME), digits=moves)


def _within(state: State, values: Sequence[Value], digits: int) -> Value:
    if digits > _MOST_DIGITS:
        fail_if(state, values, _REASON, always=True)
    return replace(derived(values, Family.NUMBER), digits=digits)


def _digits(value: Value) -> int:
    return value.digits if value.family is Family.NUMBER else 0


def _size(value: Value) -> int:
    return ANY_DIGITS if value.family in LOOSE else value.digits
