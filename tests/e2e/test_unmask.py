"""An approval that unmasks: what was agreed to is shown once, and nothing clearer ever."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from .canary import Canaries
from .conftest import GROUPS, customers_of, tagged_in
from .connector import rows_of
from .rig import Rig
from .wire import IN_PROGRESS, Reply, Wire

UNMASK = ", unmask: pii"
CONFIG = f"""
  - name: break-glass
    match: {{class: select, tag: pii, group: oncall}}
    hold: {{approvers: data-platform, expires: 1h{UNMASK}}}
  - name: on-duty
    match: {{class: select, tag: pii, group: on-duty}}
    hold: {{approvers: data-platform, expires: 1h}}
  - name: in-a-hurry
    match: {{class: select, tag: pii, group: in-a-hurry}}
    hold: {{approvers: data-platform, expires: 2s, unmask: pii}}
"""
MASKED = "***"


def glass_config(text: str) -> str:
    """The demo's configuration with rules that ask, and show what they ask for."""
    return text.replace(GROUPS, f"{GROUPS}, oncall, on-duty, in-a-hurry") + CONFIG


@pytest.fixture(scope="module")
def glass(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A world of its own, whose results are in chunks and whose policy is changed."""
    rig = Rig.start(
        tmp_path_factory.mktemp("glass"),
        *("--big-rows", "1000", "--inline-rows", "10"),
        config_edit=glass_config,
    )
    yield rig
    rig.stop()


@pytest.fixture(scope="module")
def customers(glass: Rig) -> list[dict[str, str]]:
    return customers_of(glass)


@pytest.fixture(scope="module")
def secrets(customers: list[dict[str, str]]) -> Canaries:
    return tagged_in(customers)


def token(rig: Rig, group: str = "oncall") -> str:
    """A token of an analyst who is in a group too."""
    return rig.issuer().mint({"sub": f"{group}-{uuid4()}", "groups": ["analysts", group]})


def run_approved(rig: Rig, writer: Wire, sql: str) -> None:
    """Run DDL that somebody approves."""
    waits = writer.submit(sql)
    rig.approve(sql)
    made = writer.follow(waits)
    assert made.ok, made.message


def held(rig: Rig, sql: str, who: str = "") -> tuple[Wire, Reply, dict[str, Any]]:
    """Send a statement by hand, and wait until it is held."""
    wire = rig.wire(who or token(rig), app="JavaScript")
    reply = wire.submit(sql)
    assert reply.code in IN_PROGRESS, reply.message
    return wire, reply, rig.pending(sql)


def fresh(sql: str) -> str:
    return f"{sql} -- {uuid4()}"


def emails(few: int = 3) -> str:
    return fresh(f"SELECT id, email FROM customers ORDER BY id LIMIT {few}")


@contextmanager
def policy_without_unmask(rig: Rig) -> Iterator[None]:
    """The gateway restarts with a policy that unmasks nothing, and again with its own."""
    path = rig.layout.config_file
    own = path.read_text()
    assert UNMASK in own
    rig.world.kill_gateway()
    path.write_text(own.replace("unmask: pii", "quorum: 1"))
    rig.world.start_gateway()
    try:
        yield
    finally:
        rig.world.kill_gateway()
        path.write_text(own)
        rig.world.start_gateway()


# -- what was agreed to ----------------------------------------------------------------------


def test_a_driver_reads_in_clear_what_another_person_approved(
    glass: Rig, version: str, customers: list[dict[str, str]]
) -> None:
    # More rows than fit in the first reply: chunks are shown in clear too.
    sql = fresh("SELECT id, email, UPPER(full_name) FROM customers ORDER BY id")
    since = glass.mark()
    with glass.driver(token(glass), version) as session:
        answer = session.start(sql)
        pending = glass.pending(sql)
        decided = glass.decide("approve", pending["id"], glass.token("approver"))
        rows = rows_of(answer)

    assert pending["unmask"] == ["pii"]
    assert decided.returncode == 0, decided.stderr
    assert json.loads(decided.stdout)["unmask"] == ["pii"]
    assert rows.rowcount == len(customers)
    shown = [row[1:] for row in rows.rows]
    assert shown == [
        [row["EMAIL"], row["FULL_NAME"].upper()] for row in customers[: len(rows.rows)]
    ]
    # Who reads the ledger learns what was shown, and by whose leave.
    intent = since.entry("intent")
    assert intent.fields["unmask"] == ["pii"]
    assert intent.fields["approval"] == pending["id"]
    for event in ("requested", "vote"):
        entry = since.entry("approval", event=event, approval=pending["id"])
        assert entry.fields["unmask"] == ["pii"]
    assert since.outcome(intent).fields["masked_columns"] == 0
    config = str(glass.layout.config_file)
    told = glass.cli("replay", str(intent.fields["session"]), "--config", config)
    assert "pii in clear" in told.stdout, told.stderr


def test_the_list_tells_people_what_they_would_show(glass: Rig) -> None:
    wire, _, pending = held(glass, emails())
    config = str(glass.layout.config_file)

    told = glass.cli(
        *("approvals", "list", "--config", config, "--token", glass.token("approver")),
        *("--state", "pending"),
    )

    assert pending["id"] in told.stdout
    assert "shows in clear once approved: pii" in told.stdout
    wire.log_out()


def test_a_filter_on_the_values_runs_once_it_was_approved(
    glass: Rig, customers: list[dict[str, str]]
) -> None:
    name = customers[4]["EMAIL"].split("@", maxsplit=1)[0]
    sql = fresh(f"SELECT id FROM customers WHERE email LIKE '{name}@%'")
    wire, reply, pending = held(glass, sql)
    assert pending["unmask"] == ["pii"]
    glass.approve(sql)

    assert [row[0] for row in wire.rows(wire.follow(reply))] == [customers[4]["ID"]]


# -- what was not ----------------------------------------------------------------------------


def test_without_unmask_an_approval_shows_nothing(glass: Rig, secrets: Canaries) -> None:
    sql, since = emails(), glass.mark()
    wire, reply, pending = held(glass, sql, token(glass, "on-duty"))
    assert pending["unmask"] == []
    glass.approve(sql)

    answer = wire.follow(reply)

    assert [row[1] for row in wire.rows(answer)] == [MASKED] * 3
    assert not secrets.found_in(answer.raw)
    assert "unmask" not in since.entry("intent").fields


def test_a_statement_that_is_denied_or_expires_shows_nothing(glass: Rig, secrets: Canaries) -> None:
    denied, hurried = emails(), emails()
    wire, reply, pending = held(glass, denied)
    with glass.approvals("approver") as client:
        client.deny(pending["id"], "no incident")
    late = glass.wire(token(glass, "in-a-hurry"), app="JavaScript")
    waits = late.submit(hurried)

    for answer, code in ((wire.follow(reply), "003001"), (late.follow(waits), "000604")):
        assert answer.code == code, answer.message
        assert not secrets.found_in(answer.raw)
    again = wire.result(reply.query_id)
    assert not again.ok
    assert not secrets.found_in(again.raw)
    assert glass.executed(denied) + glass.executed(hurried) == 0


def test_an_approval_is_for_one_result(glass: Rig, secrets: Canaries) -> None:
    sql = emails()
    wire, reply, _ = held(glass, sql)
    glass.approve(sql)
    assert secrets.found_in(wire.follow(reply).body)

    second = wire.submit(sql)
    longer = wire.submit(sql + " and more")
    other = glass.wire(token(glass), app="JavaScript")

    for answer in (second, longer):
        assert answer.code in IN_PROGRESS
        assert not secrets.found_in(answer.raw)
    assert "not-your-query" in other.result(reply.query_id).message
    wire.log_out()


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("INSERT INTO orders (id) SELECT id FROM customers WHERE email LIKE 'a%'", "pii_"),
        ("SELECT * FROM TABLE(RESULT_SCAN(LAST_QUERY_ID()))", "unsupported"),
        ("EXPLAIN SELECT id FROM customers WHERE email LIKE 'a%'", "pii_"),
        ("COPY INTO @~/f FROM (SELECT email FROM customers)", "no-exfiltration"),
    ],
)
def test_what_is_no_query_is_denied_as_ever(
    glass: Rig, secrets: Canaries, sql: str, rule: str
) -> None:
    with glass.wire(token(glass), app="JavaScript") as wire:
        answer = wire.query(sql)

    assert rule in answer.message
    assert not secrets.found_in(answer.raw)


# -- what changed meanwhile --------------------------------------------------------------------


def test_a_policy_that_unmasks_no_more_masks_what_was_approved(
    glass: Rig, secrets: Canaries
) -> None:
    sql = emails()
    wire, reply, pending = held(glass, sql)
    with policy_without_unmask(glass):
        glass.approve(sql)
        answer = wire.follow(wire.result(reply.query_id))

        assert [row[1] for row in wire.rows(answer)] == [MASKED] * 3
        assert not secrets.found_in(answer.raw)
    assert glass.approval(pending["id"])["unmask"] == ["pii"]


def test_a_policy_that_unmasks_by_now_shows_nothing_that_was_not_asked_for(
    glass: Rig, secrets: Canaries
) -> None:
    sql = emails()
    with policy_without_unmask(glass):
        wire, reply, pending = held(glass, sql)
        assert pending["unmask"] == []
    glass.approve(sql)

    answer = wire.follow(wire.result(reply.query_id))

    assert [row[1] for row in wire.rows(answer)] == [MASKED] * 3
    assert not secrets.found_in(answer.raw)


def test_what_was_approved_is_shown_after_a_restart(
    glass: Rig, customers: list[dict[str, str]]
) -> None:
    sql = emails()
    wire, reply, _ = held(glass, sql)
    glass.approve(sql)
    glass.world.kill_gateway()
    glass.world.start_gateway()

    answer = wire.follow(wire.result(reply.query_id))

    assert [row[1] for row in wire.rows(answer)] == [row["EMAIL"] for row in customers[:3]]


def test_a_view_that_is_replaced_before_the_release_shows_nothing(
    glass: Rig, secrets: Canaries
) -> None:
    view = f"crm.public.contacts_{uuid4().hex[:8]}"
    writer = glass.wire(glass.writer_token(), app="JavaScript")

    def define(column: str) -> None:
        body = f"SELECT id, {column} AS contact FROM customers"
        run_approved(glass, writer, f"CREATE OR REPLACE VIEW {view} AS {body}")

    define("email")
    sql = fresh(f"SELECT contact FROM {view} LIMIT 3")
    wire, reply, pending = held(glass, sql)
    assert pending["unmask"] == ["pii"]
    define("ssn")
    glass.approve(sql)

    answer = wire.follow(reply)

    assert [row[0] for row in wire.rows(answer)] == [MASKED] * 3
    assert not secrets.found_in(answer.raw)


def test_a_session_that_changed_meanwhile_is_not_the_one_that_was_approved(
    glass: Rig, secrets: Canaries
) -> None:
    sql = emails()
    wire, reply, _ = held(glass, sql)
    assert wire.query("ALTER SESSION SET TIMEZONE = 'UTC'").ok
    glass.approve(sql)

    answer = wire.follow(reply)

    assert not answer.ok
    assert not secrets.found_in(answer.raw)
    assert glass.executed(sql) == 0


def test_a_result_is_fetched_again_in_clear_only_while_nothing_changed(
    glass: Rig, secrets: Canaries
) -> None:
    sql = emails()
    wire, reply, _ = held(glass, sql)
    glass.approve(sql)
    assert wire.follow(reply).ok
    # Any change of the catalog is another epoch: what needs an approval is not shown without one.
    writer = glass.wire(glass.writer_token(), app="JavaScript")
    run_approved(glass, writer, f"CREATE TABLE crm.public.other_{uuid4().hex[:8]} (id INT)")

    answer = wire.result(reply.query_id)

    assert not secrets.found_in(answer.raw)
