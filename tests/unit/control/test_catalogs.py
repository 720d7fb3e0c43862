"""The catalog in force: how it is read, how long it is good, what ends a quarantine (F8, F16)."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from snowgate.control.catalogs import (
    CHANGE_LIMIT_S,
    OBJECTS_AT_ONCE,
    RETRY_S,
    CatalogKeeper,
)
from snowgate.control.current import Current
from snowgate.control.labels import Labels
from snowgate.control.last import LastCatalog
from snowgate.control.overlays import Overlays
from snowgate.control.quarantine import UNSETTLED_S, Quarantine
from snowgate.control.references import TagReferences
from snowgate.model.statement import ObjectName
from snowgate.sql.catalog import Catalog

from .doubles import (
    Labelled,
    Ledger,
    Snowflake,
    Underway,
    catalog,
    catalog_settings,
    current,
    name,
    table,
    tags_of,
)

MAX_AGE_S = 60.0
T = frozenset({name("T")})


@dataclass
class Desk:
    now: Current
    snowflake: Snowflake
    quarantine: Quarantine
    store: Labelled
    ledger: Ledger
    keeper: CatalogKeeper

    def tags(self, place: str, column: str) -> frozenset[str]:
        return tags_of(self.now, place, column)

    async def until_read(self) -> None:
        """Whatever is asked of Snowflake and the store has been done."""
        reads = self.snowflake.reads
        await self.keeper.changed(outcome("nobody"))
        assert self.snowflake.reads > reads


@asynccontextmanager
async def keeping(
    holds: Catalog,
    *,
    kept: Labelled | None = None,
    labels: Labelled | None = None,
    underway: Underway | None = None,
) -> AsyncGenerator[Desk]:
    now, snowflake, quarantine = current(None), Snowflake(holds), Quarantine(underway or Underway())
    store, ledger = labels or Labelled(), Ledger()
    settings = catalog_settings(MAX_AGE_S)
    references = TagReferences(Labelled())
    last = LastCatalog(Labelled() if kept is None else kept)
    keeper = CatalogKeeper(
        now,
        snowflake,
        settings,
        Labels(store),
        quarantine,
        Overlays(),
        references,
        last,
        ledger,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(keeper.run)
        yield Desk(now, snowflake, quarantine, store, ledger, keeper)
        nursery.cancel_scope.cancel()


async def soon(condition: Callable[[], bool]) -> None:
    """Wait until something is so. The clock jumps while the store's thread is at work, which may
    therefore need many of its seconds."""
    for _ in range(1000):
        if condition():
            return
        await trio.to_thread.run_sync(time.sleep, 0.005)
        await trio.sleep(1)
    raise AssertionError("not within reach")


def outcome(reference: str, *, settled: bool = True) -> dict[str, Any]:
    return {
        "reference": reference,
        "class": "alter",
        "objects": [],
        "succeeded": settled,
        "settled": settled,
    }


PII_OF_CRM = table("ID", "EMAIL", pii=["EMAIL"])
CRM = catalog({"V": "select id from t"}, T=table("ID"), CUSTOMERS=table("ID", "EMAIL"))


async def test_a_catalog_is_read_with_the_tags_of_the_policy() -> None:
    async with keeping(CRM) as desk:
        assert desk.tags("CUSTOMERS", "EMAIL") == {"pii"}
        assert desk.tags("CUSTOMERS", "ID") == frozenset()
        assert desk.now.catalog is not None
        assert desk.now.catalog.views == CRM.views


async def test_an_equal_catalog_ends_no_verdict(autojump_clock: MockClock) -> None:
    async with keeping(CRM) as desk:
        before = desk.now.now
        await trio.sleep(10 * MAX_AGE_S)

        assert desk.snowflake.reads > 10
        assert desk.now.now is before


async def test_a_changed_catalog_raises_the_epoch_and_keeps_what_is_the_same(
    autojump_clock: MockClock,
) -> None:
    async with keeping(CRM) as desk:
        before = desk.now.now
        desk.snowflake.holds = CRM.replacing({name("T"): table("ID", "NEW")})
        await trio.sleep(MAX_AGE_S)

        assert desk.now.epoch == before.epoch + 1
        assert before.catalog is not None
        assert desk.now.catalog is not None
        customers = name("CUSTOMERS")
        assert desk.now.catalog.tables[customers] is before.catalog.tables[customers]


async def test_a_catalog_that_cannot_be_read_is_no_catalog_once_it_is_too_old(
    autojump_clock: MockClock,
) -> None:
    async with keeping(CRM) as desk:
        desk.snowflake.broken = True
        await trio.sleep(MAX_AGE_S - 1)
        assert desk.now.catalog is not None
        await trio.sleep(2)
        assert desk.now.catalog is None

        desk.snowflake.broken = False
        await trio.sleep(5)
        assert desk.now.catalog is not None


async def test_a_reading_that_hangs_does_not_keep_an_old_catalog_in_force(
    autojump_clock: MockClock,
) -> None:
    async with keeping(CRM) as desk:
        desk.snowflake.gate = trio.Event()
        await trio.sleep(MAX_AGE_S + 1)

        assert desk.now.catalog is None


@pytest.mark.parametrize("succeeded", [True, False])
async def test_after_a_ddl_its_client_goes_on_when_the_catalog_was_read(
    autojump_clock: MockClock, succeeded: bool
) -> None:
    async with keeping(CRM) as desk:
        desk.quarantine.put("r-1", T)
        desk.snowflake.holds = CRM.replacing({name("T"): table("ID", "NEW")})

        answer = await desk.keeper.changed(outcome("r-1") | {"succeeded": succeeded})

        assert answer == {"ok": True}
        assert desk.now.catalog is not None
        assert len(desk.now.catalog.tables[name("T")].columns) == 2
        assert not desk.quarantine.names


async def test_after_a_ddl_only_what_it_changed_is_read(mock_clock: MockClock) -> None:
    async with keeping(CRM) as desk:
        desk.quarantine.put("r-1", frozenset({name("T"), name("V"), name("NEW")}))
        # Somebody else changes another table meanwhile; the timer finds that.
        desk.snowflake.holds = CRM.replacing(
            {name("T"): None, name("NEW"): table("A"), name("CUSTOMERS"): table("EMAIL", "X")},
            {name("V"): "select a from new"},
        )

        await desk.keeper.changed(outcome("r-1"))

        now = desk.now.catalog
        assert now is not None
        assert desk.snowflake.whole_reads == 1
        assert now.tables == {name("NEW"): table("A"), name("CUSTOMERS"): PII_OF_CRM}
        assert now.views == {name("V"): "select a from new"}
        assert not desk.quarantine.names

        mock_clock.jump(MAX_AGE_S / 2 + 1)
        while desk.now.catalog is now:
            # The store's thread may still be at work on the last reading.
            await trio.to_thread.run_sync(time.sleep, 0.02)
            mock_clock.jump(RETRY_S / 4)
        assert desk.snowflake.whole_reads == 2
        assert desk.now.catalog is not None
        assert desk.now.catalog.tables[name("CUSTOMERS")] == table("EMAIL", "X", pii=["EMAIL"])


@pytest.mark.parametrize(
    "names",
    [
        {ObjectName("CRM", "PUBLIC", "")},
        {name("T"), ObjectName("CRM", "", "")},
        set[ObjectName](),
        {name(f"T{at}") for at in range(OBJECTS_AT_ONCE + 1)},
    ],
    ids=["a schema", "a database", "nothing in particular", "very much"],
)
async def test_after_a_ddl_on_more_than_some_objects_everything_is_read(
    autojump_clock: MockClock, names: set[ObjectName]
) -> None:
    async with keeping(CRM) as desk:
        desk.quarantine.put("r-1", frozenset(names))
        await desk.keeper.changed(outcome("r-1"))

        assert desk.snowflake.whole_reads == 2
        assert not desk.quarantine.names


async def test_a_ddl_after_the_catalog_grew_too_old_brings_no_old_one_back(
    autojump_clock: MockClock,
) -> None:
    async with keeping(CRM) as desk:
        desk.snowflake.broken = True
        await trio.sleep(MAX_AGE_S + 1)
        assert desk.now.catalog is None

        desk.snowflake.broken = False
        desk.snowflake.holds = CRM.replacing({name("CUSTOMERS"): table("EMAIL", "X")})
        desk.quarantine.put("r-1", T)
        await desk.keeper.changed(outcome("r-1"))

        assert desk.now.catalog is not None
        assert desk.now.catalog.tables[name("CUSTOMERS")] == table("EMAIL", "X", pii=["EMAIL"])


async def test_a_reading_that_began_before_an_unknown_change_is_not_put_in_force(
    mock_clock: MockClock,
) -> None:
    async with keeping(CRM) as desk, trio.open_nursery() as nursery:
        desk.snowflake.gate = gate = trio.Event()
        mock_clock.jump(MAX_AGE_S / 2 + 0.1)
        await wait_all_tasks_blocked()
        assert desk.snowflake.reads == 2
        nursery.start_soon(desk.keeper.changed, outcome("r-unknown"))
        await wait_all_tasks_blocked()
        mock_clock.jump(CHANGE_LIMIT_S)
        await wait_all_tasks_blocked()
        assert desk.now.catalog is None

        desk.snowflake.gate = second = trio.Event()
        gate.set()
        await wait_all_tasks_blocked()
        assert desk.now.catalog is None

        mock_clock.jump(RETRY_S)
        await wait_all_tasks_blocked()
        assert desk.snowflake.reads == 3
        second.set()
        await wait_all_tasks_blocked()
        assert desk.now.catalog is not None


async def test_a_ddl_that_failed_leaves_nothing_of_what_it_was_to_do(
    autojump_clock: MockClock,
) -> None:
    async with keeping(CRM) as desk:
        present = desk.now.catalog
        assert present is not None
        desk.quarantine.put("r-1", frozenset({name("V")}))
        desk.now.replace_catalog(present.replacing({}, {name("V"): "select email from customers"}))

        await desk.keeper.changed(outcome("r-1") | {"succeeded": False})

        assert desk.now.catalog is not None
        assert desk.now.catalog.views[name("V")] == "select id from t"


async def test_a_reading_under_way_at_the_outcome_does_not_count(autojump_clock: MockClock) -> None:
    """It may have seen the old definition: the client waits for the next one."""
    async with keeping(CRM) as desk:
        desk.quarantine.put("r-1", T)
        desk.snowflake.gate = gate = trio.Event()
        done = trio.Event()

        async def change() -> None:
            await desk.keeper.changed(outcome("r-1"))
            done.set()

        async with trio.open_nursery() as nursery:
            await trio.sleep(MAX_AGE_S / 2 + 0.1)
            assert desk.snowflake.reads == 2
            nursery.start_soon(change)
            await wait_all_tasks_blocked()
            desk.snowflake.gate = second = trio.Event()
            gate.set()
            await wait_all_tasks_blocked()
            assert desk.snowflake.reads == 3
            assert desk.quarantine.names == T
            assert not done.is_set()
            second.set()

        assert not desk.quarantine.names


async def test_one_reading_serves_many_changes(autojump_clock: MockClock) -> None:
    async with keeping(CRM) as desk:
        async with trio.open_nursery() as nursery:
            for at in range(20):
                desk.quarantine.put(f"r-{at}", T)
                nursery.start_soon(desk.keeper.changed, outcome(f"r-{at}"))

        assert desk.snowflake.reads <= 3
        assert not desk.quarantine.names


async def test_a_catalog_that_cannot_be_read_after_a_ddl_leaves_its_objects_in_quarantine(
    autojump_clock: MockClock,
) -> None:
    async with keeping(CRM) as desk:
        desk.quarantine.put("r-1", T)
        desk.snowflake.broken = True
        began_s = trio.current_time()

        await desk.keeper.changed(outcome("r-1"))

        assert trio.current_time() - began_s == pytest.approx(CHANGE_LIMIT_S)
        assert desk.quarantine.names == T
        # Everything else goes on, and T as soon as it can be read.
        assert desk.now.catalog is not None
        desk.snowflake.broken = False
        await trio.sleep(3)
        assert not desk.quarantine.names


async def test_a_change_nobody_knows_of_is_read_or_nothing_is_known(
    autojump_clock: MockClock,
) -> None:
    async with keeping(CRM) as desk:
        await desk.keeper.changed(outcome("r-unknown"))
        assert desk.now.catalog is not None

        desk.snowflake.broken = True
        await desk.keeper.changed(outcome("r-unknown"))
        assert desk.now.catalog is None


async def test_a_ddl_with_an_unknown_outcome_is_waited_for(autojump_clock: MockClock) -> None:
    async with keeping(CRM) as desk:
        desk.quarantine.put("r-1", T)

        await desk.keeper.changed(outcome("r-1", settled=False))
        await trio.sleep(MAX_AGE_S)

        assert desk.quarantine.names == T
        await trio.sleep(UNSETTLED_S)
        assert not desk.quarantine.names


async def test_a_ddl_that_was_never_sent_gives_its_objects_back(autojump_clock: MockClock) -> None:
    async with keeping(CRM) as desk:
        desk.quarantine.put("r-1", T)

        await desk.keeper.over({"reference": "r-1"})
        await desk.keeper.over({"reference": "r-2"})
        await trio.sleep(1)

        assert not desk.quarantine.names


# --- what happens behind the gateway's back (F16)


async def test_a_pattern_that_stops_matching_alarms_once_and_keeps_its_last_match() -> None:
    async with keeping(CRM) as desk:
        desk.snowflake.holds = CRM.replacing({name("CUSTOMERS"): None})
        await desk.until_read()
        await desk.until_read()

        alerts = [fields for kind, fields in desk.ledger.entries if kind == "alert"]
        assert [one["alert"] for one in alerts] == ["tag-pattern"]
        assert "CRM.PUBLIC.CUSTOMERS.EMAIL" in alerts[0]["detail"]
        # Whatever comes back under that name carries the tag, pattern or not.
        kept = Labels(desk.store).onto(CRM)
        assert kept.tables[name("CUSTOMERS")].columns[1].tags == {"pii"}


async def test_a_pattern_that_matches_again_can_alarm_again() -> None:
    async with keeping(CRM) as desk:
        for holds in (CRM.replacing({name("CUSTOMERS"): None}), CRM) * 2:
            desk.snowflake.holds = holds
            await desk.until_read()

        assert [fields["alert"] for _, fields in desk.ledger.entries] == ["tag-pattern"] * 2


async def test_a_pattern_that_never_matched_is_no_alarm() -> None:
    async with keeping(CRM) as desk:
        await desk.until_read()

        assert desk.ledger.entries == []


async def test_tags_follow_a_table_that_was_renamed_outside() -> None:
    async with keeping(CRM) as desk:
        desk.snowflake.holds = CRM.replacing(
            {name("CUSTOMERS"): None, name("CLIENTS"): table("ID", "EMAIL")}
        )
        await desk.until_read()

        assert desk.tags("CLIENTS", "EMAIL") == {"pii"}
        assert desk.tags("CLIENTS", "ID") == frozenset()
        assert {fields["alert"] for _, fields in desk.ledger.entries} == {
            "tag-followed",
            "tag-pattern",
        }


async def test_tags_follow_a_column_that_was_renamed_outside() -> None:
    async with keeping(CRM) as desk:
        desk.snowflake.holds = CRM.replacing({name("CUSTOMERS"): table("ID", "MAIL")})
        await desk.until_read()

        assert desk.tags("CUSTOMERS", "MAIL") == {"pii"}


async def test_a_table_that_is_built_anew_through_the_gateway_has_the_tags_of_its_analysis() -> (
    None
):
    async with keeping(CRM) as desk:
        desk.quarantine.put("r-1", frozenset({name("CUSTOMERS")}))
        desk.snowflake.holds = CRM.replacing({name("CUSTOMERS"): table("ID", "ORDERS")})
        await desk.keeper.changed(outcome("r-1"))

        assert desk.tags("CUSTOMERS", "ORDERS") == frozenset()


async def test_an_alert_the_ledger_does_not_take_stops_nothing() -> None:
    async with keeping(CRM) as desk:
        desk.ledger.broken = True
        desk.snowflake.holds = CRM.replacing({name("CUSTOMERS"): None})
        await desk.until_read()

        assert desk.now.catalog is not None
        assert name("CUSTOMERS") not in desk.now.catalog.tables


async def test_labels_that_cannot_be_kept_leave_the_catalog_to_the_next_reading() -> None:
    async with keeping(CRM) as desk:
        before = desk.now.now
        desk.store.broken = True
        desk.snowflake.holds = CRM.replacing({name("CUSTOMERS"): None})
        with trio.move_on_after(0.05):
            await desk.until_read()
        assert desk.now.now is before

        desk.store.broken = False
        await desk.until_read()
        assert [fields["alert"] for _, fields in desk.ledger.entries] == ["tag-pattern"]


# --- what outlives a crash


async def test_a_pattern_that_lost_its_columns_while_the_gateway_was_down_alarms() -> None:
    kept, labels = Labelled(), Labelled()
    async with keeping(CRM, kept=kept, labels=labels) as desk:
        await desk.until_read()
    async with keeping(CRM.replacing({name("CUSTOMERS"): None}), kept=kept, labels=labels) as desk:
        await desk.until_read()

        [alert] = [fields for kind, fields in desk.ledger.entries if kind == "alert"]
        assert alert["alert"] == "tag-pattern"
        assert "CRM.PUBLIC.CUSTOMERS.EMAIL" in alert["detail"]
    # It is told once, and whatever comes back under that name carries the tag.
    async with keeping(CRM, kept=kept, labels=labels) as desk:
        assert desk.ledger.entries == []
        assert labels.rows[("CRM", "PUBLIC", "CUSTOMERS")]["columns"]


async def test_tags_follow_what_was_renamed_while_the_gateway_was_down() -> None:
    kept = Labelled()
    async with keeping(CRM, kept=kept) as desk:
        await desk.until_read()
    moved = CRM.replacing({name("CUSTOMERS"): None, name("CLIENTS"): table("ID", "EMAIL")})
    async with keeping(moved, kept=kept) as desk:
        assert desk.tags("CLIENTS", "EMAIL") == {"pii"}
        # What was there before has not taken anybody's place.
        assert desk.tags("T", "ID") == frozenset()


async def test_tags_follow_what_was_renamed_while_the_catalog_could_not_be_read(
    autojump_clock: MockClock,
) -> None:
    async with keeping(CRM) as desk:
        desk.snowflake.broken = True
        await trio.sleep(MAX_AGE_S + 1)
        assert desk.now.catalog is None
        desk.snowflake.holds = CRM.replacing({name("CUSTOMERS"): table("ID", "MAIL")})
        desk.snowflake.broken = False
        await soon(lambda: desk.now.catalog is not None)

        assert desk.tags("CUSTOMERS", "MAIL") == {"pii"}


async def test_only_what_has_changed_of_the_catalog_is_written() -> None:
    kept = Labelled()
    async with keeping(CRM, kept=kept) as desk:
        await desk.until_read()
        kept.rows.clear()
        desk.snowflake.holds = CRM.replacing({name("T"): table("ID", "NEW")})
        await desk.until_read()
        await desk.until_read()

        assert set(kept.rows) == {("CRM", "PUBLIC", "T")}


async def test_a_ddl_cut_short_by_a_crash_keeps_its_objects_in_quarantine(
    autojump_clock: MockClock,
) -> None:
    """It may run yet: what was read at the start could be the definition before it (F8)."""
    underway = Underway()
    async with keeping(CRM, underway=underway) as desk:
        await desk.quarantine.keep("r-1", T)
        desk.quarantine.put("r-1", T)
    async with keeping(CRM, underway=underway) as desk:
        assert desk.now.catalog is not None
        assert desk.quarantine.blocks("r-2", T)

        await trio.sleep(UNSETTLED_S - MAX_AGE_S)
        assert desk.quarantine.blocks("r-2", T)
        await trio.sleep(2 * MAX_AGE_S)
        assert not desk.quarantine.blocks("r-2", T)
        await soon(lambda: not underway.rows)


async def test_a_ddl_that_ended_before_the_crash_leaves_nothing() -> None:
    underway = Underway()
    async with keeping(CRM, underway=underway) as desk:
        await desk.quarantine.keep("r-1", T)
        desk.quarantine.put("r-1", T)
        assert underway.rows
        await desk.keeper.changed(outcome("r-1"))
        await desk.until_read()

        assert underway.rows == {}


async def test_what_cannot_be_kept_after_a_reading_is_tried_again() -> None:
    underway = Underway()
    async with keeping(CRM, underway=underway) as desk:
        await desk.quarantine.keep("r-1", T)
        desk.quarantine.put("r-1", T)
        underway.broken = True
        await desk.keeper.changed(outcome("r-1"))
        await desk.until_read()
        assert underway.rows
        assert desk.now.catalog is not None

        underway.broken = False
        await desk.until_read()
        await desk.until_read()
        assert underway.rows == {}
