"""Where the demo's files lie, which ports it takes, and who its principals are."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path

ACCOUNT = "CRMDEMO"
WAREHOUSE = "DEMO_WH"
DATABASE = "CRM"
SCHEMA = "PUBLIC"
UPSTREAM_USER = "SVC_SNOWGATE"
CATALOG_USER = "SVC_SNOWGATE_CATALOG"
HOSTS = ("localhost", "127.0.0.1")

MACHINES_AUDIENCE = "snowgate"
PEOPLE_AUDIENCE = "snowgate-console"


@dataclass(frozen=True, slots=True)
class DemoPrincipal:
    """One identity of the demo's issuers.

    Attributes:
        name: Subject of its tokens, and display name.
        groups: Groups in its tokens.
        roles: Upstream roles they map to.
        people: Whether it belongs to the issuer for people.
        triggered_by: Person behind a machine's token; that person may not approve its statements.
    """

    name: str
    groups: tuple[str, ...]
    roles: tuple[str, ...] = ()
    people: bool = False
    triggered_by: str = ""


PRINCIPALS = {
    principal.name: principal
    for principal in (
        DemoPrincipal("analyst", ("analysts",), ("ANALYST",)),
        DemoPrincipal("fraud", ("fraud-team",), ("FRAUD",)),
        DemoPrincipal("etl", ("etl-writers",), ("ETL",)),
        DemoPrincipal("approver", ("data-platform",), people=True),
        DemoPrincipal("security", ("data-platform", "security"), people=True),
        DemoPrincipal("stranger", ()),
    )
}


@dataclass(frozen=True, slots=True)
class Ports:
    """Free TCP ports on loopback, one for each listener."""

    gateway: int
    api: int
    issuer: int
    upstream: int
    storage: int


def free_ports() -> Ports:
    """Five ports that are free now. Held open together, so that they differ."""
    sockets = [socket.socket() for _ in range(5)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return Ports(*(each.getsockname()[1] for each in sockets))
    finally:
        for each in sockets:
            each.close()


@dataclass(frozen=True, slots=True)
class Layout:
    """The demo's folder, relative to the checkout's root."""

    root: Path
    folder: Path = field(default=Path(".demo"))

    def path(self, *parts: str) -> Path:
        """A path in the demo's folder."""
        return self.root.joinpath(self.folder, *parts)

    @property
    def config_file(self) -> Path:
        """The gateway's configuration."""
        return self.path("config", "snowgate.yaml")

    @property
    def ca_file(self) -> Path:
        """The private CA that every listener's certificate chains to."""
        return self.path("config", "ca.pem")

    @property
    def data_dir(self) -> Path:
        """The gateway's data directory."""
        return self.path("data")

    @property
    def issuer_keys(self) -> Path:
        """Private keys of the demo's issuers, so that `snowgate demo token` can mint."""
        return self.path("issuer", "keys.json")

    @property
    def upstream_log(self) -> Path:
        """What the stand-in received, a line a request."""
        return self.path("upstream.jsonl")

    def log(self, process: str) -> Path:
        """Where a process writes what it has to say."""
        return self.path("log", f"{process}.log")
