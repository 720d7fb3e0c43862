"""The policy beside Cedar: the same rules, over statements that are analysed already.

Cedar is asked with policies and entities that were parsed before, and with requests that were
built before; several accesses of a statement go in one call. It decides; the gateway's engine also
works out the mask plan, and the reason and remedy of a denial. Both must decide alike on every
statement of the reference vectors, for each kind of reader, or nothing is reported.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cedarpy

from snowgate.config import load_policy
from snowgate.model.identity import Principal
from snowgate.model.statement import Namespace, Statement, StatementClass
from snowgate.model.verdict import Decision
from snowgate.policy import Policy, Subject, judge
from snowgate.policy.matching import accesses
from snowgate.sql.analysis import examine
from snowgate.sql.catalog import Catalog

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "vectors" / "reference"
POLICIES = ROOT / "bench" / "cedar" / "reference.cedar"
# As in the file: they allow once somebody has approved.
HOLDS = {"unbounded-dml", "new-schemas", "ddl"}
ROUNDS = 7

C = StatementClass
READS_ROWS = {C.SELECT, C.EXPLAIN, C.INSERT, C.UPDATE, C.DELETE, C.MERGE, C.CODE, C.CALL}
READERS = {"analyst": "analysts", "fraud": "fraud-team", "etl": "etl-writers"}


@dataclass(frozen=True, slots=True)
class Result:
    """Medians over the rounds, µs of CPU for one decision.

    Attributes:
        cases: Statements times readers.
        engine_us: What Cedar says that its evaluation alone took, by the clock.
    """

    cases: int
    ours_us: float
    cedar_us: float
    engine_us: float


@dataclass(frozen=True, slots=True)
class Case:
    """One statement and one reader, in both forms."""

    statement: Statement
    subject: Subject
    requests: list[dict[str, str]]


def cases() -> list[Case]:
    """Every single statement of the reference vectors that has no refusal, for each reader."""
    catalog = Catalog.from_json((VECTORS / "catalog.json").read_bytes())
    here = Namespace("CRM", "PUBLIC")
    found = []
    for file in ("statements.jsonl", "benign.jsonl"):
        for line in (VECTORS / file).read_text().splitlines():
            text = json.loads(line)["sql"]
            if not isinstance(text, str):
                continue
            statement = examine(text, here, catalog, role="ANALYST").statement
            if statement.refusal is None:
                for name, group in READERS.items():
                    principal = Principal("CRM", "https://i.example.com", name, name)
                    subject = Subject(principal, frozenset({group}), "ANALYST")
                    found.append(Case(statement, subject, _requests(statement, name)))
    return found


def _requests(statement: Statement, name: str) -> list[dict[str, str]]:
    revealed = [sorted(violation.tags) or [""] for violation in statement.violations]
    return [
        {
            "principal": f'User::"{name}"',
            "action": 'Action::"run"',
            "resource": 'Statement::"this"',
            "context": json.dumps(
                {
                    "class": access.kind.value,
                    "kind": access.object_kind,
                    "unbounded": statement.unbounded,
                    "reveals": sorted({tag for tags in revealed for tag in tags}),
                    "launders": bool(statement.launders),
                    "code": statement.kind is C.CODE,
                    "tagged": bool(statement.tags),
                    "unknown": statement.kind in READS_ROWS and bool(statement.unknown_sources),
                }
            ),
        }
        for access in accesses(statement)
    ]


class Cedar:
    """Cedar with the reference policy."""

    def __init__(self) -> None:
        self._policies = cedarpy.PolicySet.from_str(POLICIES.read_text())
        people = [
            {
                "uid": {"type": "User", "id": name},
                "attrs": {},
                "parents": [{"type": "Group", "id": group}],
            }
            for name, group in READERS.items()
        ]
        self._entities = cedarpy.Entities.from_json_str(json.dumps(people))

    def ask(self, case: Case) -> list[Any]:
        """Its answers, one for each access."""
        return list(cedarpy.is_authorized_batch(case.requests, self._policies, self._entities))

    def decide(self, case: Case) -> Decision:
        """The strictest of its answers."""
        answers = self.ask(case)
        for answer in answers:
            if answer.diagnostics.errors:
                raise RuntimeError(f"cedar: {answer.diagnostics.errors}")
        if not all(answer.allowed for answer in answers):
            return Decision.DENY
        named = {
            name
            for answer in answers
            for name in answer.diagnostics.id_annotations_by_reason.values()
        }
        return Decision.HOLD if named & HOLDS else Decision.ALLOW


def agree(policy: Policy, cedar: Cedar, found: list[Case]) -> None:
    """Raise unless both decide alike."""
    for case in found:
        ours, theirs = judge(policy, case.statement, case.subject), cedar.decide(case)
        if ours.decision is not theirs:
            raise RuntimeError(
                f"{case.statement.verb} for {case.subject.principal.name}: {ours.decision.value}"
                f" {ours.rules}, but cedar {theirs.value}"
            )


def measure() -> Result:
    """Decisions of both, round by round in turn."""
    policy = load_policy(VECTORS / "policy.yaml").policy
    cedar, found = Cedar(), cases()
    agree(policy, cedar, found)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(_us(lambda case: judge(policy, case.statement, case.subject), found))
        theirs.append(_us(cedar.ask, found))
    engine = [
        sum(answer.metrics["authz_duration_micros"] for answer in cedar.ask(case)) for case in found
    ]
    return Result(
        len(found),
        statistics.median(ours),
        statistics.median(theirs),
        statistics.median(engine),
    )


def _us(decide: Callable[[Case], object], found: list[Case]) -> float:
    started = time.process_time()
    for case in found:
        decide(case)
    return (time.process_time() - started) / len(found) * 1e6


if __name__ == "__main__":
    print(measure())
