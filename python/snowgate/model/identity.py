"""Who asks: principals, what a login offers, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Principal:
    """One identity. The key is (account, issuer, subject); `name` is for people to read only (F6).

    Attributes:
        account: Snowgate's name of the Snowflake account the login asked for.
        issuer: Exact `iss` of the token.
        subject: Stable identity inside the issuer.
        name: Display name; never a key.
        people: Whether the issuer is declared for people. Approver rights need it.
        person: One key per human across channels; empty for machines (F15).
        triggered_by: Person keys found in a machine's token, such as GitHub's `actor_id` (F15).
    """

    account: str
    issuer: str
    subject: str
    name: str
    people: bool = False
    person: str = ""
    triggered_by: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """The identity itself, without its display name."""
        return (self.account, self.issuer, self.subject)

    @property
    def text(self) -> str:
        """The key as one text that no other identity shares, as the gate writes it too."""
        return ",".join(f"{len(part.encode())}:{part}" for part in self.key)


@dataclass(frozen=True, slots=True)
class Identified:
    """A verified token: its principal and the groups its issuer may give (F6).

    Attributes:
        principal: Who.
        groups: Groups granted, sorted.
        dropped_groups: Groups the token named but the issuer may not give; recorded, never used.
        expires_at_s: Unix time at which the token ends.
        max_age_s: Longest session the issuer allows from login.
        claims_digest: SHA-256, hex, of the canonical claims; in the login entry in place of them.
    """

    principal: Principal
    groups: tuple[str, ...]
    dropped_groups: tuple[str, ...]
    expires_at_s: float
    max_age_s: float
    claims_digest: str


@dataclass(frozen=True, slots=True)
class LoginOffer:
    """What a driver sent to log in, from the gate's `login` question.

    `token` is the caller's identity token; it is never stored, logged, or shown.
    """

    account: str
    authenticator: str
    token: str = field(repr=False)
    login_name: str = ""
    client_app: str = ""
    client_version: str = ""
    source: str = ""
    role: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Admission:
    """A login granted: the one role, and the identity it belongs to."""

    identified: Identified
    role: str
    warehouse: str | None
