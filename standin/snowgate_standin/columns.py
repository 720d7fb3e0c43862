"""The columns of a result as Snowflake describes them (`rowtype`), from DuckDB's types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pyarrow as pa


def _words(text: str) -> list[str]:
    return text.split()


TEXT_LENGTH = 16_777_216
BINARY_LENGTH = 8_388_608

_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_INTEGERS = frozenset(
    _words("""
TINYINT SMALLINT INTEGER BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT UHUGEINT
""")
)
_PLAIN = {
    "DOUBLE": "real",
    "FLOAT": "real",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "BLOB": "binary",
    "JSON": "variant",
}
_SCALED = {
    "TIME": ("time", 9),
    "TIME_NS": ("time", 9),
    "TIMESTAMP": ("timestamp_ntz", 9),
    "TIMESTAMP_NS": ("timestamp_ntz", 9),
    "TIMESTAMP_MS": ("timestamp_ntz", 3),
    "TIMESTAMP_S": ("timestamp_ntz", 0),
    "TIMESTAMP WITH TIME ZONE": ("timestamp_tz", 9),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One entry of `rowtype`; lengths in characters and bytes."""

    name: str
    type: str
    nullable: bool = True
    precision: int | None = None
    scale: int | None = None
    length: int | None = None
    byte_length: int | None = None
    database: str = ""
    schema: str = ""
    table: str = ""

    def wire(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "database": self.database,
            "schema": self.schema,
            "table": self.table,
            "type": self.type,
            "nullable": self.nullable,
            "precision": self.precision,
            "scale": self.scale,
            "length": self.length,
            "byteLength": self.byte_length,
            "collation": None,
        }


def column(name: str, duck_type: str) -> Column:
    """The column DuckDB's type stands for; what Snowflake lacks becomes text."""
    if match := _DECIMAL.fullmatch(duck_type):
        return Column(name, "fixed", precision=int(match[1]), scale=int(match[2]))
    if duck_type in _INTEGERS:
        return Column(name, "fixed", precision=38, scale=0)
    if duck_type in _SCALED:
        kind, scale = _SCALED[duck_type]
        return Column(name, kind, precision=0, scale=scale)
    if duck_type == "BLOB":
        return Column(name, "binary", length=BINARY_LENGTH, byte_length=BINARY_LENGTH)
    if duck_type in _PLAIN:
        return Column(name, _PLAIN[duck_type])
    if duck_type.endswith("]"):
        return Column(name, "array")
    if duck_type.startswith(("STRUCT", "MAP")):
        return Column(name, "object")
    return text(name)


def text(name: str, length: int = TEXT_LENGTH) -> Column:
    return Column(name, "text", length=length, byte_length=min(length * 4, TEXT_LENGTH))


_ARROW = (
    (pa.types.is_boolean, "BOOLEAN"),
    (pa.types.is_integer, "BIGINT"),
    (pa.types.is_floating, "DOUBLE"),
    (pa.types.is_date, "DATE"),
    (pa.types.is_time, "TIME"),
    (pa.types.is_binary, "BLOB"),
    (pa.types.is_nested, "JSON"),
)


def of_arrow(field: pa.Field) -> Column:
    """The column of an Arrow field, where DuckDB's own type name is not at hand."""
    kind = field.type
    if pa.types.is_decimal(kind):
        return column(field.name, f"DECIMAL({kind.precision},{kind.scale})")
    if pa.types.is_timestamp(kind):
        return column(field.name, "TIMESTAMP WITH TIME ZONE" if kind.tz else "TIMESTAMP")
    for test, name in _ARROW:
        if test(kind):
            return column(field.name, name)
    return text(field.name)
