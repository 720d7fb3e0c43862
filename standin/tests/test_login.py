"""Who gets in, with which role, and what happens to tokens."""

from __future__ import annotations

import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from harness import Standin, key_pair, running, signed
from snowflake.connector.errors import Error, ProgrammingError


def _login(standin: Standin, data: dict[str, Any], query: str = "") -> dict[str, Any]:
    return standin.post(f"/session/v1/login-request{query}", {"data": data})


def test_a_signed_token_logs_in_without_a_login_name(standin: Standin) -> None:
    reply = _login(standin, key_pair(signed(standin)))
    assert reply["success"] is True
    assert isinstance(reply["data"]["sessionId"], int)
    assert "STANDIN-SECRET" in reply["data"]["token"]
    assert "STANDIN-SECRET" in reply["data"]["masterToken"]
    assert "standin" in reply["data"]["serverVersion"]


def test_times_in_milliseconds_are_taken_as_from_the_node_driver(standin: Standin) -> None:
    now = int(time.time() * 1000)
    token = signed(standin, iat=now, exp=now + 120_000)
    assert _login(standin, key_pair(token))["success"] is True
    token = signed(standin, iat=now - 900_000, exp=now - 600_000)
    assert _login(standin, key_pair(token))["code"] == "390144"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "CRMDEMO.SVC_SNOWGATE.SHA256:AAAA"},
        {"sub": "CRMDEMO.OTHER"},
        {"exp": int(time.time()) - 600},
        {"exp": int(time.time()) + 7200},
        {"iat": int(time.time()) - 9000, "exp": int(time.time()) + 10},
    ],
)
def test_a_token_with_wrong_claims_is_refused(standin: Standin, changes: dict[str, Any]) -> None:
    reply = _login(standin, key_pair(signed(standin, **changes)))
    assert (reply["success"], reply["code"]) == (False, "390144")


def test_a_token_of_another_key_is_refused(standin: Standin) -> None:
    key = rsa.generate_private_key(65537, 2048)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(Error) as caught:
        standin.connect(private_key=der)
    assert caught.value.errno in (250001, 390144)


@pytest.mark.parametrize(
    "data",
    [
        {"LOGIN_NAME": "SVC_SNOWGATE", "PASSWORD": "x"},
        {"AUTHENTICATOR": "OAUTH", "TOKEN": "x"},
        {"AUTHENTICATOR": "PROGRAMMATIC_ACCESS_TOKEN", "TOKEN": "x"},
    ],
)
def test_other_ways_in_are_refused(standin: Standin, data: dict[str, Any]) -> None:
    assert _login(standin, data)["code"] == "390100"


def test_a_role_that_is_not_granted_fails_the_login(standin: Standin) -> None:
    reply = _login(standin, key_pair(signed(standin)), "?roleName=ACCOUNTADMIN")
    assert reply["code"] == "390189"


def test_each_user_has_its_own_key_and_roles(standin: Standin) -> None:
    with standin.connect_catalog() as connection:
        cursor = connection.cursor()
        who = "SELECT CURRENT_USER(), CURRENT_ROLE(), CURRENT_SECONDARY_ROLES()"
        assert cursor.execute(who).fetchone() == (
            *("SVC_SNOWGATE_CATALOG", "SNOWGATE"),
            '{"roles":"","value":"ALL"}',
        )
        with pytest.raises(ProgrammingError) as caught:
            cursor.execute("USE ROLE ETL")
        assert caught.value.errno == 3013
    for options in (
        {"role": "SNOWGATE"},
        {"private_key": standin.catalog_key},
        {"user": "SVC_SNOWGATE_CATALOG", "role": "SNOWGATE"},
    ):
        with pytest.raises(Error):
            standin.connect(**options)
    with pytest.raises(Error):
        standin.connect_catalog(role="ETL")


def test_a_token_request_renews_and_the_new_token_works(standin: Standin) -> None:
    first = _login(standin, key_pair(signed(standin)))["data"]
    body = {"oldSessionToken": first["token"], "requestType": "RENEW"}
    renewed = standin.post("/session/token-request", body, first["masterToken"])["data"]
    assert renewed["sessionId"] == first["sessionId"]
    assert standin.post("/session/heartbeat", {}, renewed["sessionToken"])["success"] is True
    refused = standin.post("/session/token-request", body, "nonsense")
    assert refused["code"] == "390113"


def test_an_expired_token_is_renewed_by_the_driver(standin: Standin) -> None:
    with standin.connect() as connection:
        cursor = connection.cursor()
        session = int(cursor.execute("SELECT CURRENT_SESSION()").fetchone()[0])
        assert standin.fault(kind="expire", session=session)["count"] == 1
        assert cursor.execute("SELECT 1").fetchone() == (1,)


def test_a_session_that_was_ended_is_gone(standin: Standin) -> None:
    connection = standin.connect()
    session = int(connection.cursor().execute("SELECT CURRENT_SESSION()").fetchone()[0])
    standin.fault(kind="end", session=session)
    with pytest.raises(Error) as caught:
        connection.cursor().execute("SELECT 1")
    assert caught.value.errno == 390111


def test_an_unknown_token_is_invalid(standin: Standin) -> None:
    reply = standin.post("/queries/v1/query-request", {"sqlText": "SELECT 1"}, "nonsense")
    assert (reply["success"], reply["code"]) == (False, "390104")


def test_a_logged_out_session_answers_that_it_is_gone(standin: Standin) -> None:
    token = _login(standin, key_pair(signed(standin)))["data"]["token"]
    assert standin.post("/session?delete=true", {}, token)["success"] is True
    assert standin.post("/session/heartbeat", {}, token)["code"] == "390111"


def test_tokens_expire_by_themselves(tmp_path: Any) -> None:
    with running(tmp_path, "--token-s", "1", "--big-rows", "10") as standin:
        token = _login(standin, key_pair(signed(standin)))["data"]["token"]
        time.sleep(1.1)
        assert standin.post("/session/heartbeat", {}, token)["code"] == "390112"
