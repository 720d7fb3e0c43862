"""What may be done with a statement, and what happens before it is forwarded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from snowgate.control.approved import Approved
from snowgate.control.current import Current
from snowgate.control.judging import QUARANTINE_WAIT_S, START_WAIT_S, Judge
from snowgate.control.labels import Labels
from snowgate.control.overlays import Overlays
from snowgate.control.quarantine import Quarantine
from snowgate.control.refusals import TOO_MANY, TOO_SLOW
from snowgate.errors import StoreError
from snowgate.policy.rules import Rule
from snowgate.sql.catalog import Catalog

from .doubles import (
    ALLOW_ALL,
    HASHER,
    HERE,
    HOLD_DDL,
    LAUNDERING,
    MASK_PII,
    InProcess,
    Labelled,
    Refusing,
    Underway,
    catalog,
    current,
    name,
    table,
)

CRM = catalog(
    {"V": "select id, email from customers", "W": "select * from v", "PLAIN": "select id from t"},
    CUSTOMERS=table("ID", "EMAIL", pii=["EMAIL"]),
    T=table("ID", "NOTE"),
    COPY=table("ID", "EMAIL"),
)


@dataclass
class Court:
    """A judge and everything it changes."""

    now: Current
    quarantine: Quarantine
    store: Labelled
    analyst: InProcess
    judge: Judge
    session: dict[str, Any]
    overlays: Overlays = field(default_factory=Overlays)
    epochs: list[int] = field(default_factory=list)

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    async def ask(
        self, sql: str, reference: str = "r-1", *, run: bool = True, over: Sequence[str] = ()
    ) -> dict[str, Any]:
        """What the gate is told, once: it asks again when the epoch is not that of its question."""
        return dict(
            await self.judge.judge(
                {
                    "reference": reference,
                    "epoch": self.now.epoch,
                    "session": self.session,
                    "database": "CRM",
                    "schema": "PUBLIC",
                    "sql": sql,
                    "binds": [],
                    "describe_only": False,
                    "run": run,
                    "over": list(over),
                }
            )
        )

    async def settled(self, sql: str, reference: str = "r-1") -> dict[str, Any]:
        """As the gate does: asked again until the answer is of the epoch of its question."""
        for _ in range(4):
            epoch = self.now.epoch
            answer = await self.ask(sql, reference)
            if answer["epoch"] == epoch == self.now.epoch:
                return answer
        raise AssertionError("the epoch keeps changing")


def court(
    session: dict[str, Any],
    *rules: Rule,
    known: Catalog | None = CRM,
    underway: Underway | None = None,
) -> Court:
    now = current(known, *(rules or (ALLOW_ALL, MASK_PII)))
    quarantine, store, analyst = Quarantine(underway or Underway()), Labelled(), InProcess(now)
    overlays = Overlays()
    judge = Judge(now, analyst, Labels(store), quarantine, overlays, HASHER)
    made = Court(now, quarantine, store, analyst, judge, session, overlays)
    now.attach(made)
    return made


async def test_a_verdict_says_what_a_statement_touches_and_how_it_is_masked(
    session: dict[str, Any],
) -> None:
    answer = await court(session).ask("select id, email from customers")

    assert answer["decision"] == "allow"
    assert answer["class"] == "select"
    assert answer["objects"] == ["CRM.PUBLIC.CUSTOMERS"]
    assert answer["tags"] == ["pii"]
    assert [(one["name"], one["mask"]) for one in answer["plan"]] == [
        ("ID", "pass"),
        ("EMAIL", "redact"),
    ]
    assert answer["cacheable"]
    assert not answer["changes_catalog"]


async def test_turns_go_by_identity_and_not_by_display_name(session: dict[str, Any]) -> None:
    one = court(session)
    await one.ask("select 1")
    session["principal"]["name"] = "somebody else"
    await one.ask("select 1")
    session["principal"]["subject"] = "another"
    await one.ask("select 1")

    first, second, third = (principal for principal, _ in one.analyst.asked)
    assert first == second != third


async def test_a_reader_changes_no_epoch(session: dict[str, Any]) -> None:
    one = court(session)
    before = one.now.now

    await one.ask("select * from w")

    assert one.now.now is before


@pytest.mark.parametrize("refusal", [TOO_MANY, TOO_SLOW])
async def test_what_the_workers_refuse_is_denied_with_their_rule(
    session: dict[str, Any], refusal: Any
) -> None:
    one = court(session)
    judge = Judge(
        one.now, Refusing(one.now, refusal), Labels(one.store), one.quarantine, Overlays(), HASHER
    )
    one.judge = judge

    answer = await one.ask("select 1")

    assert (answer["decision"], answer["rules"]) == ("deny", [refusal.rule])
    assert answer["reason"] == refusal.reason
    # A text that is refused for good may be refused from the gate's cache; a crowd is soon gone.
    assert answer["cacheable"] == (refusal is TOO_SLOW)


async def test_without_a_catalog_everything_is_denied(session: dict[str, Any]) -> None:
    answer = await court(session, known=None).ask("select 1")

    assert answer["rules"] == ["catalog-unavailable"]
    assert not answer["cacheable"]


async def test_a_client_that_comes_before_the_catalog_waits_for_it(
    session: dict[str, Any], autojump_clock: MockClock
) -> None:
    one = court(session, known=None)
    one.now.tried = trio.Event()
    answers: list[dict[str, Any]] = []

    async def ask() -> None:
        answers.append(await one.ask("select id from t"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        one.now.replace_catalog(CRM)
        one.now.tried.set()
    assert answers[0]["decision"] == "allow"

    late = court(session, known=None)
    late.now.tried = trio.Event()
    began_s = trio.current_time()
    assert (await late.ask("select 1"))["decision"] == "deny"
    assert trio.current_time() - began_s == pytest.approx(START_WAIT_S)


# --- before a statement is forwarded


async def test_ddl_that_is_allowed_quarantines_its_objects_and_raises_the_epoch(
    session: dict[str, Any],
) -> None:
    one = court(session)
    epoch = one.now.epoch

    answer = await one.ask("alter table customers rename to clients")

    assert answer["decision"] == "allow"
    assert answer["changes_catalog"]
    assert answer["epoch"] == one.now.epoch == epoch + 1
    assert one.epochs[-1] == epoch + 1
    for touched in ("CUSTOMERS", "CLIENTS", "V", "W"):
        assert one.quarantine.blocks("r-2", {name(touched)}), touched
    assert not one.quarantine.blocks("r-2", {name("PLAIN")})


DDL_TEXTS = [
    "create or replace view v as select id, id as email from t",
    "alter table customers swap with t",
    "alter table t rename to u",
    "alter table t add column x number",
    "create or replace table t as select * from customers",
    "drop table t",
    "create or replace schema public clone public",
    "drop database crm",
]


@pytest.mark.parametrize("sql", DDL_TEXTS)
async def test_the_gate_gets_a_verdict_of_its_own_epoch_when_it_asks_again(
    session: dict[str, Any], sql: str
) -> None:
    answer = await court(session).settled(sql)

    assert answer["decision"] == "allow"


async def test_a_verdict_that_quarantines_is_asked_for_each_time(session: dict[str, Any]) -> None:
    assert not (await court(session).settled("alter table t add column x number"))["cacheable"]


async def test_a_verdict_that_moves_tags_is_cached_only_once_they_are_moved(
    session: dict[str, Any],
) -> None:
    one = court(session, *LAUNDERING)
    sql = "insert into copy select id, email from customers"

    first = await one.ask(sql)
    again = await one.ask(sql)

    assert first["decision"] == "allow"
    assert first["epoch"] == again["epoch"] == one.now.epoch
    assert again["cacheable"]
    assert one.store.rows.keys() == {("CRM", "PUBLIC", "COPY")}


async def test_nothing_is_moved_for_a_template(session: dict[str, Any]) -> None:
    one = court(session, *LAUNDERING)
    epoch = one.now.epoch

    answer = await one.judge.judge(
        {
            "reference": "r-1",
            "epoch": epoch,
            "session": session,
            "database": "CRM",
            "schema": "PUBLIC",
            "sql": "INSERT INTO COPY SELECT ID , EMAIL FROM CUSTOMERS WHERE ID = ?",
            "binds": ["literal-number"],
            "template": True,
            "describe_only": False,
            "run": True,
            "over": [],
        }
    )

    assert answer["decision"] == "allow"
    assert not answer["cacheable"], "its instances are asked for one by one"
    assert not one.store.rows
    assert one.now.epoch == epoch


async def test_tags_that_cannot_be_kept_let_nothing_run(session: dict[str, Any]) -> None:
    one = court(session, *LAUNDERING)
    one.store.broken = True

    with pytest.raises(StoreError):
        await one.ask("insert into copy select id, email from customers")


async def test_a_quarantine_that_would_not_outlive_a_crash_lets_nothing_run(
    session: dict[str, Any],
) -> None:
    one = court(session, underway=Underway(broken=True))

    with pytest.raises(StoreError):
        await one.ask("drop table t")
    assert not one.quarantine.names


async def test_a_ddl_is_written_down_before_it_may_run(session: dict[str, Any]) -> None:
    underway = Underway()
    one = court(session, underway=underway)

    assert (await one.settled("alter table t add column more int", "r-7"))["decision"] == "allow"

    assert ["CRM", "PUBLIC", "T"] in underway.rows["r-7"]


async def test_a_denied_ddl_quarantines_nothing(session: dict[str, Any]) -> None:
    one = court(session, MASK_PII)

    assert (await one.ask("drop table t"))["decision"] == "deny"

    assert not one.quarantine.names


async def test_a_ddl_that_is_held_quarantines_nothing_before_its_approval(
    session: dict[str, Any],
) -> None:
    one = court(session, HOLD_DDL)
    epoch = one.now.epoch

    answer = await one.ask("drop table t")

    assert answer["decision"] == "hold"
    assert answer["hold"]["approvers"] == ["data-platform"]
    assert not one.quarantine.names
    assert one.now.epoch == epoch


async def test_an_approved_ddl_is_released_in_the_epoch_of_its_quarantine(
    session: dict[str, Any],
) -> None:
    one = court(session, HOLD_DDL)
    judged = await one.judge.now(session, HERE, "drop table t", "r-1")

    released = await one.judge.release_approved(judged, "r-1", Approved())

    assert released.fields()["epoch"] == one.now.epoch
    assert one.quarantine.blocks("r-2", {name("T")})


async def test_an_approved_ddl_that_is_overtaken_is_released_again(
    session: dict[str, Any],
) -> None:
    """The gate judges it again: it is still a hold, and must not run without its quarantine."""
    one = court(session, HOLD_DDL)
    judged = await one.judge.now(session, HERE, "drop table t", "r-1")
    one.now.replace_catalog(CRM.replacing({}))
    await one.judge.release_approved(judged, "r-1", Approved())
    assert not one.quarantine.names

    answer = await one.settled("drop table t", "r-1")

    assert answer["decision"] == "hold"
    assert one.quarantine.blocks("r-2", {name("T")})


async def test_the_reply_of_what_ran_moves_tags_and_quarantines_nothing(
    session: dict[str, Any],
) -> None:
    """Its source was swapped while it ran, so its target has tags that nobody foresaw (F16)."""
    one = court(session, *LAUNDERING)
    await one.ask("create table y as select * from customers", run=False)

    assert one.store.rows.keys() == {("CRM", "PUBLIC", "Y")}
    assert not one.quarantine.names


# --- races (F8): between the release of a DDL and the reading of the catalog after it

RACES = [
    ("alter table customers swap with t", "select email from customers"),
    ("alter table customers swap with t", "select * from t"),
    ("alter table customers rename to u", "select * from u"),
    ("alter table customers rename to u", "select id from v"),
    ("create or replace view plain as select email as id from customers", "select id from plain"),
    ("create or replace view v as select id, id as email from t", "select email from w"),
    ("drop schema public", "select id from t"),
    ("drop database crm", "select id from t"),
    ("alter table t add column email text", "insert into copy select * from t"),
    ("alter table t rename to u", "create table y as select * from t"),
]


@pytest.mark.parametrize(("ddl", "beside"), RACES)
async def test_what_touches_a_changing_object_is_denied(
    session: dict[str, Any], autojump_clock: MockClock, ddl: str, beside: str
) -> None:
    one = court(session, *LAUNDERING)
    assert (await one.settled(ddl, "r-ddl"))["decision"] == "allow"
    began_s = trio.current_time()

    answer = await one.ask(beside, "r-reader")

    assert (answer["decision"], answer["rules"]) == ("deny", ["quarantine"])
    assert not answer["cacheable"]
    assert trio.current_time() - began_s == pytest.approx(QUARANTINE_WAIT_S)


async def test_what_touches_a_changing_object_goes_on_as_soon_as_the_catalog_is_read(
    session: dict[str, Any], autojump_clock: MockClock
) -> None:
    one = court(session)
    await one.settled("create or replace view plain as select email as id from customers", "r-ddl")
    answers: list[dict[str, Any]] = []

    async def read() -> None:
        answers.append(await one.ask("select id from plain", "r-reader"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        assert answers == []
        one.now.replace_catalog(
            CRM.replacing({}, {name("PLAIN"): "select email as id from customers"})
        )
        one.quarantine.ended("r-ddl", settled=True)
        one.quarantine.read(one.quarantine.mark())

    # It is judged by the view as it is now.
    assert answers[0]["decision"] == "allow"
    assert [column["mask"] for column in answers[0]["plan"]] == ["redact"]


async def test_a_reader_that_was_judged_before_the_ddl_has_an_older_epoch(
    session: dict[str, Any],
) -> None:
    """The gate uses no verdict of another epoch: at the head of its reply it asks again (F8)."""
    one = court(session)
    reader = await one.ask("select id from plain", "r-reader")

    ddl = await one.settled("create or replace view plain as select email as id from customers")

    assert reader["epoch"] < ddl["epoch"]


async def test_the_rows_of_a_reader_overtaken_by_a_ddl_are_withheld(
    session: dict[str, Any], autojump_clock: MockClock
) -> None:
    one = court(session)
    await one.settled("create or replace view plain as select email as id from customers", "r-ddl")

    answer = await one.ask("select id from plain", "r-reader", run=False)

    assert answer["rules"] == ["quarantine"]


async def test_the_reply_of_a_ddl_beside_another_is_shown(session: dict[str, Any]) -> None:
    """It has run, and its reply holds no row of data."""
    one = court(session)
    await one.settled("alter table t add column x number", "r-1")

    answer = await one.ask("create table y as select id from t", "r-3", run=False)

    assert answer["decision"] == "allow"


async def test_other_objects_are_read_as_before(session: dict[str, Any]) -> None:
    one = court(session)
    await one.settled("alter table customers rename to u", "r-ddl")

    assert (await one.ask("select id from plain", "r-2"))["decision"] == "allow"
