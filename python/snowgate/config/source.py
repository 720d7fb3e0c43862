"""Where the rules and tags of a file stand, for what is said of them once they are compiled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from snowgate.config.policy import PolicyShape
from snowgate.config.reader import Document, Location
from snowgate.errors import ConfigError
from snowgate.policy.pattern import NamePattern, parse_pattern


@dataclass(frozen=True, slots=True)
class Source:
    """The text behind a compiled policy. It is read again only where somebody asks."""

    _document: Document

    def remark(self, location: Location, problem: str, remedy: str = "") -> ConfigError:
        """Something to say of a place, with its file, line and key."""
        place = self._document.find(location)
        return ConfigError(self._document.path, place.node.line, place.key, problem, remedy)

    def line(self, location: Location) -> int:
        """The line of a place."""
        return self._document.find(location).node.line

    def rule(self, name: str) -> Location:
        """The location of a rule.

        Raises:
            KeyError: There is none of this name.
        """
        rules = self._document.root.entries or {}
        for at, node in enumerate(rules["rules"].items or ()):
            named = (node.entries or {}).get("name")
            if named is not None and named.scalar == name:
                return ("rules", at)
        raise KeyError(name)

    def plain(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The policy as it is written: its rules, and what stands beside them. It must be right."""
        root: Any = self._document.root.plain()
        beside = {
            key: root[key] for key in PolicyShape.model_fields if key != "rules" and root.get(key)
        }
        return beside, root.get("rules") or []

    def patterns(self) -> Iterator[tuple[Location, str, NamePattern]]:
        """Every column pattern of `tags:` with its location and tag. The file must be right."""
        tags = (self._document.root.entries or {}).get("tags")
        for tag, node in (tags.entries or {} if tags else {}).items():
            where: Location = ("tags", tag)
            if node.entries is not None:
                if "columns" not in node.entries:
                    continue
                where, node = ("tags", tag, "columns"), node.entries["columns"]
            for at, item in enumerate([node] if node.items is None else node.items):
                for pattern in parse_pattern(str(item.scalar), 4, ""):
                    yield (*where, at), tag, pattern
