"""Everything there is to say of one file: its mistakes, or what its rules do not do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snowgate.audit.render import visible
from snowgate.config import Config, PolicyFile, examine
from snowgate.review.findings import Finding, Level, in_order
from snowgate.review.lint import lint
from snowgate.review.setting import CATALOG_FILE, read_catalog, tags_of


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that was looked at.

    Attributes:
        path: The file.
        value: What it holds; None where it is wrong.
        findings: In the order of the file.
    """

    path: str
    value: Config | PolicyFile | None
    findings: tuple[Finding, ...]

    def count(self, level: Level) -> int:
        """How many findings matter that much."""
        return sum(one.level is level for one in self.findings)

    def passes(self, *, strict: bool) -> bool:
        """Whether nothing is wrong; strictly, nothing is likely to be."""
        return not self.count(Level.ERROR) and not (strict and self.count(Level.WARNING))

    def document(self) -> dict[str, Any]:
        """The same as JSON."""
        value = self.value
        return {
            "file": self.path,
            "kind": None
            if value is None
            else ("configuration" if isinstance(value, Config) else "policy"),
            "policy": value and value.policy.digest,
            "rules": value and len(value.policy.rules) + len(value.policy.shadows),
            "errors": self.count(Level.ERROR),
            "warnings": self.count(Level.WARNING),
            "notes": self.count(Level.NOTE),
            "findings": [one.document() for one in self.findings],
        }

    def lines(self) -> Iterator[str]:
        """The same for people."""
        for one in self.findings:
            yield from one.lines()
        if self.value is None:
            errors = self.count(Level.ERROR)
            yield visible(f"{self.path}: {errors} error{'s' * (errors > 1)}")
            return
        told = [
            f"{count} {level.value}{'s' * (count > 1)}"
            for level in (Level.WARNING, Level.NOTE)
            if (count := self.count(level))
        ]
        yield visible(f"{self.path}: ok" + (f", with {' and '.join(told)}" if told else ""))
        policy = self.value.policy
        rules = f"rules: {len(policy.rules)}"
        if policy.shadows:
            rules += f", not enforced: {len(policy.shadows)}"
        if isinstance(self.value, Config):
            config = self.value
            rules = f"issuers: {len(config.issuers)}, roles: {len(config.roles)}, {rules}"
        yield f"  {rules}"
        yield f"  policy digest: {policy.digest}"


def check_file(path: Path, *, catalog: Path | None = None, files: bool = True) -> Checked:
    """Look at a configuration, or at a policy alone.

    Args:
        path: The file.
        catalog: Tables and columns; by default, of a configuration, what its gateway had in force
            last, if it is there.
        files: Whether the files that a configuration names must be readable. None is read.

    Raises:
        ConfigError: The catalog cannot be read.
    """
    known = None if catalog is None else read_catalog(catalog)
    examined = examine(path, files=files, known_tags=tags_of(known) if known else ())
    findings = [Finding(Level.ERROR, "mistake", error) for error in examined.errors]
    findings += [Finding(Level.WARNING, "file", error) for error in examined.warnings]
    value, source = examined.value, examined.source
    if value is not None and source is not None:
        config = value if isinstance(value, Config) else None
        if known is None and config is not None:
            last = config.data_dir / CATALOG_FILE
            known = read_catalog(last) if last.is_file() else None
        findings += lint(value.policy, source, config=config, catalog=known)
    return Checked(str(path), value, tuple(in_order(findings)))
