"""What a red team tried on the running gateway: each test is one class of attack, and quick."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from .canary import Canaries
from .rig import Rig
from .test_holds import hold
from .test_masking import assert_no_canary
from .wire import Wire, chunk_headers

# What acts in a terminal: a control sequence, a bidi override, a blank that is none.
ACTING = "\x9b2J\u202e\u200b"


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Results of calls that begin in the same instant."""
    gate = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(at: int, call: Callable[[], Any]) -> None:
        gate.wait()
        results[at] = call()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_the_approvers_terminal_is_not_the_requesters(rig: Rig) -> None:
    wire = rig.wire(rig.writer_token())
    wire.submit(f"CREATE TABLE t_{uuid4().hex[:8]} (id INT)", parameters={"QUERY_TAG": ACTING})
    command = ("approvals", "list", "--config", str(rig.layout.config_file))

    for options in ((), ("--json",)):
        shown = rig.cli(*command, "--token", rig.token("approver"), *options).stdout
        assert shown
        assert not {*shown} & {*ACTING[:1], *ACTING[3:]}
    wire.log_out()


@pytest.mark.parametrize("end", ["cancel", "logout", "deny"])
def test_an_approval_and_an_end_in_one_instant_have_one_winner(rig: Rig, end: str) -> None:
    held = hold(rig)
    abort = {"requestId": held.request_id}

    def vote(word: str, name: str) -> int:
        return rig.decide(word, held.id, rig.token(name)).returncode

    ends: dict[str, Callable[[], object]] = {
        "cancel": lambda: held.wire.send("POST", "/queries/v1/abort-request", abort),
        "logout": held.wire.log_out,
        "deny": lambda: vote("deny", "security"),
    }
    together(lambda: vote("approve", "approver"), ends[end])
    if end != "logout":
        held.wire.follow(held.reply)

    state = rig.approval(held.id)["state"]
    assert rig.executed(held.sql) <= (state == "consumed")


def test_polls_votes_and_retries_in_one_instant_run_it_once(rig: Rig) -> None:
    held = hold(rig)
    polls = [rig.wire() for _ in range(3)]
    for poll in polls:
        poll.token = held.wire.token

    def approve(name: str) -> int:
        return rig.decide("approve", held.id, rig.token(name)).returncode

    replies = together(
        lambda: approve("approver"),
        lambda: approve("security"),
        lambda: held.wire.submit(held.sql, request_id=held.request_id),
        *(lambda poll=poll: poll.follow(held.reply) for poll in polls),
    )

    assert 0 in replies[:2]
    assert all(reply.ok for reply in replies[3:])
    assert rig.executed(held.sql) == 1


def test_a_token_of_the_gateway_is_no_login_and_buys_no_other_token(rig: Rig) -> None:
    wire, other = rig.wire("analyst"), rig.wire()
    for kind in ("ISSUE", "CLONE", ""):
        asked = {"oldSessionToken": wire.token, "requestType": kind}
        assert not wire.send("POST", "/session/token-request", asked, token=wire.master).ok
    for token in (wire.token, wire.master, rig.token("approver")):
        for authenticator in ("OAUTH", "PROGRAMMATIC_ACCESS_TOKEN"):
            assert not other.log_in(token, authenticator=authenticator).ok


def test_a_refused_token_is_not_helped_by_a_good_one_in_another_field(rig: Rig) -> None:
    wire = rig.wire()

    assert not wire.log_in(rig.token("stranger"), PASSWORD=rig.token("fraud")).ok


def test_a_chunk_is_only_read(rig: Rig) -> None:
    wire = rig.wire("analyst", app="JavaScript")
    result = wire.query("SELECT * FROM big LIMIT 60000")
    url, headers = result.data["chunks"][0]["url"], chunk_headers(result)

    for method in ("HEAD", "POST", "PUT", "DELETE"):
        assert wire.send(method, url, headers=headers, token="").status == 404
    assert wire.send("GET", url, headers=headers, token="").status == 200


@pytest.mark.parametrize(
    "bindings",
    [
        {"1": {"type": "TEXT", "value": {"a": 1}}},
        {"1": {"type": "TEXT'--", "value": "1"}},
        {"one": {"type": "TEXT", "value": "1"}},
    ],
)
def test_odd_binds_are_denied(rig: Rig, analyst: Wire, bindings: object) -> None:
    since = rig.mark()

    assert "request-body" in analyst.query("SELECT ?", bindings=bindings).message
    assert since.statements() == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT email FROM IDENTIFIER(?)",
        "SELECT IDENTIFIER(:1) FROM customers",
        "SELECT * FROM TABLE(?)",
        "EXECUTE IMMEDIATE ?",
        "USE ROLE IDENTIFIER(?)",
        "SET x = ?",
    ],
)
def test_a_bind_names_nothing(rig: Rig, analyst: Wire, canaries: Canaries, sql: str) -> None:
    since = rig.mark()

    reply = analyst.query(sql, bindings={"1": {"type": "TEXT", "value": "customers"}})

    assert reply.code == "003001"
    assert since.statements() == []
    assert_no_canary(canaries, analyst.seen)
