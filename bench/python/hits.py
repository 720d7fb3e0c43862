"""How many statements of a workload the gate answers from its cache, as the gate does it.

The exact text is looked up first, then the template, whose verdict is asked for and used if it
allows. What the control plane may not cache (holds, DDL, what moves tags) is asked for each time.
The epoch stays the same: a change of the catalog empties the cache, and this counts forms.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from snowgate._core import template
from snowgate.config import load_policy
from snowgate.model.identity import Principal
from snowgate.model.statement import Namespace
from snowgate.model.verdict import Decision, Verdict
from snowgate.policy import Subject, judge
from snowgate.sql.analysis import examine
from snowgate.sql.catalog import Catalog

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "bench" / "corpus"))

import workloads  # noqa: E402


@dataclass(slots=True)
class Hits:
    """What became of a workload.

    Attributes:
        statements: All of them.
        repeated: Those whose exact text came before: what a cache without templates could answer.
        exact: Answered by a verdict on the same text.
        template: Answered by a verdict on the template.
        asked: Questions to the control plane, those about templates included.
        denied: Statements that were denied.
    """

    statements: int = 0
    repeated: int = 0
    exact: int = 0
    template: int = 0
    asked: int = 0
    denied: int = 0

    @property
    def rate(self) -> float:
        """Share of the statements that no question was asked for."""
        return (self.exact + self.template) / self.statements


class Gate:
    """A gate's cache and the control plane behind it, in one epoch and one session."""

    def __init__(self, catalog: Catalog, policy: Path) -> None:
        self._catalog = catalog
        self._policy = load_policy(policy).policy
        self._subject = Subject(
            Principal("CRM", "https://i.example.com", "1", "analyst"),
            frozenset({"analysts", "etl-writers"}),
            "ANALYST",
        )
        self._here = Namespace(catalog.database, catalog.schema)
        self._exact: dict[str, Verdict] = {}
        self._templates: dict[tuple[str, ...], Verdict | None] = {}
        self.hits = Hits()

    def run(self, statements: Iterable[str]) -> Hits:
        """Judge statements in order."""
        seen: set[str] = set()
        for text in statements:
            self.hits.statements += 1
            self.hits.repeated += text in seen
            seen.add(text)
            verdict = self._judged(text)
            self.hits.denied += verdict.decision is Decision.DENY
        return self.hits

    def _judged(self, text: str) -> Verdict:
        if text in self._exact:
            self.hits.exact += 1
            return self._exact[text]
        found = template(text, [])
        if found is not None:
            key = (found[0], *found[1])
            known = key in self._templates
            if not known:
                general = self._ask(*found)
                usable = general.decision is Decision.ALLOW and general.cacheable
                self._templates[key] = general if usable else None
            verdict = self._templates[key]
            if verdict is not None:
                self.hits.template += known
                return verdict
        verdict = self._ask(text)
        if verdict.cacheable:
            self._exact[text] = verdict
        return verdict

    def _ask(self, text: str, binds: list[str] | None = None) -> Verdict:
        self.hits.asked += 1
        examined = examine(text, self._here, self._catalog, role="ANALYST", binds=binds)
        return judge(self._policy, examined.statement, self._subject)


def measure() -> dict[str, Hits]:
    """The hits of each workload."""
    policy = ROOT / "tests" / "vectors" / "reference" / "policy.yaml"
    catalog = Catalog.from_json(workloads.catalog())
    found = {}
    for name, statements in workloads.WORKLOADS.items():
        found[name] = Gate(catalog, policy).run(statements())
    return found


def cached() -> list[tuple[str, float, float]]:
    """Name, p50 and p90 in µs of looking up a verdict in Rust (`bench/rust/verdict.rs`)."""
    command = ["cargo", "bench", "--locked", "--package", "snowgate-session", "--bench", "verdict"]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    rows = re.findall(r"^(\w+) +p10 +\d+ ns +p50 +(\d+) ns +p90 +(\d+) ns$", shown, re.MULTILINE)
    return [(name, int(p50) / 1000, int(p90) / 1000) for name, p50, p90 in rows]


def lines(found: list[tuple[str, float, float]], cedar_us: float) -> list[str]:
    """Both, for the report.

    Args:
        found: What `cached` gave.
        cedar_us: What Cedar takes for one decision.
    """
    written = [
        "\n## Cached verdicts\n",
        "From a text of 200 bytes to its verdict, in Rust, among 50,000; the goal is 5 µs. A"
        " template is looked up when the exact text is not known.\n",
        "| | p50 µs | p90 µs | Cedar takes |",
        "|---|---|---|---|",
    ]
    written += [
        f"| {name} | {p50:.1f} | {p90:.1f} | {cedar_us / p50:.0f} × |" for name, p50, p90 in found
    ]
    written += [
        "\nStatements of `bench/corpus` that are answered from the cache, while the catalog stays"
        " the same; the goal is 95 %.\n",
        "| | statements | same text seen before | answered | questions |",
        "|---|---|---|---|---|",
    ]
    for name, hits in measure().items():
        seen = hits.repeated / hits.statements
        written.append(
            f"| {name} | {hits.statements:,} | {seen:.1%} | {hits.rate:.1%} | {hits.asked:,} |"
        )
    return written
