"""Labelled statements, analysed and judged by a policy, as a gateway would.

`vectors/evasions*.jsonl` and `vectors/reference/*.jsonl` use the reference catalog and
policy, `vectors/staff` a schema with numbers, dates, a variant, views and two tags. `sql` is a text
or a session of texts, of which the strictest decision counts; `expected` and `also_ok` are allow,
mask, approve or deny; `masked` are the masked outputs; `rules` those that deny.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from snowgate.config import load_policy
from snowgate.model.identity import Principal
from snowgate.model.verdict import Decision, MaskKind, Verdict
from snowgate.policy import Policy, Subject, judge
from snowgate.sql.catalog import Catalog
from snowgate.sql.session import analyse_session

VECTORS = Path(__file__).parents[2] / "vectors"
SUBJECT = Subject(
    Principal("CRM", "https://i.example.com", "1", "analyst"),
    frozenset({"analysts", "etl-writers"}),
    "ANALYST",
)
STRICTNESS = ["allow", "mask", "approve", "deny"]


@cache
def setting(folder: str) -> tuple[Catalog, Policy]:
    catalog = Catalog.from_json((VECTORS / folder / "catalog.json").read_text())
    return catalog, load_policy(VECTORS / folder / "policy.yaml").policy


def cases() -> list[Any]:
    files = [
        ("reference", VECTORS / "evasions.jsonl"),
        ("reference", VECTORS / "evasions_found.jsonl"),
        ("reference", VECTORS / "reference" / "statements.jsonl"),
        ("reference", VECTORS / "reference" / "benign.jsonl"),
        ("staff", VECTORS / "staff" / "statements.jsonl"),
    ]
    return [
        pytest.param(folder, json.loads(line), id=json.loads(line)["id"])
        for folder, file in files
        for line in file.read_text().splitlines()
    ]


def word_of(verdict: Verdict) -> str:
    if verdict.decision is Decision.ALLOW:
        return "mask" if verdict.void_all or masked(verdict) else "allow"
    return {Decision.HOLD: "approve", Decision.DENY: "deny"}[verdict.decision]


def masked(verdict: Verdict) -> list[int]:
    columns = verdict.plan.columns if verdict.plan else ()
    return [at for at, column in enumerate(columns) if column.mask is not MaskKind.PASS]


@pytest.mark.parametrize(("folder", "case"), cases())
def test_the_decision_is_the_labelled_one(folder: str, case: dict[str, Any]) -> None:
    catalog, policy = setting(folder)
    texts = case["sql"] if isinstance(case["sql"], list) else [case["sql"]]

    statements = analyse_session(texts, catalog, role="ANALYST")
    verdicts = [judge(policy, statement, SUBJECT) for statement in statements]
    strictest = max(verdicts, key=lambda verdict: STRICTNESS.index(word_of(verdict)))

    word = word_of(strictest)
    assert word in (case["expected"], *case.get("also_ok", ())), strictest.reason
    if word == "mask" and "masked" in case and not strictest.void_all:
        assert masked(strictest) == case["masked"]
    if word == "deny" and "rules" in case:
        assert sorted(strictest.rules) == sorted(case["rules"])
