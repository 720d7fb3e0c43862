"""What a statement is judged by outside the gateway: a policy, a catalog, and somebody who asks."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from snowgate.config import Config, examine, load_config, load_policy
from snowgate.config.fields import Wrong, parse_duration
from snowgate.errors import ConfigError, UsageError
from snowgate.model.identity import Principal
from snowgate.model.statement import Namespace, ObjectName
from snowgate.policy import Policy, Subject
from snowgate.sql.catalog import Catalog, Table

# The catalog as the gateway last had it in force, in its data directory.
CATALOG_FILE = "catalog.json"


@dataclass(frozen=True, slots=True)
class Setting:
    """A policy, and a catalog with the tags of its patterns.

    Attributes:
        policy: The policy.
        catalog: Tables, views and tags.
        warnings: What the policy allows and probably does not mean, with file and line.
        roles: The role of each group, where a whole configuration was loaded.
    """

    policy: Policy
    catalog: Catalog
    warnings: tuple[str, ...] = ()
    roles: tuple[tuple[str, str], ...] = ()

    def role_of(self, groups: Iterable[str], name: str) -> str:
        """The role a login with these groups would be given; else the name in upper case."""
        given = set(groups)
        mapped = (role for group, role in self.roles if group in given)
        return next(mapped, name.upper())


def load_setting(
    *, config: Path | None = None, policy: Path | None = None, catalog: Path | None = None
) -> Setting:
    """Load a policy, alone or of a whole configuration, and a catalog.

    Args:
        config: A gateway's configuration. No file that it names needs to be there.
        policy: A file with `tags` and `rules`, instead of `config`.
        catalog: JSON with `tables`, `views` and `session`; by default, of a configuration, the one
            that its gateway had in force last.

    Raises:
        ConfigError: A file is wrong or missing.
        UsageError: Too little or too much was given.
    """
    if (config is None) == (policy is None):
        raise UsageError("give either `--config` or `--policy`")
    if config is not None:
        whole = load_config(config, files=False)
        found = read_catalog(catalog or whole.data_dir / CATALOG_FILE)
        roles = tuple((mapping.group, mapping.role) for mapping in whole.roles)
        return Setting(whole.policy, _tagged(found, whole.policy), whole.warnings, roles)
    if policy is None or catalog is None:
        raise UsageError("`--policy` needs `--catalog`: the JSON file of tables and views")
    found = read_catalog(catalog)
    rules = load_policy(policy, tags_of(found))
    return Setting(rules.policy, _tagged(found, rules.policy), rules.warnings)


def setting_of(file: Path, catalog: Path | None = None) -> Setting:
    """As `load_setting`, for a file of either kind.

    Args:
        file: A policy, or a whole configuration.
        catalog: JSON; by default that of the configuration's gateway, or `catalog.json` beside the
            policy.

    Raises:
        ConfigError: A file is wrong or missing.
    """
    known = None if catalog is None else read_catalog(catalog)
    tags = frozenset() if known is None else tags_of(known)
    examined = examine(file, files=False, known_tags=tags)
    beside = file.with_name(CATALOG_FILE)
    if known is None and not isinstance(examined.value, Config):
        # It may bring tags, without which the policy is wrong; a wrong policy is told first.
        if examined.value is None and not beside.is_file():
            examined.loaded()
        known = read_catalog(beside)
        examined = examine(file, files=False, known_tags=tags_of(known))
    value = examined.loaded()
    roles: tuple[tuple[str, str], ...] = ()
    if isinstance(value, Config):
        roles = tuple((mapping.group, mapping.role) for mapping in value.roles)
        known = known or read_catalog(value.data_dir / CATALOG_FILE)
    found = known or read_catalog(beside)
    return Setting(value.policy, _tagged(found, value.policy), value.warnings, roles)


def other_setting(present: Setting, file: Path) -> Setting:
    """Another policy, with the catalog of a setting.

    Args:
        present: Its catalog has the tags of its own patterns, which are taken off first.
        file: A policy, or a whole configuration.

    Raises:
        ConfigError: The file is wrong.
    """
    bare = _untagged(present.catalog, present.policy)
    examined = examine(file, files=False, known_tags=tags_of(bare))
    value = examined.loaded()
    return Setting(value.policy, _tagged(bare, value.policy), value.warnings, present.roles)


def read_catalog(path: Path) -> Catalog:
    """Read a catalog file.

    Raises:
        ConfigError: It is not there, or has another form.
    """
    try:
        return Catalog.from_json(path.read_bytes())
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise ConfigError(
            str(path),
            0,
            "",
            f"cannot be read: {reason}",
            "give `--catalog`; a gateway writes its own to its data directory",
        ) from None
    except ValueError as error:
        raise ConfigError(str(path), 0, "", str(error), "see docs/policy/tools.md") from None
    except RecursionError:
        raise ConfigError(str(path), 0, "", "is nested too deep to be a catalog") from None


def tags_of(catalog: Catalog) -> frozenset[str]:
    """The tags that a catalog brings."""
    return frozenset(
        tag for table in catalog.tables.values() for column in table.columns for tag in column.tags
    )


def namespace_of(catalog: Catalog) -> Namespace:
    """Where names resolve in a session that says nothing."""
    return Namespace(catalog.database, catalog.schema)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, as a person spells it.

    Attributes:
        name: Name of the principal; its subject too, unless told.
        groups: Groups it has.
        role: Its role; by default that of its groups.
        client: What its client calls itself.
        source: IP address it logged in from.
        at: ISO time, UTC unless it says otherwise; empty for a time that is not told.
        issuer, subject: The identity that rules with `principal:` ask for.
    """

    name: str
    groups: tuple[str, ...] = ()
    role: str = ""
    client: str = ""
    source: str = ""
    at: str = ""
    issuer: str = ""
    subject: str = ""

    def subject_in(self, setting: Setting, now_s: float | None = None) -> Subject:
        """The same as policy takes it.

        Args:
            setting: Gives the role of a group.
            now_s: The time, where `at` is empty.

        Raises:
            UsageError: The address or the time is none.
        """
        return Subject(
            Principal("", self.issuer, self.subject or self.name, self.name),
            frozenset(self.groups),
            self.role or setting.role_of(self.groups, self.name),
            self.client,
            _address(self.source),
            moment_of(self.at) if self.at else now_s,
        )


