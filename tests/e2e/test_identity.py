"""Tokens that must not log anybody in; each is an entry, and none reaches upstream."""

from __future__ import annotations

import re

import pytest

from snowgate.testing.tokens import Flaw

from .connector import DriverError
from .rig import Rig
from .wire import Reply

SIX_DIGITS = re.compile(r"\d{6}")


def refused(rig: Rig, token: str) -> tuple[Reply, dict[str, object]]:
    """Try a token; the reply, and the fields of the entry it left."""
    since = rig.mark()
    reply = rig.wire().log_in(token)
    assert reply.status == 200
    assert not reply.ok
    assert SIX_DIGITS.fullmatch(str(reply.code))
    assert since.upstream() == []
    login = dict(since.entry("login").fields)
    assert login["verdict"] == "deny"
    assert login["code"] == reply.code
    assert str(login["reference"]) in reply.message
    return reply, login


@pytest.mark.parametrize("flaw", [*Flaw], ids=lambda flaw: flaw.value)
def test_a_flawed_token_is_refused(rig: Rig, flaw: Flaw) -> None:
    token = rig.token("analyst", flaw)

    reply, login = refused(rig, token)

    assert login["reason"]
    assert token.encode() not in reply.body
    # A name in a token that nobody signed is no name.
    assert login["principal"] in (None, "") or flaw is Flaw.EXPIRED


def test_an_expired_token_says_so(rig: Rig) -> None:
    reply, login = refused(rig, rig.token("analyst", Flaw.EXPIRED))

    assert reply.code == "390318"
    assert "expired" in reply.message
    assert login["reason"] == "expired"


def test_a_stranger_is_told_which_group_is_missing(rig: Rig) -> None:
    reply, login = refused(rig, rig.token("stranger"))

    assert "group" in reply.message
    assert login["principal"] == "stranger"
    assert login["reason"] == "no_group"


def test_a_group_that_no_role_is_mapped_to_is_refused_and_named(rig: Rig) -> None:
    issuer = rig.issuer()
    token = issuer.mint({"sub": "odd", "groups": ["gardeners"]})

    reply, login = refused(rig, token)

    assert "gardeners" in reply.message
    assert login["principal"] == "odd"


def test_machines_cannot_give_themselves_the_groups_of_people(rig: Rig) -> None:
    token = rig.issuer().mint({"sub": "etl", "groups": ["data-platform", "security"]})

    reply, login = refused(rig, token)

    assert "may_give" in reply.message
    assert "data-platform" in reply.message
    assert login["reason"] == "no_group"


def test_a_group_the_issuer_may_not_give_is_dropped_and_recorded(rig: Rig) -> None:
    since = rig.mark()
    token = rig.issuer().mint({"sub": "mixed", "groups": ["analysts", "data-platform"]})

    assert rig.wire().log_in(token).ok

    login = since.entry("login")
    assert login.fields["groups"] == ["analysts"]
    assert login.fields["dropped_groups"] == ["data-platform"]


def test_people_do_not_get_a_session_for_data(rig: Rig) -> None:
    reply, login = refused(rig, rig.token("approver"))

    assert login["principal"] == "approver"
    assert "role" in reply.message


def test_what_is_no_token_at_all_is_refused(rig: Rig) -> None:
    for nonsense in ("x", "a.b.c", "e30.e30.", "\u0000", "a" * 100_000):
        refused(rig, nonsense)


@pytest.mark.parametrize("flaw", [Flaw.EXPIRED, Flaw.AUDIENCE, Flaw.HS_CONFUSED])
def test_drivers_raise_the_refusal_at_once(rig: Rig, version: str, flaw: Flaw) -> None:
    since = rig.mark()
    options = rig.driver_options(rig.token("analyst", flaw))

    with pytest.raises(DriverError) as caught:
        rig.connector(version).connect(options)

    # A driver that retries would leave more than one entry.
    login = since.entry("login")
    assert str(login.fields["reference"]) in caught.value.msg
    assert caught.value.errno
