"""The rig: a running demo world, and what a test asks of it.

A test marks the present, acts, and then reads what ledger and upstream log have gained.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx2
import jwt
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from snowgate.audit.entries import StoredEntry, read_entries
from snowgate.console.client import ApprovalsClient
from snowgate.demo import layout as names
from snowgate.demo.layout import PRINCIPALS, Layout
from snowgate.demo.tokens import mint_token
from snowgate.demo.world import World
from snowgate.testing.tokens import Flaw, Issuer

from .connector import Connector, Session
from .wire import Wire

ROOT = Path(__file__).parents[2]
SOON_S = 10.0
QUERY_REQUEST = "/queries/v1/query-request"
LOGIN_REQUEST = "/session/v1/login-request"

_T = TypeVar("_T")


def soon(look: Callable[[], _T], limit_s: float = SOON_S) -> _T:
    """The first true value that `look` gives; its last value after the limit."""
    deadline = time.monotonic() + limit_s
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


@dataclass(frozen=True, slots=True)
class Line:
    """A request that the stand-in received."""

    path: str
    request_id: str | None
    sql: str | None
    session: int | None


@dataclass(frozen=True, slots=True)
class Since:
    """What happened after a mark."""

    rig: Rig
    first_entry: int
    first_line: int

    def entries(self, kind: str) -> list[StoredEntry]:
        """Entries of a kind; those of the gateway's own statements are left out."""
        return [
            entry
            for entry in self.rig.entries(self.first_entry)
            if entry.kind == kind and entry.fields.get("principal") != "gateway"
        ]

    def entry(self, kind: str, **wanted: object) -> StoredEntry:
        """The one entry of a kind with these fields; waits for it a little."""

        def look() -> list[StoredEntry]:
            return [
                entry
                for entry in self.entries(kind)
                if all(entry.fields.get(name) == value for name, value in wanted.items())
            ]

        found = soon(look)
        assert len(found) == 1, f"{len(found)} entries of kind {kind} with {wanted}"
        return found[0]

    def outcome(self, intent: StoredEntry) -> StoredEntry:
        """The outcome of an intent; it is written a little after the reply."""
        return self.entry("outcome", intent=intent.seq)

    def upstream(self) -> list[Line]:
        """Requests that reached upstream, without those for the gateway's own catalog."""
        # The ledger is read after the lines: an intent is durable before its statement is sent.
        return self.rig.others(self.rig.lines()[self.first_line :])

    def statements(self) -> list[str]:
        """Texts that reached upstream, in order, without the gateway's own."""
        return [line.sql for line in self.upstream() if line.sql is not None]


