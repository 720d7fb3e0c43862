"""Vetted routines in force: read back with the catalog, and before each CALL (F18)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio
from trio.testing import MockClock

from snowgate.control.catalogs import CatalogKeeper
from snowgate.control.current import Current
from snowgate.control.judging import Judge
from snowgate.control.labels import Labels
from snowgate.control.last import LastCatalog
from snowgate.control.overlays import Overlays
from snowgate.control.quarantine import Quarantine
from snowgate.control.references import TagReferences
from snowgate.model.routine import (
    Overload,
    RoutineEffect,
    RoutineKind,
    Vetted,
    parse_signature,
)
from snowgate.model.statement import StatementClass
from snowgate.policy.rules import Allow, Match, Rule, compile_policy
from snowgate.sql.routine_reader import digest_of

from .doubles import (
    ALLOW_ALL,
    HASHER,
    MASK_PII,
    PII,
    InProcess,
    Labelled,
    Ledger,
    Snowflake,
    Underway,
    catalog,
    catalog_settings,
    name,
    table,
)

MAX_AGE_S = 60.0
VETTED, EVIL = "CREATE PROCEDURE … the vetted text", "CREATE PROCEDURE … another secret text"
P, F = name("P"), name("F")
P_TEXT = """'PROCEDURE', '"CRM"."PUBLIC"."P"()'"""
F_TEXT = """'FUNCTION', '"CRM"."PUBLIC"."F"(VARCHAR)'"""
FUNCTION, PROCEDURE = RoutineKind.FUNCTION, RoutineKind.PROCEDURE
CALLS = Rule("calls", Match(classes=frozenset({StatementClass.CALL})), Allow())
HOLDS = catalog(T=table("ID"), CUSTOMERS=table("ID", "EMAIL")).replacing(
    {},
    routines={P: (Overload(PROCEDURE, (), "NUMBER"),), F: (Overload(FUNCTION, ("VARCHAR",)),)},
)
CALL = "CALL p()"


def vetted(kind: RoutineKind, signature: str, effect: RoutineEffect, *writes: str) -> Vetted:
    reads = (name("T"),) if effect is RoutineEffect.WRITES else ()
    written = tuple(map(name, writes))
    return Vetted(kind, parse_signature(signature), effect, reads, written, digest_of(VETTED))


REGISTRY = (
    vetted(PROCEDURE, "CRM.PUBLIC.P()", RoutineEffect.WRITES, "T"),
    vetted(FUNCTION, "CRM.PUBLIC.F(VARCHAR)", RoutineEffect.PURE),
)


@dataclass
class Desk:
    now: Current
    snowflake: Snowflake
    quarantine: Quarantine
    ledger: Ledger
    keeper: CatalogKeeper
    judge: Judge
    session: dict[str, Any]

    async def ask(
        self, sql: str = CALL, *, run: bool = True, reference: str = "r-1"
    ) -> dict[str, Any]:
        question = {
            "reference": reference,
            "epoch": self.now.epoch,
            "session": self.session,
            "database": "CRM",
            "schema": "PUBLIC",
            "sql": sql,
            "binds": [],
            "describe_only": False,
            "over": [],
            "run": run,
        }
        return dict(await self.judge.judge(question))

    async def over(self, reference: str = "r-1") -> None:
        await self.keeper.changed(
            {"reference": reference, "class": "call", "objects": [], "succeeded": True}
            | {"settled": True}
        )

    @property
    def alerts(self) -> list[str]:
        return [
            str(fields["detail"])
            for kind, fields in self.ledger.entries
            if kind == "alert" and fields["alert"] == "registry-mismatch"
        ]


@asynccontextmanager
async def keeping(session: dict[str, Any], *, confirms: bool = True) -> AsyncGenerator[Desk]:
    snowflake = Snowflake(HOLDS)
    snowflake.texts |= {P_TEXT: VETTED, F_TEXT: VETTED}
    now = Current(compile_policy(PII, (ALLOW_ALL, MASK_PII, CALLS), (), REGISTRY))
    quarantine, ledger, labels = Quarantine(Underway()), Ledger(), Labels(Labelled())
    overlays = Overlays()
    settings = catalog_settings(MAX_AGE_S)
    keeper = CatalogKeeper(
        now,
        snowflake,
        settings,
        labels,
        quarantine,
        overlays,
        TagReferences(Labelled()),
        LastCatalog(Labelled()),
        ledger,
    )
    confirm = keeper.confirm if confirms else None
    judge = Judge(now, InProcess(now), labels, quarantine, overlays, HASHER, confirm)
    async with trio.open_nursery() as nursery:
        await nursery.start(keeper.run)
        yield Desk(now, snowflake, quarantine, ledger, keeper, judge, session)
        nursery.cancel_scope.cancel()


async def test_a_vetted_procedure_is_called_and_asked_for_each_time(
    session: dict[str, Any],
) -> None:
    async with keeping(session) as desk:
        answer = await desk.ask()

        assert answer["decision"] == "allow"
        assert answer["class"] == "call"
        assert answer["objects"] == ["CRM.PUBLIC.P", "CRM.PUBLIC.T"]
        assert answer["barrier"]
        assert answer["changes_catalog"]
        assert not answer["read_only"]
        assert not answer["cacheable"]
        assert not answer["void_all"]


async def test_what_it_writes_to_waits_until_it_is_over(session: dict[str, Any]) -> None:
    async with keeping(session) as desk:
        await desk.ask()

        assert desk.quarantine.blocks("r-2", {name("T")})
        assert not desk.quarantine.blocks("r-2", {name("CUSTOMERS")})
        await desk.over()
        assert not desk.quarantine.blocks("r-2", {name("T")})


async def test_a_procedure_replaced_since_the_last_reading_is_not_called(
    session: dict[str, Any],
) -> None:
    async with keeping(session) as desk:
        epoch = desk.now.epoch
        desk.snowflake.texts[P_TEXT] = EVIL
        answer = await desk.ask()

        assert answer["decision"] == "deny"
        assert answer["rules"] == ["registry-mismatch"]
        assert digest_of(EVIL)[:12] in answer["reason"]
        assert digest_of(VETTED)[:12] in answer["reason"]
        # Nobody else's verdict outlives what was found.
        assert desk.now.epoch > epoch
        assert not desk.quarantine.blocks("r-2", {name("T")})
        assert len(desk.alerts) == 1
        assert "secret" not in answer["reason"] + desk.alerts[0]

        desk.snowflake.texts[P_TEXT] = VETTED
        # What is denied already is not read back: the next reading of the catalog finds it.
        assert (await desk.ask())["decision"] == "deny"
        await desk.over("another")
        assert (await desk.ask())["decision"] == "allow"


async def test_an_overload_added_since_the_last_reading_closes_the_name(
    session: dict[str, Any],
) -> None:
    async with keeping(session) as desk:
        added = (Overload(PROCEDURE, (), "NUMBER"), Overload(PROCEDURE, ("NUMBER",), "NUMBER"))
        desk.snowflake.holds = HOLDS.replacing({}, routines={P: added})

        assert (await desk.ask())["rules"] == ["unregistered-procedure"]


async def test_a_procedure_that_is_gone_is_not_called(session: dict[str, Any]) -> None:
    async with keeping(session) as desk:
        desk.snowflake.holds = HOLDS.replacing({}, routines={P: None})

        assert (await desk.ask())["rules"] == ["unregistered-procedure"]


async def test_a_procedure_that_cannot_be_read_back_is_not_called(session: dict[str, Any]) -> None:
    async with keeping(session) as desk:
        desk.snowflake.broken = True
        answer = await desk.ask()

        assert (answer["decision"], answer["rules"]) == ("deny", ["registry-unread"])
        assert not answer["cacheable"]
        assert not desk.quarantine.blocks("r-2", {name("T")})


async def test_without_reading_back_nothing_is_called(session: dict[str, Any]) -> None:
    async with keeping(session, confirms=False) as desk:
        assert (await desk.ask())["rules"] == ["registry-unread"]


async def test_a_result_that_is_there_is_judged_without_reading_back(
    session: dict[str, Any],
) -> None:
    async with keeping(session) as desk:
        desk.snowflake.broken = True

        assert (await desk.ask(run=False))["decision"] == "allow"


async def test_a_function_is_what_the_last_reading_found(
    session: dict[str, Any], autojump_clock: MockClock
) -> None:
    select = "SELECT f(email) AS e FROM customers"
    async with keeping(session) as desk:
        answer = await desk.ask(select)
        assert answer["decision"] == "allow"
        assert [one["mask"] for one in answer["plan"]] == ["void"]
        assert "CRM.PUBLIC.F" in answer["objects"]

        desk.snowflake.texts[F_TEXT] = EVIL
        await trio.sleep(MAX_AGE_S)
        assert (await desk.ask(select))["rules"] == ["registry-mismatch"]
        await trio.sleep(3 * MAX_AGE_S)
        assert len(desk.alerts) == 1

        desk.snowflake.texts[F_TEXT] = VETTED
        await trio.sleep(MAX_AGE_S)
        assert (await desk.ask(select))["decision"] == "allow"
        desk.snowflake.texts[F_TEXT] = EVIL
        await trio.sleep(MAX_AGE_S)
        assert len(desk.alerts) == 2


async def test_a_function_in_quarantine_waits(
    session: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with keeping(session) as desk:
        desk.quarantine.put("r-9", frozenset({F}))

        assert (await desk.ask("SELECT f('x') AS e"))["rules"] == ["quarantine"]
