"""Temporary objects, as dbt and analysts make them: their session's alone, tags included (F9)."""

from __future__ import annotations

from uuid import uuid4

import pytest

from .canary import Canaries
from .rig import Rig
from .wire import Reply, Wire


def approved(rig: Rig, wire: Wire, sql: str) -> Reply:
    """Run what the policy holds."""
    first = wire.submit(sql)
    rig.approve(sql)
    return wire.follow(first)


@pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
def test_what_a_session_makes_for_itself_is_masked_there_and_unknown_elsewhere(
    rig: Rig, canaries: Canaries, kind: str
) -> None:
    name, writer = f"tmp_{uuid4().hex[:8]}", rig.writer_token()
    with rig.wire(writer, app="JavaScript") as wire, rig.wire(writer, app="JavaScript") as other:
        made = approved(
            rig,
            wire,
            f"CREATE TEMPORARY {kind} {name} AS SELECT id, email AS e, ssn FROM customers",
        )
        assert made.ok, made.message

        read = wire.query(f"SELECT e, ssn, id FROM {name} WHERE id < 4 ORDER BY id")
        assert wire.rows(read) == [["***", "***", str(id_)] for id_ in (1, 2, 3)]
        assert other.query(f"SELECT e FROM {name}").code == "003001"

        dropped = approved(rig, wire, f"DROP {kind} IF EXISTS {name}")
        assert dropped.ok, dropped.message
        assert wire.query(f"SELECT e FROM {name}").code == "003001"
        for seen in (*wire.seen, *other.seen):
            assert not canaries.found_in(seen.raw)
            assert not canaries.found_in(seen.body)


def test_a_temporary_table_does_not_take_the_name_of_a_permanent_one(
    rig: Rig, canaries: Canaries
) -> None:
    with rig.wire(rig.writer_token(), app="JavaScript") as wire:
        reply = wire.query("CREATE TEMP TABLE customers AS SELECT id, city AS email FROM customers")
        assert reply.code == "003001"
        assert "temporary-name" in str(reply.message)
        wire.query("SELECT email FROM customers")
        assert not canaries.found_in(wire.seen[-1].body)


def test_dbt_builds_an_incremental_model(rig: Rig) -> None:
    with rig.wire(rig.writer_token(), app="JavaScript") as wire:
        made = approved(
            rig,
            wire,
            "create or replace temporary view orders__dbt_tmp as"
            " (select id, customer_id, amount from orders where id = 1)",
        )
        assert made.ok, made.message
        merged = wire.query(
            "merge into crm.public.orders as DBT_INTERNAL_DEST"
            " using orders__dbt_tmp as DBT_INTERNAL_SOURCE"
            " on DBT_INTERNAL_SOURCE.id = DBT_INTERNAL_DEST.id"
            " when matched then update set amount = DBT_INTERNAL_SOURCE.amount"
            " when not matched then insert (id, customer_id, amount) values"
            " (DBT_INTERNAL_SOURCE.id, DBT_INTERNAL_SOURCE.customer_id, DBT_INTERNAL_SOURCE.amount)"
        )
        assert merged.ok, merged.message
        dropped = approved(rig, wire, "drop view if exists orders__dbt_tmp cascade")
        assert dropped.ok, dropped.message
