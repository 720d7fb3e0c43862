"""Logins: who gets in, with which tokens, and what is written down."""

from __future__ import annotations

from typing import Any

import pytest

from .connector import DriverError
from .rig import LOGIN_REQUEST, Rig
from .wire import Wire

UPSTREAM_SECRET = b"STANDIN-SECRET"


def test_both_drivers_log_in_and_the_ledger_says_who(rig: Rig, version: str) -> None:
    since = rig.mark()

    with rig.driver("analyst", version) as session:
        result = session.run("SELECT CURRENT_ROLE()")

    assert result.rows == [["ANALYST"]]
    login = since.entry("login")
    assert login.fields["principal"] == "analyst"
    assert login.fields["verdict"] == "allow"
    assert login.fields["role"] == "ANALYST"
    assert login.fields["groups"] == ["analysts"]
    assert version in str(login.fields["client"])
    ended = since.entry("session_end", session=login.fields["session"])
    assert ended.fields["why"] == "logout"


def test_the_gateway_gives_tokens_of_its_own(rig: Rig) -> None:
    wire = rig.wire()
    reply = wire.log_in(rig.token("analyst"))

    assert reply.ok
    assert UPSTREAM_SECRET not in reply.body
    assert not any(UPSTREAM_SECRET in name + value for name, value in reply.headers)
    assert wire.token != wire.master
    for name in ("idToken", "mfaToken", "remMeToken"):
        assert not reply.data.get(name)


def test_a_gateway_token_is_worth_nothing_upstream(rig: Rig, analyst: Wire) -> None:
    with rig.upstream("ANALYST") as direct:
        direct.token = analyst.token

        reply = direct.submit("SELECT 1")

    assert not reply.ok
    assert str(reply.code).startswith("3901")


def test_an_upstream_token_is_worth_nothing_here(rig: Rig) -> None:
    since = rig.mark()
    with rig.upstream("ANALYST") as direct:
        stolen = direct.token
    wire = rig.wire()
    wire.token = stolen

    reply = wire.submit("SELECT 1")

    assert reply.code == "390104"
    assert "SELECT 1" not in since.statements()


def test_a_session_token_cannot_renew_and_a_master_token_cannot_query(analyst: Wire) -> None:
    token, master = analyst.token, analyst.master
    analyst.token = master
    assert analyst.submit("SELECT 1").code == "390104"

    analyst.token, analyst.master = token, token
    assert not analyst.renew().ok


def test_a_renewed_session_goes_on_with_a_new_token(analyst: Wire) -> None:
    old = analyst.token

    assert analyst.renew().ok

    assert analyst.token != old
    assert analyst.query("SELECT 1").ok


def test_after_logout_the_token_is_gone(rig: Rig, analyst: Wire) -> None:
    assert analyst.log_out().ok
    since = rig.mark()

    reply = analyst.submit("SELECT 1")

    assert reply.code == "390111"
    assert since.statements() == []
    assert not analyst.renew().ok


@pytest.mark.parametrize(
    ("authenticator", "field"),
    [("OAUTH", "TOKEN"), ("PROGRAMMATIC_ACCESS_TOKEN", "TOKEN"), (None, "PASSWORD")],
)
def test_a_token_may_come_in_any_of_the_places_drivers_put_it(
    rig: Rig, authenticator: str | None, field: str
) -> None:
    wire = rig.wire()

    proof: dict[str, Any] = {field: rig.token("analyst")}
    reply = wire.log_in("", authenticator=authenticator, **proof)

    assert reply.ok
    assert wire.query("SELECT 1").ok


@pytest.mark.parametrize("authenticator", ["SNOWFLAKE_JWT", "EXTERNALBROWSER", "ID_TOKEN"])
def test_other_ways_to_log_in_are_refused_with_the_one_that_works(
    rig: Rig, authenticator: str
) -> None:
    since = rig.mark()

    reply = rig.wire().log_in(rig.token("analyst"), authenticator=authenticator)

    assert not reply.ok
    assert "authenticator=oauth" in reply.message
    assert since.entry("login").fields["verdict"] == "deny"
    assert since.upstream() == []


def test_a_password_is_refused_and_written_nowhere(rig: Rig) -> None:
    since = rig.mark()

    reply = rig.wire().log_in("", authenticator=None, PASSWORD="correct-horse-battery")

    assert not reply.ok
    assert since.entry("login").fields["verdict"] == "deny"
    for file in rig.layout.path().rglob("*"):
        assert not file.is_file() or b"correct-horse-battery" not in file.read_bytes(), file


def test_a_role_outside_the_mapping_is_refused(rig: Rig, version: str) -> None:
    since = rig.mark()

    with pytest.raises(DriverError) as caught:
        rig.driver("analyst", version, role="SYSADMIN")

    assert "SYSADMIN" in caught.value.msg
    assert "granted: ANALYST" in caught.value.msg
    login = since.entry("login")
    assert (login.fields["verdict"], login.fields["principal"]) == ("deny", "analyst")
    assert since.upstream() == []


def test_another_account_is_refused(rig: Rig) -> None:
    since = rig.mark()

    reply = rig.wire().log_in(rig.token("analyst"), ACCOUNT_NAME="SOMEBODY")

    assert not reply.ok
    assert "CRMDEMO" in reply.message
    assert LOGIN_REQUEST not in [line.path for line in since.upstream()]
