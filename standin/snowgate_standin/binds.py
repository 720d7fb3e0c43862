"""Bind values as drivers send them: text with a type name, or lists of text for whole batches."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def parse(bindings: Any) -> tuple[list[Any] | None, list[list[Any]] | None]:
    """One row of values, or the rows of a batch; both None without binds."""
    if not isinstance(bindings, dict) or not bindings:
        return None, None
    ordered = [bindings[key] for key in sorted(bindings, key=lambda k: (len(str(k)), str(k)))]
    if any(isinstance(bind.get("value"), list) for bind in ordered):
        columns = [[_value(bind["type"], value) for value in bind["value"]] for bind in ordered]
        return None, [list(row) for row in zip(*columns, strict=True)]
    return [_value(bind.get("type", "TEXT"), bind.get("value")) for bind in ordered], None


def _value(kind: str, text: Any) -> Any:
    if text is None or not isinstance(text, str):
        return text
    kind = kind.upper()
    if kind == "FIXED":
        number = Decimal(text)
        return int(number) if number == number.to_integral_value() else number
    if kind == "REAL":
        return float(text)
    if kind == "BOOLEAN":
        return text.lower() in ("true", "1")
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
