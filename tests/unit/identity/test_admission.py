"""One login, one role: mapped, granted, or refused with a name (F10)."""

from __future__ import annotations

import pytest

from snowgate.errors import NotAuthorized
from snowgate.identity import RoleMapping, admit
from snowgate.model.identity import Identified, LoginOffer, Principal

ROLES = (
    RoleMapping("analysts", "ANALYST", "WH1"),
    RoleMapping("etl-writers", "ETL", "WH2"),
    RoleMapping("seniors", "ANALYST", "WH3"),
)


def identified(*groups: str, dropped: tuple[str, ...] = ()) -> Identified:
    principal = Principal("CRMDEMO", "https://idp", "s", "the job")
    return Identified(principal, groups, dropped, 0, 0, "")


def offer(role: str = "", account: str = "CRMDEMO") -> LoginOffer:
    return LoginOffer(account, "OAUTH", "secret", role=role)


def test_the_only_role_is_given() -> None:
    admission = admit(identified("etl-writers", "unmapped"), offer(), ROLES)

    assert (admission.role, admission.warehouse) == ("ETL", "WH2")


def test_of_two_ways_to_one_role_the_first_in_the_file_counts() -> None:
    assert admit(identified("seniors", "analysts"), offer(), ROLES).warehouse == "WH1"


@pytest.mark.parametrize(("asked", "role"), [("etl", "ETL"), ("ANALYST", "ANALYST")])
def test_of_several_roles_the_client_picks_one(asked: str, role: str) -> None:
    assert admit(identified("analysts", "etl-writers"), offer(asked), ROLES).role == role


def test_several_roles_and_no_wish_are_refused_with_the_choice() -> None:
    with pytest.raises(NotAuthorized, match="name one of: ANALYST, ETL"):
        admit(identified("analysts", "etl-writers"), offer(), ROLES)


@pytest.mark.parametrize("asked", ["ACCOUNTADMIN", '"etl"', "ETL ", '"'])
def test_a_role_that_is_not_granted_is_refused_by_name(asked: str) -> None:
    with pytest.raises(NotAuthorized, match="is not granted; granted: ETL") as refused:
        admit(identified("etl-writers"), offer(asked), ROLES)

    assert refused.value.principal == "the job"
    assert refused.value.code == "390189"


def test_a_quoted_role_is_taken_as_written() -> None:
    roles = (RoleMapping("g", 'My "Role"'),)

    assert admit(identified("g"), offer('"My ""Role"""'), roles).role == 'My "Role"'


def test_nothing_granted_names_what_is_missing() -> None:
    with pytest.raises(NotAuthorized, match="token gives no group"):
        admit(identified(), offer(), ROLES)
    with pytest.raises(NotAuthorized, match="may not give group `admins`"):
        admit(identified(dropped=("admins",)), offer(), ROLES)
    with pytest.raises(NotAuthorized, match="no role is mapped to group `others`"):
        admit(identified("others"), offer(), ROLES)


def test_another_account_is_refused() -> None:
    with pytest.raises(NotAuthorized, match="account `OTHER` is not served"):
        admit(identified("analysts"), offer(account="OTHER"), ROLES)

    admit(identified("analysts"), offer(account="crmdemo"), ROLES)
    admit(identified("analysts"), offer(account="gw"), ROLES, aliases=["GW"])
