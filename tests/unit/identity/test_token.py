"""One token against one key, without a network: laws, and claims at their edges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowgate.errors import LoginRefused, TokenInvalid
from snowgate.identity.keys import parse_key_set
from snowgate.identity.settings import IssuerSettings
from snowgate.identity.token import Claims, read, screen, shown, verify
from snowgate.testing.tokens import Issuer, SigningKey

NOW_S = 1_700_000_000
ISSUER = Issuer("https://idp.example", "snowgate", [SigningKey.generate("ES256")])
SETTINGS = IssuerSettings(
    issuer=ISSUER.url,
    audience="snowgate",
    may_give=(),
    identity="/id",
    algorithms=("ES256",),
    other_audiences=("account",),
)
KEY = parse_key_set({"keys": [ISSUER.keys[0].jwk()]}).keys[0]
GOOD = ISSUER.mint({"sub": "s"}, now_s=NOW_S)


def check(token: str, now_s: float = NOW_S, trusted: IssuerSettings = SETTINGS) -> Claims:
    unverified = read(token)
    screen(unverified, trusted)
    return verify(unverified, trusted, KEY, now_s)


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="latin-1"))
@settings(max_examples=300, deadline=None)
def test_a_token_changed_anywhere_is_refused(place: int, character: str) -> None:
    changed = GOOD[:place] + character + GOOD[place + 1 :]
    if changed == GOOD:
        return

    with pytest.raises(LoginRefused):
        check(changed)


@given(st.text())
@settings(deadline=None)
def test_no_text_does_more_than_be_refused(text: str) -> None:
    for token in (text, f"{text}.{text}.{text}", GOOD + text[:3] + "~"):
        with pytest.raises(LoginRefused):
            check(token)


@pytest.mark.parametrize("audience", ["snowgate", ["snowgate"], ["account", "snowgate"]])
def test_our_audience_and_tolerated_ones_pass(audience: object) -> None:
    assert check(ISSUER.mint({"sub": "s", "aud": audience}, now_s=NOW_S))["sub"] == "s"


@pytest.mark.parametrize(
    "audience",
    [
        "account",
        ["account"],
        [],
        None,
        "Snowgate",
        "snowgate ",
        ["snowgate", "snowgate"],
        ["snowgate", None],
        ["snowgate", {"a": 1}],
        [["snowgate"]],
        {"snowgate": 1},
    ],
)
def test_any_other_audience_is_refused(audience: object) -> None:
    with pytest.raises(TokenInvalid) as refused:
        check(ISSUER.mint({"sub": "s", "aud": audience}, now_s=NOW_S))

    assert refused.value.reason == "audience"


@pytest.mark.parametrize("subject", [None, "", 7, ["s"]])
def test_a_subject_is_required_wherever_the_identity_is(subject: object) -> None:
    with pytest.raises(TokenInvalid, match="no subject"):
        check(ISSUER.mint({"sub": subject, "id": "i"}, now_s=NOW_S))


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("date", [True, "1700000000", 1e400, None, [], float("nan")])
def test_a_date_is_a_finite_number(name: str, date: Any) -> None:
    with pytest.raises(TokenInvalid):
        check(ISSUER.mint({"sub": "s", name: date}, now_s=NOW_S))


def test_a_token_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(TokenInvalid, match="lives longer"):
        check(ISSUER.mint({"sub": "s"}, now_s=NOW_S, lifetime_s=-10))


def test_an_access_token_can_be_told_from_others_by_type() -> None:
    strict = replace(SETTINGS, types=("at+jwt",))

    assert check(GOOD, trusted=strict)
    with pytest.raises(TokenInvalid, match="not of type jwt"):
        check(GOOD, trusted=replace(SETTINGS, types=("jwt",)))


def test_shown_text_is_one_short_printable_line() -> None:
    assert shown("a\n\x1b[31m`\u202e" + "x" * 500).startswith("a��[31m��xxx")
    assert len(shown("x" * 500)) == 121
