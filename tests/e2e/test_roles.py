"""The role pin, the query tag, and that upstream receives nothing the ledger does not know."""

from __future__ import annotations

import hashlib
import json
from uuid import uuid4

import pytest

from snowgate.demo import layout as names

from .rig import LOGIN_REQUEST, Rig
from .test_denials import assert_denied
from .wire import Wire


def test_secondary_roles_are_off_before_the_first_statement_of_a_client(
    rig: Rig, version: str
) -> None:
    since = rig.mark()

    with rig.driver("analyst", version) as session:
        assert session.run("SELECT 1").rows == [["1"]]

    texts = since.statements()
    assert texts.index("USE SECONDARY ROLES NONE") < texts.index("SELECT 1")
    [execution] = rig.executions("SELECT 1")[-1:]
    assert (execution["role"], execution["secondary"]) == ("ANALYST", "NONE")


def test_the_pin_comes_before_anything_the_client_asks_for(rig: Rig) -> None:
    since = rig.mark()

    rig.wire("analyst", query="databaseName=CRM&schemaName=PUBLIC&roleName=analyst").query(
        "SELECT 'first'"
    )

    lines = since.upstream()
    assert lines[0].path == LOGIN_REQUEST
    assert next(line.sql for line in lines if line.sql) == "USE SECONDARY ROLES NONE"


@pytest.mark.parametrize(
    "sql",
    [
        "USE ROLE SYSADMIN",
        "USE ROLE IDENTIFIER('FRAUD')",
        "USE SECONDARY ROLES ALL",
        "ALTER SESSION SET SEARCH_PATH = 'X'",
        "ALTER SESSION SET QUOTED_IDENTIFIERS_IGNORE_CASE = TRUE",
        "ALTER SESSION SET MULTI_STATEMENT_COUNT = 0",
        "ALTER SESSION SET SIMULATED_DATA_SHARING_CONSUMER = 'X'",
        "ALTER SESSION UNSET MULTI_STATEMENT_COUNT",
        "ALTER USER SET DEFAULT_SECONDARY_ROLES = ('ALL')",
        "GRANT ROLE FRAUD TO USER SVC_SNOWGATE",
    ],
)
def test_no_statement_leaves_the_role_or_changes_how_names_are_read(
    rig: Rig, analyst: Wire, sql: str
) -> None:
    since = rig.mark()

    assert_denied(analyst.query(sql), since)

    assert analyst.query("SELECT CURRENT_ROLE(), CURRENT_SECONDARY_ROLES()").ok
    [execution] = rig.executions("SELECT CURRENT_ROLE(), CURRENT_SECONDARY_ROLES()")[-1:]
    assert (execution["role"], execution["secondary"]) == ("ANALYST", "NONE")


def test_a_variable_does_not_name_what_is_read(rig: Rig, analyst: Wire) -> None:
    analyst.query("SET name = 'customers'")
    for sql in (
        "SELECT * FROM IDENTIFIER($name)",
        "SELECT * FROM TABLE($name)",
        "EXECUTE IMMEDIATE $name",
        "SELECT email FROM customers WHERE email LIKE $name",
    ):
        since = rig.mark()
        assert_denied(analyst.query(sql), since)


def test_the_pin_itself_may_be_repeated(analyst: Wire) -> None:
    assert analyst.query("USE SECONDARY ROLES NONE").ok


def test_dangerous_parameters_are_not_forwarded(rig: Rig) -> None:
    dangerous = {
        "MULTI_STATEMENT_COUNT": 0,
        "SEARCH_PATH": "FRAUD",
        "QUOTED_IDENTIFIERS_IGNORE_CASE": True,
        "DEFAULT_SECONDARY_ROLES": "ALL",
    }
    wire = rig.wire()
    reply = wire.log_in(rig.token("analyst"), parameters=dangerous, SECONDARY_ROLES="ALL")
    assert reply.ok
    told = {each["name"]: each["value"] for each in reply.data["parameters"]}
    for name, value in dangerous.items():
        assert told.get(name) != value or name == "MULTI_STATEMENT_COUNT"

    assert wire.query("SELECT 'two'; SELECT 'three'").code == "003001"
    allowed = {name: dangerous[name] for name in ("SEARCH_PATH", "DEFAULT_SECONDARY_ROLES")}
    sql = "SELECT 'with parameters'"
    assert wire.query(sql, parameters=allowed).ok
    [execution] = rig.executions(sql)
    assert execution["secondary"] == "NONE"


