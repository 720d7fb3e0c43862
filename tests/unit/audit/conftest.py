"""A ledger that a test fills through the same writer as the gateway's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from snowgate._core import LedgerWriter
from snowgate.audit import TextKeys, open_keys, read_vkey

ORIGIN = "snowgate/gw-1"
SESSION = "3c1f0000-0000-4000-8000-000000000001"


@dataclass
class Book:
    """Paths of a ledger, and its writer while it is open."""

    root: Path
    writer: LedgerWriter

    @property
    def directory(self) -> Path:
        return self.root / "ledger"

    @property
    def segment(self) -> Path:
        return self.directory / "segments" / f"{0:020}.seg"

    @property
    def vkey(self) -> str:
        return read_vkey(self.root / "ledger.pub")

    @property
    def keys(self) -> TextKeys:
        return open_keys(self.root / "text-keys", self.root / "store.key")

    def write(self, kind: str, texts: dict[str, str] | None = None, /, **fields: object) -> int:
        given = [
            {"field": name, "subject": "alice", "text": text}
            for name, text in (texts or {}).items()
        ]
        entry = {"kind": kind, "fields": fields, "texts": given}
        return self.writer.append(json.dumps(entry).encode())

    def close(self) -> None:
        self.writer.close()


@pytest.fixture
def book(tmp_path: Path) -> Book:
    (tmp_path / "store.key").write_bytes(bytes(range(32)))
    writer = LedgerWriter(
        tmp_path / "ledger",
        ORIGIN,
        tmp_path / "ledger.key",
        tmp_path / "text-keys",
        tmp_path / "store.key",
    )
    return Book(tmp_path, writer)


def write_session(book: Book, sql: str = "SELECT email\nFROM crm.public.customers") -> None:
    """A login, a masked query, a held DDL that ran, a denial, the end; others between."""
    book.write("start")
    login = {
        "verdict": "allow",
        "identity": {"account": "CRMDEMO", "issuer": "https://idp.example.com", "subject": "42"},
        "groups": ["etl-writers"],
        "dropped_groups": [],
        "role": "ETL",
        "client": "PythonConnector 4.1.0",
        "source": "127.0.0.1",
    }
    book.write("login", session=SESSION, principal="etl", **login)
    book.write("login", session="other", principal="bi", **login)
    other = book.write("intent", {"sql": "SELECT 'theirs'"}, session="other", query_id="q0")
    select = book.write(
        "intent",
        {"sql": sql, "binds": '{"1":"x"}'},
        session=SESSION,
        query_id="q1",
        decision="allow",
        rules=["reads"],
        role="ETL",
        masks=[{"name": "EMAIL", "mask": "redact", "tags": ["pii"]}],
        **{"class": "select"},
    )
    book.write("outcome", intent=other, status="ok")
    book.write(
        "outcome",
        intent=select,
        status="ok",
        rows=120,
        duration_ms=35,
        upstream_query_id="01b2",
        columns=[{"name": "EMAIL", "mask": {"partial": [1, 2]}, "tags": ["pii"]}],
    )
    held = {"approval": "a1", "query_id": "q2"}
    book.write(
        "approval",
        session=SESSION,
        event="requested",
        rules=["ddl"],
        quorum=1,
        approvers=["data-platform"],
        **held,
    )
    vote = {"accepted": True, "approve": True, "reason": "reviewed", "voter": {"name": "Dana"}}
    book.write("approval", event="vote", **vote, **held)
    book.write("approval", event="approved", **held)
    book.write("approval", event="consumed", **held)
    book.write(
        "intent",
        {"sql": "DROP TABLE crm.public.scratch"},
        session=SESSION,
        query_id="q2",
        decision="hold",
        rules=["ddl"],
        **{"class": "drop"},
    )
    denial = {"rules": ["no-exfiltration"], "reason": "data leaves only through the export job"}
    book.write(
        "denial",
        {"sql": "COPY INTO @x FROM t"},
        session=SESSION,
        **denial,
        **{"class": "unload"},
    )
    book.write("session_end", session=SESSION, why="logout")