def moment_of(text: str) -> float:
    """Unix time of an ISO text such as `2026-11-24T08:00`, UTC unless it says otherwise.

    Raises:
        UsageError: It is none.
    """
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError("no ISO time: write `2026-11-24T08:00` (UTC)") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return moment.timestamp()


def moment_since(text: str, now_s: float) -> float:
    """Unix time of `30d` before now, or of an ISO text.

    Raises:
        UsageError: It is neither.
    """
    try:
        return now_s - parse_duration(text)
    except Wrong:
        pass
    try:
        return moment_of(text)
    except UsageError:
        raise UsageError("write how far back as `12h` or `30d`, or since when as ISO") from None


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        raise UsageError("no IP address: write `192.0.2.7`") from None


def _tagged(catalog: Catalog, policy: Policy) -> Catalog:
    tagged = catalog.with_tags([(each.tag, each.columns) for each in policy.tags])
    return tagged.with_registry(policy.registry)


def _untagged(catalog: Catalog, policy: Policy) -> Catalog:
    """A catalog without the tags that a policy's patterns put on it.

    A tag that a statement moved to a column which a pattern of the same tag finds as well is taken
    for the pattern's: the file does not tell them apart.
    """
    tables: dict[ObjectName, Table | None] = {}
    for name, table in catalog.tables.items():
        given = policy.column_tags(name, [column.name for column in table.columns])
        if any(given.values()):
            columns = (
                replace(column, tags=column.tags - given[column.name]) for column in table.columns
            )
            tables[name] = replace(table, columns=tuple(columns))
    return catalog.replacing(tables)
