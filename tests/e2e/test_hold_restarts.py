"""Held statements outlive the gateway: after a crash they run once, or not at all."""

from __future__ import annotations

import time

import pytest

from .connector import DriverError, rows_of
from .rig import Rig
from .test_holds import fresh_table, hold
from .wire import IN_PROGRESS, Wire


def restart(rig: Rig) -> None:
    rig.world.kill_gateway()
    rig.world.start_gateway()


def test_a_driver_waits_through_a_crash_and_its_statement_runs_once(rig: Rig, version: str) -> None:
    sql, since = fresh_table(), rig.mark()
    with rig.driver(rig.writer_token(), version) as session:
        answer = session.start(sql)
        approval = rig.pending(sql)

        restart(rig)

        assert rig.approval(approval["id"])["state"] == "pending"
        # The driver has to come back before anything can run.
        time.sleep(1)
        decided = rig.approve(sql)
        assert decided["id"] == approval["id"]
        assert "successfully created" in str(rows_of(answer).rows[0][0])

    assert rig.executed(sql) == 1
    intent = since.entry("intent")
    assert intent.fields["approval"] == approval["id"]
    [execution] = rig.executions(sql)
    assert execution["request_id"] == intent.fields["upstream_request_id"]


def test_a_crash_right_after_the_approval_never_runs_it_twice(rig: Rig) -> None:
    held = hold(rig)
    rig.approve(held.sql)

    restart(rig)

    reply = held.wire.follow(held.wire.submit(held.sql, request_id=held.request_id))
    if reply.ok:
        assert rig.executed(held.sql) == 1
    else:
        assert "reference" in reply.message
        assert rig.executed(held.sql) <= 1


def test_an_approval_outlives_a_crash_before_anybody_came_for_it(rig: Rig) -> None:
    held = hold(rig)
    restart(rig)
    rig.approve(held.sql)
    assert rig.approval(held.id)["state"] == "approved"

    restart(rig)

    assert held.wire.follow(held.wire.result(held.reply.query_id)).ok
    assert held.wire.follow(held.wire.submit(held.sql, request_id=held.request_id)).ok
    assert rig.executed(held.sql) == 1
    assert rig.approval(held.id)["state"] == "consumed"


def test_a_decision_after_the_crash_ends_the_wait(rig: Rig) -> None:
    sql = fresh_table()
    with rig.driver(rig.writer_token()) as session:
        answer = session.start(sql)
        approval = rig.pending(sql)
        restart(rig)
        with rig.approvals("approver") as client:
            client.deny(approval["id"], "no")
        with pytest.raises(DriverError) as caught:
            rows_of(answer)

    assert caught.value.errno == 3001
    assert rig.executed(sql) == 0


def test_a_repeated_request_after_a_crash_finds_its_approval(rig: Rig) -> None:
    held = hold(rig)
    restart(rig)

    again = held.wire.submit(held.sql, request_id=held.request_id)

    assert again.code in IN_PROGRESS
    assert again.query_id == held.reply.query_id
    assert rig.pending(held.sql)["id"] == held.id
    rig.approve(held.sql)
    assert held.wire.follow(again).ok
    assert rig.executed(held.sql) == 1


def test_a_finished_statement_is_not_run_again_after_a_crash(rig: Rig) -> None:
    held = hold(rig)
    rig.approve(held.sql)
    first = held.wire.follow(held.reply)
    assert first.ok
    restart(rig)

    again = held.wire.follow(held.wire.submit(held.sql, request_id=held.request_id))

    assert again.ok or "reference" in again.message
    assert rig.executed(held.sql) == 1


def test_sessions_go_on_after_a_crash(rig: Rig, analyst: Wire) -> None:
    assert analyst.query("SELECT email FROM customers WHERE id = 1").ok
    restart(rig)

    reply = analyst.query("SELECT email FROM customers WHERE id = 1")

    assert reply.ok
    assert analyst.renew().ok
    assert analyst.query("SELECT CURRENT_ROLE()").ok


def test_a_ledger_that_was_crashed_upon_verifies(rig: Rig) -> None:
    restart(rig)
    time.sleep(2)

    verified = rig.cli("verify", str(rig.ledger_dir), "--key", str(rig.verify_key))

    assert verified.returncode == 0, verified.stderr


@pytest.mark.long
def test_an_approval_that_nobody_waits_for_is_abandoned_after_a_minute(rig: Rig) -> None:
    held = hold(rig)
    restart(rig)
    rig.approve(held.sql)

    time.sleep(62)

    assert rig.state(held.id, "abandoned") == "abandoned"
    reply = held.wire.follow(held.wire.result(held.reply.query_id))
    assert not reply.ok
    assert rig.executed(held.sql) == 0
