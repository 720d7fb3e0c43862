"""The options of every command that judges: by which policy and catalog, and for whom."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from snowgate.policy import Subject
from snowgate.review.setting import Asker, Setting, load_setting


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class By:
    """By which policy and catalog.

    Attributes:
        config: Configuration of a gateway. Its catalog is the one it had in force last.
        policy: Policy file with `tags` and `rules`, instead of `--config`.
        catalog: JSON file with `tables`, `views` and `session`.
    """

    config: Path | None = None
    policy: Path | None = None
    catalog: Path | None = None

    def setting(self) -> Setting:
        """Policy and catalog, loaded."""
        return load_setting(config=self.config, policy=self.policy, catalog=self.catalog)


# What commands take where neither is given; `setting` says what is missing.
NOTHING = By()


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class As:
    """For whom.

    Attributes:
        as_: Name of the principal.
        groups: Its groups, separated by commas.
        role: Its role; by default the one its groups are given, else the name in upper case.
        client: What the client calls itself.
        source: IP address it logged in from.
        at: When, such as 2026-11-24T08:00 (UTC); now by default.
        issuer: Issuer of the identity, for rules that name a principal.
        subject: Subject of the identity; the name by default.
    """

    as_: str
    groups: str = ""
    role: str = ""
    client: str = ""
    source: str = ""
    at: str = ""
    issuer: str = ""
    subject: str = ""

    def asker(self) -> Asker:
        """The same, parsed."""
        groups = tuple(group.strip() for group in self.groups.split(",") if group.strip())
        return Asker(
            self.as_,
            groups,
            self.role,
            self.client,
            self.source,
            self.at,
            self.issuer,
            self.subject,
        )

    def in_(self, setting: Setting) -> Subject:
        """The subject that a policy takes."""
        return self.asker().subject_in(setting, time.time())
