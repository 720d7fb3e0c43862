"""The tables, and how an older file becomes a newer one.

All guarded tables look alike: an id, a version that grows by one with every change, the canonical
JSON of the row, and its MAC. Only SQL that SQLite 3.34 knows is used.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    insert,
    inspect,
    select,
    update,
)

from snowgate.errors import StoreError

METADATA = MetaData()


def _guarded(name: str) -> Table:
    return Table(
        name,
        METADATA,
        Column("id", String, primary_key=True),
        Column("version", Integer, nullable=False),
        Column("body", Text, nullable=False),
        Column("mac", LargeBinary, nullable=False),
    )


APPROVALS = _guarded("approvals")
SESSIONS = _guarded("sessions")
HEADS = _guarded("heads")
LABELS = _guarded("labels")
REFERENCES = _guarded("tag_references")
CATALOG = _guarded("catalog")
CHANGES = _guarded("changes")
GUARDED = (APPROVALS, SESSIONS, HEADS, LABELS, REFERENCES, CATALOG, CHANGES)

ANCHORS = Table(
    "anchors",
    METADATA,
    Column("id", String, primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("mac", LargeBinary, nullable=False),
)
_SCHEMA = Table("schema_version", METADATA, Column("version", Integer, nullable=False))


def _first(connection: Connection) -> None:
    METADATA.create_all(connection)


# Step n brings a file of version n to version n + 1. A step is never changed once released.
MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_first,)


def migrate(connection: Connection) -> bool:
    """Bring the file to the newest version, inside the caller's transaction.

    Returns:
        Whether the file was new.

    Raises:
        StoreError: The file is newer than this program.
    """
    found = 0
    if inspect(connection).has_table(_SCHEMA.name):
        found = connection.execute(select(_SCHEMA.c.version)).scalar_one()
    if found > len(MIGRATIONS):
        raise StoreError(
            f"store has schema version {found}, this program knows {len(MIGRATIONS)};"
            " what to do: run the newer program"
        )
    for step in MIGRATIONS[found:]:
        step(connection)
    if found == 0:
        connection.execute(insert(_SCHEMA).values(version=len(MIGRATIONS)))
    elif found < len(MIGRATIONS):
        connection.execute(update(_SCHEMA).values(version=len(MIGRATIONS)))
    return found == 0
