"""The configuration as the rooms read it: checked, resolved, frozen.

Paths are absolute. Numbers carry their unit in the name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from snowgate.identity.settings import IssuerSettings, RoleMapping
from snowgate.policy import Policy


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate chain and private key, PEM files."""

    certificate: Path
    private_key: Path


@dataclass(frozen=True, slots=True)
class Listen:
    """A listener.

    Attributes:
        address: IP address to bind.
        port: Port to bind; 0 lets the system choose.
        tls: None serves plain HTTP, on loopback only.
        hosts: Names that a `Host` header may carry, without port (F30).
    """

    address: str
    port: int
    tls: Tls | None
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Api:
    """The approvals API.

    Attributes:
        listen: Its listener.
        ca_file: What the command line trusts to reach it; None for the system's roots.
    """

    listen: Listen
    ca_file: Path | None

    @property
    def url(self) -> str:
        """Where people reach it: the first host, or the address."""
        scheme = "https" if self.listen.tls else "http"
        host = self.listen.hosts[0]
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.listen.port}"


@dataclass(frozen=True, slots=True)
class Credential:
    """A Snowflake user and the file of its key, which is read by the gate only, at start."""

    user: str
    private_key_file: Path


@dataclass(frozen=True, slots=True)
class Catalog:
    """How the gateway learns which columns exist.

    Attributes:
        credential: Its own user; statements of clients run as another one (F24).
        role: Role of the gateway's own session.
        warehouse: Its warehouse.
        databases: Databases whose objects it knows, as stored.
        max_age_s: Age at which what it knows is read again (F8).
    """

    credential: Credential
    role: str
    warehouse: str | None
    databases: tuple[str, ...]
    max_age_s: float


@dataclass(frozen=True, slots=True)
class Upstream:
    """The Snowflake account, and who logs in there for the clients."""

    account: str
    host: str
    port: int
    protocol: str
    ca_file: Path | None
    credential: Credential
    catalog: Catalog
    login_timeout_s: float
    reply_bytes: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes, counts and times.

    Attributes:
        pending_holds: Held statements of one principal at once (F27).
        new_holds_per_minute: New ones of one principal (F27).
        session_token_s: How long a session token lasts before it is renewed.
        ticket_age_s, ticket_uses: Life of one chunk's URL (F20).
    """

    header_bytes: int
    body_bytes: int
    statement_bytes: int
    connections: int
    header_timeout_s: float
    idle_timeout_s: float
    poll_hold_s: float
    login_limit_s: float
    judge_limit_s: float
    ticket_age_s: float
    ticket_uses: int
    cache_entries: int
    sessions: int
    session_token_s: float
    pending_holds: int
    new_holds_per_minute: int


@dataclass(frozen=True, slots=True)
class Config:
    """One gateway's configuration.

    Attributes:
        path: The file it came from.
        data_dir: Folder of everything the gateway writes.
        name: The gateway; its ledger's origin is `snowgate/<name>`.
        account: The account name that drivers give.
        listen: Where drivers connect.
        api: Where approvers connect; None where no rule holds.
        upstream: Where statements go.
        issuers: Who is trusted to say who somebody is.
        roles: Group to role, in the order of the file.
        policy: What may run.
        limits: Sizes, counts and times.
        warnings: What is allowed and probably not meant, each with file and line.
    """

    path: Path
    data_dir: Path
    name: str
    account: str
    listen: Listen
    api: Api | None
    upstream: Upstream
    issuers: tuple[IssuerSettings, ...]
    roles: tuple[RoleMapping, ...]
    policy: Policy
    limits: Limits
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy in a file of its own.

    Attributes:
        path: The file.
        policy: Compiled.
        warnings: What is allowed and probably not meant, each with file and line.
    """

    path: Path
    policy: Policy
    warnings: tuple[str, ...] = ()
