"""Limits of results and budgets: counted by principal, over connections, caches and restarts."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any
from uuid import uuid4

import pytest

from .canary import Canaries
from .connector import DriverError, Rows, rows_of
from .rig import Rig, soon

CUSTOMERS = "SELECT id, email FROM customers ORDER BY id"


def agent(rig: Rig, group: str) -> str:
    """A token of an analyst whom nobody has counted yet."""
    return rig.issuer().mint({"sub": f"agent-{uuid4()}", "groups": ["analysts", group]})


def refusal(answer: Future[Any]) -> str:
    with pytest.raises(DriverError) as caught:
        rows_of(answer)
    return caught.value.msg


def ended(answer: Future[Any]) -> Rows | str:
    try:
        return rows_of(answer)
    except DriverError as error:
        return error.msg


def test_a_result_above_the_rows_of_its_rule_is_withheld_with_its_name(
    odd: Rig, version: str, canaries: Canaries
) -> None:
    since = odd.mark()
    with odd.driver(agent(odd, "small-readers"), version) as session:
        within = session.run(f"{CUSTOMERS} LIMIT 20")
        message = refusal(session.start(f"{CUSTOMERS} LIMIT 21"))

    assert within.rowcount == 20
    assert "denied by rule small-reads: the result has more than the 20 rows" in message
    assert "what to do: ask for less" in message
    denial = since.entry("denial")
    assert denial.fields["rules"] == ["small-reads"]
    intent = since.entries("intent")[-1]
    assert since.outcome(intent).fields["fault"] == "size"
    assert not canaries.found_in(message.encode())


def test_a_result_in_chunks_above_the_bytes_of_its_rule_is_withheld_at_its_head(odd: Rig) -> None:
    token = agent(odd, "small-readers")
    with odd.wire(token, app="JavaScript") as wire:
        few = wire.query("SELECT id FROM customers LIMIT 18")
        many = wire.query("SELECT REPEAT('x', 4000) FROM customers LIMIT 18")

    assert few.ok
    assert few.data["chunks"], "its rows are in a chunk"
    assert "the 16384 bytes that the rule lets through" in many.message
    assert many.data.get("chunks") is None


def test_fifty_statements_at_once_do_not_overshoot_a_budget(odd: Rig) -> None:
    sql = f"SELECT COUNT(*) FROM orders WHERE '{uuid4()}' <> ''"
    with odd.driver(agent(odd, "counted")) as session:
        answers = [ended(one) for one in [session.start(sql) for _ in range(50)]]

    messages = [answer for answer in answers if isinstance(answer, str)]
    assert len(messages) == 42
    assert odd.executed(sql) == 8
    assert all("budget of 8 statements per 1 d is used up" in message for message in messages)
    assert all("what to do: try again after 20" in message for message in messages)


def test_principals_are_counted_apart_and_a_crash_gives_nothing_back(odd: Rig) -> None:
    one, other = agent(odd, "counted"), agent(odd, "counted")
    sql = "SELECT COUNT(*) FROM orders"
    with odd.driver(one) as session, odd.driver(other) as another:
        for _ in range(8):
            session.run(sql)
        another.run(sql)
        assert "denied by rule counted" in refusal(session.start(sql))

    odd.world.kill_gateway()
    odd.world.start_gateway()

    with odd.driver(one) as session, odd.driver(other) as another:
        assert "denied by rule counted" in refusal(session.start(sql))
        for _ in range(7):
            another.run(sql)
        assert "denied by rule counted" in refusal(another.start(sql))


def test_a_request_that_is_sent_again_is_counted_once(odd: Rig) -> None:
    with odd.wire(agent(odd, "counted")) as wire:
        for _ in range(8):
            request_id = str(uuid4())
            for _ in range(2):
                assert wire.query("SELECT COUNT(*) FROM orders", request_id=request_id).ok
        assert "denied by rule counted" in wire.query("SELECT COUNT(*) FROM orders").message


def test_over_a_budget_that_asks_people_a_statement_runs_once_approved_and_masked(
    odd: Rig, version: str, canaries: Canaries
) -> None:
    since, sql = odd.mark(), f"SELECT email FROM customers LIMIT 5 -- {uuid4()}"
    with odd.driver(agent(odd, "asks"), version) as session:
        within = session.run(sql)
        held = session.start(sql)
        approval = odd.pending(sql)
        assert odd.executed(sql) == 1
        odd.approve(sql)
        over = rows_of(held)

    assert approval["rules"] == ["asks", "mask-pii"]
    assert over.rows == within.rows == [["***"]] * 5
    assert not canaries.found_in(repr(over.rows).encode())
    assert odd.executed(sql) == 2
    assert since.entries("intent")[-1].fields["approval"] == approval["id"]


def test_who_waits_over_a_budget_waits_through_a_crash(odd: Rig) -> None:
    sql = f"SELECT email FROM customers LIMIT 2 -- {uuid4()}"
    with odd.driver(agent(odd, "asks")) as session:
        session.run(sql)
        held = session.start(sql)
        approval = odd.pending(sql)
        odd.world.kill_gateway()
        odd.world.start_gateway()
        # The driver has to come back before anything can run.
        soon(lambda: False, 1.0)
        odd.approve(sql)

        assert rows_of(held).rows == [["***"]] * 2

    assert odd.state(approval["id"], "consumed") == "consumed"
    assert odd.executed(sql) == 2


def test_distinct_values_are_counted_through_templates_and_binds(odd: Rig) -> None:
    since, token = odd.mark(), agent(odd, "looks")
    with odd.driver(token, paramstyle="qmark") as session:
        for address in ("a@x", "b@x", "a@x"):
            session.run(f"SELECT id FROM customers WHERE email = '{address}'")
        bound = "SELECT id FROM customers WHERE email = ?"
        session.run(bound, binds=["c@x"])
        session.run(bound, binds=["b@x"])
        messages = [
            refusal(session.start(bound, binds=["d@x"])),
            refusal(session.start("SELECT id FROM customers WHERE email = 'e@x'")),
            refusal(session.start("SELECT id FROM customers WHERE phone IN ('a@x', 'f@x')")),
        ]
        session.run("SELECT id FROM customers WHERE id = 77")

    for message in messages:
        assert "budget of 3 distinct tagged values per 1 d is used up" in message
    assert len(since.entries("intent")) == 6
    shown = repr([entry.fields for entry in since.entries("intent")])
    assert "@x" not in shown


def test_rows_of_all_results_together_are_bounded(odd: Rig) -> None:
    with odd.driver(agent(odd, "volume")) as session:
        session.run("SELECT id FROM customers LIMIT 8")
        message = refusal(session.start("SELECT id FROM customers LIMIT 5"))
        session.run("SELECT id FROM customers LIMIT 4")
        over = refusal(session.start("SELECT id FROM customers LIMIT 1"))

    assert "does not fit in what is left of the budget of 12 rows per 1 d" in message
    assert "the budget of 12 rows per 1 d is used up" in over
