"""DuckDB as the upstream: one database in memory for each twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import duckdb

from .duck import macros
from .twins import TABLES, Twin, rows_of

Row = tuple[object, ...]
# The statement cannot be run here: nothing is learnt from it.
_GAPS = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ParserException,
    duckdb.NotImplementedException,
    duckdb.SyntaxException,
    duckdb.InternalException,
    duckdb.FatalException,
    duckdb.OutOfMemoryException,
    duckdb.InterruptException,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        names: Of the columns; empty after an error.
        rows: In order.
        error: Class of the error, None if there was none.
        text: Its text.
        gap: DuckDB does not understand the statement.
    """

    names: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    error: str | None = None
    text: str = ""
    gap: bool = False


class Engine:
    """The databases, made when they are first used."""

    def __init__(self) -> None:
        self._open: dict[str, duckdb.DuckDBPyConnection] = {}

    def run(self, twin: Twin, statements: Sequence[str], *, keep: bool = False) -> list[Answer]:
        """Run statements in order, up to the first error, and take them back.

        Args:
            twin: Where.
            statements: DuckDB's SQL.
            keep: They change nothing, so there is nothing to take back.
        """
        connection = self._connection(twin)
        answers: list[Answer] = []
        if not keep:
            connection.execute("BEGIN")
        try:
            for statement in statements:
                answers.append(_execute(connection, statement))
                if answers[-1].error is not None:
                    break
        finally:
            if not keep:
                connection.execute("ROLLBACK")
        if answers[-1].error in ("InternalException", "FatalException"):
            # A database that found a bug in itself takes no more statements.
            self._open.pop(twin.name).close()
        return answers

    def _connection(self, twin: Twin) -> duckdb.DuckDBPyConnection:
        connection = self._open.get(twin.name)
        if connection is None:
            connection = self._open[twin.name] = _made(twin)
        return connection


def _execute(connection: duckdb.DuckDBPyConnection, statement: str) -> Answer:
    try:
        cursor = connection.execute(statement)
        rows = cursor.fetchall()
        names = tuple(item[0].upper() for item in cursor.description or ())
    except duckdb.Error as error:
        return Answer(error=type(error).__name__, text=str(error), gap=isinstance(error, _GAPS))
    return Answer(names, tuple(tuple(map(_plain, row)) for row in rows))


def _plain(value: object) -> object:
    """Sums of the same numbers in another order are the same."""
    if isinstance(value, (float, Decimal)):
        return f"{float(value):.9g}"
    if isinstance(value, (list, dict)):
        return repr(value)
    return value


def _made(twin: Twin) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    connection.execute("ATTACH ':memory:' AS crm; CREATE SCHEMA crm.public; USE crm.public")
    for macro in macros():
        connection.execute(macro)
    tables = rows_of(twin)
    for table, columns in TABLES.items():
        connection.execute(f"CREATE TABLE {table} ({columns})")
        marks = ", ".join("?" for _ in tables[table][0])
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", tables[table])
    connection.execute("CREATE VIEW v_customers AS SELECT * FROM customers")
    return connection
