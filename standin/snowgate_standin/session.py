"""Sessions and their tokens: what is valid, expired, gone or never was."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from snowgate_standin import tokens
from snowgate_standin.errors import SnowflakeError

if TYPE_CHECKING:
    from fakesnow.conn import FakeSnowflakeConnection

PARAMETERS: dict[str, Any] = {
    "AUTOCOMMIT": True,
    "BINARY_OUTPUT_FORMAT": "HEX",
    "CLIENT_MEMORY_LIMIT": 1536,
    "CLIENT_PREFETCH_THREADS": 4,
    "CLIENT_RESULT_CHUNK_SIZE": 160,
    "CLIENT_SESSION_KEEP_ALIVE": False,
    "CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY": 3600,
    # 0 keeps array binds inline: there is no stage to upload them to
    "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD": 0,
    "CLIENT_TELEMETRY_ENABLED": False,
    "DATE_OUTPUT_FORMAT": "YYYY-MM-DD",
    "QUERY_CONTEXT_CACHE_SIZE": 5,
    "TIMESTAMP_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF3 TZHTZM",
    "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_NTZ",
    "TIMEZONE": "UTC",
    "TIME_OUTPUT_FORMAT": "HH24:MI:SS",
}

_numbers = itertools.count(4_200_000_001)


@dataclass(slots=True)
class Session:
    """One login. `lock` serialises its statements on DuckDB; waiting happens outside it.

    `temporary` is set for good once it has made a temporary object.
    """

    user: str
    client_app: str
    role: str
    warehouse: str | None
    connection: FakeSnowflakeConnection
    secondary: str = "ALL"
    parameters: dict[str, Any] = field(default_factory=dict)
    id: int = field(default_factory=lambda: next(_numbers))
    last_query_id: str | None = None
    in_transaction: bool = False
    temporary: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    closed: bool = False

    @property
    def database(self) -> str | None:
        return self.connection.database

    @property
    def schema(self) -> str | None:
        return self.connection.schema if self.connection.schema_set else None

    def dispose(self) -> None:
        """Close the connection, once no statement runs on it; temporary objects go with it."""
        with self.lock:
            self.connection.close()


@dataclass(slots=True)
class _Token:
    session: Session
    expires: float


def _gone() -> SnowflakeError:
    return SnowflakeError(
        "390111",
        "08001",
        "Session no longer exists. New login required to access the service.",
    )


class Sessions:
    """All tokens of the process. Used from the event loop only."""

    def __init__(self, token_s: float, master_s: float) -> None:
        self._token_s = token_s
        self._master_s = master_s
        self._tokens: dict[str, _Token] = {}
        self._masters: dict[str, _Token] = {}
        self.open: dict[int, Session] = {}

    def validity(self) -> tuple[int, int]:
        """Seconds a fresh session token and a fresh master token last."""
        return max(1, int(self._token_s)), max(1, int(self._master_s))

    def add(self, session: Session) -> tuple[str, str]:
        """Register a session; its first token and master token."""
        self.open[session.id] = session
        return self._issue(session)

    def _issue(self, session: Session) -> tuple[str, str]:
        token, master = tokens.mint("token"), tokens.mint("master")
        now = time.monotonic()
        self._tokens[token] = _Token(session, now + self._token_s)
        self._masters[master] = _Token(session, now + self._master_s)
        return token, master

    def peek(self, token: str | None) -> Session | None:
        """The session a token was made for, valid or not: for the request log only."""
        known = self._tokens.get(token or "") or self._masters.get(token or "")
        return known.session if known else None

    def find(self, token: str | None) -> Session:
        """The session of a valid token.

        Raises:
            SnowflakeError: 390103 none given, 390104 unknown, 390111 session gone, 390112 expired.
        """
        if not token:
            raise SnowflakeError("390103", "08001", "Session token not found in the request data.")
        known = self._tokens.get(token)
        if known is None:
            raise SnowflakeError("390104", "08001", "Session token is invalid.")
        if known.session.closed:
            raise _gone()
        if known.expires <= time.monotonic():
            raise SnowflakeError(
                "390112",
                "08001",
                "Session token has expired. You can renew the session token to continue to "
                "access the service.",
            )
        return known.session

    def renew(self, master: str | None, old: str | None) -> tuple[Session, str, str]:
        """A new token pair for a valid master token and a token of the same session.

        Raises:
            SnowflakeError: 390113 unknown master, 390114 expired, 390111 gone, 390400 otherwise.
        """
        known = self._masters.get(master or "")
        if known is None:
            raise SnowflakeError("390113", "08001", "Master token is not found. Login again.")
        if known.session.closed:
            raise _gone()
        if known.expires <= time.monotonic():
            raise SnowflakeError(
                "390114",
                "08001",
                "Authentication token has expired. The user must authenticate again.",
            )
        token = self._tokens.get(old or "")
        if token is None or token.session is not known.session:
            raise SnowflakeError("390400", "08001", "Bad request: the old token does not match.")
        return (known.session, *self._issue(known.session))

    def close(self, session: Session) -> None:
        """End a session; its tokens answer 390111 from now on."""
        session.closed = True
        self.open.pop(session.id, None)

    def expire(self, session: int | None, *, master: bool = False) -> int:
        """Let tokens expire now, of one session or of all; how many did."""
        now = time.monotonic()
        count = 0
        pools = [self._tokens, self._masters] if master else [self._tokens]
        for pool in pools:
            for token in pool.values():
                if session in (None, token.session.id) and token.expires > now:
                    token.expires = now
                    count += 1
        return count
