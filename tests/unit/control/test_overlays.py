"""What becomes of a session's temporary objects (F9)."""

from __future__ import annotations

from typing import Any

from snowgate.control.overlays import MAX_OBJECTS, Overlays
from snowgate.model.statement import ObjectName
from snowgate.policy import Allow, Match, Rule
from snowgate.sql.catalog import NOTHING, Catalog, CatalogColumn, Table
from snowgate.sql.codec import change_between

from .doubles import ALLOW_ALL, MASK_PII, name
from .test_judging import court

T = ObjectName("CRM", "PUBLIC", "TMP")
TABLE = Table((CatalogColumn("A", "TEXT", frozenset({"pii"})),))
MADE = change_between(NOTHING, Catalog.of({T: TABLE}))


def seen(overlays: Overlays, session: str = "s-1") -> Table | None:
    return overlays.of(session).onto(NOTHING).tables.get(T)


def test_an_object_is_known_once_it_exists_and_until_its_session_ends() -> None:
    overlays = Overlays()
    overlays.begin("s-1", "r-1", MADE)
    pending = seen(overlays)
    assert pending is not None
    assert pending.opaque

    assert overlays.ended("r-1", succeeded=True, settled=True)

    assert seen(overlays) == TABLE
    assert seen(overlays, "s-2") is None
    overlays.close("s-1")
    assert seen(overlays) is None


def test_what_failed_or_was_never_sent_leaves_nothing() -> None:
    overlays = Overlays()
    overlays.begin("s-1", "r-1", MADE)
    overlays.ended("r-1", succeeded=False, settled=True)
    overlays.begin("s-1", "r-2", MADE)
    overlays.forget("r-2")

    assert seen(overlays) is None
    assert not overlays.ended("r-2", succeeded=True, settled=True)


def test_of_what_may_have_run_nothing_is_known() -> None:
    overlays = Overlays()
    overlays.begin("s-1", "r-1", MADE)
    overlays.ended("r-1", succeeded=False, settled=False)

    found = seen(overlays)
    assert found is not None
    assert found.opaque
    assert not found.columns


def test_a_dropped_object_is_gone_when_it_is_sure() -> None:
    overlays = Overlays()
    overlays.widen("s-1", MADE)
    overlays.drop("s-1", "r-1", frozenset({T}))
    overlays.ended("r-1", succeeded=False, settled=True)
    assert seen(overlays) == TABLE

    overlays.drop("s-1", "r-2", frozenset({T}))
    overlays.ended("r-2", succeeded=True, settled=True)
    assert seen(overlays) is None


def test_a_session_makes_no_more_than_so_many() -> None:
    overlays = Overlays()
    many = {ObjectName("A", "B", f"T{at}"): TABLE for at in range(MAX_OBJECTS)}
    overlays.widen("s-1", change_between(NOTHING, Catalog.of(many)))
    overlays.begin("s-1", "r-1", MADE)
    overlays.ended("r-1", succeeded=True, settled=True)

    assert seen(overlays) is None


async def test_a_temporary_table_changes_nothing_for_others(session: dict[str, Any]) -> None:
    one = court(session)
    before = one.now.now

    made = await one.ask("create temp table tmp as select email as e from customers", "r-1")
    assert made["decision"] == "allow"
    assert not made["cacheable"]
    assert one.now.now is before
    assert not one.quarantine.blocks("r-9", {T})
    one.overlays.ended("r-1", succeeded=True, settled=True)

    read = await one.ask("select e from tmp", "r-2")
    assert [column["mask"] for column in read["plan"]] == ["redact"]
    session["id"] = "s-2"
    assert (await one.ask("select e from tmp", "r-3"))["decision"] == "deny"


async def test_tags_stored_in_a_temporary_table_end_its_verdicts(session: dict[str, Any]) -> None:
    launder = Rule("launder", Match(launders=frozenset({"pii"})), Allow())
    one = court(session, ALLOW_ALL, MASK_PII, launder)
    await one.ask("create temp table tmp (a text)", "r-1")
    one.overlays.ended("r-1", succeeded=True, settled=True)
    clean = await one.ask("select a from tmp", "r-2")
    assert [column["mask"] for column in clean["plan"]] == ["pass"]

    stored = await one.ask("insert into tmp select email from customers", "r-3")

    assert stored["decision"] == "allow"
    # The gate uses no verdict of an older epoch.
    assert stored["epoch"] == one.now.epoch > clean["epoch"]
    masked = await one.ask("select a from tmp", "r-4")
    assert [column["mask"] for column in masked["plan"]] == ["void"]
    assert one.now.catalog is not None
    assert T not in one.now.catalog.tables


async def test_a_drop_of_a_temporary_table_quarantines_no_permanent_one(
    session: dict[str, Any],
) -> None:
    one = court(session)
    await one.ask("create temp table tmp (a text)", "r-1")
    one.overlays.ended("r-1", succeeded=True, settled=True)

    await one.ask("drop table if exists tmp", "r-2")

    assert not one.quarantine.blocks("r-9", {T, name("CUSTOMERS")})
    one.overlays.ended("r-2", succeeded=True, settled=True)
    assert seen(one.overlays) is None
