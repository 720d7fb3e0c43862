"""Reads functions and procedures from Snowflake, as a user and role of the gateway's own.

    FUNCTIONS, PROCEDURES   which overloads a name has
    GET_DDL                 the text whose digest the registry pins (F18)

No text of a body is kept, logged or told to anybody: only its digest.

What the role may not see is not there for the gateway, so it needs USAGE on every function and
procedure of a schema with vetted ones.

Source: <https://docs.snowflake.com/en/sql-reference/functions/get_ddl>
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from snowgate.errors import UpstreamError
from snowgate.model.ports import UpstreamReader
from snowgate.model.routine import Overload, RoutineKind, Vetted, parse_arguments
from snowgate.model.statement import ObjectName
from snowgate.sql.catalog import Routines
from snowgate.sql.catalog_reader import PURPOSE, cells, constant, quoted
from snowgate.sql.functions import builtins

_LISTS = {
    RoutineKind.FUNCTION: (
        "SELECT FUNCTION_SCHEMA, FUNCTION_NAME, ARGUMENT_SIGNATURE, DATA_TYPE"
        " FROM {db}.INFORMATION_SCHEMA.FUNCTIONS"
    ),
    RoutineKind.PROCEDURE: (
        "SELECT PROCEDURE_SCHEMA, PROCEDURE_NAME, ARGUMENT_SIGNATURE, DATA_TYPE"
        " FROM {db}.INFORMATION_SCHEMA.PROCEDURES"
    ),
}
# Bodies asked for in one statement.
_BATCH = 50
# The files of a stage are in no text that a digest covers. Snowflake writes no comment in between.
_IMPORTS = re.compile(r"\bIMPORTS\s*=\s*\(\s*[^)\s]", re.IGNORECASE)


async def read_routines(
    reader: UpstreamReader,
    databases: Iterable[str],
    registry: Iterable[Vetted],
    only: Collection[ObjectName] = (),
) -> Routines:
    """Read every overload of the registry's names, and functions that have the name of a builtin.

    Cancel-safe: nothing is kept between the statements.

    Args:
        reader: Runs the gateway's own statements.
        databases: Names as stored.
        registry: What was vetted; bodies are read for names in it only.
        only: Names to read, if not all; they are procedures then.

    Raises:
        UpstreamError: Snowflake did not list them, or in another form than asked for.
    """
    names = {(one.kind, one.signature.name) for one in registry}
    found: Routines = {}
    for database in databases:
        wanted = {kind for kind, name in names if name.database == database}
        kinds = {RoutineKind.PROCEDURE} if only else {RoutineKind.FUNCTION, *wanted}
        for kind in sorted(kinds, key=lambda each: each.value):
            rows = await reader.query(_LISTS[kind].format(db=quoted(database)), PURPOSE)
            for name, overload in (_overload(database, kind, row) for row in rows):
                shadows = kind is RoutineKind.FUNCTION and name.name in builtins()
                if (name in only) if only else (shadows or (kind, name) in names):
                    found[name] = (*found.get(name, ()), overload)
    pinned = [
        (name, one)
        for name, overloads in found.items()
        for one in overloads
        if (one.kind, name) in names and one.arguments is not None
    ]
    bodies: dict[tuple[ObjectName, Overload], str] = {}
    for at in range(0, len(pinned), _BATCH):
        batch = pinned[at : at + _BATCH]
        bodies |= dict(zip(batch, await _bodies(reader, batch), strict=True))
    return {
        name: tuple(
            sorted(
                (replace(one, body=bodies.get((name, one), "")) for one in overloads),
                key=lambda one: (one.kind.value, one.arguments or ()),
            )
        )
        for name, overloads in found.items()
    }


def digest_of(text: str) -> str:
    """The digest of what GET_DDL returned, as it stands; empty if files belong to the body too."""
    return "" if _IMPORTS.search(text) else hashlib.sha256(text.encode()).hexdigest()


async def _bodies(
    reader: UpstreamReader, routines: Sequence[tuple[ObjectName, Overload]]
) -> list[str]:
    """Digests in the same order; empty where Snowflake shows no text."""
    asked = ", ".join(_get_ddl(name, one) for name, one in routines)
    try:
        rows = await reader.query(f"SELECT {asked}", PURPOSE)
    except UpstreamError:
        if len(routines) == 1:
            return [""]
        # One that is gone, or that the role may not see, fails all of them.
        return [digest for each in routines for digest in await _bodies(reader, [each])]
    if len(rows) != 1 or len(rows[0]) != len(routines):
        raise UpstreamError("registry", "bodies of routines came in another form than asked for")
    return [digest_of(text or "") if text else "" for text in rows[0]]


def _get_ddl(name: ObjectName, overload: Overload) -> str:
    parts = ".".join(map(quoted, (name.database, name.schema, name.name)))
    arguments = ", ".join(overload.arguments or ())
    return f"GET_DDL('{overload.kind.name}', {constant(f'{parts}({arguments})')})"


def _overload(
    database: str, kind: RoutineKind, row: Sequence[str | None]
) -> tuple[ObjectName, Overload]:
    schema, name, arguments, returns = cells(row, 4)
    found = Overload(kind, parse_arguments(arguments), returns)
    return ObjectName(database, schema, name), found
