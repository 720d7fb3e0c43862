"""Held statements: judged again before they are released, and released once (F13, F14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from trio.testing import MockClock

from snowgate.approval.outcome import ended
from snowgate.control.current import Current
from snowgate.control.holding import Holding
from snowgate.control.judging import Judge
from snowgate.control.labels import Labels
from snowgate.control.overlays import Overlays
from snowgate.control.quarantine import Quarantine
from snowgate.control.refusals import TOO_MANY
from snowgate.errors import ApprovalError, HoldRefused, SnowgateError
from snowgate.model.approval import ApprovalState
from snowgate.policy.rules import Deny, Match, Rule

from .doubles import (
    DDL,
    HASHER,
    HOLD_DDL,
    Desk,
    InProcess,
    Labelled,
    Refusing,
    Underway,
    catalog,
    current,
    held_question,
    name,
    table,
)

SQL = "drop table t"
NO_DDL = Rule("frozen", Match(classes=DDL), Deny("nothing changes now", "wait"))


@dataclass
class Room:
    desk: Desk
    now: Current
    quarantine: Quarantine
    judge: Judge
    holding: Holding
    session: dict[str, Any]

    async def hold(self) -> dict[str, Any]:
        verdict = {
            "rules": ["ddl"],
            "hold": {"approvers": ["data-platform"], "quorum": 1, "expires_s": 3600},
        }
        return await self.holding.hold(
            {
                **self.question(),
                "sql": SQL,
                "binds": None,
                "parameters": None,
                "verdict": verdict,
            }
        )

    async def consume(self) -> dict[str, Any]:
        return await self.holding.consume(self.question() | {"approval": "a-1"})

    def question(self) -> dict[str, Any]:
        return held_question(self.session, self.now)


@pytest.fixture
def room(session: dict[str, Any]) -> Room:
    now = current(catalog(T=table("A")), HOLD_DDL)
    desk, quarantine = Desk(), Quarantine(Underway())
    judge = Judge(now, InProcess(now), Labels(Labelled()), quarantine, Overlays(), HASHER)
    return Room(desk, now, quarantine, judge, Holding(desk, judge), session)


@pytest.fixture
async def approved(room: Room) -> Room:
    await room.hold()
    room.desk.turn(ApprovalState.APPROVED)
    return room


async def test_a_statement_is_held_as_it_is_on_the_terms_of_its_verdict(room: Room) -> None:
    answer = await room.hold()

    assert answer == {"approval": {"id": "a-1", "expires_at_s": 3600.0, "state": "pending"}}
    (held,) = room.desk.requested
    assert (held.sql, held.binds, held.parameters) == (SQL, "", "")
    assert (held.approvers, held.quorum, held.expires_s) == (("data-platform",), 1, 3600.0)
    assert held.rules == ("ddl",)
    assert (held.statement_digest, held.context_digest) == ("statement", "context")


@pytest.mark.parametrize(
    ("refusal", "rule"),
    [
        (HoldRefused("hold-limit", "has too many", "wait"), "hold-limit"),
        (ApprovalError("is of another statement"), "hold"),
    ],
)
async def test_what_may_not_even_wait_is_denied(
    room: Room, refusal: SnowgateError, rule: str
) -> None:
    room.desk.refusal = refusal

    assert (await room.hold())["deny"]["rule"] == rule


async def test_a_waiter_is_seen_and_waits_until_people_have_decided(room: Room) -> None:
    await room.hold()

    assert await room.consume() == {"wait": True}
    assert room.desk.told == [("seen", "q-1")]


async def test_an_approved_statement_goes_with_the_verdict_of_now_and_its_quarantine(
    approved: Room,
) -> None:
    answer = await approved.consume()

    assert answer["go"]["decision"] == "hold"
    assert answer["go"]["epoch"] == approved.now.epoch
    assert ("consume", "q-1", "statement", "context") in approved.desk.told
    assert approved.quarantine.blocks("r-2", {name("T")})


async def test_what_policy_denies_by_now_is_abandoned_and_not_consumed(
    approved: Room, session: dict[str, Any]
) -> None:
    now = current(catalog(T=table("A")), NO_DDL)
    judge = Judge(now, InProcess(now), Labels(Labelled()), approved.quarantine, Overlays(), HASHER)
    holding = Holding(approved.desk, judge)

    answer = await holding.consume(approved.question() | {"approval": "a-1"})

    assert answer["end"]["state"] == "abandoned"
    assert "nothing changes now; reference r-1" in answer["end"]["message"]
    assert ("abandon", "q-1") in approved.desk.told
    assert not any(told[0] == "consume" for told in approved.desk.told)


async def test_a_denial_that_passes_costs_nobody_an_approval(approved: Room) -> None:
    """A flood, a catalog that is being read: the approved statement keeps waiting."""
    judge = Judge(
        approved.now,
        Refusing(approved.now, TOO_MANY),
        Labels(Labelled()),
        approved.quarantine,
        Overlays(),
        HASHER,
    )
    holding = Holding(approved.desk, judge)

    assert await holding.consume(approved.question() | {"approval": "a-1"}) == {"wait": True}
    approved.now.replace_catalog(None)
    assert await approved.consume() == {"wait": True}
    assert approved.desk.told == [("seen", "q-1")] * 2


async def test_an_approved_statement_waits_for_what_another_changes(
    approved: Room, autojump_clock: MockClock
) -> None:
    approved.quarantine.put("r-other", frozenset({name("T")}))

    assert await approved.consume() == {"wait": True}
    assert not any(told[0] == "consume" for told in approved.desk.told)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (ApprovalState.DENIED, "003001"),
        (ApprovalState.EXPIRED, "000604"),
        (ApprovalState.CONSUMED, "000604"),
        (ApprovalState.CANCELLED, "000604"),
    ],
)
async def test_an_approval_that_has_ended_says_how(
    approved: Room, state: ApprovalState, code: str
) -> None:
    approved.desk.turn(state)

    answer = await approved.consume()

    assert approved.desk.approval is not None
    assert answer["end"] == {
        "state": state.value,
        "code": code,
        "sqlstate": "42501" if code == "003001" else "57014",
        "message": ended(approved.desk.approval).message,
    }


async def test_nothing_is_released_under_a_query_id_nobody_knows(room: Room) -> None:
    assert (await room.consume())["end"]["state"] == "abandoned"


async def test_a_restarted_gate_gets_a_held_statement_back(room: Room) -> None:
    await room.hold()

    answer = (await room.holding.held(room.question()))["held"]

    assert (answer["approval"], answer["sql"]) == ("a-1", SQL)
    assert answer["verdict"]["decision"] == "hold"
    assert answer["verdict"]["barrier"]
    assert not room.quarantine.names


@pytest.mark.parametrize("other", [{"id": "s-2"}, {"principal": {"subject": "somebody-else"}}])
async def test_a_held_statement_is_for_its_own_session_and_identity(
    room: Room, other: dict[str, Any]
) -> None:
    await room.hold()
    principal = {**room.session["principal"], **other.get("principal", {})}
    asked = {**room.session, **other, "principal": principal}

    assert await room.holding.held(room.question() | {"session": asked}) == {"none": True}


async def test_a_requester_that_is_gone_ends_its_approval(room: Room) -> None:
    await room.holding.cancel({"query_id": "q-1", "why": "logout"})

    assert room.desk.told == [("cancel", "q-1", "logout")]
