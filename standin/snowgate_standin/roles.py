"""Roles and their grants, as far as the safety of a gateway depends on them.

There are two users: the service user holds several roles, the catalog's user one. A fresh session
has every role of its user active beside its primary role (secondary roles ALL), which is what
Snowflake does when DEFAULT_SECONDARY_ROLES is unset. Every privilege is the union over the active
roles. Snowflake takes CREATE from the primary role alone; the stand-in takes it from the union, the
worse case for a gateway that forgets to pin.
"""

from __future__ import annotations

from dataclasses import dataclass, field

READ = frozenset({"SELECT"})
WRITE = frozenset({"INSERT", "UPDATE", "DELETE", "TRUNCATE"})
EVERYTHING = READ | WRITE | frozenset({"OWNERSHIP", "CREATE", "CREATE SCHEMA", "REFERENCES"})
ACCOUNT = frozenset({"CREATE DATABASE", "MANAGE"})

DEFAULT_ROLE = "ETL"
"""The role of a login that names none: a powerful one, so that forgetting to name it shows."""

SERVICE_ROLES = ("PUBLIC", "ANALYST", "ETL", "FRAUD", "SYSADMIN")
"""What the service user holds."""

CATALOG_ROLES = ("PUBLIC", "SNOWGATE")
"""What the catalog's user holds."""

Name = tuple[str, str, str]
"""Database, schema and object; `*` stands for any."""

USAGE_VIEW: Name = ("SNOWFLAKE", "ACCOUNT_USAGE", "TAG_REFERENCES")
"""Where tags are set in the whole account; the one view of the SNOWFLAKE database that there is."""

GOVERNANCE_VIEWER = "SNOWFLAKE.GOVERNANCE_VIEWER"
"""The database role that reads it."""


@dataclass(slots=True)
class Role:
    """What one role may do: privileges by the object pattern they were granted on."""

    name: str
    grants: dict[Name, set[str]] = field(default_factory=dict)
    inherits: set[str] = field(default_factory=set)

    def grant(self, on: Name, privileges: frozenset[str] | set[str]) -> None:
        self.grants.setdefault(on, set()).update(privileges)

    def revoke(self, on: Name, privileges: frozenset[str] | set[str]) -> None:
        self.grants.get(on, set()).difference_update(privileges)


def _covers(pattern: Name, name: Name) -> bool:
    return all(left in ("*", right) for left, right in zip(pattern, name, strict=True))


class Roles:
    """All roles of the account and those granted to each user."""

    def __init__(self, service: str, catalog: str) -> None:
        self.known: dict[str, Role] = {}
        self.owners: dict[Name, str] = {}
        for name in ("PUBLIC", "ANALYST", "FRAUD", "ETL", "SNOWGATE", "SYSADMIN", "ACCOUNTADMIN"):
            self.known[name] = Role(name)
        self.known["PUBLIC"].grant(("CRM", "PUBLIC", "BIG"), READ)
        self.known["ANALYST"].grant(("CRM", "*", "*"), READ)
        self.known["FRAUD"].grant(("CRM", "*", "*"), READ)
        self.known["ETL"].grant(("CRM", "*", "*"), EVERYTHING)
        self.known["SNOWGATE"].grant(("CRM", "*", "*"), {"REFERENCES"})
        self.known[GOVERNANCE_VIEWER] = Role(GOVERNANCE_VIEWER)
        self.known[GOVERNANCE_VIEWER].grant(USAGE_VIEW, READ)
        self.known["SNOWGATE"].inherits.add(GOVERNANCE_VIEWER)
        for admin in ("SYSADMIN", "ACCOUNTADMIN"):
            self.known[admin].grant(("*", "*", "*"), EVERYTHING | ACCOUNT)
        self.of_user = {service: [*SERVICE_ROLES], catalog: [*CATALOG_ROLES]}

    def secondary(self, user: str, primary: str) -> list[str]:
        """What ALL stands for beside this primary role; PUBLIC is never listed."""
        return sorted(role for role in self.of_user[user] if role not in (primary, "PUBLIC"))

    def _expand(self, active: list[str]) -> list[Role]:
        wanted = [*active, "PUBLIC"]
        found: dict[str, Role] = {}
        while wanted:
            name = wanted.pop()
            role = self.known.get(name)
            if role is not None and name not in found:
                found[name] = role
                wanted.extend(role.inherits)
        return list(found.values())

    def holds(self, active: list[str], privilege: str, on: Name) -> bool:
        """Whether any active role has the privilege, by grant or as the object's owner."""
        roles = self._expand(active)
        if self.owners.get(on) in {role.name for role in roles}:
            return True
        return any(
            privilege in privileges and _covers(pattern, on)
            for role in roles
            for pattern, privileges in role.grants.items()
        )

    def sees(self, active: list[str], on: Name) -> bool:
        """Whether any privilege at all is held: without one, an object does not exist."""
        roles = self._expand(active)
        if self.owners.get(on) in {role.name for role in roles}:
            return True
        return any(
            privileges and _covers(pattern, on)
            for role in roles
            for pattern, privileges in role.grants.items()
        )
