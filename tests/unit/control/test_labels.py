"""Tags that statements moved, and that only a change of policy takes away (F16)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snowgate.control.labels import Labels
from snowgate.errors import StoreError
from snowgate.sql.catalog import CatalogColumn, Table

from .doubles import Labelled, catalog, name, table

BEFORE = catalog(T=table("A", "B"))


async def test_a_label_is_durable_before_the_statement_goes_on() -> None:
    store = Labelled()
    after = catalog(T=table("A", "B", pii=["A"]))

    assert await Labels(store).move(BEFORE, after)

    assert store.rows[("CRM", "PUBLIC", "T")]["columns"] == [
        {"name": "A", "type": "", "tags": ["pii"], "derived": False, "unknown": False}
    ]


async def test_labels_are_on_every_catalog_that_is_read_later_and_after_a_restart() -> None:
    store = Labelled()
    await Labels(store).move(BEFORE, catalog(T=table("A", "B", pii=["A"])))

    relabelled = Labels(store).onto(BEFORE)

    assert [column.tags for column in relabelled.tables[name("T")].columns] == [{"pii"}, set()]


async def test_what_is_kept_already_is_nothing_new() -> None:
    labels = Labels(Labelled())
    after = catalog(T=table("A", "B", pii=["A"]))

    assert await labels.move(BEFORE, after)
    assert not await labels.move(BEFORE, after)
    # The other order of the same columns, as after a second SWAP.
    assert not await labels.move(BEFORE, catalog(T=table("B", "A", pii=["A"])))
    assert not await labels.move(BEFORE, BEFORE)


async def test_labels_only_ever_grow() -> None:
    labels = Labels(Labelled())
    await labels.move(BEFORE, catalog(T=table("A", "B", pii=["A"])))
    await labels.move(BEFORE, catalog(T=table("B", "C", pii=["B"])))

    seen = labels.onto(catalog(T=table("A", "B", "C"))).tables[name("T")]

    assert [column.name for column in seen.columns if column.tags] == ["A", "B"]


async def test_a_table_of_unknown_origin_is_unknown_whatever_is_read_later() -> None:
    labels = Labels(Labelled())
    await labels.move(BEFORE, catalog(T=Table((), opaque=True)))

    seen = labels.onto(BEFORE).tables[name("T")]

    assert all(column.unknown and column.derived for column in seen.columns)


async def test_a_derived_column_stays_derived() -> None:
    store = Labelled()
    column = CatalogColumn("A", "TEXT", frozenset({"pii"}), derived=True)
    await Labels(store).move(BEFORE, catalog(T=Table((column,))))

    seen = Labels(store).onto(BEFORE).tables[name("T")].columns[0]

    assert (seen.derived, seen.type) == (True, "TEXT")


async def test_labels_of_a_table_that_is_gone_wait_for_its_name() -> None:
    labels = Labels(Labelled())
    await labels.move(BEFORE, catalog(T=table("A", pii=["A"])))

    assert labels.onto(catalog()).tables == {}
    assert labels.onto(BEFORE).tables[name("T")].columns[0].tags == {"pii"}


async def test_a_store_that_fails_lets_the_statement_go_nowhere() -> None:
    store = Labelled(broken=True)
    labels = Labels(store)

    with pytest.raises(StoreError):
        await labels.move(BEFORE, catalog(T=table("A", pii=["A"])))
    store.broken = False
    # Nothing counts as kept that is not.
    assert await labels.move(BEFORE, catalog(T=table("A", pii=["A"])))


@pytest.mark.parametrize(
    "row",
    [
        {"name": ["CRM", "PUBLIC"], "columns": [], "opaque": False},
        {"name": ["CRM", "PUBLIC", "T"], "columns": [{"name": "A"}], "opaque": False},
        {"name": ["CRM", "PUBLIC", "T"], "opaque": False},
    ],
)
def test_a_stored_label_of_another_form_is_an_error(row: dict[str, object]) -> None:
    with pytest.raises(StoreError, match="another form"):
        Labels(Labelled({("CRM", "PUBLIC", "T"): row}))


async def test_what_feeds_a_table_outlives_a_restart() -> None:
    store = Labelled()
    fed = replace(table("A"), fed_by=frozenset({name("INBOX")}))

    assert await Labels(store).move(catalog(T=table("A")), catalog(T=fed))

    assert Labels(store).onto(catalog(T=table("A"))).tables[name("T")].fed_by == {name("INBOX")}
