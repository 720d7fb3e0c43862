"""What is to be said of a policy: findings, each with its place and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from snowgate.audit.render import visible
from snowgate.errors import ConfigError


class Level(Enum):
    """How much it matters: an error is refused, a warning probably not meant, a note only told."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say.

    Attributes:
        level: How much it matters.
        code: A word for programs, such as `shadowed`.
        where: File, line, key, what is wrong, and the remedy.
        rule: The rule it is about, if one.
    """

    level: Level
    code: str
    where: ConfigError
    rule: str | None = None

    def document(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "level": self.level.value,
            "code": self.code,
            "file": self.where.path,
            "line": self.where.line,
            "key": self.where.key,
            "rule": self.rule,
            "problem": self.where.problem,
            "remedy": self.where.remedy,
        }

    def lines(self) -> Iterator[str]:
        """The same for people."""
        where = self.where
        place = f"{where.path}:{where.line}" if where.line else where.path
        key = f"{where.key}: " if where.key else ""
        yield visible(f"{place}: {self.level.value}: {key}{where.problem}")
        if where.remedy:
            yield visible(f"    what to do: {where.remedy}")


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """By their places in the file."""
    return sorted(findings, key=lambda one: (one.where.line, one.where.key, one.code))
