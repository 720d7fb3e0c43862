"""An approval that unmasks: never clearer than what was approved, nor than the policy of now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from snowgate.control.approved import Approved
from snowgate.control.current import Current
from snowgate.control.holding import Holding
from snowgate.control.judging import MAX_APPROVED, Judge
from snowgate.control.labels import Labels
from snowgate.control.overlays import Overlays
from snowgate.control.quarantine import Quarantine
from snowgate.model.approval import ApprovalState
from snowgate.model.statement import StatementClass
from snowgate.model.verdict import MaskKind
from snowgate.policy.rules import Allow, HoldFor, Mask, Match, Rule
from snowgate.sql.catalog import Catalog, CatalogColumn, Table

from .doubles import (
    HASHER,
    HERE,
    MASK_PII,
    Desk,
    InProcess,
    Labelled,
    Underway,
    catalog,
    current,
    held_question,
    name,
    policy,
    table,
)

READ = frozenset({StatementClass.SELECT})
MASK_CARDS = Rule("mask-cards", Match(tags=frozenset({"cards"})), Mask(MaskKind.REDACT))


def glass(
    *unmask: str,
    approvers: tuple[str, ...] = ("security",),
    quorum: int = 1,
    expires_s: float = 600.0,
) -> Rule:
    terms = HoldFor(frozenset(approvers), quorum, expires_s, frozenset(unmask))
    return Rule("break-glass", Match(classes=READ, tags=frozenset({"pii"})), terms)


def columns(*more: CatalogColumn) -> Table:
    return Table(
        (
            CatalogColumn("ID", "NUMBER"),
            CatalogColumn("EMAIL", "TEXT", frozenset({"pii"})),
            CatalogColumn("PHONE", "TEXT", frozenset({"pii"})),
            CatalogColumn("CARD", "TEXT", frozenset({"cards"})),
            *more,
        )
    )


def known(contact: str = "select id, email as contact from customers") -> Catalog:
    return catalog(
        {"V": contact, "OUTER_V": "select * from v", "OTHER_V": "select id from orders"},
        CUSTOMERS=columns(),
        ORDERS=table("ID", "NOTE"),
    )


@dataclass
class Room:
    """The control room with one held statement at a time."""

    desk: Desk
    now: Current
    judge: Judge
    holding: Holding
    session: dict[str, Any]
    sql: str = "select id, email from customers"

    def question(self, **more: Any) -> dict[str, Any]:
        return held_question(self.session, self.now) | {"approval": "a-1", **more}

    async def asked(self, reference: str = "r-1", *, run: bool = True, **more: Any) -> Any:
        """The verdict as the gate asks for it."""
        return await self.judge.judge(
            self.question(
                sql=self.sql,
                binds=[],
                over=[],
                run=run,
                reference=reference,
                **more,
            )
        )

    async def hold(self, sql: str = "") -> dict[str, Any]:
        """Hold a statement as the gate does, and approve it."""
        self.sql = sql or self.sql
        verdict = await self.asked()
        assert verdict["decision"] == "hold", verdict["reason"]
        await self.holding.hold(
            self.question(sql=self.sql, binds=None, parameters=None, verdict=verdict)
        )
        self.desk.turn(ApprovalState.APPROVED)
        return dict(verdict)

    async def consume(self) -> dict[str, Any]:
        return await self.holding.consume(self.question())

    async def released(self) -> dict[str, Any]:
        answer = await self.consume()
        return dict(answer["go"])

    def put(self, *rules: Rule) -> None:
        """Another policy in force."""
        now = self.now.now
        self.now.now = replace(now, policy=policy(*rules), epoch=now.epoch + 1)


@pytest.fixture
def room(session: dict[str, Any]) -> Room:
    now = current(known(), MASK_PII, MASK_CARDS, glass("pii"))
    desk = Desk()
    judge = Judge(
        now, InProcess(now), Labels(Labelled()), Quarantine(Underway()), Overlays(), HASHER
    )
    return Room(desk, now, judge, Holding(desk, judge), session)


def masks(verdict: dict[str, Any]) -> list[object]:
    return [column["mask"] for column in verdict["plan"]]


async def test_what_people_approved_is_shown_and_they_were_told(room: Room) -> None:
    waiting = await room.hold()

    assert (masks(waiting), waiting["cacheable"]) == (["pass", "redact"], False)
    assert waiting["hold"]["unmask"] == ["pii"]
    (held,) = room.desk.requested
    assert held.unmask == ("pii",)
    assert len(held.definitions) == 64

    released = await room.released()

    assert masks(released) == ["pass", "pass"]
    assert released["hold"]["unmask"] == ["pii"]


async def test_a_statement_that_was_judged_again_for_another_epoch_stays_as_approved(
    room: Room,
) -> None:
    await room.hold()
    await room.released()
    assert room.now.catalog is not None
    room.now.replace_catalog(replace(room.now.catalog))

    for run in (True, False):
        again = await room.asked(run=run)
        assert masks(again) == ["pass", "pass"]
        assert not again["cacheable"]


# -- the policy changed meanwhile --------------------------------------------------------------


async def test_a_policy_that_unmasks_no_more_masks(room: Room) -> None:
    await room.hold()
    room.put(MASK_PII, glass())

    released = await room.released()

    assert masks(released) == ["pass", "redact"]
    assert released["hold"]["unmask"] == []


async def test_a_policy_that_unmasks_more_shows_what_was_approved(room: Room) -> None:
    await room.hold("select email, card from customers")
    room.put(MASK_PII, MASK_CARDS, glass("pii", "cards"))

    released = await room.released()

    assert masks(released) == ["pass", "redact"]
    assert released["hold"]["unmask"] == ["pii"]


async def test_an_approval_from_before_a_policy_unmasks_shows_nothing(room: Room) -> None:
    room.put(MASK_PII, glass())
    await room.hold()
    room.put(MASK_PII, glass("pii"))

    assert masks(await room.released()) == ["pass", "redact"]


async def test_a_policy_that_unmasks_less_in_the_moment_of_the_release_masks(room: Room) -> None:
    await room.hold()
    assert masks(await room.released()) == ["pass", "pass"]
    room.put(MASK_PII, glass())

    assert masks(await room.asked()) == ["pass", "redact"]
    assert masks(await room.asked(run=False)) == ["pass", "redact"]


async def test_a_statement_that_rests_on_what_is_unmasked_no_more_is_abandoned(room: Room) -> None:
    await room.hold("select id from customers where email like 'a%'")
    room.put(MASK_PII, glass())

    answer = await room.consume()

    assert answer["end"]["state"] == "abandoned"
    assert "pii_pattern_predicate" in answer["end"]["message"]
    assert ("abandon", "q-1") in room.desk.told


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        (glass("pii", quorum=2), "redact"),
        (glass("pii", approvers=("privacy",)), "redact"),
        (glass("pii", expires_s=60.0), "redact"),
        (glass("pii", approvers=("privacy", "security"), expires_s=6000.0), "pass"),
    ],
)
async def test_a_policy_that_asks_for_more_people_by_now_masks(
    room: Room, rule: Rule, shown: str
) -> None:
    await room.hold()
    room.put(MASK_PII, rule)

    assert masks(await room.released()) == ["pass", shown]
    for run in (True, False):
        assert masks(await room.asked(run=run)) == ["pass", shown]


async def test_a_policy_that_allows_by_now_masks(room: Room) -> None:
    await room.hold()
    room.put(MASK_PII, Rule("reads", Match(classes=READ), Allow()))

    released = await room.released()

    assert (released["decision"], masks(released)) == ("allow", ["pass", "redact"])


async def test_another_tag_on_the_column_hides_it_again(room: Room) -> None:
    await room.hold()
    both = replace(columns().columns[1], tags=frozenset({"pii", "cards"}))
    table_now = Table((columns().columns[0], both, *columns().columns[2:]))
    assert room.now.catalog is not None
    room.now.replace_catalog(room.now.catalog.replacing({name("CUSTOMERS"): table_now}))

    assert masks(await room.released()) == ["pass", "redact"]


# -- the objects changed meanwhile -------------------------------------------------------------


@pytest.mark.parametrize("view", ["v", "outer_v"])
async def test_a_view_that_was_redefined_meanwhile_shows_nothing(room: Room, view: str) -> None:
    """The same text, tags and column names: only the definition tells that it is another query."""
    await room.hold(f"select contact from {view}")
    room.now.replace_catalog(known("select id, phone as contact from customers"))

    assert masks(await room.released()) == ["redact"]


async def test_a_view_that_was_redefined_in_the_moment_of_the_release_shows_nothing(
    room: Room,
) -> None:
    await room.hold("select contact from v")
    assert masks(await room.released()) == ["pass"]
    room.now.replace_catalog(known("select id, phone as contact from customers"))

    assert masks(await room.asked()) == ["redact"]
    assert masks(await room.asked(run=False)) == ["redact"]


async def test_a_predicate_over_a_redefined_view_is_no_more_approved(room: Room) -> None:
    await room.hold("select id from v where contact like 'a%'")
    room.now.replace_catalog(known("select id, phone as contact from customers"))

    assert (await room.consume())["end"]["state"] == "abandoned"


async def test_what_changes_elsewhere_costs_nobody_an_approval(room: Room) -> None:
    await room.hold("select contact from outer_v")
    before = known()
    room.now.replace_catalog(
        before.replacing({name("ORDERS"): table("ID")}, {name("OTHER_V"): "select 1 as id"})
    )

    assert masks(await room.released()) == ["pass"]


# -- who else asks ------------------------------------------------------------------------------


async def test_another_statement_of_the_same_text_is_held_and_masked(room: Room) -> None:
    await room.hold()
    await room.released()

    other = await room.asked("r-2")

    assert (other["decision"], masks(other)) == ("hold", ["pass", "redact"])


async def test_a_reply_that_nobody_approved_is_masked_though_a_rule_would_unmask(
    room: Room,
) -> None:
    """It was allowed, and the policy changed while it ran: nobody was asked to show it."""
    assert masks(await room.asked("r-3", run=False)) == ["pass", "redact"]
    room.sql = "select id from customers where email like 'a%'"
    filtered = await room.asked("r-3", run=False)
    assert (filtered["decision"], filtered["cacheable"]) == ("deny", False)


async def test_a_template_is_approved_by_nobody(room: Room) -> None:
    await room.hold()
    await room.released()

    assert masks(await room.asked(template=True)) == ["pass", "redact"]


async def test_a_restarted_gate_is_told_nothing_clear_before_the_release(room: Room) -> None:
    await room.hold()
    judge = Judge(
        room.now,
        InProcess(room.now),
        Labels(Labelled()),
        Quarantine(Underway()),
        Overlays(),
        HASHER,
    )
    restarted = replace(room, judge=judge, holding=Holding(room.desk, judge))

    back = (await restarted.holding.held(room.question()))["held"]
    assert masks(back["verdict"]) == ["pass", "redact"]
    assert masks(await restarted.asked()) == ["pass", "redact"]

    assert masks(await restarted.released()) == ["pass", "pass"]


async def test_what_was_released_long_ago_is_forgotten_and_masked(room: Room) -> None:
    await room.hold()
    await room.released()
    judged = await room.judge.look(room.session, HERE, room.sql)
    for at in range(MAX_APPROVED):
        await room.judge.release_approved(judged, f"other-{at}", Approved())

    assert masks(await room.asked()) == ["pass", "redact"]
    assert masks(await room.asked(run=False)) == ["pass", "redact"]


async def test_terms_without_unmask_hold_as_before(room: Room) -> None:
    room.put(MASK_PII, glass())
    waiting = await room.hold()
    assert waiting["hold"]["definitions"] == ""

    assert masks(await room.released()) == ["pass", "redact"]
    assert room.desk.requested[0].unmask == ()
