"""What the gate is told to count, and that no value is among it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snowgate.control.judging import Judge
from snowgate.control.labels import Labels
from snowgate.control.overlays import Overlays
from snowgate.control.quarantine import Quarantine
from snowgate.model.budget import Budget
from snowgate.policy import Allow, BudgetRule, HoldFor, Limit, Match, Rule
from snowgate.policy.rules import compile_policy

from .doubles import (
    ALLOW_ALL,
    HASHER,
    MASK_PII,
    PII,
    READS,
    InProcess,
    Labelled,
    Underway,
    catalog,
    current,
    table,
)

CRM = catalog(CUSTOMERS=table("ID", "EMAIL", "PHONE", pii=["EMAIL", "PHONE"]))
ASK = HoldFor(frozenset({"security"}), 1, 60.0)


class Court:
    """A judge of one policy, with one budget of distinct values or none."""

    def __init__(self, session: dict[str, Any], *, values: int | None = 9) -> None:
        budget = Budget("day", 86_400, statements=5, values=values, holds=True)
        reads = Rule("small", Match(classes=READS), Allow(), limit=Limit(rows=7))
        self.now = current(CRM)
        self.now.now = self.now.now.__class__(
            compile_policy(
                PII, (ALLOW_ALL, MASK_PII, reads), budgets=[BudgetRule(budget, Match(), ASK)]
            ),
            self.now.catalog,
            self.now.epoch,
        )
        self.judge = Judge(
            self.now,
            InProcess(self.now),
            Labels(Labelled()),
            Quarantine(Underway()),
            Overlays(),
            HASHER,
        )
        self.session = session

    async def ask(self, sql: str, **more: object) -> dict[str, Any]:
        question = {
            "reference": "r",
            "epoch": self.now.epoch,
            "session": self.session,
            "database": "CRM",
            "schema": "PUBLIC",
            "sql": sql,
            "binds": [],
            "describe_only": False,
            "run": True,
            "over": [],
        }
        return dict(await self.judge.judge(question | more))


def test_a_hash_is_the_one_the_gate_computes() -> None:
    # rust/gate/src/budget.rs has the same vector.
    assert HASHER.hash("pii", "ann@example.com") == "ce9756af843e4d50415300071d141f0f"


async def test_a_verdict_carries_its_limit_and_its_budgets(session: dict[str, Any]) -> None:
    answer = await Court(session).ask("SELECT id FROM customers")

    assert answer["limit"] == {"rows": {"most": 7, "rule": "small"}, "bytes": None}
    assert answer["budgets"] == [
        {
            "name": "day",
            "per_s": 86_400,
            "statements": 5,
            "rows": None,
            "bytes": None,
            "values": 9,
            "tags": [],
            "hold": True,
        }
    ]
    assert (answer["compared"], answer["over"], answer["cacheable"]) == ([], [], True)


async def test_over_its_budget_a_statement_is_held_and_says_what_for(
    session: dict[str, Any],
) -> None:
    answer = await Court(session).ask("SELECT id FROM customers", over=["day"])

    assert (answer["decision"], answer["over"]) == ("hold", ["day"])
    assert answer["hold"]["approvers"] == ["security"]


async def test_constants_leave_as_hashes_and_binds_as_positions(session: dict[str, Any]) -> None:
    sql = "SELECT id FROM customers WHERE email IN ('ann@example.com', ?) OR phone = ? || ?"

    answer = await Court(session).ask(sql, binds=["TEXT"] * 3)

    told = {json.dumps(one, sort_keys=True) for one in answer["compared"]}
    assert told == {
        json.dumps({"bind": None, "hash": HASHER.hash("pii", "ann@example.com"), "tag": "pii"}),
        json.dumps({"bind": 1, "hash": None, "tag": "pii"}),
        json.dumps({"bind": None, "hash": None, "tag": "pii"}),
    }
    assert "ann@" not in json.dumps(answer)


@pytest.mark.parametrize(("values", "usable"), [(9, False), (None, True)])
async def test_a_template_stands_for_no_instance_whose_values_are_counted(
    session: dict[str, Any], values: int | None, usable: bool
) -> None:
    court = Court(session, values=values)
    sql = "SELECT ID FROM CUSTOMERS WHERE EMAIL = ?"

    answer = await court.ask(sql, binds=["literal-text"], template=True)
    other = await court.ask("SELECT ID FROM CUSTOMERS LIMIT ?", binds=["literal-number"])

    assert answer["decision"] == "allow"
    assert answer["cacheable"] is usable
    assert other["cacheable"], "it compares nothing"
