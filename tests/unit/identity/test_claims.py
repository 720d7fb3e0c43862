"""Claims to principal and groups: only what the issuer may give, and never by accident (F6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowgate.errors import NotAuthorized, TokenInvalid
from snowgate.identity.claims import identified, lookup, missing
from snowgate.identity.settings import Claim, ClaimRule, IssuerSettings
from snowgate.model.identity import Identified

SETTINGS = IssuerSettings(
    issuer="https://idp.example",
    audience="snowgate",
    may_give=("etl-writers", "équipe"),
    groups_from="/groups",
    triggered_by=("/actor", "/act/sub"),
)
GITHUB = replace(
    SETTINGS,
    identity="/repository_id",
    groups_from="",
    groups=(
        ClaimRule(
            (Claim("/repository_id", "1"), Claim("/environment", "production")), ("etl-writers",)
        ),
    ),
)


def who(settings: IssuerSettings = SETTINGS, **claims: Any) -> Identified:
    return identified({"sub": "s", "exp": 1000, **claims}, settings, "CRM", 900)


def test_groups_outside_may_give_are_dropped_and_reported() -> None:
    found = who(groups=["etl-writers", "data-platform", "ETL-WRITERS"])

    assert found.groups == ("etl-writers",)
    assert found.dropped_groups == ("ETL-WRITERS", "data-platform")


def test_a_group_name_has_one_spelling() -> None:
    assert who(groups=["e\u0301quipe"]).groups == ("équipe",)


def test_one_group_may_stand_alone() -> None:
    assert who(groups="etl-writers").groups == ("etl-writers",)


@pytest.mark.parametrize("groups", [{"a": 1}, [1], 7, ["etl-writers", None], True])
def test_groups_of_a_wrong_type_refuse_the_token(groups: object) -> None:
    with pytest.raises(TokenInvalid, match="not a list of group names"):
        who(groups=groups)


def test_too_many_groups_refuse_the_token() -> None:
    with pytest.raises(TokenInvalid, match="more than 500"):
        who(groups=["g"] * 501)


def test_dropped_groups_cannot_fill_a_ledger_entry() -> None:
    found = who(groups=[f"{number}-" + "\x00" * 5000 for number in range(500)])

    assert len(found.dropped_groups) == 33
    assert found.dropped_groups[-1] == "… and 468 more"
    assert sum(map(len, found.dropped_groups)) < 4096


@pytest.mark.parametrize("mark", [{"hasgroups": True}, {"_claim_names": {"groups": "src1"}}])
def test_a_token_with_too_many_groups_to_list_is_not_one_without_groups(
    mark: dict[str, Any],
) -> None:
    with pytest.raises(NotAuthorized, match="too many groups"):
        who(**mark)


def test_all_claims_of_a_rule_must_match() -> None:
    good = {"repository_id": "1", "environment": "production"}

    assert who(GITHUB, **good).groups == ("etl-writers",)
    assert who(GITHUB, **good).principal.subject == "1"
    for bad in ({"environment": "staging"}, {"environment": None}, {"repository_id": "2"}):
        assert who(GITHUB, **{**good, **bad}).groups == ()


@pytest.mark.parametrize("value", [1, True, ["1"], "1 ", "01", None])
def test_a_claim_matches_its_exact_value_and_type_only(value: object) -> None:
    settings = replace(GITHUB, identity="/sub")

    assert who(settings, repository_id=value, environment="production").groups == ()


def test_a_number_does_not_match_a_truth_value() -> None:
    settings = replace(SETTINGS, groups=(ClaimRule((Claim("/protected", True),), ("équipe",)),))

    assert who(settings, protected=True).groups == ("équipe",)
    assert who(settings, protected=1).groups == ()


@pytest.mark.parametrize("identity", [None, "", [], {}, True, 1.5, "x" * 257, "a\nb", "a\u202eb"])
def test_an_identity_is_short_printable_text(identity: object) -> None:
    with pytest.raises(TokenInvalid, match="sub"):
        who(sub=identity)


def test_a_numeric_identity_is_its_digits() -> None:
    assert who(sub=42).principal.subject == "42"


def test_the_people_behind_a_token_are_kept() -> None:
    assert who(actor="alice", act={"sub": 7}).principal.triggered_by == ("alice", "7")
    assert who().principal.triggered_by == ()
    with pytest.raises(TokenInvalid, match="/actor"):
        who(actor=["alice"])


def test_a_display_name_is_one_short_line() -> None:
    settings = replace(SETTINGS, name="/name")

    assert who(settings, name="E\nT\u202eL`" + "x" * 500).principal.name.startswith("E�T�L�xxx")
    assert len(who(settings, name="x" * 500).principal.name) <= 128
    assert who(settings, name=7).principal.name == "s"


def test_only_people_are_persons() -> None:
    people = replace(SETTINGS, people=True, person="/email")

    assert who(people, email="a@b").principal.person == "a@b"
    assert who(replace(people, people=False), email="a@b").principal.person == ""
    with pytest.raises(TokenInvalid, match="person"):
        who(people)


def test_the_digest_is_of_all_claims_whatever_their_order() -> None:
    first = identified({"sub": "s", "exp": 1000, "a": 1}, SETTINGS, "CRM", 900)
    second = identified({"a": 1, "exp": 1000, "sub": "s"}, SETTINGS, "CRM", 900)

    assert first.claims_digest == second.claims_digest
    assert first.claims_digest != who(a=2).claims_digest


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(TokenInvalid, match="not Unicode"):
        who(other="\ud800")


# Source: RFC 6901 section 5.
DOCUMENT: Any = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "m~n": 8,
    " ": 7,
}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", DOCUMENT),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/m~0n", 8),
        ("/ ", 7),
    ],
)
def test_a_pointer_finds_what_the_standard_says(pointer: str, value: object) -> None:
    assert lookup(DOCUMENT, pointer) == value


@pytest.mark.parametrize("pointer", ["/foo/2", "/foo/-", "/foo/x", "/nope", "/foo/0/x", "/foo/²"])
def test_a_pointer_to_nothing_finds_nothing(pointer: str) -> None:
    assert missing(lookup(DOCUMENT, pointer))


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["groups", "actor", "act", "hasgroups"]), json_values))
def test_no_claims_give_more_than_the_issuer_may(claims: dict[str, Any]) -> None:
    try:
        found = who(**claims)
    except (TokenInvalid, NotAuthorized):
        return
    assert set(found.groups) <= set(SETTINGS.may_give)
