"""What the configuration says about issuers and roles.

`config` builds these values from the file's `issuers:` and `roles:`; nothing else does. Pointers
are JSON pointers (RFC 6901) into the token's claims, since claim names hold dots and slashes.
`check` refuses what could never be safe, whoever builds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# RFC 8725 section 3.1: asymmetric only. HS* would make every holder of the public key an issuer.
ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
# A longer-lived token is a password: nobody can take it back.
MAX_LIFETIME_S = 24 * 3600.0
MAX_LEEWAY_S = 60.0

ClaimValue = str | int | bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim that must equal a value exactly (type included: `"1"` is not `1`)."""

    pointer: str
    value: ClaimValue


@dataclass(frozen=True, slots=True)
class ClaimRule:
    """Gives groups to every token that carries all the claims (`groups:` entry in the file)."""

    when: tuple[Claim, ...]
    give: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """One trusted issuer (an entry of `issuers:`). Two entries never share `issuer` (F6).

    Attributes:
        issuer: Exact `iss`; also the base of the discovery URL. https, or http on loopback.
        audience: The only `aud` a token may carry, besides `other_audiences`.
        may_give: Groups this issuer can give; others are dropped and reported (F6).
        identity: Pointer to the stable identity.
        name: Pointer to the display name; the identity is shown where the claim is missing.
        people: Declared for people. Only they may approve.
        person: Pointer to the one key of a human across channels (F15); used for people only.
        triggered_by: Pointers to persons behind a machine's token (F15); missing claims add none.
        groups_from: Pointer to a group name or a list of them; empty for none.
        groups: Rules that give groups by claims, in order; all that match give.
        require: Claims every token must carry, such as Entra's `/tid`.
        refuse: Claims no token may carry: the deny list by subject, client or token id.
        algorithms: Signature algorithms accepted.
        types: Header `typ` values accepted, lower-case without `application/`; a missing `typ` is
            accepted unless only `at+jwt` is listed (RFC 9068 section 4).
        other_audiences: Further `aud` values a token may carry beside ours.
        ca_file: PEM bundle that alone is trusted for this issuer; None for the system's.
        max_age_s: Longest session from login, in seconds.
        ends_with_token: The session ends with the token, if that is sooner.
        leeway_s: Clock difference tolerated, in seconds, at most 60.
        max_lifetime_s: Longest `exp - iat`, in seconds, at most 24 hours.
        refresh_s: Age at which keys are fetched again.
        stale_s: Age up to which keys are used while the issuer cannot be reached.
    """

    issuer: str
    audience: str
    may_give: tuple[str, ...]
    identity: str = "/sub"
    name: str = ""
    people: bool = False
    person: str = "/sub"
    triggered_by: tuple[str, ...] = ()
    groups_from: str = ""
    groups: tuple[ClaimRule, ...] = ()
    require: tuple[Claim, ...] = ()
    refuse: tuple[Claim, ...] = ()
    algorithms: tuple[str, ...] = ("RS256",)
    types: tuple[str, ...] = ("jwt", "at+jwt")
    other_audiences: tuple[str, ...] = ()
    ca_file: str | None = None
    max_age_s: float = 4 * 3600.0
    ends_with_token: bool = False
    leeway_s: float = 30.0
    max_lifetime_s: float = MAX_LIFETIME_S
    refresh_s: float = 300.0
    stale_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class RoleMapping:
    """Group to upstream role (an entry of `roles:`), in the order of the file.

    Attributes:
        group: Group that has the role.
        role: Snowflake role, as stored (upper-case unless quoted in Snowflake).
        warehouse: Warehouse a session of the role starts with, or None for the user's default.
    """

    group: str
    role: str
    warehouse: str | None = field(default=None)


def check(issuers: Sequence[IssuerSettings]) -> list[tuple[int, str, str]]:
    """What is wrong with a list of issuers, as (index, key, problem); empty when nothing is.

    `config` turns each into an error with file and line; `open_verifier` refuses any.
    """
    problems: list[tuple[int, str, str]] = []
    seen: set[str] = set()
    for index, issuer in enumerate(issuers):
        problems += [(index, key, problem) for key, problem in _problems(issuer)]
        if issuer.issuer in seen:
            problems.append((index, "oidc", "two entries name this issuer"))
        seen.add(issuer.issuer)
    return problems


def loopback(url: str) -> bool:
    """Whether a URL names this machine, where http is tolerated."""
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}


def safe_url(url: str) -> bool:
    """Whether keys may be fetched from a URL: https, or http on loopback; no user, no fragment."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    if not usable or parts.username is not None or parts.fragment or "\\" in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and loopback(url))


def _problems(issuer: IssuerSettings) -> list[tuple[str, str]]:
    problems: list[tuple[str, str]] = []

    def need(good: bool, key: str, problem: str) -> None:
        if not good:
            problems.append((key, problem))

    need(safe_url(issuer.issuer), "oidc", "must be an https URL (http only on loopback)")
    need(bool(issuer.audience), "audience", "must not be empty")
    # A token for this audience works at Snowflake itself, past the gateway.
    accepted = (issuer.audience, *issuer.other_audiences)
    need("snowflakecomputing.com" not in accepted, "audience", "is Snowflake's own audience")
    need(bool(issuer.algorithms), "algorithms", "must not be empty")
    foreign = sorted(set(issuer.algorithms) - ALGORITHMS)
    need(not foreign, "algorithms", f"not allowed: {', '.join(foreign)}")
    need(0 <= issuer.leeway_s <= MAX_LEEWAY_S, "leeway", "must be between 0 and 60 seconds")
    need(
        0 < issuer.max_lifetime_s <= MAX_LIFETIME_S,
        "max_lifetime",
        "must be at most 24 hours, and more than 0",
    )
    need(issuer.max_age_s > 0, "session.max_age", "must be more than 0")
    need(0 < issuer.refresh_s <= issuer.stale_s, "stale", "must not be below the refresh interval")
    need(bool(issuer.types), "types", "must not be empty")
    given = {group for rule in issuer.groups for group in rule.give}
    lost = sorted(given - set(issuer.may_give))
    need(not lost, "groups", f"gives groups missing from may_give: {', '.join(lost)}")
    need(all(rule.when for rule in issuer.groups), "groups", "a rule needs at least one claim")
    pointers = [issuer.identity, issuer.name, issuer.person, issuer.groups_from]
    pointers += [*issuer.triggered_by]
    pointers += [claim.pointer for claim in (*issuer.require, *issuer.refuse)]
    pointers += [claim.pointer for rule in issuer.groups for claim in rule.when]
    for pointer in pointers:
        need(not pointer or pointer.startswith("/"), "pointers", f"`{pointer}` must start with `/`")
    need(bool(issuer.identity), "identity", "must not be empty")
    need(bool(issuer.person) or not issuer.people, "person", "is needed for people")
    return problems
