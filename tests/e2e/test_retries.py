"""The same request again: the same answer, and never a second run (F11).

The second world's upstream has no memory of request ids: what the gateway sends twice runs twice.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from .rig import Rig, soon
from .wire import Wire


@pytest.fixture(params=["rig", "odd"])
def any_rig(request: pytest.FixtureRequest) -> Rig:
    """A world whose upstream remembers request ids, and one whose upstream does not."""
    rig: Rig = request.getfixturevalue(request.param)
    return rig


def insert() -> str:
    return f"INSERT INTO products VALUES (8001, 'retry {uuid4().hex[:8]}', 1, 'tools')"


def test_a_repeated_write_answers_again_and_runs_once(any_rig: Rig) -> None:
    sql, request_id = insert(), str(uuid4())
    with any_rig.wire("etl") as wire:
        since = any_rig.mark()
        replies = [wire.query(sql, request_id=request_id) for _ in range(3)]

    assert [reply.ok for reply in replies] == [True] * 3
    assert len({str(reply.data["rowset"]) for reply in replies}) == 1
    assert len({reply.query_id for reply in replies}) == 1
    assert any_rig.executed(sql) == 1
    assert since.statements().count(sql) == 1
    assert len(since.entries("intent")) == 1


def test_a_repeated_read_gives_the_same_rows_masked(any_rig: Rig) -> None:
    sql, request_id = "SELECT id, email FROM customers ORDER BY id LIMIT 40", str(uuid4())
    with any_rig.wire("analyst", app="JavaScript") as wire:
        since = any_rig.mark()
        rows = [wire.rows(wire.query(sql, request_id=request_id)) for _ in range(3)]

    assert rows[0] == rows[1] == rows[2]
    assert {row[1] for row in rows[0]} == {"***"}
    assert since.statements().count(sql) == 1


def test_a_request_repeated_while_it_runs_attaches_to_it(any_rig: Rig) -> None:
    sql, request_id = f"{insert()} /* standin:wait=1.5 */", str(uuid4())
    with any_rig.wire("etl") as wire, ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(wire.query, sql, request_id=request_id) for _ in range(4)]
        replies = [answer.result() for answer in answers]

    assert [reply.ok for reply in replies] == [True] * 4
    assert any_rig.executed(sql) == 1


def test_a_repeated_error_is_the_same_error(any_rig: Rig) -> None:
    sql, request_id = "SELECT 1 / (id - id) FROM products", str(uuid4())
    with any_rig.wire("analyst") as wire:
        first, second = (wire.query(sql, request_id=request_id) for _ in range(2))

    assert first.code == second.code == "100051"
    assert first.message == second.message
    ran = [each for each in any_rig.executions(sql) if each["request_id"]]
    assert len({each["request_id"] for each in ran}) == len(ran)


def test_a_repeated_denial_is_denied_again(any_rig: Rig) -> None:
    request_id = str(uuid4())
    with any_rig.wire("analyst") as wire:
        since = any_rig.mark()
        replies = [wire.query("SHOW USERS", request_id=request_id) for _ in range(2)]

    assert [reply.code for reply in replies] == ["003001"] * 2
    assert since.statements() == []


def test_a_write_that_finished_before_a_crash_is_not_run_again(any_rig: Rig) -> None:
    sql, request_id = insert(), str(uuid4())
    with any_rig.wire("etl") as wire:
        assert wire.query(sql, request_id=request_id).ok
        assert outcomes(any_rig, sql)

        restart(any_rig)
        again = wire.query(sql, request_id=request_id)

        assert any_rig.executed(sql) == 1
        assert again.ok or "reference" in again.message
        assert wire.query("SELECT 1").ok


def crashed_while_running(rig: Rig, who: str, sql: str) -> tuple[Wire, str]:
    """Kill the gateway while a statement runs upstream, and start it again."""
    wire, request_id = rig.wire(who), str(uuid4())
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(wire.submit, sql, request_id=request_id)
        assert soon(lambda: any(line.sql == sql for line in rig.lines()))
        restart(rig)
        assert answer.exception() is not None
    return wire, request_id


def test_a_write_that_a_crash_cut_short_is_unknown_and_not_run_again(any_rig: Rig) -> None:
    sql = f"{insert()} /* standin:wait=1 */"
    wire, request_id = crashed_while_running(any_rig, "etl", sql)

    again = wire.query(sql, request_id=request_id)

    assert not again.ok
    assert "unknown" in again.message
    assert "reference" in again.message
    assert [line.sql for line in any_rig.lines()].count(sql) == 1


def test_a_definition_that_a_crash_cut_short_is_nobodys_to_read_until_it_is_settled(
    rig: Rig,
) -> None:
    """F8: it may run yet, and make tagged what was read as clear at the start."""
    name = f"crm.public.cut_{uuid4().hex[:8]}"
    sql = f"create or replace view {name} as select email as note from customers"
    with rig.upstream("SYSADMIN") as direct:
        assert direct.query(f"create view {name} as select country as note from customers").ok
    slow = f"{sql} /* standin:wait=6 */"
    wire, request_id = rig.wire(rig.writer_token()), str(uuid4())
    with ThreadPoolExecutor(1) as threads:
        threads.submit(wire.query, slow, request_id=request_id)
        rig.approve(slow)
        assert soon(lambda: any(line.sql == slow for line in rig.lines()))
        restart(rig)

    with rig.wire("analyst", app="JavaScript") as reader:
        refused = reader.query(f"select note from {name} where note is not null limit 1")
        assert "denied by rule quarantine" in refused.message
        # The rest of the catalog is read, and nobody waits for it.
        assert reader.query("select id from orders limit 1").ok
    assert not wire.query(slow, request_id=request_id).ok
    assert [line.sql for line in rig.lines()].count(slow) == 1


def test_a_read_that_a_crash_cut_short_may_run_again(any_rig: Rig) -> None:
    sql = f"SELECT email FROM customers WHERE id = 3 /* standin:wait=1 */ -- {uuid4().hex[:8]}"
    wire, request_id = crashed_while_running(any_rig, "analyst", sql)

    again = wire.query(sql, request_id=request_id)

    assert again.ok


def restart(rig: Rig) -> None:
    rig.world.kill_gateway()
    rig.world.start_gateway()


def outcomes(rig: Rig, sql: str) -> bool:
    """Whether the run of a text has its outcome in the ledger."""
    [execution] = rig.executions(sql)
    wanted = execution["request_id"]

    def look() -> bool:
        seqs = {
            entry.seq
            for entry in rig.entries()
            if entry.fields.get("upstream_request_id") == wanted
        }
        return any(entry.fields.get("intent") in seqs for entry in rig.entries())

    return soon(look)


def test_two_people_are_needed_where_the_rule_says_so(odd: Rig) -> None:
    sql = f"ALTER TABLE products RENAME COLUMN price TO price_{uuid4().hex[:6]}"
    wire = odd.wire(odd.writer_token())
    since = odd.mark()
    reply = wire.submit(sql)
    approval = odd.approve(sql)
    assert (approval["state"], approval["quorum"]) == ("pending", 2)

    again = odd.decide("approve", approval["id"], odd.token("approver"))

    assert again.returncode != 0
    assert "voted already" in again.stderr
    assert odd.executed(sql) == 0
    refused = since.entry("approval", event="vote", accepted=False)
    assert refused.fields["approval"] == approval["id"]

    odd.approve(sql, "security")
    assert wire.follow(reply).ok
    assert odd.executed(sql) == 1


def test_spellings_of_one_person_are_one_person(odd: Rig) -> None:
    sql = f"ALTER TABLE orders RENAME COLUMN region TO region_{uuid4().hex[:6]}"
    wire = odd.wire(odd.writer_token())
    wire.submit(sql)
    approval = odd.approve(sql)

    mint: Callable[[dict[str, object]], str] = odd.issuer(people=True).mint
    for spelling in ("Approver", "APPROVER", "ａpprover"):
        token = mint({"sub": spelling, "groups": ["data-platform"]})
        assert odd.decide("approve", approval["id"], token).returncode != 0, spelling

    assert odd.approval(approval["id"])["state"] == "pending"
    wire.log_out()
