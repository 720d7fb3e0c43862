"""What Snowflake says of its tags, as the gateway reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from snowgate.errors import UpstreamError
from snowgate.model.statement import ObjectName
from snowgate.sql.catalog import Catalog, CatalogColumn, Table
from snowgate.sql.tag_reader import LOOKED_AT_ONCE, read_assigned, read_effective

PII = ObjectName("GOVERNANCE", "TAGS", "PII")
CATEGORY = ObjectName("SNOWFLAKE", "CORE", "PRIVACY_CATEGORY")
SOURCES = frozenset({PII, CATEGORY})
CUSTOMERS = ObjectName("CRM", "PUBLIC", "CUSTOMERS")
ORDERS = ObjectName("CRM", "PUBLIC", "ORDERS")
OTHER = ObjectName("CRM", "RAW", "OTHER")
TABLE = Table((CatalogColumn("ID"), CatalogColumn("EMAIL")))
CATALOG = Catalog.of({CUSTOMERS: TABLE, ORDERS: TABLE, OTHER: TABLE})

Row = list[str | None]


class Snowflake:
    """Answers every statement by a function of its text."""

    def __init__(self, answer: Callable[[str], Sequence[Row]]) -> None:
        self._answer = answer
        self.asked: list[str] = []

    async def query(self, sql: str, purpose: str) -> Sequence[Sequence[str | None]]:
        self.asked.append(sql)
        return self._answer(sql)


def set_on(
    domain: str, *place: str | None, value: str | None = "yes", tag: ObjectName = PII
) -> Row:
    """A row of the bulk view."""
    database, schema, name, column = (*place, None, None, None, None)[:4]
    return [tag.database, tag.schema, tag.name, value, domain, database, schema, name, column]


async def assigned(*rows: Row) -> dict[str, set[str]]:
    """The values of PII by column."""
    found = await read_assigned(Snowflake(lambda _: rows), SOURCES, CATALOG)
    return {
        f"{name.name}.{column}": {value for _, value in references}
        for name, columns in found.items()
        for column, references in columns.items()
    }


ALL = {f"{one}.{column}" for one in ("CUSTOMERS", "ORDERS", "OTHER") for column in ("ID", "EMAIL")}
IN_PUBLIC = {one for one in ALL if not one.startswith("OTHER")}


@pytest.mark.parametrize(
    ("row", "reached"),
    [
        (set_on("COLUMN", "CRM", "PUBLIC", "CUSTOMERS", "EMAIL"), {"CUSTOMERS.EMAIL"}),
        (set_on("TABLE", "CRM", "PUBLIC", "ORDERS"), {"ORDERS.ID", "ORDERS.EMAIL"}),
        (set_on("VIEW", "CRM", "PUBLIC", "ORDERS"), {"ORDERS.ID", "ORDERS.EMAIL"}),
        (set_on("Dynamic Table", "CRM", "PUBLIC", "ORDERS"), {"ORDERS.ID", "ORDERS.EMAIL"}),
        (set_on("SCHEMA", "CRM", None, "PUBLIC"), IN_PUBLIC),
        (set_on("SCHEMA", "CRM", "PUBLIC", None), IN_PUBLIC),
        (set_on("DATABASE", None, None, "CRM"), ALL),
        (set_on("DATABASE", "CRM"), ALL),
        (set_on("ACCOUNT", None, None, "XY12345"), ALL),
        (set_on("WAREHOUSE", None, None, "CUSTOMERS"), set()),
        (set_on("DATABASE", None, None, "OTHER"), set()),
    ],
)
async def test_a_tag_reaches_every_column_in_what_it_was_set_on(
    row: Row, reached: set[str]
) -> None:
    assert set(await assigned(row)) == reached


async def test_the_value_nearest_to_the_column_counts() -> None:
    found = await assigned(
        set_on("SCHEMA", "CRM", None, "PUBLIC", value="high"),
        set_on("TABLE", "CRM", "PUBLIC", "ORDERS", value="low"),
        set_on("COLUMN", "CRM", "PUBLIC", "ORDERS", "ID", value=None),
    )

    assert found == {
        "CUSTOMERS.ID": {"high"},
        "CUSTOMERS.EMAIL": {"high"},
        "ORDERS.EMAIL": {"low"},
        "ORDERS.ID": {""},
    }


async def test_one_tag_does_not_stand_in_for_another() -> None:
    rows = [
        set_on("SCHEMA", "CRM", None, "PUBLIC"),
        set_on("COLUMN", "CRM", "PUBLIC", "ORDERS", "ID", value="IDENTIFIER", tag=CATEGORY),
    ]
    found = await read_assigned(Snowflake(lambda _: rows), SOURCES, CATALOG)

    assert found[ORDERS]["ID"] == {(PII, "yes"), (CATEGORY, "IDENTIFIER")}


async def test_only_the_named_tags_of_living_objects_are_asked_for() -> None:
    snowflake = Snowflake(lambda _: [])
    await read_assigned(snowflake, {ObjectName("G", "it's", "back\\slash")}, CATALOG)

    [sql] = snowflake.asked
    assert "OBJECT_DELETED IS NULL" in sql
    assert "TAG_SCHEMA = 'it''s' AND TAG_NAME = 'back\\\\slash'" in sql


async def test_a_view_of_tags_that_cannot_be_read_is_never_no_tags() -> None:
    def refuse(_: str) -> Sequence[Row]:
        raise UpstreamError("002003", "object does not exist or not authorized")

    with pytest.raises(UpstreamError, match=r"GOVERNANCE_VIEWER") as caught:
        await read_assigned(Snowflake(refuse), SOURCES, CATALOG)
    assert caught.value.code == "002003"


async def test_a_row_of_another_form_is_an_error() -> None:
    with pytest.raises(UpstreamError, match="another form"):
        await read_assigned(Snowflake(lambda _: [["G", "T"]]), SOURCES, CATALOG)
    with pytest.raises(UpstreamError, match="another form"):
        await read_effective(
            Snowflake(lambda _: [["1", "ID", "G", "T", "PII", "x"]]), SOURCES, [ORDERS]
        )


# --- one by one


async def test_single_objects_are_asked_for_in_one_statement() -> None:
    snowflake = Snowflake(
        lambda _: [
            ["0", "EMAIL", "GOVERNANCE", "TAGS", "PII", "yes"],
            ["1", "ID", "SNOWFLAKE", "CORE", "PRIVACY_CATEGORY", "IDENTIFIER"],
            ["1", "ID", "COST", "TAGS", "CENTER", "sales"],
        ]
    )
    look = await read_effective(snowflake, SOURCES, [CUSTOMERS, ORDERS])

    assert look.references == {
        CUSTOMERS: {"EMAIL": frozenset({(PII, "yes")})},
        ORDERS: {"ID": frozenset({(CATEGORY, "IDENTIFIER")})},
    }
    assert look.unread == frozenset()
    assert len(snowflake.asked) == 1


async def test_names_reach_snowflake_as_they_are_stored() -> None:
    snowflake = Snowflake(lambda _: [])
    await read_effective(snowflake, SOURCES, [ObjectName("my db", "it's", 'a"b\\c')])

    [sql] = snowflake.asked
    assert 'TABLE("my db".INFORMATION_SCHEMA' in sql
    assert """'"my db"."it''s"."a""b\\\\c"'""" in sql


async def test_nothing_is_asked_for_no_object() -> None:
    snowflake = Snowflake(lambda _: [])

    assert (await read_effective(snowflake, SOURCES, [])).references == {}
    assert snowflake.asked == []


async def test_an_object_that_is_gone_hides_no_other() -> None:
    objects = [ObjectName("CRM", "PUBLIC", f"T{at}") for at in range(LOOKED_AT_ONCE + 7)]
    gone = {objects[3], objects[40]}

    def answer(sql: str) -> Sequence[Row]:
        if any(f'"{one.name}"' in sql for one in gone):
            raise UpstreamError("002003", "object does not exist or not authorized")
        return [
            [str(number), "ID", "GOVERNANCE", "TAGS", "PII", "yes"]
            for number in range(sql.count("SELECT"))
        ]

    look = await read_effective(Snowflake(answer), SOURCES, objects)

    assert look.unread == gone
    assert set(look.references) == {*objects} - gone


async def test_what_was_not_shown_before_is_asked_for_apart() -> None:
    def answer(sql: str) -> Sequence[Row]:
        if '"ORDERS"' in sql:
            raise UpstreamError("002003", "object does not exist or not authorized")
        return []

    snowflake = Snowflake(answer)
    look = await read_effective(snowflake, SOURCES, [CUSTOMERS, ORDERS, OTHER], {ORDERS})

    assert look.unread == {ORDERS}
    assert len(snowflake.asked) == 2


@pytest.mark.parametrize("count", [2, LOOKED_AT_ONCE * 2])
async def test_a_role_that_is_shown_no_tags_at_all_is_an_error(count: int) -> None:
    def refuse(_: str) -> Sequence[Row]:
        raise UpstreamError("000002", "unsupported feature 'TAG'")

    objects = [ObjectName("CRM", "PUBLIC", f"T{at}") for at in range(count)]
    with pytest.raises(UpstreamError, match="tags of no object"):
        await read_effective(Snowflake(refuse), SOURCES, objects)


async def test_no_answer_is_no_reason_to_ask_in_smaller_pieces() -> None:
    def refuse(_: str) -> Sequence[Row]:
        raise UpstreamError("late", "snowflake did not answer in time")

    snowflake = Snowflake(refuse)
    with pytest.raises(UpstreamError, match="in time"):
        await read_effective(snowflake, SOURCES, [CUSTOMERS, ORDERS])
    assert len(snowflake.asked) == 1
