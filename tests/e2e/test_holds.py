"""Held statements: a person other than the requester decides, and the statement runs once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from snowgate.audit.entries import StoredEntry
from snowgate.errors import ApprovalClosed, ApprovalNotFound, NotAnApprover

from .connector import DriverError, rows_of
from .rig import Rig, Since
from .wire import IN_PROGRESS, Reply, Wire


def fresh_table() -> str:
    return f"CREATE TABLE crm.public.held_{uuid4().hex[:8]} (id INT)"


@dataclass
class Held:
    """A statement that waits, sent by hand."""

    wire: Wire
    sql: str
    reply: Reply
    since: Since
    request_id: str
    approval: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.approval["id"])


def hold(rig: Rig, sql: str = "", token: str = "") -> Held:
    """Send a statement of a fresh writer, and wait until it is held."""
    wire = rig.wire(token or rig.writer_token())
    sql, since, request_id = sql or fresh_table(), rig.mark(), str(uuid4())
    reply = wire.submit(sql, request_id=request_id)
    assert reply.code in IN_PROGRESS, reply.message
    return Held(wire, sql, reply, since, request_id, rig.pending(sql))


def events(since: Since, approval_id: str) -> list[object]:
    """What became of an approval, in order."""
    return [
        entry.fields["event"]
        for entry in since.entries("approval")
        if entry.fields["approval"] == approval_id
    ]


def who(entry: StoredEntry) -> str:
    """Who voted."""
    voter = entry.fields["voter"]
    assert isinstance(voter, dict)
    return str(voter["name"])


def assert_never_ran(rig: Rig, held: Held) -> None:
    assert rig.executed(held.sql) == 0
    assert held.sql not in held.since.statements()
    assert held.since.entries("intent") == []


@pytest.fixture(scope="module", autouse=True)
def expiring(rig: Rig) -> Iterator[tuple[str, Future[Any]]]:
    """A schema that nobody approves: its twenty seconds pass while the other tests run."""
    sql = "CREATE SCHEMA crm.unwanted"
    with rig.driver(rig.writer_token()) as session:
        answer = session.start(sql)
        yield rig.pending(sql)["id"], answer


# -- approval ------------------------------------------------------------------------------


def test_ddl_of_a_driver_runs_once_when_another_person_approves(rig: Rig, version: str) -> None:
    sql, since = fresh_table(), rig.mark()
    with rig.driver(rig.writer_token(), version) as session:
        answer = session.start(sql)
        approval = rig.pending(sql)
        assert not answer.done()
        assert sql not in since.statements()

        decided = rig.decide("approve", approval["id"], rig.token("approver"))

        assert decided.returncode == 0, decided.stderr
        assert json.loads(decided.stdout)["state"] == "approved"
        assert "successfully created" in str(rows_of(answer).rows[0][0])

    assert rig.executed(sql) == 1
    assert events(since, approval["id"]) == ["requested", "vote", "approved", "consumed"]
    intent = since.entry("intent")
    assert intent.fields["approval"] == approval["id"]
    assert intent.fields["decision"] == "hold"
    consumed = since.entry("approval", event="consumed", approval=approval["id"])
    assert consumed.seq < intent.seq
    assert since.outcome(intent).fields["status"] == "ok"
    assert who(since.entry("approval", event="vote", approval=approval["id"])) == "approver"


def test_the_approver_sees_the_exact_text_and_who_asks(rig: Rig) -> None:
    token = rig.writer_token()
    sql = f"CREATE  TABLE\n crm.public.t_{uuid4().hex[:8]} (\"é\" INT) -- and 'a note'"
    held = hold(rig, sql, token)

    shown = rig.decide("show", held.id, rig.token("approver"))

    approval = json.loads(shown.stdout)
    assert approval["sql"] == sql
    assert approval["state"] == "pending"
    assert approval["query_id"] == held.reply.query_id
    assert approval["principal"].startswith("writer-")
    assert (approval["role"], approval["database"]) == ("ETL", "CRM")
    assert approval["rules"] == ["ddl"]
    held.wire.log_out()


def test_a_held_statement_is_shown_as_queued(rig: Rig) -> None:
    held = hold(rig)

    status = held.wire.send("GET", f"/monitoring/queries/{held.reply.query_id}")

    assert status.data["queries"][0]["status"] == "QUEUED"
    held.wire.log_out()


def test_both_ids_work_once_it_ran(rig: Rig) -> None:
    held = hold(rig)
    rig.approve(held.sql)

    reply = held.wire.follow(held.reply)

    assert reply.ok
    assert reply.data["rowset"]
    assert rig.executed(held.sql) == 1
    outcome = held.since.outcome(held.since.entry("intent"))
    upstream_id = str(outcome.fields["upstream_query_id"])
    assert held.wire.result(upstream_id).ok
    assert held.wire.result(held.reply.query_id).ok
    assert rig.executed(held.sql) == 1


def test_a_repeated_request_waits_for_the_same_approval_and_runs_once(rig: Rig) -> None:
    held = hold(rig)

    again = held.wire.submit(held.sql, request_id=held.request_id)

    assert again.query_id == held.reply.query_id
    assert rig.pending(held.sql)["id"] == held.id
    rig.approve(held.sql)
    assert held.wire.follow(again).ok
    assert held.wire.submit(held.sql, request_id=held.request_id).ok
    assert rig.executed(held.sql) == 1


def test_an_approval_is_for_one_run(rig: Rig) -> None:
    held = hold(rig, "CREATE OR REPLACE TABLE crm.public.one_run (id INT)")
    rig.approve(held.sql)
    assert held.wire.follow(held.reply).ok

    second = held.wire.submit(held.sql)

    assert second.code in IN_PROGRESS
    assert rig.pending(held.sql)["id"] != held.id
    assert rig.executed(held.sql) == 1
    held.wire.log_out()


# -- who may not decide --------------------------------------------------------------------


def test_machines_and_strangers_do_not_decide(rig: Rig) -> None:
    machine = rig.issuer()
    token = rig.writer_token()
    held = hold(rig, token=token)
    deciders = {
        "the requester": token,
        "etl": rig.token("etl"),
        "stranger": rig.token("stranger"),
        "a machine with an approver's group": machine.mint(
            {"sub": "approver", "groups": ["data-platform"]}
        ),
    }
    for who, decider in deciders.items():
        for word in ("approve", "deny"):
            decided = rig.decide(word, held.id, decider)
            assert decided.returncode != 0, who
            assert decided.stderr.startswith("snowgate: "), who
            assert decider not in decided.stdout + decided.stderr

    assert rig.approval(held.id)["state"] == "pending"
    assert_never_ran(rig, held)
    held.wire.log_out()


def test_the_person_behind_a_machine_does_not_decide_on_its_statements(rig: Rig) -> None:
    held = hold(rig, token=rig.writer_token(triggered_by="approver"))

    decided = rig.decide("approve", held.id, rig.token("approver"))

    assert decided.returncode != 0
    assert "triggered" in decided.stderr
    vote = held.since.entry("approval", event="vote")
    assert vote.fields["accepted"] is False
    assert rig.approval(held.id)["state"] == "pending"
    assert_never_ran(rig, held)
    # Somebody else may.
    rig.approve(held.sql, "security")
    assert held.wire.follow(held.reply).ok


def test_a_list_that_is_cut_says_so_beside_it(rig: Rig) -> None:
    older, newer = hold(rig), hold(rig)

    told = rig.cli(
        *("approvals", "list", "--config", str(rig.layout.config_file)),
        *("--token", rig.token("approver"), "--state", "pending", "--limit", "1", "--json"),
    )

    assert told.returncode == 0, told.stderr
    [listed] = json.loads(told.stdout)
    assert (listed["id"], listed["sql"]) == (newer.id, newer.sql)
    assert "older approvals are left off" in told.stderr
    assert older.id not in told.stdout


def test_a_person_outside_the_approvers_does_not_decide(rig: Rig) -> None:
    held = hold(rig)
    guest = rig.issuer(people=True).mint({"sub": "guest", "groups": ["security"]})

    with rig.approvals("", guest) as client:
        with pytest.raises(NotAnApprover):
            client.approve(held.id)
        # Nor does such a person see what is asked.
        assert client.list() == []
        with pytest.raises(ApprovalNotFound):
            client.show(held.id)

    vote = held.since.entry("approval", event="vote")
    assert vote.fields["accepted"] is False
    assert who(vote) == "guest"
    assert_never_ran(rig, held)
    held.wire.log_out()


def test_a_decided_statement_is_not_decided_again(rig: Rig) -> None:
    held = hold(rig)
    rig.approve(held.sql)

    for name in ("approver", "security"):
        with rig.approvals(name) as client, pytest.raises(ApprovalClosed):
            client.deny(held.id)

    assert held.wire.follow(held.reply).ok
    refused = [
        vote for vote in held.since.entries("approval") if vote.fields.get("accepted") is False
    ]
    assert len(refused) == 2


def test_an_expired_token_does_not_decide(rig: Rig) -> None:
    held = hold(rig)
    people = rig.issuer(people=True)
    claims = {"sub": "approver", "groups": ["data-platform"]}
    expired = people.mint(claims, now_s=0)

    decided = rig.decide("approve", held.id, expired)

    assert decided.returncode != 0
    assert rig.approval(held.id)["state"] == "pending"
    held.wire.log_out()


# -- other ends ----------------------------------------------------------------------------


def test_a_denied_statement_is_an_error_with_the_reason(rig: Rig, version: str) -> None:
    sql, since = fresh_table(), rig.mark()
    with rig.driver(rig.writer_token(), version) as session:
        answer = session.start(sql)
        approval = rig.pending(sql)
        with rig.approvals("security") as client:
            client.deny(approval["id"], "not before the audit")
        with pytest.raises(DriverError) as caught:
            rows_of(answer)

    assert (caught.value.errno, caught.value.sqlstate) == (3001, "42501")
    assert "not before the audit" in caught.value.msg
    assert rig.approval(approval["id"])["state"] == "denied"
    assert events(since, approval["id"]) == ["requested", "vote", "denied"]
    assert rig.executed(sql) == 0


def test_a_driver_that_gives_up_cancels_what_it_waited_for(rig: Rig) -> None:
    sql, since = fresh_table(), rig.mark()
    with rig.driver(rig.writer_token()) as session:
        answer = session.start(sql, timeout=3)
        approval = rig.pending(sql)
        with pytest.raises(DriverError) as caught:
            rows_of(answer)

    assert (caught.value.errno, caught.value.sqlstate) == (604, "57014")
    assert rig.state(approval["id"], "cancelled") == "cancelled"
    decided = rig.decide("approve", approval["id"], rig.token("approver"))
    assert decided.returncode != 0
    assert "cancelled" in decided.stderr
    assert rig.executed(sql) == 0
    # The vote that came too late is written down, too.
    assert events(since, approval["id"]) == ["requested", "cancelled", "vote"]


@pytest.mark.parametrize("by", ["request", "query"])
def test_an_abort_cancels_a_held_statement(rig: Rig, by: str) -> None:
    held = hold(rig)
    path = {
        "request": f"/queries/v1/abort-request?requestId={uuid4()}",
        "query": f"/queries/{held.reply.query_id}/abort-request",
    }[by]

    assert held.wire.send("POST", path, {"requestId": held.request_id}).ok

    reply = held.wire.follow(held.reply)
    assert (reply.code, reply.sqlstate) == ("000604", "57014")
    assert rig.state(held.id, "cancelled") == "cancelled"
    assert_never_ran(rig, held)


def test_a_logout_cancels_what_the_session_waited_for(rig: Rig) -> None:
    held = hold(rig)

    held.wire.log_out()

    assert rig.state(held.id, "cancelled") == "cancelled"
    assert_never_ran(rig, held)


def test_nobody_else_polls_or_cancels_a_held_statement(rig: Rig) -> None:
    held = hold(rig)
    other = rig.wire(rig.writer_token())
    for method, path in (
        ("GET", f"/queries/{held.reply.query_id}/result"),
        ("GET", f"/monitoring/queries/{held.reply.query_id}"),
        ("POST", f"/queries/{held.reply.query_id}/abort-request"),
    ):
        assert "not-your-query" in other.send(method, path).message
    abort = {"requestId": held.request_id}
    other.send("POST", f"/queries/v1/abort-request?requestId={uuid4()}", abort)

    assert rig.approval(held.id)["state"] == "pending"
    held.wire.log_out()


def test_a_session_that_changed_meanwhile_abandons_the_statement(rig: Rig) -> None:
    held = hold(rig, f"CREATE TABLE unqualified_{uuid4().hex[:8]} (id INT)")
    assert held.wire.query("ALTER SESSION SET TIMEZONE = 'UTC'").ok

    rig.approve(held.sql)

    reply = held.wire.follow(held.reply)
    assert not reply.ok
    assert rig.state(held.id, "abandoned") == "abandoned"
    assert rig.executed(held.sql) == 0
    assert held.sql not in held.since.statements()


def test_too_many_requests_for_approval_fail_fast(rig: Rig) -> None:
    wire = rig.wire(rig.writer_token())
    replies = [wire.submit(fresh_table()) for _ in range(11)]

    assert [reply.code for reply in replies[:10]] == ["333333"] * 10
    assert replies[10].code == "003001"
    assert "what to do" in replies[10].message
    wire.log_out()


def test_nobody_approves_so_the_statement_expires(
    rig: Rig, expiring: tuple[str, Future[Any]]
) -> None:
    approval_id, answer = expiring

    with pytest.raises(DriverError) as caught:
        rows_of(answer)

    assert (caught.value.errno, caught.value.sqlstate) == (604, "57014")
    assert "expired" in caught.value.msg
    assert events(Since(rig, 0, 0), approval_id) == ["requested", "expired"]
    requested, expired = (
        Since(rig, 0, 0).entry("approval", event=event, approval=approval_id)
        for event in ("requested", "expired")
    )
    passed = datetime.fromisoformat(expired.time) - datetime.fromisoformat(requested.time)
    assert 19.5 < passed.total_seconds() < 25
    assert rig.executed("CREATE SCHEMA crm.unwanted") == 0
