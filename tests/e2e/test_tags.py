"""Snowflake's own tags and classifications mask columns, and nothing but the policy unmasks one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .rig import Rig, soon
from .test_races import FREE_DDL, HELD_DDL
from .wire import Wire

PATTERN = "pii: CRM.PUBLIC.CUSTOMERS.{FULL_NAME,EMAIL,PHONE,SSN,CARD_NUMBER}"
TAGS = """pii:
    columns: ["CRM.PUBLIC.CUSTOMERS.{FULL_NAME,EMAIL,PHONE,SSN,CARD_NUMBER}"]
    snowflake:
      - CRM.GOVERNANCE.PII
      - {tag: SNOWFLAKE.CORE.PRIVACY_CATEGORY, values: [IDENTIFIER, SENSITIVE]}
    except: [CRM.GIVEN_UP.*.*]
"""
MAX_AGE_S = 20
# What the view of the account is behind: what is masked sooner was not learned from it.
LATE_S = 300
# The catalog gets too old, or is read, on a busy machine.
SOON_S = 40.0
MASKED, CLEAR = [["***"]], [["clear"]]


def edited(text: str) -> str:
    for old, new in (
        (PATTERN, TAGS),
        (HELD_DDL, FREE_DDL),
        ("max_age: 60s", f"max_age: {MAX_AGE_S}s"),
    ):
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def tagging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A world whose policy takes tags over from Snowflake, and whose writers ask nobody."""
    rig = Rig.start(
        tmp_path_factory.mktemp("tagging"),
        *("--big-rows", "1000", "--usage-latency-s", str(LATE_S)),
        config_edit=edited,
    )
    with rig.upstream("SYSADMIN") as direct:
        for sql in ("create schema crm.governance", "create tag crm.governance.pii"):
            ran(direct, sql)
    yield rig
    rig.stop()


@pytest.fixture
def upstream(tagging: Rig) -> Iterator[Wire]:
    """Somebody who works past the gateway."""
    with tagging.upstream("SYSADMIN") as direct:
        yield direct


@pytest.fixture
def reader(tagging: Rig) -> Iterator[Wire]:
    with tagging.wire("analyst", app="JavaScript") as wire:
        yield wire


@pytest.fixture
def writer(tagging: Rig) -> Iterator[Wire]:
    with tagging.wire("etl", app="JavaScript") as wire:
        yield wire


def ran(wire: Wire, sql: str) -> None:
    reply = wire.query(sql)
    assert reply.ok, reply.message


def filled(wire: Wire, table: str) -> str:
    """A new table with one clear word in its column NOTE."""
    ran(wire, f"create or replace table {table} (id int, note varchar)")
    ran(wire, f"insert into {table} values (1, 'clear')")
    return table


def shown(wire: Wire, table: str, column: str = "note") -> object:
    """What a reader gets; its denial, if it gets nothing."""
    reply = wire.query(f"select {column} from {table}")
    return reply.data["rowset"] if reply.ok else reply.message


def reread(rig: Rig) -> None:
    """The catalog is read again, as after every DDL."""
    with rig.wire("etl") as writer:
        ran(writer, "create or replace table crm.public.tick (id int)")


def becomes(wire: Wire, table: str, wanted: object) -> bool:
    return soon(lambda: shown(wire, table) == wanted, SOON_S)


@pytest.fixture(scope="module")
def outside(tagging: Rig) -> None:
    """Tables that are made past the gateway, and tagged once everybody sees them clear."""
    tables = ("public.outside", "inheriting.old", "public.marked", "public.harmless")
    with tagging.upstream("SYSADMIN") as direct, tagging.wire("analyst", app="JavaScript") as wire:
        for schema in ("inheriting", "given_up"):
            ran(direct, f"create schema crm.{schema}")
        for table in (*tables, "given_up.t"):
            filled(direct, f"crm.{table}")
        reread(tagging)
        assert all(becomes(wire, f"crm.{table}", CLEAR) for table in (*tables, "given_up.t"))
        category = "snowflake.core.privacy_category"
        for what in (
            "table crm.public.outside modify column note set tag crm.governance.pii = 'yes'",
            "schema crm.inheriting set tag crm.governance.pii = 'yes'",
            f"table crm.public.marked modify note set tag {category} = 'IDENTIFIER'",
            f"table crm.public.harmless modify note set tag {category} = 'INSENSITIVE'",
            "table crm.given_up.t set tag crm.governance.pii = 'yes'",
        ):
            ran(direct, f"alter {what}")
    reread(tagging)


@pytest.mark.usefixtures("outside")
def test_a_column_that_is_tagged_upstream_is_masked_for_a_real_driver(
    tagging: Rig, version: str
) -> None:
    sql = "select note from crm.public.outside"
    with tagging.driver("analyst", version) as session:
        assert soon(lambda: session.run(sql).rows == MASKED, SOON_S)
    with tagging.driver("fraud", version) as session:
        assert session.run(sql).rows == CLEAR


