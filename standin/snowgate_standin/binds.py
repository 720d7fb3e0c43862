"""Bind values as drivers send them: text with a type name, or lists of text for whole batches."""

from __future__ import annotations

import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from snowgate_standin.errors import SnowflakeError

# What Snowflake calls a value that is none of its type: code, SQLSTATE, and the type in its words.
_WRONG = {
    "FIXED": ("100038", "22018", "Numeric value"),
    "REAL": ("100038", "22018", "Numeric value"),
    "BOOLEAN": ("100037", "22018", "Boolean value"),
    "BINARY": ("100115", "22000", "Hex value"),
    "DATE": ("100040", "22007", "Date"),
    "TIME": ("100108", "22007", "Time"),
}
_WRONG_TIMESTAMP = ("100035", "22007", "Timestamp")
_DIGITS = 38
_TRUE = ("true", "t", "yes", "y", "on", "1")
_FALSE = ("false", "f", "no", "n", "off", "0")

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def parse(bindings: Any) -> tuple[list[Any] | None, list[list[Any]] | None]:
    """One row of values, or the rows of a batch; both None without binds.

    Raises:
        SnowflakeError: A value is none of its type, or the columns of a batch differ in length.
    """
    if not isinstance(bindings, dict) or not bindings:
        return None, None
    ordered = [bindings[key] for key in sorted(bindings, key=lambda k: (len(str(k)), str(k)))]
    values = [bind.get("value") for bind in ordered]
    lengths = {len(value) if isinstance(value, list) else None for value in values}
    if len(lengths) != 1:
        raise SnowflakeError("000904", "22023", "Array binds differ in length")
    if lengths != {None}:
        columns = [[_value(bind["type"], value) for value in bind["value"]] for bind in ordered]
        return None, [list(row) for row in zip(*columns, strict=True)]
    return [_value(bind.get("type", "TEXT"), bind.get("value")) for bind in ordered], None


def _value(kind: str, text: Any) -> Any:
    if text is None or not isinstance(text, str):
        return text
    kind = kind.upper()
    try:
        return _converted(kind, text)
    except (ValueError, InvalidOperation, OverflowError, IndexError):
        code, sqlstate, what = _WRONG.get(kind, _WRONG_TIMESTAMP)
        raise SnowflakeError(code, sqlstate, f"{what} '{text}' is not recognized") from None


def _converted(kind: str, text: str) -> Any:
    if kind == "FIXED":
        number = Decimal(text)
        if not number.is_finite() or number.adjusted() >= _DIGITS:
            raise ValueError(kind)
        return int(number) if number == number.to_integral_value() else number
    if kind == "REAL":
        return float(text)
    if kind == "BOOLEAN":
        return (*_FALSE, *_TRUE).index(text.lower()) >= len(_FALSE)
    if kind == "BINARY":
        return bytes.fromhex(text)
    if kind == "DATE":
        return (_EPOCH + datetime.timedelta(milliseconds=int(text))).date()
    if kind == "TIME":
        return (_EPOCH + datetime.timedelta(microseconds=int(text) // 1000)).time()
    if kind in ("TIMESTAMP_NTZ", "TIMESTAMP_LTZ"):
        moment = _EPOCH + datetime.timedelta(microseconds=int(text) // 1000)
        return moment.replace(tzinfo=None)
    if kind == "TIMESTAMP_TZ":
        return _EPOCH + datetime.timedelta(microseconds=int(text.split()[0]) // 1000)
    return text
