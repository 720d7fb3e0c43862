"""One table whose rows are believed only if this store wrote them.

A read checks the row against its MAC and against the state held in memory; a write changes row and
anchor in one transaction, and the memory only after the commit.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

import orjson
from sqlalchemy import Connection, Row, Table, delete, insert, select, update

from snowgate.errors import StoreError
from snowgate.store.schema import ANCHORS
from snowgate.store.seal import Sealer, TableState

Body = dict[str, object]
Begin = Callable[[], AbstractContextManager[Connection]]


class GuardedTable:
    """Rows under MAC.

    Args:
        table: One of `schema.GUARDED`.
        sealer: Of the store's key.
        begin: Opens a transaction that excludes all others.
    """

    def __init__(self, table: Table, sealer: Sealer, begin: Begin) -> None:
        self._table = table
        self._sealer = sealer
        self._begin = begin
        self._state = TableState()
        self._generation = 0

    def create(self, connection: Connection) -> None:
        """Write the anchor of an empty table, in a new file."""
        mac = self._sealer.anchor(self._table.name, 0, self._state.digest())
        connection.execute(insert(ANCHORS).values(id=self._table.name, generation=0, mac=mac))

    def load(self, connection: Connection) -> None:
        """Read every row and compare the whole with the anchor.

        Raises:
            StoreError: A row is not as it was written, or one is missing, extra or older.
        """
        for row in connection.execute(select(self._table)):
            self._check_mac(row)
            self._state.apply(row.id, row.mac)
        anchor = connection.execute(
            select(ANCHORS).where(ANCHORS.c.id == self._table.name)
        ).one_or_none()
        if anchor is None:
            raise self._tampered("its anchor is missing")
        expected = self._sealer.anchor(self._table.name, anchor.generation, self._state.digest())
        if not hmac.compare_digest(expected, anchor.mac):
            raise self._tampered("a row is missing, added, or older than the last one written")
        self._generation = anchor.generation

    def get(self, row_id: str) -> Body | None:
        """The body of a row, or None.

        Raises:
            StoreError: The row is not the one last written.
        """
        with self._begin() as connection:
            row = self._read(connection, row_id)
        return None if row is None else orjson.loads(row.body)

    def all(self) -> Iterator[Body]:
        """All bodies, in no order.

        Raises:
            StoreError: A row is not the one last written, or one is missing.
        """
        with self._begin() as connection:
            rows = connection.execute(select(self._table)).all()
        for row in rows:
            self._check(row)
        if len(rows) != len(self._state):
            raise self._tampered("a row is missing")
        for row in rows:
            yield orjson.loads(row.body)

    def put(self, row_id: str, body: Body) -> None:
        """Write a row, new or not, durably."""
        self._change(row_id, _text(body), lambda _: True)

    def insert(self, row_id: str, body: Body) -> bool:
        """Write a new row, durably; False, and no change, if there is one already."""
        return self._change(row_id, _text(body), lambda found: found is None)

    def change(self, row_id: str, body: Body) -> bool:
        """Write over a row, durably; False, and no change, if there is none."""
        return self._change(row_id, _text(body), lambda found: found is not None)

    def replace(self, row_id: str, old: Body, new: Body) -> bool:
        """Swap a row's body, durably; False, and no change, if it is not `old` any more."""
        expected = _text(old)
        return self._change(row_id, _text(new), lambda found: found == expected)

    def delete(self, row_id: str) -> None:
        """Delete a row durably, if there is one."""
        self._change(row_id, None, lambda found: found is not None)

    def put_all(self, rows: Mapping[str, Body | None]) -> None:
        """Write many rows at once, durably, all or none of them; None deletes a row."""
        with self._begin() as connection:
            generation, state = self._generation + 1, self._state.copy()
            for row_id, body in rows.items():
                found = self._read(connection, row_id) is not None
                text = None if body is None else _text(body)
                state.apply(row_id, self._write(connection, row_id, generation, text, found))
            self._anchor(connection, generation, state.digest())
        self._state, self._generation = state, generation

    def _change(self, row_id: str, text: str | None, wanted: Callable[[str | None], bool]) -> bool:
        with self._begin() as connection:
            row = self._read(connection, row_id)
            if not wanted(None if row is None else row.body):
                return False
            generation = self._generation + 1
            mac = self._write(connection, row_id, generation, text, row is not None)
            self._anchor(connection, generation, self._state.digest_with(row_id, mac))
        # Invariant: memory follows the file, never leads it; a failed commit leaves both as before.
        self._state.apply(row_id, mac)
        self._generation = generation
        return True

    def _write(
        self, connection: Connection, row_id: str, generation: int, text: str | None, found: bool
    ) -> bytes | None:
        """Replace a row; its MAC, or None where it is gone."""
        if found:
            connection.execute(delete(self._table).where(self._table.c.id == row_id))
        if text is None:
            return None
        mac = self._sealer.row(self._table.name, row_id, generation, text)
        connection.execute(
            insert(self._table).values(id=row_id, version=generation, body=text, mac=mac)
        )
        return mac

    def _anchor(self, connection: Connection, generation: int, digest: bytes) -> None:
        connection.execute(
            update(ANCHORS)
            .where(ANCHORS.c.id == self._table.name)
            .values(
                generation=generation,
                mac=self._sealer.anchor(self._table.name, generation, digest),
            )
        )

    def _read(self, connection: Connection, row_id: str) -> Row[tuple[str, int, str, bytes]] | None:
        row = connection.execute(
            select(self._table).where(self._table.c.id == row_id)
        ).one_or_none()
        if row is not None:
            self._check(row)
        elif self._state.mac(row_id) is not None:
            raise self._tampered("a row is missing")
        return row

    def _check(self, row: Row[tuple[str, int, str, bytes]]) -> None:
        self._check_mac(row)
        if self._state.mac(row.id) != row.mac:
            raise self._tampered("a row is added, or older than the last one written")

    def _check_mac(self, row: Row[tuple[str, int, str, bytes]]) -> None:
        try:
            expected = self._sealer.row(self._table.name, row.id, row.version, row.body)
            good = hmac.compare_digest(expected, row.mac)
        except (TypeError, ValueError):  # a cell of another type, by hand
            good = False
        if not good:
            raise self._tampered("a row was changed, or written under another key")

    def _tampered(self, problem: str) -> StoreError:
        return StoreError(
            f"store table {self._table.name}: {problem};"
            " what to do: find out who wrote to the file, then restore it whole from a backup"
        )


def _text(body: Body) -> str:
    try:
        return orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError:
        raise StoreError("a row holds what JSON cannot") from None
