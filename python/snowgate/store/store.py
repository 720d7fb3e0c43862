"""The store: one SQLite file, one process, every change on disk before it is told.

Invariant: one process has the file (a lock beside it says so); its memory knows each row's MAC.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from snowgate.approval.state import ended
from snowgate.errors import StoreError
from snowgate.model.approval import Approval
from snowgate.store.codec import decode, encode
from snowgate.store.guarded import GuardedTable
from snowgate.store.schema import GUARDED, migrate
from snowgate.store.seal import Sealer

# A backup tool may have the file for a moment; the gate does not wait for an answer much longer.
BUSY_LIMIT_MS = 2000

SessionRow = dict[str, object]


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """The last head of a ledger this gateway vouched for (F22).

    Attributes:
        origin: Name of the log.
        size: Entries.
        root: Root hash, hex.
    """

    origin: str
    size: int
    root: str


class Approvals:
    """The `ApprovalStore` of `model.ports`."""

    def __init__(self, table: GuardedTable) -> None:
        self._table = table
        self._by_query = {
            approval.held.query_id: approval.id for approval in map(decode, table.all())
        }

    def insert(self, approval: Approval) -> None:
        """Add a new approval, durably.

        Raises:
            StoreError: Its id or query is there already, or the store is not as it was written.
        """
        if approval.held.query_id in self._by_query:
            raise StoreError("store already has an approval for this query")
        if not self._table.insert(approval.id, encode(approval)):
            raise StoreError("store already has this approval")
        self._by_query[approval.held.query_id] = approval.id

    def get(self, approval_id: str) -> Approval | None:
        """The approval with this id."""
        body = self._table.get(approval_id)
        return None if body is None else decode(body)

    def find_by_query(self, query_id: str) -> Approval | None:
        """The approval that holds this query."""
        approval_id = self._by_query.get(query_id)
        return None if approval_id is None else self.get(approval_id)

    def list_all(self) -> list[Approval]:
        """All approvals, newest first."""
        approvals = map(decode, self._table.all())
        return sorted(approvals, key=lambda approval: approval.requested_at_s, reverse=True)

    def replace(self, old: Approval, new: Approval) -> bool:
        """Swap `old` for `new`, durably; False, and no change, if the row is no longer `old`."""
        if (old.id, old.held) != (new.id, new.held):
            raise StoreError("an approval never changes what it is for")
        return self._table.replace(old.id, encode(old), encode(new))

    def prune(self, before_s: float) -> int:
        """Forget approvals that have ended and expired before a Unix time; the ledger keeps them.

        Returns:
            How many were forgotten.
        """
        old = [a for a in self.list_all() if ended(a) and a.expires_at_s < before_s]
        for approval in old:
            self._table.delete(approval.id)
            del self._by_query[approval.held.query_id]
        return len(old)


class Sessions:
    """Client sessions as the gate gave them: JSON objects with an `id`."""

    def __init__(self, table: GuardedTable) -> None:
        self._table = table

    def put(self, row: SessionRow) -> None:
        """Write a session, new or changed, durably."""
        self._table.put(_session_id(row), row)

    def change(self, row: SessionRow) -> bool:
        """Write a session that is there, durably; False, and no change, if it is not."""
        return self._table.change(_session_id(row), row)

    def delete(self, session_id: str) -> None:
        """Forget a session, if known."""
        self._table.delete(session_id)

    def load_all(self) -> list[SessionRow]:
        """All sessions, in no order."""
        return list(self._table.all())


class ObjectRows:
    """What is known of tables and views: a row of each, which its caller gives form."""

    def __init__(self, table: GuardedTable) -> None:
        self._table = table

    def put(self, name: tuple[str, str, str], body: dict[str, object]) -> None:
        """Write the row of an object, durably."""
        self.put_all({name: body})

    def put_all(self, rows: Mapping[tuple[str, str, str], dict[str, object] | None]) -> None:
        """Write the rows of many objects, durably, all or none of them; None deletes one."""
        self._table.put_all(
            {
                orjson.dumps(name).decode(): None if body is None else {**body, "name": list(name)}
                for name, body in rows.items()
            }
        )

    def load_all(self) -> list[dict[str, object]]:
        """All rows; `name` holds database, schema and name."""
        return list(self._table.all())


class Changes:
    """Statements that are changing objects: the reference of each, and the objects."""

    def __init__(self, table: GuardedTable) -> None:
        self._table = table

    def put(self, reference: str, names: Sequence[tuple[str, str, str]]) -> None:
        """Write what a statement changes, durably."""
        self._table.put(reference, {"reference": reference, "names": [*map(list, names)]})

    def delete_all(self, references: Iterable[str]) -> None:
        """Forget statements, durably."""
        self._table.put_all(dict.fromkeys(references))

    def load_all(self) -> list[dict[str, object]]:
        """All statements, in no order."""
        return list(self._table.all())


class Store:
    """An open store. Safe to call from several threads; calls run one after another."""

    def __init__(self, engine: Engine, lock_file: int, sealer: Sealer) -> None:
        self._engine = engine
        self._lock_file = lock_file
        self._lock = threading.Lock()
        tables = [GuardedTable(table, sealer, self._begin) for table in GUARDED]
        with self._begin() as connection:
            new = migrate(connection)
            for table in tables:
                if new:
                    table.create(connection)
                else:
                    table.load(connection)
        self.approvals = Approvals(tables[0])
        self.sessions = Sessions(tables[1])
        self._heads = tables[2]
        # Tags that statements moved to columns no pattern of the configuration finds (F16).
        self.labels = ObjectRows(tables[3])
        # Tags of Snowflake that columns were seen to carry.
        self.references = ObjectRows(tables[4])
        # The catalog as it was in force last.
        self.catalog = ObjectRows(tables[5])
        self.changes = Changes(tables[6])

    @classmethod
    def open(cls, path: Path, key: bytes) -> Self:
        """Open a store file, or make one that only its owner can read.

        Args:
            path: The SQLite file.
            key: 32 bytes, from the store key file.

        Raises:
            StoreError: Another process has it, it cannot be read, or a row is not as it was
                written.
        """
        lock_file = _lock(path)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            return cls(_engine(path), lock_file, Sealer(key))
        except OSError as error:
            os.close(lock_file)
            raise StoreError(f"store `{path}` cannot be opened: {error.strerror}") from error
        except BaseException:
            os.close(lock_file)
            raise

    def ledger_head(self, origin: str) -> LedgerHead | None:
        """The last head vouched for, or None for a ledger never seen."""
        body = self._heads.get(origin)
        if body is None:
            return None
        return LedgerHead(origin, int(str(body["size"])), str(body["root"]))

    def set_ledger_head(self, head: LedgerHead) -> None:
        """Remember a head, durably."""
        self._heads.put(head.origin, {"size": head.size, "root": head.root})

    def close(self) -> None:
        """Close the file and let others have it."""
        self._engine.dispose()
        os.close(self._lock_file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        with self._lock:
            try:
                with self._engine.begin() as connection:
                    yield connection
            except (SQLAlchemyError, sqlite3.Error) as error:
                # The text of the library's error holds the row.
                raise StoreError(f"store cannot be used: {_reason(error)}") from None


def _session_id(row: SessionRow) -> str:
    session_id = row.get("id")
    if not isinstance(session_id, str) or not session_id:
        raise StoreError("a session has no id")
    return session_id


def _reason(error: SQLAlchemyError | sqlite3.Error) -> str:
    """SQLite's word for what is wrong, such as `SQLITE_FULL`; else the kind of error."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    return getattr(origin, "sqlite_errorname", None) or type(error).__name__


def _lock(path: Path) -> int:
    try:
        lock_file = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(f"store `{path}` cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock_file)
        raise StoreError(
            f"store `{path}` is in use; what to do: stop the other gateway, or give this one its"
            " own data_dir"
        ) from None
    return lock_file


def _engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=StaticPool,
        connect_args={"check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _(raw: sqlite3.Connection, _record: object) -> None:
        # The driver must not open transactions by itself: `begin` below does, and exclusively.
        raw.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_LIMIT_MS}",
        ):
            raw.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
