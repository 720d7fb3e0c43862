"""Who may log in, and who may renew."""

from typing import Any

import pytest

from snowgate.control.logins import Logins
from snowgate.errors import TokenExpired
from snowgate.identity.settings import IssuerSettings, RoleMapping
from snowgate.model.identity import Identified, Principal

ISSUER = IssuerSettings("https://idp.example.com/machines", "snowgate", may_give=("etl-writers",))
ROLES = [RoleMapping("etl-writers", "ETL", "ETL_WH")]
QUESTION = {
    "reference": "r-1",
    "account": "crmdemo",
    "authenticator": "OAUTH",
    "token": "not-a-token",
    "login_name": "",
    "client_app": "PythonConnector",
    "client_version": "4.8.1",
    "source": "127.0.0.1:4711",
    "role": "",
    "warehouse": "",
    "database": "",
    "schema": "",
}


class Verifier:
    """Knows one identity, or refuses everybody."""

    def __init__(self, groups: tuple[str, ...] | None) -> None:
        self._groups = groups

    async def identify(self, token: str, account: str) -> Identified:
        if self._groups is None:
            raise TokenExpired("expired", "the token expired")
        principal = Principal(account, ISSUER.issuer, "etl", "etl")
        return Identified(principal, self._groups, ("admins",), 2e9, 3600.0, "ab" * 32)


def logins(groups: tuple[str, ...] | None, now_s: float = 1_000.0) -> Logins:
    return Logins(Verifier(groups), "CRMDEMO", ROLES, [ISSUER], clock=lambda: now_s)


async def test_a_mapped_group_is_admitted_with_its_one_role() -> None:
    answer = await logins(("etl-writers",)).login(QUESTION)

    admitted = answer["admit"]
    assert (admitted["role"], admitted["warehouse"]) == ("ETL", "ETL_WH")
    assert admitted["principal"]["subject"] == "etl"
    assert admitted["dropped_groups"] == ["admins"]
    assert "not-a-token" not in str(answer)


async def test_identities_with_other_groups_never_share_a_policy_input() -> None:
    first = await logins(("etl-writers",)).login(QUESTION)
    second = await logins(("etl-writers", "analysts")).login(QUESTION)
    again = await logins(("etl-writers",)).login(QUESTION)

    assert first["admit"]["input"] != second["admit"]["input"]
    assert first["admit"]["input"] == again["admit"]["input"]


async def test_a_refusal_carries_code_reason_and_the_name_where_the_token_was_good() -> None:
    assert (await logins(None).login(QUESTION))["refuse"]["code"] == "390318"

    refused = (await logins(("analysts",)).login(QUESTION))["refuse"]

    assert refused["code"] == "390189"
    assert refused["principal"] == "etl"
    assert "analysts" in refused["message"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"groups": ["analysts"]}, "groups"),
        ({"role": "ADMIN"}, "groups"),
        ({"opened_at_s": -1e9}, "time"),
    ],
)
async def test_a_session_ends_when_it_would_not_be_opened_any_more(
    session: dict[str, Any], change: dict[str, Any], why: str
) -> None:
    question = {**session, "opened_at_s": 900.0, "reference": "r-2"}
    assert await logins(()).renew(question) == {"ok": True}

    answer = await logins(()).renew(question | change)

    assert answer["refuse"]["code"] == "390111"
    assert why in answer["refuse"]["message"]


async def test_a_session_of_an_issuer_no_longer_trusted_ends(session: dict[str, Any]) -> None:
    session["principal"]["issuer"] = "https://gone.example.com"

    answer = await logins(()).renew({**session, "opened_at_s": 900.0})

    assert "trusted" in answer["refuse"]["message"]
