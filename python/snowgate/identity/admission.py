"""Groups to exactly one upstream role: the role is fixed at login and never changes (F10).

Pure. Nothing mapped, or more than one role without the client naming one, is a refusal.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from snowgate.errors import NotAuthorized
from snowgate.identity.settings import RoleMapping
from snowgate.identity.token import shown
from snowgate.model.identity import Admission, Identified, LoginOffer


def admit(
    identified: Identified,
    offer: LoginOffer,
    roles: Sequence[RoleMapping],
    aliases: Collection[str] = (),
) -> Admission:
    """Grant a verified identity its one role.

    Args:
        identified: From `OidcVerifier.identify`; its principal holds the gateway's account name.
        offer: What the driver sent.
        roles: Mappings in the order of the file; of two that give one role, the first counts.
        aliases: Other account names clients may give (JDBC sends the first label of the host).

    Raises:
        NotAuthorized: Wrong account, no group, no mapping, a role outside the set, or several
            roles and none requested.
    """
    name = identified.principal.name
    accounts = {identified.principal.account.casefold(), *(a.casefold() for a in aliases)}
    if offer.account.casefold() not in accounts:
        raise NotAuthorized("account", f"account `{shown(offer.account)}` is not served here", name)
    granted: dict[str, RoleMapping] = {}
    for mapping in roles:
        if mapping.group in identified.groups:
            granted.setdefault(mapping.role, mapping)
    if not granted:
        raise NotAuthorized(*_nothing(identified, roles), name)
    chosen = _choose(granted, offer.role, name)
    return Admission(identified, chosen.role, chosen.warehouse)


def _choose(granted: dict[str, RoleMapping], requested: str, name: str) -> RoleMapping:
    if requested:
        mapping = granted.get(_stored(requested))
        if mapping is None:
            raise NotAuthorized(
                "role",
                f"role `{shown(requested)}` is not granted; granted: {', '.join(granted)}",
                name,
            )
        return mapping
    if len(granted) > 1:
        raise NotAuthorized(
            "role", f"several roles are granted, name one of: {', '.join(granted)}", name
        )
    return next(iter(granted.values()))


def _stored(role: str) -> str:
    """A role name as Snowflake stores it: upper-case unless quoted."""
    if len(role) >= 2 and role.startswith('"') and role.endswith('"'):
        return role[1:-1].replace('""', '"')
    return role.upper()


def _nothing(identified: Identified, roles: Sequence[RoleMapping]) -> tuple[str, str]:
    wanted = ", ".join(f"`{group}`" for group in dict.fromkeys(m.group for m in roles))
    if identified.groups:
        groups = ", ".join(f"`{shown(group)}`" for group in identified.groups[:10])
        return "no_role", f"no role is mapped to group {groups}; groups with a role: {wanted}"
    if identified.dropped_groups:
        dropped = ", ".join(f"`{shown(group)}`" for group in identified.dropped_groups[:10])
        return "no_group", f"this issuer may not give group {dropped} (may_give)"
    return "no_group", f"the token gives no group; groups with a role: {wanted}"
