"""Reads one compact JWS and checks it against one issuer's settings and one key.

    read ──► screen (before any key is fetched) ──► verify ──► claims

Pure: no clock, no socket. PyJWT checks encoding and signature; header and claims are checked here,
because PyJWT reads the machine's clock, accepts numeric dates as text and lets the last of two
equal names win. Headers that name a key (`jku`, `jwk`, `x5u`, `x5c`) are never read.

Sources: RFC 7515 (JWS), RFC 7519 section 4 (claims), RFC 8725 (best practice), RFC 9068.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias, cast

import jwt
from jwt.types import SigOptions

from snowgate.errors import TokenExpired, TokenInvalid
from snowgate.identity.keys import Key
from snowgate.identity.settings import IssuerSettings

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Claims: TypeAlias = "dict[str, Json]"

# A 12,000 byte token has been seen to work in drivers; more than twice that is not an identity.
MAX_TOKEN_BYTES = 32 * 1024
MAX_SHOWN_CHARS = 120

_SIGNATURE_ONLY = cast(SigOptions, {"verify_signature": True, "enforce_minimum_key_length": True})


@dataclass(frozen=True, slots=True)
class Unverified:
    """A well-formed token about which nothing is known yet. `issuer` only picks the settings."""

    issuer: str
    algorithm: str
    kid: str | None
    header: dict[str, Json] = field(repr=False)
    token: str = field(repr=False)


def read(token: str) -> Unverified:
    """Take a token apart.

    Raises:
        TokenInvalid: It is not a compact JWS of two JSON objects with unique names.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenInvalid("malformed", f"token is longer than {MAX_TOKEN_BYTES} bytes")
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():
        raise TokenInvalid("malformed", "token is not a JWT of three parts")
    header = _json_object(parts[0], "header")
    issuer = _json_object(parts[1], "payload").get("iss")
    if not isinstance(issuer, str):
        raise TokenInvalid("malformed", "token has no issuer (claim `iss`)")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise TokenInvalid("malformed", "token names no algorithm (header `alg`)")
    kid = header.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise TokenInvalid("malformed", "token has a key id that is not text (header `kid`)")
    return Unverified(issuer, algorithm, kid, header, token)


def screen(unverified: Unverified, settings: IssuerSettings) -> None:
    """Refuse what no key could make good, so that a forged token costs no request to the issuer.

    Raises:
        TokenInvalid: The header asks for something the settings do not allow.
    """
    if unverified.algorithm not in settings.algorithms:
        raise TokenInvalid(
            "algorithm",
            f"token is signed with `{shown(unverified.algorithm)}`;"
            f" this issuer's tokens use {', '.join(settings.algorithms)}",
        )
    # RFC 7515 section 4.1.11: an extension we do not know, and we know none, refuses the token.
    if "crit" in unverified.header:
        raise TokenInvalid("header", "token has critical extensions (header `crit`)")
    kind = unverified.header.get("typ", "jwt" if "jwt" in settings.types else "")
    if not isinstance(kind, str) or (
        kind.lower().removeprefix("application/") not in settings.types
    ):
        raise TokenInvalid(
            "header", f"token is not of type {', '.join(settings.types)} (header `typ`)"
        )


def verify(unverified: Unverified, settings: IssuerSettings, key: Key, now_s: float) -> Claims:
    """Check signature, audience and times.

    Args:
        unverified: A token that passed `screen`.
        settings: Those of its issuer.
        key: The issuer's key for this token.
        now_s: Unix time.

    Returns:
        The claims, from here on to be believed.

    Raises:
        TokenExpired: Everything is right but `exp`.
        TokenInvalid: Anything else is wrong.
    """
    try:
        signed = jwt.PyJWS().decode_complete(
            unverified.token, key.public, [unverified.algorithm], _SIGNATURE_ONLY
        )
    except jwt.PyJWTError:
        raise TokenInvalid("signature", "token has a wrong signature") from None
    claims = _parse(signed["payload"], "payload")
    _check_parties(claims, settings)
    _check_times(claims, settings, now_s)
    return claims


def date(claims: Claims, name: str) -> float:
    """A NumericDate claim, in Unix seconds.

    Raises:
        TokenInvalid: The claim is missing or not a number.
    """
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TokenInvalid("claims", f"token has no date in claim `{name}`")
    return float(value)


def shown(text: str) -> str:
    """User input, fit to stand in a message: short, one line, printable."""
    cut = text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "…"
    return "".join(c if c.isprintable() and c != "`" else "�" for c in cut)


def _check_parties(claims: Claims, settings: IssuerSettings) -> None:
    # Read from the signed bytes again: `read` saw the same ones, and this costs nothing.
    if claims.get("iss") != settings.issuer:
        raise TokenInvalid("issuer", "token is from another issuer")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if settings.audience not in audiences:
        raise TokenInvalid(
            "audience", f"token is not meant for audience `{settings.audience}` (claim `aud`)"
        )
    # A token for several services can be played by each of them to the others.
    others = [a for a in audiences if a not in (settings.audience, *settings.other_audiences)]
    if others or audiences.count(settings.audience) > 1:
        raise TokenInvalid(
            "audience", f"token is not meant for audience `{settings.audience}` alone (claim `aud`)"
        )
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise TokenInvalid("claims", "token has no subject (claim `sub`)")


def _check_times(claims: Claims, settings: IssuerSettings, now_s: float) -> None:
    expires_s, issued_s = date(claims, "exp"), date(claims, "iat")
    starts_s = date(claims, "nbf") if "nbf" in claims else issued_s
    if max(issued_s, starts_s) > now_s + settings.leeway_s:
        raise TokenInvalid("not_yet_valid", "token is not valid yet (claims `nbf`, `iat`)")
    if expires_s - issued_s > settings.max_lifetime_s or expires_s < issued_s:
        raise TokenInvalid(
            "lifetime",
            f"token lives longer than {settings.max_lifetime_s:g} s (claims `exp`, `iat`)",
        )
    if expires_s + settings.leeway_s <= now_s:
        raise TokenExpired("expired", f"token expired {now_s - expires_s:.0f} s ago (claim `exp`)")


def _json_object(segment: str, name: str) -> dict[str, Json]:
    try:
        padded = segment + "=" * (-len(segment) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise TokenInvalid("malformed", f"token's {name} is not base64url") from None
    return _parse(raw, name)


def _parse(raw: bytes, name: str) -> dict[str, Json]:
    """Parse one JSON object; RFC 7519 section 4 lets us refuse a name that occurs twice."""

    def unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError
        return members

    def constant(_: str) -> NoReturn:
        raise ValueError

    try:
        value = json.loads(raw.decode(), object_pairs_hook=unique, parse_constant=constant)
    except (ValueError, RecursionError):
        raise TokenInvalid("malformed", f"token's {name} is not strict JSON") from None
    if not isinstance(value, dict):
        raise TokenInvalid("malformed", f"token's {name} is not a JSON object")
    return value
