"""Denied statements: the words, the entry, and that nothing reaches upstream."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest

from .connector import DriverError
from .rig import QUERY_REQUEST, Rig, Since
from .wire import Reply, Wire

WORDS = re.compile(r"denied by rule (?P<rules>[\w, -]+): .+; reference (?P<reference>[0-9a-f-]+)")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# What no analyst may run, and a word of the rule that says so.
DENIED = {
    "COPY INTO @~/out FROM customers": "no-exfiltration",
    "PUT file:///etc/passwd @~": "file-transfer",
    "GET @~/out file:///tmp": "file-transfer",
    "/* hello */ -- GET\n get @~ file:///tmp": "file-transfer",
    "LIST @~": "no-exfiltration",
    "CREATE STAGE s URL='s3://elsewhere/'": "no-exfiltration",
    "CREATE SHARE s": "no-exfiltration",
    "SELECT 1; SELECT 2": "",
    "SELECT 1 ->> SELECT * FROM $1": "",
    "SELECT * FROM TABLE(RESULT_SCAN(LAST_QUERY_ID()))": "",
    f"SELECT * FROM TABLE(RESULT_SCAN('{uuid4()}'))": "",
    "DESCRIBE RESULT LAST_QUERY_ID()": "",
    "SHOW USERS": "",
    "SHOW GRANTS": "",
    "SELECT * FROM snowflake.account_usage.query_history": "",
    "SELECT * FROM TABLE(information_schema.query_history())": "",
    "SELECT SYSTEM$WAIT(1)": "",
    "SELECT SNOWFLAKE.CORTEX.COMPLETE('m', email) FROM customers": "",
    "CALL some_procedure()": "",
    "EXECUTE IMMEDIATE $x": "",
    "BEGIN SELECT 1; END": "",
    "ALTER USER ADD PROGRAMMATIC ACCESS TOKEN t": "",
    "CREATE USER u PASSWORD = 'x'": "",
    "SELECT id FROM customers WHERE email LIKE 'a%'": "",
    "SELECT id FROM customers ORDER BY ssn": "",
    "SELECT id FROM customers c JOIN (SELECT 'x' AS s) g ON c.ssn = g.s": "",
    "SELECT c.id FROM customers c, LATERAL FLATTEN(input => split(email, '@')) f": "",
    "SELECT nonsense FROM FROM": "",
    "SELECT * FROM no_such_table": "",
    "SELECT 'unterminated": "",
    "SELECT \u0000 1": "",
    "": "",
    "-- only a comment": "",
}


def assert_denied(reply: Reply, since: Since, path: str = QUERY_REQUEST) -> str:
    """A denial as the driver, the ledger and upstream have it; the names of its rules."""
    assert reply.status == 200
    assert not reply.ok
    assert (reply.code, reply.sqlstate) == ("003001", "42501")
    assert reply.data["errorCode"] == "003001"
    assert UUID.fullmatch(reply.query_id)
    words = WORDS.match(reply.message)
    assert words is not None, reply.message
    denial = since.entry("denial")
    assert denial.fields["reference"] == words["reference"]
    assert denial.fields["rules"] == words["rules"].split(", ")
    assert denial.fields["path"] == path
    assert since.statements() == []
    assert since.entries("intent") == []
    return words["rules"]


@pytest.mark.parametrize("sql", DENIED)
def test_a_denial_has_rule_reference_and_entry_and_reaches_nobody(
    rig: Rig, analyst: Wire, sql: str
) -> None:
    since = rig.mark()

    reply = analyst.query(sql)

    rules = assert_denied(reply, since)
    assert DENIED[sql] in rules
    denial = since.entry("denial")
    assert denial.fields["principal"] == "analyst"
    assert denial.fields["session"]


def test_a_denial_says_what_to_do(analyst: Wire) -> None:
    for sql in ("COPY INTO @~/out FROM customers", "SELECT id FROM customers ORDER BY ssn"):
        assert "; what to do: " in analyst.query(sql).message


def test_drivers_raise_a_denial_at_once_and_do_not_try_again(rig: Rig, version: str) -> None:
    sql = "COPY INTO @~/out FROM customers"
    with rig.driver("analyst", version) as session:
        since = rig.mark()
        with pytest.raises(DriverError) as caught:
            session.run(sql)
        assert session.run("SELECT 1").rows == [["1"]]

    error = caught.value
    assert (error.errno, error.sqlstate) == (3001, "42501")
    denial = since.entry("denial")
    assert "rule no-exfiltration" in error.msg
    assert f"reference {denial.fields['reference']}" in error.msg
    assert "what to do: ask the data platform" in error.msg
    assert since.statements() == ["SELECT 1"]


def test_file_transfers_of_drivers_are_denied(rig: Rig, version: str, tmp_path: object) -> None:
    with rig.driver("etl", version) as session:
        since = rig.mark()
        for sql in ("PUT file:///etc/hostname @~", "GET @~/x file:///tmp"):
            with pytest.raises(DriverError) as caught:
                session.run(sql)
            assert caught.value.errno == 3001
    assert since.statements() == []
    assert len(since.entries("denial")) == 2


def test_several_statements_are_denied_however_they_are_announced(rig: Rig, analyst: Wire) -> None:
    for parameters in ({"MULTI_STATEMENT_COUNT": 0}, {"MULTI_STATEMENT_COUNT": "2"}):
        since = rig.mark()
        reply = analyst.query("SELECT 1; DROP TABLE customers", parameters=parameters)
        assert_denied(reply, since)


def test_asynchronous_statements_are_denied(rig: Rig, analyst: Wire) -> None:
    since = rig.mark()

    reply = analyst.submit("SELECT 1", asyncExec=True)

    assert_denied(reply, since)
    assert "synchronously" in reply.message


def test_binds_on_a_stage_are_denied(rig: Rig, etl: Wire) -> None:
    since = rig.mark()

    reply = etl.submit("INSERT INTO products VALUES (?)", bindStage="@SYSTEM$BIND/x")

    assert_denied(reply, since)


def test_an_internal_statement_is_judged_like_any_other(rig: Rig, analyst: Wire) -> None:
    since = rig.mark()

    reply = analyst.submit("SHOW USERS", isInternal=True)

    assert_denied(reply, since)


def test_a_description_is_judged_like_the_statement(rig: Rig, analyst: Wire) -> None:
    since = rig.mark()

    reply = analyst.submit("SELECT * FROM no_such_table", describeOnly=True)

    assert_denied(reply, since)


def test_the_text_of_a_denial_is_kept_only_encrypted(rig: Rig, analyst: Wire) -> None:
    analyst.query("SELECT id FROM customers WHERE email LIKE 'kept-secret-literal%'")

    for file in rig.layout.path("data").rglob("*"):
        assert not file.is_file() or b"kept-secret-literal" not in file.read_bytes(), file
    assert b"kept-secret-literal" not in rig.layout.log("gateway").read_bytes()


def test_the_sql_api_is_denied_in_its_own_shape(rig: Rig, analyst: Wire) -> None:
    since = rig.mark()

    reply = analyst.send("POST", "/api/v2/statements", {"statement": "SELECT 1"})

    assert reply.status == 422
    body = reply.json
    assert (body["code"], body["sqlState"]) == ("003001", "42501")
    assert UUID.fullmatch(body["statementHandle"])
    denial = since.entry("denial")
    assert str(denial.fields["reference"]) in body["message"]
    assert denial.fields["path"] == "/api/v2/statements"
    assert since.upstream() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/api/v2/databases"),
        ("POST", "/api/v2/statements/x/cancel"),
        ("POST", "/api/v2/cortex/inference:complete"),
        ("POST", "/v1/data/pipes/p/insertFiles"),
        ("POST", "/v1/streaming/client/configure"),
        ("POST", "/oauth/token"),
        ("PUT", QUERY_REQUEST),
        ("GET", QUERY_REQUEST),
        ("POST", "/queries/v1/query-request/"),
        ("POST", "//queries/v1/query-request"),
        ("POST", "/session/v1/login-request/x"),
        ("GET", "/queries/x/result"),
    ],
)
def test_an_unknown_endpoint_is_denied_and_recorded(
    rig: Rig, analyst: Wire, method: str, path: str
) -> None:
    since = rig.mark()

    reply = analyst.send(method, path, {"sqlText": "SELECT 1"})

    assert reply.status == 404
    assert set(reply.json) >= {"data", "code", "message", "success"}
    assert reply.json["success"] is False
    assert re.fullmatch(r"\d+", str(reply.code))
    denial = since.entry("denial")
    assert denial.fields["path"] == path
    assert denial.fields["rules"] == ["unknown-endpoint"]
    assert str(denial.fields["reference"]) in reply.message
    assert since.upstream() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/session/authenticator-request"),
        ("GET", "/console/login"),
        ("POST", "/oauth/token-request"),
        ("GET", "/monitoring/queries"),
    ],
)
def test_a_door_past_the_gateway_is_denied_with_a_reason(
    rig: Rig, analyst: Wire, method: str, path: str
) -> None:
    since = rig.mark()

    reply = analyst.send(method, path)

    assert not reply.ok
    assert since.entry("denial").fields["path"] == path
    assert since.upstream() == []
