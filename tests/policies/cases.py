"""Cases beside a policy: statements, and what is promised of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from snowgate.policy import judge
from snowgate.review.report import strictness, word_of
from snowgate.review.setting import Asker, Setting
from snowgate.sql.session import analyse_session

# Monday noon, so that a case that says no time has the same answer every day.
NOON = "2026-11-23T12:00"


@dataclass(frozen=True, slots=True)
class Case:
    """One promise."""

    name: str
    asker: Asker
    sqls: tuple[str, ...]
    expected: dict[str, Any]

    def check(self, setting: Setting) -> None:
        """Judge its statements.

        Raises:
            AssertionError: The verdict is another one.
        """
        subject = self.asker.subject_in(setting)
        statements = analyse_session(self.sqls, setting.catalog, role=subject.role)
        verdicts = [judge(setting.policy, each, subject) for each in statements]
        words = [word_of(verdict) for verdict in verdicts]
        told = [
            f"{word}: {sql} {verdict.rules} {verdict.reason}"
            for word, sql, verdict in zip(words, self.sqls, verdicts, strict=True)
        ]
        expected = self.expected
        assert max(words, key=strictness) == expected["verdict"], told
        if "rules" in expected:
            found = {rule for verdict in verdicts for rule in verdict.rules}
            assert found == set(_listed(expected["rules"])), told
        if "masked" in expected:
            plan = verdicts[-1].plan
            assert plan is not None, told
            masked = [column.name for column in plan.columns if column.mask.value != "pass"]
            assert masked == _listed(expected["masked"]), told


def cases_of(document: dict[str, Any]) -> list[Case]:
    """The cases of a file."""
    found = []
    for item in document["cases"]:
        expected = item["expect"]
        asker = Asker(
            item["as"],
            tuple(_listed(item.get("groups", []))),
            role=item.get("role", ""),
            client=item.get("client", ""),
            source=item.get("source", ""),
            at=str(item.get("at", NOON)),
            issuer=item.get("issuer", ""),
            subject=item.get("subject", ""),
        )
        if isinstance(expected, str):
            expected = {"verdict": expected}
        found.append(Case(item["name"], asker, tuple(_listed(item["sql"])), expected))
    return found


def read_cases(path: Path) -> list[Case]:
    """The cases of a file."""
    return cases_of(yaml.safe_load(path.read_text()))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
