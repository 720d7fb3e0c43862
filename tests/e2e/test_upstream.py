"""Upstream refuses, fails, lies or is gone: a clear error, an entry, and no byte too many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import uuid4

import pytest

from .canary import Canaries
from .connector import DriverError
from .rig import QUERY_REQUEST, Rig, soon
from .wire import Reply, Wire

CUSTOMERS = "SELECT id, full_name, email, country FROM customers ORDER BY id"


@pytest.fixture(autouse=True)
def no_fault_is_left(rig: Rig) -> Iterator[None]:
    yield
    rig.admin("DELETE", "fault")


def marked(sql: str) -> str:
    """A text that occurs once, so that faults and counters mean it alone."""
    return f"{sql} -- {uuid4().hex[:8]}"


# -- upstream's own refusals ---------------------------------------------------------------


def test_snowflake_s_own_refusal_reaches_the_user_in_its_words(rig: Rig, version: str) -> None:
    sql = marked("INSERT INTO products VALUES (1, 'x', 1, 'tools')")
    with rig.driver("analyst", version) as session:
        since = rig.mark()
        with pytest.raises(DriverError) as caught:
            session.run(sql)

    assert (caught.value.errno, caught.value.sqlstate) == (3001, "42501")
    assert "Insufficient privileges to operate on table 'PRODUCTS'" in caught.value.msg
    assert "denied by rule" not in caught.value.msg
    assert since.entries("denial") == []
    outcome = since.outcome(since.entry("intent"))
    assert (outcome.fields["status"], outcome.fields["code"]) == ("error", "003001")
    assert outcome.fields["fault"] == "upstream"
    assert since.statements().count(sql) == 1


def test_an_error_of_upstream_that_touches_no_tag_is_told_in_full(rig: Rig, analyst: Wire) -> None:
    reply = analyst.query("SELECT 1 / (id - id) FROM products")

    assert (reply.code, reply.sqlstate) == ("100051", "22012")
    assert "Division by zero" in reply.message


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [("FIXED", "abc", "100038"), ("REAL", "", "100038"), ("BOOLEAN", "maybe", "100037")],
)
def test_a_bind_that_is_no_value_of_its_type_is_snowflake_s_error(
    rig: Rig, analyst: Wire, kind: str, value: str, code: str
) -> None:
    since = rig.mark()

    reply = analyst.query("SELECT ? AS bound", bindings={"1": {"type": kind, "value": value}})

    assert reply.code == code
    assert "is not recognized" in reply.message
    outcome = since.outcome(since.entry("intent"))
    assert (outcome.fields["status"], outcome.fields["fault"]) == ("error", "upstream")


# -- broken answers ------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 500, 503])
def test_an_http_error_of_upstream_is_an_error_the_driver_does_not_repeat(
    rig: Rig, analyst: Wire, status: int
) -> None:
    sql = marked("INSERT INTO products SELECT 1, 'x', 1, 'tools' WHERE 1 = 0")
    since = rig.mark()
    rig.fault(kind="http", status=status, path=QUERY_REQUEST, sql=sql)

    reply = analyst.query(sql)

    assert reply.status == 200
    assert reply.code == "250001"
    assert str(status) in reply.message
    assert "what to do" in reply.message
    assert since.statements() == [sql]
    outcome = since.outcome(since.entry("intent"))
    assert outcome.fields["status"] == "unknown"
    assert outcome.fields["fault"] == "upstream"
    assert analyst.query("SELECT 1").ok


def test_too_many_requests_upstream_did_not_run(rig: Rig, analyst: Wire) -> None:
    sql = marked("SELECT 1")
    since = rig.mark()
    rig.fault(kind="http", status=429, path=QUERY_REQUEST, sql=sql)

    reply = analyst.query(sql)

    assert "did not run" in reply.message
    assert since.outcome(since.entry("intent")).fields["status"] == "error"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_connection_is_told_as_unknown_and_nothing_runs_twice(rig: Rig, when: str) -> None:
    sql = marked("INSERT INTO products VALUES (7001, 'x', 1, 'tools')")
    with rig.wire("etl") as wire:
        since = rig.mark()
        rig.fault(kind="close", when=when, path=QUERY_REQUEST, sql=sql)

        reply = wire.query(sql)

        assert not reply.ok
        assert "unknown" in reply.message
        assert "reference" in reply.message
        assert since.statements() == [sql]
        assert rig.executed(sql) == (0 if when == "before" else 1)
        outcome = since.outcome(since.entry("intent"))
        assert outcome.fields["status"] == "unknown"
        assert wire.query("SELECT 1").ok


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.rowsetCsv", "Adaeze Falkanberg;falkanberg@mail.example\n" * 20),
        ("data.rows", [["Adaeze", "x"]]),
        ("data.rowset2", {"a": [1]}),
        ("data.stageInfo", {"location": "s3://x", "creds": {"AWS_KEY_ID": "k"}}),
        ("data.command", "UPLOAD"),
        ("data.src_locations", ["/etc/passwd"]),
        ("data.resultIds", "a,b"),
        ("data.chunks", {"url": "https://storage"}),
        ("data", ["x"]),
        ("success", "yes"),
    ],
)
def test_a_reply_that_holds_what_nobody_knows_is_not_passed_on(
    rig: Rig, analyst: Wire, key: str, value: object
) -> None:
    sql = marked("SELECT * FROM products")
    since = rig.mark()
    rig.fault(kind="set", key=key, value=value, sql=sql)

    reply = analyst.query(sql)

    assert not reply.ok
    assert b"Product" not in reply.body
    assert b"Adaeze" not in reply.body
    assert b"AWS_KEY_ID" not in reply.body
    intent = since.entry("intent")
    assert since.outcome(intent).fields["status"] in ("unknown", "error")
    assert analyst.query("SELECT 1").ok


def test_harmless_new_keys_of_upstream_do_not_stop_anybody(rig: Rig, analyst: Wire) -> None:
    sql = marked("SELECT * FROM products")
    rig.fault(kind="set", key="data.serverFlavour", value="new", sql=sql)

    reply = analyst.query(sql)

    assert reply.ok
    assert b"serverFlavour" not in reply.body


@pytest.mark.parametrize("app", ["PythonConnector", "JavaScript"])
@pytest.mark.parametrize("op", ["rename", "add", "drop"])
def test_a_row_type_that_was_not_predicted_voids_or_withholds_everything(
    rig: Rig, canaries: Canaries, truth: list[dict[str, str]], app: str, op: str
) -> None:
    sql = marked(CUSTOMERS)
    with rig.wire("analyst", app=app) as wire:
        since = rig.mark()
        rig.fault(kind="rowtype", op=op, index=1, name="INNOCENT", sql=sql)

        reply = wire.query(sql)
        if reply.ok:
            wire.chunks(reply)

        for seen in wire.seen:
            assert not canaries.found_in(seen.raw)
            assert not canaries.found_in(seen.body)
        if reply.ok and app == "JavaScript":
            assert {cell for row in reply.data["rowset"] for cell in row} <= {"***", None}
        since.entry("alert", alert="rowtype")
        outcome = since.outcome(since.entry("intent"))
        assert outcome.fields["status"] == "ok"


def test_a_session_raises_few_alerts_about_row_types(rig: Rig) -> None:
    since = rig.mark()
    with rig.wire("analyst", app="JavaScript") as wire:
        for _ in range(12):
            sql = marked("SELECT id FROM products")
            rig.fault(kind="rowtype", op="rename", index=0, name="INNOCENT", sql=sql)
            assert {cell for row in wire.rows(wire.query(sql)) for cell in row} <= {"***", None}

    alerts = [entry.fields["alert"] for entry in since.entries("alert")]
    assert alerts == ["rowtype"] * 10


@pytest.mark.parametrize("value", ["SYSADMIN", "FRAUD"])
def test_a_reply_in_another_role_is_withheld_and_ends_the_session(rig: Rig, value: str) -> None:
    sql = marked("SELECT * FROM products")
    wire = rig.wire("analyst")
    since = rig.mark()
    rig.fault(kind="final_role", value=value, sql=sql)

    reply = wire.query(sql)

    assert reply.code == "390111"
    assert b"Product" not in reply.body
    assert wire.query("SELECT 1").code == "390111"
    assert since.entry("alert").fields["alert"] == "role"
    assert since.entry("session_end").fields["why"] == "killed"
    assert since.outcome(since.entry("intent")).fields["fault"] == "role"


# -- sessions upstream ---------------------------------------------------------------------


def test_an_expired_upstream_token_is_renewed_without_notice(rig: Rig, version: str) -> None:
    with rig.driver("analyst", version) as session:
        number = session_upstream(rig, session.run)
        rig.fault(kind="expire", session=number)
        since = rig.mark()

        assert session.run("SELECT 2").rows == [["2"]]

    assert "/session/token-request" in [line.path for line in since.upstream()]


def session_upstream(rig: Rig, run: Callable[[str], object]) -> int:
    """Upstream's number of a client's session."""
    sql = marked("SELECT 1")
    run(sql)
    [line] = [line for line in rig.lines() if line.sql == sql]
    assert line.session is not None
    return line.session


def test_a_lost_upstream_session_ends_the_client_s(rig: Rig, analyst: Wire) -> None:
    number, since = session_upstream(rig, analyst.query), rig.mark()
    rig.fault(kind="end", session=number)

    reply = analyst.query("SELECT 1")

    assert reply.code == "390111"
    assert since.entry("session_end").fields["why"] == "lost"
    # No silent login in the client's name: it would have to pin the role again.
    assert "USE SECONDARY ROLES NONE" not in since.statements()
    assert rig.wire("analyst").query("SELECT 1").ok


@pytest.mark.parametrize(
    "rowset",
    [
        [["SYSADMIN", '{"roles":"","value":""}']],
        [["ANALYST", '{"roles":"ETL","value":"ALL"}']],
        [["ANALYST", '{"roles":"","value":"ALL"}']],
        [],
        [[None, None]],
    ],
)
def test_a_login_that_is_not_pinned_upstream_fails(rig: Rig, rowset: list[object]) -> None:
    since = rig.mark()
    rig.fault(kind="set", key="data.rowset", value=rowset, sql="CURRENT_SECONDARY_ROLES")

    reply = rig.wire().log_in(rig.token("analyst"))

    assert not reply.ok
    assert len(str(reply.code)) == 6
    login = since.entry("login")
    assert (login.fields["verdict"], login.fields["reason"]) == ("deny", "role-pin")
    assert since.entry("alert").fields["alert"] == "role"
    # The session was closed again.
    assert "/session" in [line.path for line in since.upstream()]


def test_an_upstream_that_refuses_the_login_is_told_apart(rig: Rig) -> None:
    since = rig.mark()
    rig.fault(kind="http", status=503, path="/session/v1/login-request")

    reply = rig.wire().log_in(rig.token("analyst"))

    assert not reply.ok
    assert "snowflake" in reply.message
    assert since.entry("login").fields["verdict"] == "deny"


# -- slow and long statements --------------------------------------------------------------


def in_thread(run: ThreadPoolExecutor, wire: Wire, sql: str, request_id: str) -> Future[Reply]:
    return run.submit(wire.query, sql, request_id=request_id)


def test_a_running_statement_is_cancelled_upstream(rig: Rig) -> None:
    sql, request_id = "SELECT 1 /* standin:wait=20 */ AS cancel_me", str(uuid4())
    with rig.wire("fraud") as wire, ThreadPoolExecutor(1) as threads:
        since = rig.mark()
        answer = in_thread(threads, wire, sql, request_id)
        assert soon(lambda: sql in since.statements())
        abort = {"requestId": request_id}
        assert wire.send("POST", f"/queries/v1/abort-request?requestId={uuid4()}", abort).ok

        reply = answer.result(15)

    assert (reply.code, reply.sqlstate) == ("000604", "57014")
    assert since.outcome(since.entry("intent")).fields["status"] == "cancelled"


def test_a_driver_s_timeout_cancels_a_running_statement(rig: Rig) -> None:
    sql = "SELECT 1 /* standin:wait=30 */ AS time_me_out"
    with rig.driver("fraud") as session:
        since = rig.mark()
        with pytest.raises(DriverError) as caught:
            session.run(sql, timeout=2)

    assert (caught.value.errno, caught.value.sqlstate) == (604, "57014")
    assert since.outcome(since.entry("intent")).fields["status"] == "cancelled"
