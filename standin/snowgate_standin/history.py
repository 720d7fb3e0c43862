"""Earlier statements and their results as tables: RESULT_SCAN and QUERY_HISTORY."""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from snowgate_standin.queries import Query
    from snowgate_standin.session import Session

_MOMENT = pa.timestamp("us", tz="UTC")
_SCHEMA = pa.schema(
    [
        ("QUERY_ID", pa.string()),
        ("QUERY_TEXT", pa.string()),
        ("SESSION_ID", pa.int64()),
        ("USER_NAME", pa.string()),
        ("ROLE_NAME", pa.string()),
        ("WAREHOUSE_NAME", pa.string()),
        ("QUERY_TAG", pa.string()),
        ("EXECUTION_STATUS", pa.string()),
        ("ERROR_CODE", pa.string()),
        ("ERROR_MESSAGE", pa.string()),
        ("START_TIME", _MOMENT),
        ("END_TIME", _MOMENT),
        ("TOTAL_ELAPSED_TIME", pa.int64()),
        ("ROWS_PRODUCED", pa.int64()),
    ]
)


def expose(session: Session, table: pa.Table) -> str:
    """Make a table readable on the connection of a session; the name it has there."""
    name = f"STANDIN_{uuid.uuid4().hex.upper()}"
    session.connection._duck_conn.register(name, table)
    return name


def register(session: Session, queries: list[Query]) -> str:
    """QUERY_HISTORY of the account, all users and sessions; the name of its table."""
    rows = [
        {
            "QUERY_ID": query.id,
            "QUERY_TEXT": query.sql,
            "SESSION_ID": query.session.id,
            "USER_NAME": query.session.user,
            "ROLE_NAME": query.session.role,
            "WAREHOUSE_NAME": query.session.warehouse,
            "QUERY_TAG": query.setting("QUERY_TAG"),
            "EXECUTION_STATUS": {"ABORTED": "FAILED_WITH_ERROR"}.get(query.status, query.status),
            "ERROR_CODE": query.error.code if query.error else None,
            "ERROR_MESSAGE": query.error.message if query.error else None,
            "START_TIME": _moment(query.started),
            "END_TIME": _moment(query.ended) if query.ended else None,
            "TOTAL_ELAPSED_TIME": int(((query.ended or query.started) - query.started) * 1000),
            "ROWS_PRODUCED": query.result.rows if query.result else None,
        }
        for query in queries
    ]
    return expose(session, pa.Table.from_pylist(rows, schema=_SCHEMA))


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