@dataclass(slots=True)
class Rig:
    """A world with its clients.

    Attributes:
        world: The running demo.
        wires: Every client that spoke the protocol by hand to the gateway.
        direct_sessions: Upstream's sessions that a test opened itself, past the gateway.
    """

    world: World
    wires: list[Wire] = field(default_factory=list, repr=False)
    direct_sessions: set[int] = field(default_factory=set)
    _own_intents: set[object] = field(default_factory=set, repr=False)
    _own_requests: set[object] = field(default_factory=set, repr=False)
    _own_results: set[object] = field(default_factory=set, repr=False)
    _read_up_to: int = 0
    _connectors: dict[str, Connector] = field(default_factory=dict, repr=False)

    @classmethod
    def start(
        cls,
        folder: Path,
        *upstream_options: str,
        config_edit: Callable[[str], str] | None = None,
    ) -> Rig:
        """Start a world in an empty folder."""
        world = World(
            Layout(ROOT, folder), upstream_options=upstream_options, config_edit=config_edit
        )
        try:
            world.start()
        except BaseException:
            world.stop()
            raise
        return cls(world)

    def stop(self) -> None:
        """End every process."""
        for connector in self._connectors.values():
            connector.stop()
        for wire in self.wires:
            wire.http.close()
        self.world.stop()

    @property
    def layout(self) -> Layout:
        return self.world.layout

    @property
    def url(self) -> str:
        return f"https://localhost:{self.world.ports.gateway}"

    @property
    def ledger_dir(self) -> Path:
        return self.layout.data_dir / "ledger"

    @property
    def verify_key(self) -> Path:
        return self.layout.data_dir / "keys" / "ledger.pub"

    # -- what happened ---------------------------------------------------------------------

    def entries(self, first: int = 0) -> list[StoredEntry]:
        """The ledger from an entry on."""
        return [*read_entries(self.ledger_dir, start=first)]

    def others(self, lines: list[Line]) -> list[Line]:
        """Those that neither run statements in the gateway's own session nor fetch their rows."""
        for entry in self.entries(self._read_up_to):
            self._read_up_to = entry.seq + 1
            if entry.kind == "intent" and entry.fields.get("session") == "gateway":
                self._own_intents.add(entry.seq)
                self._own_requests.add(entry.fields["upstream_request_id"])
            elif entry.kind == "outcome" and entry.fields["intent"] in self._own_intents:
                self._own_results.add(f"/results/{entry.fields.get('upstream_query_id')}")
        return [
            line
            for line in lines
            if line.request_id not in self._own_requests
            and "/".join(line.path.split("/")[:3]) not in self._own_results
        ]

    def lines(self) -> list[Line]:
        """What the stand-in received."""
        return [
            Line(**{name: line[name] for name in ("path", "request_id", "sql", "session")})
            for line in map(json.loads, self.layout.upstream_log.read_text().splitlines())
        ]

    def mark(self) -> Since:
        """Remember the present."""
        return Since(self, len(self.entries()), len(self.lines()))

    # -- tokens ----------------------------------------------------------------------------

    def token(self, name: str, flaw: Flaw | None = None) -> str:
        """A token of a demo principal."""
        return mint_token(self.layout, name, None if flaw is None else flaw.value)

    def writer_token(self, **claims: object) -> str:
        """A token of a writer that nobody else is: each may ask for few approvals a minute."""
        claims = {"sub": f"writer-{uuid4()}", "groups": ["etl-writers"]} | claims
        return self.issuer().mint(claims)

    def _token_of(self, who: str) -> str:
        return self.token(who) if who in PRINCIPALS else who

    def issuer(self, *, people: bool = False) -> Issuer:
        """One of the two issuers, to mint what they would not."""
        kind = "people" if people else "machines"
        audience = names.PEOPLE_AUDIENCE if people else names.MACHINES_AUDIENCE
        base = f"http://localhost:{self.world.ports.issuer}"
        return Issuer.load(self.layout.issuer_keys, base, kind, audience)

    # -- clients ---------------------------------------------------------------------------

    def wire(self, who: str | None = None, *, app: str = "PythonConnector", **login: Any) -> Wire:
        """A client of the gateway; logged in, if a principal or a token is given."""
        wire = Wire(self.url, self.layout.ca_file, names.ACCOUNT, app)
        self.wires.append(wire)
        if who is not None:
            reply = wire.log_in(self._token_of(who), **login)
            assert reply.ok, reply.message
        return wire

    def upstream(self, role: str, *, app: str = "JavaScript") -> Wire:
        """A client of the stand-in itself, with the gateway's key: it knows the truth."""
        url = f"https://localhost:{self.world.ports.upstream}"
        wire = Wire(url, self.layout.ca_file, names.ACCOUNT, app)
        reply = wire.log_in(
            self._key_pair_token(),
            authenticator="SNOWFLAKE_JWT",
            query=f"databaseName=CRM&schemaName=PUBLIC&roleName={role}",
            LOGIN_NAME=names.UPSTREAM_USER,
        )
        assert reply.ok, reply.message
        self.direct_sessions.add(reply.data["sessionId"])
        return wire

    def connector(self, version: str) -> Connector:
        """The process of a connector version: `4.8.1` or `5.2.0`."""
        if version not in self._connectors:
            venv = {"4.8.1": "standin", "5.2.0": "connector5"}[version]
            python = ROOT / ".venvs" / venv / "bin" / "python"
            self._connectors[version] = Connector(python, self.layout.ca_file)
        return self._connectors[version]

    def driver(self, who: str, version: str = "4.8.1", **options: object) -> Session:
        """A session of a real connector as a principal, or with a token."""
        return self.connector(version).connect(self.driver_options(self._token_of(who), **options))

    def driver_options(self, token: str, **options: object) -> dict[str, object]:
        """What a user writes to connect."""
        return {
            "host": "localhost",
            "port": self.world.ports.gateway,
            "protocol": "https",
            "account": names.ACCOUNT,
            "authenticator": "oauth",
            "token": token,
            "warehouse": names.WAREHOUSE,
            "database": names.DATABASE,
            "schema": names.SCHEMA,
            "login_timeout": 30,
            "disable_ocsp_checks": True,
        } | options

    def driver_upstream(self, role: str, version: str = "4.8.1") -> Session:
        """A session of a real connector with the stand-in itself."""
        key = str(self.layout.path("config", "snowflake.p8"))
        session = self.connector(version).connect(
            {
                **self.driver_options(""),
                "port": self.world.ports.upstream,
                "authenticator": "SNOWFLAKE_JWT",
                "user": names.UPSTREAM_USER,
                "private_key_file": key,
                "role": role,
            }
        )
        [row] = session.run("SELECT CURRENT_SESSION()").rows
        self.direct_sessions.add(int(str(row[0])))
        return session

    def approvals(self, name: str, token: str = "") -> ApprovalsClient:
        """The approvals API as a principal."""
        url = f"https://localhost:{self.world.ports.api}"
        return ApprovalsClient(url, token or self.token(name), self.layout.ca_file)

    def pending(self, sql: str) -> dict[str, Any]:
        """The pending approval of a text, once it is there."""

        def look() -> list[dict[str, Any]]:
            return [each for each in client.list("pending") if each["sql"] == sql]

        with self.approvals("approver") as client:
            found = soon(look)
        assert len(found) == 1, f"{len(found)} pending approvals of this text"
        return found[0]

    def approve(self, sql: str, name: str = "approver") -> dict[str, Any]:
        """Approve a held text over the API."""
        approval = self.pending(sql)
        with self.approvals(name) as client:
            return client.approve(approval["id"])

    def state(self, approval_id: str, wanted: str) -> str:
        """The state of an approval, once it is the wanted one or after a while."""
        soon(lambda: self.approval(approval_id)["state"] == wanted)
        return str(self.approval(approval_id)["state"])

    def approval(self, approval_id: str) -> dict[str, Any]:
        """An approval as it is now."""
        with self.approvals("approver") as client:
            return client.show(approval_id)

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `snowgate` in a process of its own."""
        return subprocess.run(
            [self.world.gateway_command[0], *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    def decide(self, word: str, approval_id: str, token: str) -> subprocess.CompletedProcess[str]:
        """`snowgate approvals approve|deny|show ID`."""
        config = str(self.layout.config_file)
        return self.cli(
            "approvals", word, approval_id, "--config", config, "--token", token, "--json"
        )

    # -- the stand-in's own door -----------------------------------------------------------

    def admin(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """A request on the stand-in's admin port."""
        ready = json.loads(self.layout.path("standin.ready.json").read_text())
        url = f"http://127.0.0.1:{ready['admin_port']}/standin/{path}"
        answer = httpx2.request(method, url, json=body, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def fault(self, **given: object) -> None:
        """Switch on a fault of the stand-in."""
        self.admin("POST", "fault", given)

    def executed(self, sql: str) -> int:
        """How often the stand-in ran a text."""
        return int(self.admin("GET", "executed")["by_sql"].get(sql, 0))

    def executions(self, sql: str) -> list[dict[str, Any]]:
        """Each run of a text: request id, user, role, query tag."""
        return [each for each in self.all_executions() if each["sql"] == sql]

    def all_executions(self) -> list[dict[str, Any]]:
        """Each run of any text."""
        listed: list[dict[str, Any]] = self.admin("GET", "executed")["executions"]
        return listed

    def _key_pair_token(self) -> str:
        pem = self.layout.path("config", "snowflake.p8").read_bytes()
        key = load_pem_private_key(pem, None)
        digest = Hash(SHA256())
        digest.update(
            key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        fingerprint = base64.b64encode(digest.finalize()).decode()
        user = f"{names.ACCOUNT}.{names.UPSTREAM_USER}"
        now = int(time.time())
        claims = {"iss": f"{user}.SHA256:{fingerprint}", "sub": user, "iat": now, "exp": now + 60}
        return jwt.encode(claims, pem, algorithm="RS256")