@pytest.mark.usefixtures("outside")
def test_a_tag_on_a_schema_reaches_what_is_in_it_and_what_comes_into_it(
    reader: Wire, writer: Wire
) -> None:
    assert becomes(reader, "crm.inheriting.old", MASKED)

    # Through the gateway it is masked before its writer has an answer.
    new = filled(writer, "crm.inheriting.new")
    assert shown(reader, new) == MASKED


@pytest.mark.usefixtures("outside")
def test_of_a_classification_only_the_named_values_mask(reader: Wire) -> None:
    assert becomes(reader, "crm.public.marked", MASKED)
    assert shown(reader, "crm.public.harmless") == CLEAR


@pytest.mark.usefixtures("outside")
def test_the_policy_can_leave_out_what_snowflake_tags(reader: Wire) -> None:
    assert becomes(reader, "crm.inheriting.old", MASKED)
    assert shown(reader, "crm.given_up.t") == CLEAR


def test_a_tag_that_is_set_through_the_gateway_masks_before_the_next_statement(
    reader: Wire, writer: Wire
) -> None:
    table = filled(writer, "crm.public.inside")
    assert shown(reader, table) == CLEAR

    ran(writer, f"alter table {table} modify column note set tag crm.governance.pii = 'yes'")
    assert shown(reader, table) == MASKED

    ran(
        writer,
        "create table crm.public.made (id int, note varchar with tag (crm.governance.pii = 'y'))",
    )
    ran(writer, "insert into crm.public.made values (1, 'clear')")
    assert shown(reader, "crm.public.made") == MASKED


@pytest.mark.parametrize(
    "take",
    [
        "alter table {} modify column note unset tag crm.governance.pii",
        "create or replace table {} (id int, note varchar)",
        "drop tag crm.governance.pii",
    ],
)
def test_nothing_that_is_done_to_a_tag_unmasks_a_column(
    tagging: Rig, upstream: Wire, reader: Wire, writer: Wire, take: str
) -> None:
    """F16: only a change of the policy takes a tag away."""
    table = filled(writer, "crm.public.taken")
    ran(writer, f"alter table {table} modify column note set tag crm.governance.pii = 'yes'")
    since = tagging.mark()

    ran(writer, take.format(table))
    if take.startswith("create"):
        ran(writer, f"insert into {table} values (1, 'clear')")

    assert shown(reader, table) == MASKED
    assert soon(
        lambda: any(
            "CRM.PUBLIC.TAKEN" in str(entry.fields["detail"])
            for entry in since.entries("alert")
            if entry.fields["alert"] == "tag-taken"
        ),
        SOON_S,
    )
    assert shown(reader, table) == MASKED
    if take.startswith("drop"):
        ran(upstream, "create tag crm.governance.pii")


def test_what_was_tagged_stays_so_over_a_crash_and_a_change_upstream(
    tagging: Rig, upstream: Wire
) -> None:
    table = filled(upstream, "crm.public.survivor")
    ran(upstream, f"alter table {table} modify column note set tag crm.governance.pii = 'yes'")
    with tagging.wire("analyst", app="JavaScript") as reader:
        assert becomes(reader, table, MASKED)

    tagging.world.kill_gateway()
    ran(upstream, f"alter table {table} modify column note unset tag crm.governance.pii")
    tagging.world.start_gateway()

    with tagging.wire("analyst", app="JavaScript") as reader:
        assert shown(reader, table) == MASKED


def test_tags_that_cannot_be_read_are_not_no_tags(
    tagging: Rig, upstream: Wire, reader: Wire
) -> None:
    role = "database role snowflake.governance_viewer"
    ran(upstream, f"revoke {role} from role snowgate")
    since = tagging.mark()
    try:
        assert soon(lambda: not reader.query("select 1").ok, SOON_S)
        refused = shown(reader, "crm.public.orders", "status")
        assert "denied by rule catalog-unavailable" in str(refused)
        assert "cannot tell what is tagged" in str(refused)
        alert = since.entry("alert", alert="catalog-unreadable")
        assert "grant the gateway's role" in str(alert.fields["detail"])

        # Nor does a start without them forget what they are for.
        tagging.world.kill_gateway()
        tagging.world.start_gateway()
        with tagging.wire("analyst", app="JavaScript") as again:
            assert "denied by rule catalog-unavailable" in str(shown(again, "crm.public.orders"))
    finally:
        ran(upstream, f"grant {role} to role snowgate")
    with tagging.wire("analyst", app="JavaScript") as again:
        assert soon(lambda: again.query("select id from crm.public.orders limit 1").ok, SOON_S)
