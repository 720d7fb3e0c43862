"""Rows on the wire: Snowflake's Arrow streams and its JSON text, from DuckDB's Arrow.

Source of both encodings: what the released drivers read. FIXED columns take the narrowest width
that holds their values in the whole result, so the same column is int8 in one result and int64 in
the next. Within one result every piece has the same schema: connector 5.2.0 reads all pieces with
the schema of the first one and returns wrong numbers when they differ, and `fetch_arrow_all` of
4.8.1 fails then.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from snowgate_standin.columns import Column

UTC_OFFSET = 1440
"""Minutes; the wire adds 1440 to the offset of a zone."""

_WIDTHS = ((pa.int8(), 7), (pa.int16(), 15), (pa.int32(), 31), (pa.int64(), 63))
_NO_DECIMAL = pa.decimal128(38, 0)
_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def normalise(table: pa.Table) -> pa.Table:
    """Only the Arrow types the encoders know: nested values as JSON text, plain strings."""
    arrays = [_normal(column) for column in table.columns]
    return pa.Table.from_arrays(arrays, names=table.column_names)


def _normal(values: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = values.type
    if pa.types.is_nested(kind):
        texts = [
            None if value is None else json.dumps(value, default=str)
            for value in values.to_pylist()
        ]
        return pa.chunked_array([pa.array(texts, pa.string())])
    if pa.types.is_uint64(kind):
        return values.cast(_NO_DECIMAL)
    if pa.types.is_integer(kind):
        return values.cast(pa.int64())
    if pa.types.is_float32(kind):
        return values.cast(pa.float64())
    if pa.types.is_null(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return values.cast(pa.string())
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return values.cast(pa.binary())
    known = (
        pa.types.is_boolean,
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_decimal,
        pa.types.is_string,
        pa.types.is_binary,
        pa.types.is_date32,
        pa.types.is_time,
        pa.types.is_timestamp,
    )
    if any(test(kind) for test in known):
        return values
    texts = [None if value is None else str(value) for value in values.to_pylist()]
    return pa.chunked_array([pa.array(texts, pa.string())])


Widths = tuple[pa.DataType | None, ...]


def widths(columns: tuple[Column, ...], table: pa.Table) -> Widths:
    """The physical type of every FIXED column of these rows."""
    return tuple(width(c, values) for c, values in zip(columns, table.columns, strict=True))


def arrow_stream(columns: tuple[Column, ...], table: pa.Table, kinds: Widths) -> bytes:
    """A complete IPC stream with one record batch, or with none where there are no rows."""
    arrays, fields = [], []
    for column, values, kind in zip(columns, table.columns, kinds, strict=True):
        array, size = _arrow(column, values.combine_chunks(), kind)
        arrays.append(array)
        fields.append(
            pa.field(
                column.name,
                array.type,
                column.nullable,
                metadata={
                    "logicalType": column.type.upper(),
                    "precision": str(38 if column.precision is None else column.precision),
                    "scale": str(column.scale or 0),
                    "charLength": str(column.length or 0),
                    "byteLength": str(size or column.byte_length or 0),
                    "nullable": "Y" if column.nullable else "N",
                    "finalType": "T",
                },
            )
        )
    schema = pa.schema(fields)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        if table.num_rows:
            writer.write_batch(pa.record_batch(arrays, schema=schema))
    return sink.getvalue().to_pybytes()


def _arrow(
    column: Column, values: pa.Array, kind: pa.DataType | None
) -> tuple[pa.Array, int | None]:
    """The physical array of a column and, where it has one, its width in bytes."""
    if column.type == "fixed":
        return _fixed(values, kind)
    if column.type == "date":
        return values, 4
    if column.type == "time":
        ticks = values.cast(pa.int64())
        factor = 10 ** (column.scale or 0) // _UNITS[values.type.unit]
        return pc.multiply(ticks, factor), 8
    if column.type.startswith("timestamp"):
        return _timestamp(column, values)
    return values, None


def width(column: Column, values: pa.ChunkedArray | pa.Array) -> pa.DataType | None:
    """The narrowest integer that holds a FIXED column; None for other columns and wide decimals."""
    if column.type != "fixed":
        return None
    bounds = pc.min_max(values).as_py()
    scale = values.type.scale if pa.types.is_decimal(values.type) else 0
    low, high = (int(Decimal(bounds[end] or 0).scaleb(scale)) for end in ("min", "max"))
    for kind, bits in _WIDTHS:
        if -(2**bits) <= low and high < 2**bits:
            return kind
    return None


def _fixed(values: pa.Array, kind: pa.DataType | None) -> tuple[pa.Array, int]:
    if kind is None:
        return values, 16
    if pa.types.is_decimal(values.type):
        values = values.view(_NO_DECIMAL)
    return values.cast(kind), kind.bit_width // 8


def _timestamp(column: Column, values: pa.Array) -> tuple[pa.Array, int]:
    ticks, unit = values.cast(pa.int64()), _UNITS[values.type.unit]
    scale = column.scale or 0
    if scale <= 7 and column.type != "timestamp_tz":
        factor, target = 10**scale, unit
        if factor >= target:
            return pc.multiply(ticks, factor // target), 8
        return _floor_divide(ticks, target // factor)[0], 8
    seconds, rest = _floor_divide(ticks, unit)
    fraction = pc.multiply(rest, 10**9 // unit).cast(pa.int32())
    parts = [seconds, fraction]
    names = ["epoch", "fraction"]
    if column.type == "timestamp_tz":
        parts.append(pa.array([UTC_OFFSET] * len(values), pa.int32()))
        names.append("timezone")
    fields = [
        pa.field(name, part.type, metadata={"logicalType": "FIXED", "scale": "0"})
        for name, part in zip(names, parts, strict=True)
    ]
    missing = values.is_null() if values.null_count else None
    return pa.StructArray.from_arrays(parts, fields=fields, mask=missing), 16


def _floor_divide(ticks: pa.Array, by: int) -> tuple[pa.Array, pa.Array]:
    """Quotient and remainder, the remainder never negative, NULL as zero."""
    ticks = ticks.fill_null(0)
    quotient = pc.divide(ticks, by)
    below = pc.less(pc.subtract(ticks, pc.multiply(quotient, by)), 0)
    quotient = pc.subtract(quotient, below.cast(pa.int64()))
    return quotient, pc.subtract(ticks, pc.multiply(quotient, by))


def json_rows(columns: tuple[Column, ...], table: pa.Table) -> bytes:
    """Rows as JSON arrays joined by commas, without outer brackets: the body of a chunk."""
    if not table.num_rows:
        return b""
    quoted = [
        _json_quoted(_json_cells(column, values.combine_chunks()))
        for column, values in zip(columns, table.columns, strict=True)
    ]
    joined = pc.binary_join_element_wise(*quoted, ",") if len(quoted) > 1 else quoted[0]
    return ("[" + "],[".join(joined.to_pylist()) + "]").encode()


def json_rowset(columns: tuple[Column, ...], table: pa.Table) -> list[list[str | None]]:
    """The rows as lists, for the head of a reply."""
    return orjson.loads(b"[" + json_rows(columns, table) + b"]")


def _json_quoted(cells: pa.Array) -> pa.Array:
    """Every cell as JSON text: a quoted string or null."""
    if pc.any(pc.match_substring_regex(cells, r'["\\\x00-\x1f]')).as_py():
        texts = [orjson.dumps(cell).decode() for cell in cells.to_pylist()]
        return pa.array(texts, pa.string())
    return pc.fill_null(pc.binary_join_element_wise('"', cells, '"', ""), "null")


def _json_cells(column: Column, values: pa.Array) -> pa.Array:
    """Each value as the text of its type; NULL stays NULL."""
    kind = values.type
    if pa.types.is_string(kind):
        return values
    if pa.types.is_boolean(kind):
        return pc.if_else(values, "1", "0")
    if pa.types.is_date(kind):
        return values.cast(pa.int32()).cast(pa.string())
    if pa.types.is_decimal(kind) and kind.scale <= 6:
        return values.cast(pa.string())
    if pa.types.is_integer(kind):
        return values.cast(pa.string())
    if pa.types.is_time(kind) or pa.types.is_timestamp(kind):
        return _json_ticks(column, values)
    return pa.array([_cell(value) for value in values.to_pylist()], pa.string())


def _json_ticks(column: Column, values: pa.Array) -> pa.Array:
    """Seconds with `scale` decimals, and the zone where there is one."""
    ticks, unit = values.cast(pa.int64()), _UNITS[values.type.unit]
    scale = column.scale or 0
    low = pc.min(ticks).as_py()
    suffix = f" {UTC_OFFSET}" if column.type == "timestamp_tz" else ""
    if low is not None and low < 0:
        step = Decimal(1).scaleb(-scale)
        texts = [
            None if tick is None else f"{(Decimal(tick) / unit).quantize(step):f}{suffix}"
            for tick in ticks.to_pylist()
        ]
        return pa.array(texts, pa.string())
    seconds, rest = _floor_divide(ticks, unit)
    text = seconds.cast(pa.string())
    if scale:
        digits = pc.utf8_lpad(rest.cast(pa.string()), len(str(unit)) - 1, "0")
        digits = pc.utf8_slice_codeunits(pc.utf8_rpad(digits, 9, "0"), 0, scale)
        text = pc.binary_join_element_wise(text, digits, ".")
    if suffix:
        text = pc.binary_join_element_wise(text, suffix, "")
    return pc.if_else(values.is_valid(), text, None)


def _cell(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, float):
        return repr(value)
    return str(value)
