"""The whole file, section by section.

Shapes only: what a key means and what its bounds are. Paths are as written; `load` resolves them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from snowgate.config.fields import (
    Account,
    Address,
    Algorithm,
    Claim,
    Duration,
    FilePath,
    Group,
    Host,
    Identifier,
    IssuerUrl,
    Many,
    Pointer,
    Port,
    Reference,
    Shape,
    Size,
    Text,
    Word,
    between,
    sized,
)
from snowgate.config.policy import PolicyShape


class TlsShape(Shape):
    """Certificate chain and key, PEM."""

    certificate: FilePath
    private_key: FilePath


class ListenShape(Shape):
    """Where drivers connect."""

    address: Address
    port: Port
    tls: TlsShape | None = None
    hosts: Many[Host] | None = None


class ApiShape(ListenShape):
    """Where approvers connect; the command line reads it too."""

    ca_file: FilePath | None = None


class KeyPairShape(Shape):
    """A Snowflake user and the key that proves it."""

    user: Identifier
    private_key: Reference


class CredentialShape(Shape):
    """How the gateway logs in."""

    key_pair: KeyPairShape


class CatalogShape(Shape):
    """How the gateway learns which columns exist, as a user that no client's statement runs as."""

    credential: CredentialShape
    role: Identifier
    warehouse: Identifier | None = None
    databases: Many[Identifier]
    max_age: Annotated[Duration, between("1s", "1h")] = 60.0


class UpstreamShape(Shape):
    """The Snowflake account statements go to."""

    account: Account
    host: Host | None = None
    port: Port = 443
    protocol: Literal["https", "http"] = "https"
    ca_file: FilePath | None = None
    credential: CredentialShape
    catalog: CatalogShape
    login_timeout: Annotated[Duration, between("1s", "60s")] = 8.0
    reply_size: Annotated[Size, sized("1MiB", "1GiB")] = 64 * 1024**2


class SessionShape(Shape):
    """How long a login lasts."""

    max_age: Annotated[Duration, between("1m", "24h")] = 4 * 3600.0
    ends_with_token: bool = False


class ClaimGroupsShape(Shape):
    """Groups for every token that carries all the claims."""

    when: dict[Pointer, Claim] = Field(min_length=1)
    give: Many[Group]


class IssuerShape(Shape):
    """One issuer of identity tokens."""

    oidc: IssuerUrl
    audience: Text
    may_give: Many[Group]
    identity: Pointer = "/sub"
    name: Pointer | None = None
    people: bool = False
    person: Pointer = "/sub"
    triggered_by: Many[Pointer] = Field([], validate_default=False)
    groups_from: Pointer | None = None
    groups: list[ClaimGroupsShape] = Field([])
    require: dict[Pointer, Claim] = Field({})
    refuse: dict[Pointer, Claim] = Field({})
    algorithms: Many[Algorithm] = Field(["RS256"], validate_default=False)
    types: Many[Text] = Field(["jwt", "at+jwt"], validate_default=False)
    other_audiences: list[Text] = Field([])
    ca_file: FilePath | None = None
    session: SessionShape = Field(default_factory=SessionShape)
    leeway: Annotated[Duration, between("0s", "60s")] = 30.0
    max_lifetime: Annotated[Duration, between("1m", "24h")] = 24 * 3600.0
    refresh: Annotated[Duration, between("10s", "1h")] = 300.0
    stale: Annotated[Duration, between("10s", "1d")] = 3600.0


class RoleShape(Shape):
    """The upstream role of a group."""

    group: Group
    role: Identifier
    warehouse: Identifier | None = None


class LimitsShape(Shape):
    """Sizes, counts and times. The defaults fit a gateway of two cores."""

    header_size: Annotated[Size, sized("4KiB", "1MiB")] = 64 * 1024
    body_size: Annotated[Size, sized("64KiB", "256MiB")] = 16 * 1024**2
    statement_size: Annotated[Size, sized("1KiB", "16MiB")] = 1024**2
    connections: int = Field(4096, ge=1, le=1_000_000)
    header_timeout: Annotated[Duration, between("1s", "5m")] = 30.0
    idle_timeout: Annotated[Duration, between("1s", "1h")] = 300.0
    # Drivers give up on a silent answer after 60 s (protocol of the query endpoint).
    poll_hold: Annotated[Duration, between("1s", "55s")] = 45.0
    login_limit: Annotated[Duration, between("1s", "60s")] = 8.0
    judge_limit: Annotated[Duration, between("1s", "30s")] = 5.0
    ticket_age: Annotated[Duration, between("1m", "6h")] = 6 * 3600.0
    ticket_uses: int = Field(10, ge=1, le=10)
    cache_entries: int = Field(50_000, ge=0, le=10_000_000)
    sessions: int = Field(10_000, ge=1, le=1_000_000)
    session_token: Annotated[Duration, between("1m", "4h")] = 3600.0
    pending_holds: int = Field(50, ge=1, le=10_000)
    new_holds_per_minute: int = Field(10, ge=1, le=1000)


class ConfigShape(PolicyShape):
    """One gateway."""

    data_dir: FilePath
    name: Word
    account: Account
    listen: ListenShape
    api: ApiShape | None = None
    upstream: UpstreamShape
    issuers: list[IssuerShape] = Field(min_length=1)
    roles: list[RoleShape] = Field(min_length=1)
    limits: LimitsShape = Field(default_factory=lambda: LimitsShape.model_validate({}))
