"""What a DDL statement changes, and until when nobody else may touch it (F8)."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from snowgate.control.quarantine import (
    STATEMENT_LIMIT_S,
    UNSETTLED_S,
    Quarantine,
    affected,
    mentioned,
)
from snowgate.errors import StoreError
from snowgate.model.statement import ObjectName

from .doubles import Underway, catalog, name, table

T, U = frozenset({name("T")}), frozenset({name("U")})


async def test_an_object_blocks_everybody_but_the_one_who_changes_it() -> None:
    quarantine = Quarantine(Underway())

    assert quarantine.put("r-1", T)

    assert quarantine.blocks("r-2", T)
    assert not quarantine.blocks("r-1", T)
    assert not quarantine.blocks("r-2", U)


async def test_only_a_reading_that_began_after_the_outcome_lifts_it() -> None:
    quarantine = Quarantine(Underway())
    quarantine.put("r-1", T)
    early = quarantine.mark()
    assert quarantine.ended("r-1", settled=True)

    quarantine.read(early)
    assert quarantine.blocks("r-2", T)

    quarantine.read(quarantine.mark())
    assert not quarantine.blocks("r-2", T)


async def test_a_reading_lifts_nothing_of_a_statement_under_way() -> None:
    quarantine = Quarantine(Underway())
    quarantine.put("r-1", T)

    quarantine.read(quarantine.mark())

    assert quarantine.blocks("r-2", T)


async def test_two_statements_on_one_object_block_until_both_have_ended() -> None:
    quarantine = Quarantine(Underway())
    quarantine.put("r-1", T)
    quarantine.put("r-2", T)
    quarantine.ended("r-1", settled=True)
    quarantine.read(quarantine.mark())

    assert quarantine.blocks("r-3", T)
    # The one that is still at it does not wait for the other, which has ended.
    assert not quarantine.blocks("r-2", T)


async def test_the_same_statement_judged_again_is_nothing_new() -> None:
    quarantine = Quarantine(Underway())

    assert quarantine.put("r-1", T)
    assert not quarantine.put("r-1", T)
    assert quarantine.put("r-1", T | U)
    assert not quarantine.put("r-2", frozenset())


async def test_a_statement_sent_again_after_its_end_is_under_way_again() -> None:
    quarantine = Quarantine(Underway())
    quarantine.put("r-1", T)
    quarantine.ended("r-1", settled=True)
    quarantine.put("r-1", T)

    quarantine.read(quarantine.mark())

    assert quarantine.blocks("r-2", T)


@pytest.mark.parametrize("place", [ObjectName("CRM", "PUBLIC", ""), ObjectName("CRM", "", "")])
async def test_a_schema_or_database_covers_what_is_in_it(place: ObjectName) -> None:
    quarantine = Quarantine(Underway())
    quarantine.put("r-1", frozenset({place}))

    assert quarantine.blocks("r-2", T)
    assert not quarantine.blocks("r-2", {ObjectName("OTHER", "PUBLIC", "T")})


async def test_a_table_does_not_block_its_schema() -> None:
    """`CREATE SCHEMA IF NOT EXISTS` runs beside a model that is being built."""
    quarantine = Quarantine(Underway())
    quarantine.put("r-1", T)

    assert not quarantine.blocks("r-2", {ObjectName("CRM", "PUBLIC", "")})


async def test_an_unknown_outcome_keeps_it_for_a_while(autojump_clock: MockClock) -> None:
    quarantine = Quarantine(Underway())
    quarantine.put("r-1", T)
    quarantine.ended("r-1", settled=False)

    quarantine.read(quarantine.mark())
    assert quarantine.blocks("r-2", T)

    await trio.sleep(UNSETTLED_S)
    quarantine.read(quarantine.mark())
    assert not quarantine.blocks("r-2", T)


async def test_what_nobody_hears_of_again_ends_when_no_statement_runs_that_long(
    autojump_clock: MockClock,
) -> None:
    quarantine = Quarantine(Underway())
    quarantine.put("r-1", T)

    await trio.sleep(STATEMENT_LIMIT_S - 1)
    quarantine.read(quarantine.mark())
    assert quarantine.blocks("r-2", T)

    await trio.sleep(1)
    quarantine.read(quarantine.mark())
    assert not quarantine.blocks("r-2", T)


async def test_the_end_of_an_unknown_statement_is_nothing() -> None:
    assert not Quarantine(Underway()).ended("r-1", settled=True)


async def test_who_waits_goes_on_when_it_is_lifted(autojump_clock: MockClock) -> None:
    quarantine = Quarantine(Underway())
    quarantine.put("r-1", T)
    free: list[bool] = []

    async def wait() -> None:
        free.append(await quarantine.wait("r-2", T, 10))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        quarantine.ended("r-1", settled=True)
        quarantine.read(quarantine.mark())
    assert free == [True]

    quarantine.put("r-1", T)
    assert not await quarantine.wait("r-2", T, 10)


def test_views_over_an_object_are_affected_through_each_other() -> None:
    known = catalog(
        {
            "V": "select a from t",
            "W": "create view w as select * from PUBLIC.V",
            "X": "select a from u",
            "Y": """select * from identifier('crm.public."T"')""",
            "Z": 'select "T".a from u as "T"',
        },
        T=table("A"),
        U=table("A"),
    )

    found = affected({name("T")}, known, known)

    # Z only says the name; a view too many is in quarantine for a moment.
    assert found == {name(one) for one in "TVWYZ"}


def test_what_shows_an_object_only_afterwards_is_affected_too() -> None:
    before = catalog({"V": "select a from u"}, T=table("A"), U=table("A"))
    after = catalog({"V": "select a from t"}, T=table("A"), U=table("A"))

    assert name("V") in affected({name("T")}, before, after)
    assert name("V") in affected({name("U")}, before, after)


def test_a_schema_s_objects_and_their_views_elsewhere_are_affected() -> None:
    known = catalog({"OTHER.S.V": "select a from crm.public.t"}, T=table("A"))

    found = affected({ObjectName("CRM", "PUBLIC", "")}, known, known)

    assert found == {ObjectName("CRM", "PUBLIC", ""), name("T"), name("OTHER.S.V")}


def test_a_view_without_a_reading_depends_on_everything() -> None:
    broken = "select 'unclosed from somewhere"
    known = catalog({"V": broken}, T=table("A"))

    assert mentioned(broken) is None
    assert name("V") in affected({name("T")}, known, known)


# --- over a crash


async def test_what_is_written_down_is_in_quarantine_after_a_restart() -> None:
    table = Underway()
    quarantine = Quarantine(table)
    await quarantine.keep("r-1", T)
    await quarantine.keep("r-1", T | U)
    quarantine.put("r-1", T | U)

    again = Quarantine(table)

    assert again.names == T | U
    again.read(again.mark())
    assert again.blocks("r-2", U)


async def test_its_outcome_lifts_it_after_a_restart_too() -> None:
    table = Underway()
    await Quarantine(table).keep("r-1", T)
    again = Quarantine(table)

    assert again.ended("r-1", settled=True)
    again.read(again.mark())
    await again.forget()

    assert not again.names
    assert table.rows == {}


async def test_a_statement_that_was_judged_another_way_leaves_no_row() -> None:
    table = Underway()
    quarantine = Quarantine(table)
    await quarantine.keep("r-1", T)

    assert not quarantine.ended("r-1", settled=True)
    await quarantine.forget()

    assert table.rows == {}


async def test_a_statement_sent_again_is_not_forgotten_with_its_first_run() -> None:
    table = Underway()
    quarantine = Quarantine(table)
    await quarantine.keep("r-1", T)
    quarantine.put("r-1", T)
    quarantine.ended("r-1", settled=True)
    quarantine.read(quarantine.mark())

    await quarantine.keep("r-1", T)
    quarantine.put("r-1", T)
    await quarantine.forget()

    assert Quarantine(table).names == T


async def test_what_cannot_be_written_down_is_not_forwarded() -> None:
    table = Underway(broken=True)

    with pytest.raises(StoreError):
        await Quarantine(table).keep("r-1", T)
    assert Quarantine(table).names == frozenset()


async def test_a_row_of_another_form_is_no_quarantine_to_start_with() -> None:
    with pytest.raises(StoreError, match="another form"):
        Quarantine(Underway({"r-1": [["CRM"]]}))
