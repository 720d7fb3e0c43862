"""Definitions that change while they are read: no value is shown by the verdict of another (F8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from .canary import Canaries
from .rig import Rig
from .wire import Reply, Wire

HELD_DDL = """    except: {class: create, kind: schema}
    hold: {approvers: data-platform, expires: 4h}
"""
FREE_DDL = HELD_DDL.replace("hold: {approvers: data-platform, expires: 4h}", "allow: true")
WRITERS = 8


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A world whose writers change objects without asking."""
    rig = Rig.start(
        tmp_path_factory.mktemp("free"),
        *("--big-rows", "1000"),
        config_edit=lambda text: text.replace(HELD_DDL, FREE_DDL),
    )
    yield rig
    rig.stop()


def readers(free: Rig, sql: str, canaries: Canaries, change: Callable[[Wire], None]) -> list[Reply]:
    """Three analysts read in a loop while somebody changes what they read."""
    stop = Event()

    def read() -> list[Reply]:
        replies: list[Reply] = []
        with free.wire("analyst", app="JavaScript") as wire:
            while not stop.is_set():
                replies.append(wire.query(sql))
        return replies

    with ThreadPoolExecutor() as pool, free.wire("etl") as writer:
        reading = [pool.submit(read) for _ in range(3)]
        try:
            change(writer)
        finally:
            stop.set()
        replies = [reply for each in reading for reply in each.result()]
    for reply in replies:
        assert not canaries.found_in(reply.raw)
    return replies


def ran(wire: Wire, sql: str) -> None:
    reply = wire.query(sql)
    assert reply.ok, reply.message


def test_a_view_that_is_redefined_while_it_is_read_shows_no_tagged_value(
    free: Rig, canaries: Canaries
) -> None:
    clean = "create or replace view crm.public.peek as select id, country as shown from customers"
    tagged = "create or replace view crm.public.peek as select id, email as shown from customers"

    def change(writer: Wire) -> None:
        for _ in range(12):
            ran(writer, tagged)
            ran(writer, clean)

    with free.wire("etl") as writer:
        ran(writer, clean)
    replies = readers(free, "select id, shown from crm.public.peek", canaries, change)

    # A column that was tagged once stays so: only a change of policy takes a tag away (F16).
    assert "***" in {row[1] for reply in replies if reply.ok for row in reply.data["rowset"]}


def test_tables_that_are_swapped_while_they_are_read_show_no_tagged_value(
    free: Rig, canaries: Canaries
) -> None:
    with free.wire("etl") as writer:
        ran(writer, "create or replace table crm.public.plain (id int, email varchar)")
        ran(writer, "insert into crm.public.plain values (1, 'nobody@nowhere.example')")
        ran(writer, "create or replace table crm.public.holder clone crm.public.customers")

    def change(writer: Wire) -> None:
        for _ in range(12):
            ran(writer, "alter table crm.public.plain rename to crm.public.other")
            ran(writer, "alter table crm.public.holder rename to crm.public.plain")
            ran(writer, "alter table crm.public.plain rename to crm.public.holder")
            ran(writer, "alter table crm.public.other rename to crm.public.plain")

    replies = readers(free, "select email from crm.public.plain", canaries, change)

    assert replies


def test_many_writers_change_objects_at_once_and_nobody_is_denied(free: Rig) -> None:
    """As a build with eight threads does: each reads what it has just made."""

    def build(at: int) -> list[str]:
        failures: list[str] = []
        with free.wire("etl") as wire:
            for turn in range(6):
                for sql in (
                    f"create or replace table crm.public.model_{at} as select {turn} as n",
                    f"create or replace view crm.public.show_{at} as"
                    f" select n from crm.public.model_{at}",
                    f"select n from crm.public.show_{at}",
                ):
                    reply = wire.query(sql)
                    if not reply.ok:
                        failures.append(reply.message)
        return failures

    with ThreadPoolExecutor(WRITERS) as pool:
        failures = [failure for each in pool.map(build, range(WRITERS)) for failure in each]

    assert failures == []


def test_after_a_change_only_what_changed_is_read_from_snowflake(free: Rig) -> None:
    with free.wire("etl") as writer:
        ran(writer, "create table narrow_1 (id int, email varchar)")
        first = len(free.lines())
        ran(writer, "alter table narrow_1 rename to narrow_2")
        asked = [line.sql for line in free.lines()[first:] if line.sql and ".COLUMNS" in line.sql]
        ran(writer, "select id from narrow_2")

    names = "(TABLE_SCHEMA = 'PUBLIC' AND TABLE_NAME IN ('NARROW_1', 'NARROW_2'))"
    assert any(names in sql for sql in asked)