def test_each_statement_carries_the_gateway_s_tag_with_the_client_s_inside(rig: Rig) -> None:
    wire = rig.wire("analyst", parameters={"QUERY_TAG": "nightly"})
    since = rig.mark()
    first, second = "SELECT 'tagged by the session'", "SELECT 'tagged by the statement'"

    assert wire.query(first).ok
    assert wire.query(second, parameters={"QUERY_TAG": '{"job": "x"}'}).ok

    tags = [json.loads(rig.executions(sql)[0]["query_tag"]) for sql in (first, second)]
    assert [tag["client"] for tag in tags] == ["nightly", '{"job": "x"}']
    assert all(set(tag) == {"v", "gw", "seq", "mac", "client"} for tag in tags)
    assert [tag["gw"] for tag in tags] == ["demo", "demo"]
    assert [tag["seq"] for tag in tags] == [entry.seq for entry in since.entries("intent")]
    assert tags[0]["mac"] != tags[1]["mac"]


def test_a_client_cannot_forge_the_gateway_s_tag(rig: Rig, analyst: Wire) -> None:
    sql = "SELECT 'forged'"
    forged = json.dumps({"v": 1, "gw": "demo", "seq": 1, "mac": "0" * 64, "client": ""})

    assert analyst.query(sql, parameters={"QUERY_TAG": forged}).ok

    tag = json.loads(rig.executions(sql)[0]["query_tag"])
    assert tag["client"] == forged
    assert tag["seq"] > 1


def test_the_tag_a_client_sets_by_statement_stays_inside_too(rig: Rig, analyst: Wire) -> None:
    sql = "SELECT 'after alter session'"
    altered = analyst.query("ALTER SESSION SET QUERY_TAG = 'by statement'")

    assert analyst.query(sql).ok

    tag = json.loads(rig.executions(sql)[0]["query_tag"])
    assert (tag["gw"], tag["client"]) == ("demo", "by statement")
    assert altered.ok


def test_snowflake_tells_the_gateway_s_own_statements_by_their_user(
    rig: Rig, analyst: Wire, etl: Wire
) -> None:
    assert analyst.query("SELECT 'whose'").ok
    assert etl.query("SELECT 'whose'").ok
    ran = {each["request_id"]: (each["user"], each["role"]) for each in rig.all_executions()}
    intents = [entry.fields for entry in rig.entries() if entry.kind == "intent"]
    intents = [intent for intent in intents if intent["upstream_request_id"] in ran]

    clients = [intent for intent in intents if intent["session"] != "gateway"]
    own = [intent for intent in intents if intent["session"] == "gateway"]

    assert {ran[each["upstream_request_id"]][0] for each in clients} == {names.UPSTREAM_USER}
    catalog = [each for each in own if each["purpose"] not in ("pin", "roles")]
    assert {each["purpose"] for each in catalog} >= {"catalog"}
    assert {ran[each["upstream_request_id"]] for each in catalog} == {
        (names.CATALOG_USER, "SNOWGATE")
    }
    # What roles the clients' user has is for itself to say, as nobody else.
    asked = [each for each in own if each["purpose"] == "roles"]
    assert {ran[each["upstream_request_id"]] for each in asked} == {(names.UPSTREAM_USER, "PUBLIC")}


def test_upstream_request_ids_are_the_gateway_s_own_and_in_the_intent(
    rig: Rig, analyst: Wire
) -> None:
    request_id, sql = str(uuid4()), "SELECT 'request ids'"
    since = rig.mark()

    assert analyst.query(sql, request_id=request_id).ok

    [line] = [line for line in since.upstream() if line.sql == sql]
    intent = since.entry("intent")
    assert line.request_id == intent.fields["upstream_request_id"]
    assert line.request_id != request_id
    digest = hashlib.sha256(sql.encode()).hexdigest()
    assert intent.fields["upstream_sql_sha256"] == digest
    assert intent.fields["principal"] == "analyst"


def test_the_same_request_id_in_two_sessions_is_two_statements(rig: Rig) -> None:
    request_id, sql = str(uuid4()), "SELECT 'one id, two sessions'"
    for _ in range(2):
        assert rig.wire("analyst").query(sql, request_id=request_id).ok

    ids = {execution["request_id"] for execution in rig.executions(sql)}
    assert len(ids) == 2


def test_every_statement_upstream_has_an_intent_with_its_id_and_text(
    rig: Rig, version: str
) -> None:
    """What an auditor does: the log of Snowflake against the ledger."""
    with rig.driver("etl", version) as session:
        session.run("SELECT count(*) FROM orders")
        session.run("INSERT INTO products VALUES (9001, 'Product', 1.5, 'tools')")
        session.run("DELETE FROM products WHERE id = 9001")

    intents = {
        (entry.fields["upstream_request_id"], entry.fields["upstream_sql_sha256"])
        for entry in rig.entries()
        if entry.kind == "intent"
    }
    for line in rig.lines():
        if line.sql is not None and line.session is not None:
            digest = hashlib.sha256(line.sql.encode()).hexdigest()
            assert (line.request_id, digest) in intents or direct(rig, line.session), line.sql


def direct(rig: Rig, session: int) -> bool:
    """Whether a session at the stand-in was opened by the test itself, past the gateway."""
    return session in rig.direct_sessions
