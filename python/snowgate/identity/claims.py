"""Turns verified claims into a principal and its groups.

Rule at the door: deny by default. A group counts only if the issuer `may_give` it (F6); a claim of
the wrong type refuses the token, it is never read as "nothing there".

Sources: RFC 6901 (JSON pointer); Microsoft identity platform, groups overage claim.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable

from snowgate.errors import NotAuthorized, TokenInvalid
from snowgate.identity.settings import Claim, IssuerSettings
from snowgate.identity.token import Claims, Json, date, shown
from snowgate.model.identity import Identified, Principal

MAX_GROUPS = 500
MAX_IDENTITY_CHARS = 256
MAX_NAME_CHARS = 128
# A ledger entry holds 32 KiB: names that count for nothing must not be able to fill it.
MAX_DROPPED = 32
MAX_DROPPED_CHARS = 64

_ABSENT = object()


def identified(claims: Claims, settings: IssuerSettings, account: str, now_s: float) -> Identified:
    """Apply an issuer's claim rules to the claims of one of its tokens.

    Args:
        claims: Claims of a verified token.
        settings: Its issuer's.
        account: Snowgate's account name, the first part of the principal.
        now_s: Unix time.

    Raises:
        TokenInvalid: A claim the settings point to is missing or of the wrong type.
        NotAuthorized: The claims are on the deny list, or lack a required one.
    """
    digest = _digest(claims)
    subject = _identity(claims, settings.identity, "identity")
    name = _name(claims, settings.name) or subject[:MAX_NAME_CHARS]
    for claim in settings.refuse:
        if _equals(claims, claim):
            raise NotAuthorized("denied", f"claim `{claim.pointer}` is on the deny list", name)
    for claim in settings.require:
        if not _equals(claims, claim):
            raise NotAuthorized(
                "claim", f"claim `{claim.pointer}` is not what this issuer requires", name
            )
    groups, dropped = _groups(claims, settings, name)
    principal = Principal(
        account=account,
        issuer=settings.issuer,
        subject=subject,
        name=name,
        people=settings.people,
        person=_identity(claims, settings.person, "person") if settings.people else "",
        triggered_by=tuple(_persons(claims, settings.triggered_by)),
    )
    expires_s = date(claims, "exp")
    max_age_s = settings.max_age_s
    if settings.ends_with_token:
        max_age_s = min(max_age_s, max(0.0, expires_s - now_s))
    return Identified(principal, groups, dropped, expires_s, max_age_s, digest)


def lookup(document: Json, pointer: str) -> Json | object:
    """The value a JSON pointer names, or a private marker of absence (`missing` tells)."""
    value = document
    for raw in pointer.split("/")[1:]:
        token = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list) and token in map(str, range(len(value))):
            value = value[int(token)]
        else:
            return _ABSENT
    return value


def missing(value: Json | object) -> bool:
    """Whether `lookup` found nothing, or an explicit null."""
    return value is _ABSENT or value is None


def _equals(claims: Claims, claim: Claim) -> bool:
    value = lookup(claims, claim.pointer)
    return type(value) is type(claim.value) and value == claim.value


def _identity(claims: Claims, pointer: str, what: str) -> str:
    value = lookup(claims, pointer)
    if missing(value):
        raise TokenInvalid("claims", f"token has no {what} (claim `{pointer}`)")
    return _key_text(value, pointer)


def _key_text(value: Json | object, pointer: str) -> str:
    # Some issuers write numeric ids as numbers, and the same ids as text elsewhere.
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not 0 < len(text) <= MAX_IDENTITY_CHARS:
        raise TokenInvalid("claims", f"claim `{pointer}` is not an identity")
    if not text.isprintable():
        raise TokenInvalid("claims", f"claim `{pointer}` holds control characters")
    return text


def _name(claims: Claims, pointer: str) -> str:
    value = lookup(claims, pointer) if pointer else None
    return shown(value)[:MAX_NAME_CHARS].strip() if isinstance(value, str) else ""


def _persons(claims: Claims, pointers: Iterable[str]) -> Iterable[str]:
    for pointer in pointers:
        value = lookup(claims, pointer)
        if not missing(value):
            yield _key_text(value, pointer)


def _groups(
    claims: Claims, settings: IssuerSettings, name: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    named = set(_named_groups(claims, settings, name))
    for rule in settings.groups:
        if rule.when and all(_equals(claims, claim) for claim in rule.when):
            named.update(_normal(group) for group in rule.give)
    may_give = {_normal(group) for group in settings.may_give}
    return tuple(sorted(named & may_give)), _bounded(sorted(named - may_give))


def _named_groups(claims: Claims, settings: IssuerSettings, name: str) -> Iterable[str]:
    if not settings.groups_from:
        return ()
    value = lookup(claims, settings.groups_from)
    if missing(value):
        # Entra leaves the claim out above 200 groups: absent then does not mean "in no group".
        if "hasgroups" in claims or "_claim_names" in claims:
            raise NotAuthorized(
                "overage", "token names too many groups to list them; use app roles instead", name
            )
        return ()
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(group, str) for group in values):
        raise TokenInvalid("claims", f"claim `{settings.groups_from}` is not a list of group names")
    if len(values) > MAX_GROUPS:
        raise TokenInvalid("claims", f"token names more than {MAX_GROUPS} groups")
    return [_normal(group) for group in values if isinstance(group, str)]


def _normal(group: str) -> str:
    return unicodedata.normalize("NFC", group)


def _bounded(groups: list[str]) -> tuple[str, ...]:
    kept = [shown(group)[:MAX_DROPPED_CHARS] for group in groups[:MAX_DROPPED]]
    if len(groups) > MAX_DROPPED:
        kept.append(f"… and {len(groups) - MAX_DROPPED} more")
    return tuple(kept)


def _digest(claims: Claims) -> str:
    text = json.dumps(claims, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return hashlib.sha256(text.encode()).hexdigest()
    except UnicodeEncodeError:
        raise TokenInvalid("malformed", "token holds text that is not Unicode") from None
