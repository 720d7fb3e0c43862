"""The driver protocol spoken by hand, with every byte of every reply kept.

Drivers hide what they are sent; an attacker reads it. `Wire` sends what it is told, well-formed or
not, and keeps replies as they came over the connection: before gunzip, before JSON.
"""

from __future__ import annotations

import gzip
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx2

# Longer than the gateway holds a poll.
LIMIT_S = 60.0
IN_PROGRESS = ("333333", "333334")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer as it came."""

    path: str
    status: int
    headers: list[tuple[bytes, bytes]]
    raw: bytes

    @property
    def body(self) -> bytes:
        """The content, inflated where it is gzip."""
        return gzip.decompress(self.raw) if self.raw[:2] == b"\x1f\x8b" else self.raw

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def data(self) -> dict[str, Any]:
        return dict(self.json["data"] or {})

    @property
    def ok(self) -> bool:
        return self.json["success"] is True

    @property
    def code(self) -> str | None:
        code: str | None = self.json["code"]
        return code

    @property
    def sqlstate(self) -> str | None:
        return self.data.get("sqlState")

    @property
    def message(self) -> str:
        return str(self.json["message"])

    @property
    def query_id(self) -> str:
        return str(self.data["queryId"])


@dataclass(slots=True)
class Wire:
    """One client of a Snowflake-like endpoint.

    Attributes:
        url: `https://host:port`.
        ca_file: The private CA.
        account: Account name in the login.
        app: `CLIENT_APP_ID`: `JavaScript` gets JSON, `PythonConnector` gets Arrow.
        seen: Every reply, oldest first.
    """

    url: str
    ca_file: Path
    account: str
    app: str = "PythonConnector"
    seen: list[Reply] = field(default_factory=list, repr=False)
    token: str = field(default="", repr=False)
    master: str = field(default="", repr=False)
    http: httpx2.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        trusted = ssl.create_default_context(cafile=self.ca_file)
        self.http = httpx2.Client(verify=trusted, trust_env=False, timeout=LIMIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.http.close()

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Reply:
        """Send one request: `body` is JSON unless it is bytes already."""
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body)
        credential = self.token if token is None else token
        all_headers = {"content-type": "application/json", "accept": "application/snowflake"}
        if credential:
            all_headers["authorization"] = f'Snowflake Token="{credential}"'
        all_headers.update(headers or {})
        address = path if path.startswith("http") else f"{self.url}{path}"
        options: dict[str, Any] = {} if method == "GET" else {"content": content}
        with self.http.stream(method, address, headers=all_headers, **options) as response:
            raw = b"".join(response.iter_raw())
            reply = Reply(path, response.status_code, [*response.headers.raw], raw)
        self.seen.append(reply)
        return reply

    def log_in(
        self,
        token: str,
        *,
        authenticator: str | None = "OAUTH",
        query: str = "databaseName=CRM&schemaName=PUBLIC&warehouse=DEMO_WH",
        parameters: Mapping[str, object] | None = None,
        **more: object,
    ) -> Reply:
        """`POST /session/v1/login-request`; after a success its tokens are used."""
        data: dict[str, object] = {
            "CLIENT_APP_ID": self.app,
            "CLIENT_APP_VERSION": "4.8.1",
            "ACCOUNT_NAME": self.account,
            "LOGIN_NAME": "",
            "TOKEN": token,
            "SESSION_PARAMETERS": parameters or {},
            "CLIENT_ENVIRONMENT": {"APPLICATION": "e2e", "OS": "Linux"},
        }
        if authenticator is not None:
            data["AUTHENTICATOR"] = authenticator
        path = f"/session/v1/login-request?request_id={uuid4()}&{query}"
        reply = self.send("POST", path, {"data": data | more}, token="None")
        if reply.ok:
            self.token, self.master = reply.data["token"], reply.data["masterToken"]
        return reply

    def submit(self, sql: str, *, request_id: str | None = None, **more: object) -> Reply:
        """`POST /queries/v1/query-request`; the first answer, whatever it says."""
        path = f"/queries/v1/query-request?requestId={request_id or uuid4()}"
        return self.send("POST", path, {"sqlText": sql, "asyncExec": False, "sequenceId": 1} | more)

    def query(self, sql: str, *, request_id: str | None = None, **more: object) -> Reply:
        """Submit, and poll until the statement has ended."""
        return self.follow(self.submit(sql, request_id=request_id, **more))

    def follow(self, reply: Reply) -> Reply:
        """Poll until the statement has ended; not for long, since it may be held."""
        deadline = time.monotonic() + LIMIT_S
        while reply.code in IN_PROGRESS:
            assert time.monotonic() < deadline, "the statement does not end"
            reply = self.send("GET", reply.data["getResultUrl"])
        return reply

    def result(self, query_id: str) -> Reply:
        return self.send("GET", f"/queries/{query_id}/result")

    def chunks(self, reply: Reply) -> list[Reply]:
        """Fetch every chunk as a driver does: without the session, with the reply's headers."""
        headers = chunk_headers(reply)
        return [
            self.send("GET", chunk["url"], headers=headers, token="")
            for chunk in reply.data.get("chunks") or []
        ]

    def rows(self, reply: Reply) -> list[list[Any]]:
        """All rows of a JSON result, with those in chunks."""
        rows = [*reply.data["rowset"]]
        for chunk in self.chunks(reply):
            rows += json.loads(b"[" + chunk.body + b"]")
        return rows

    def renew(self) -> Reply:
        body = {"oldSessionToken": self.token, "requestType": "RENEW"}
        reply = self.send("POST", "/session/token-request", body, token=self.master)
        if reply.ok:
            self.token, self.master = reply.data["sessionToken"], reply.data["masterToken"]
        return reply

    def log_out(self) -> Reply:
        return self.send("POST", "/session?delete=true")


def chunk_headers(reply: Reply) -> dict[str, str]:
    """What a driver sends to fetch chunks of a result."""
    data = reply.data
    if data.get("chunkHeaders"):
        return dict(data["chunkHeaders"])
    customer = "x-amz-server-side-encryption-customer"
    return {f"{customer}-algorithm": "AES256", f"{customer}-key": data.get("qrmk") or ""}
