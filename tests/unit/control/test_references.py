"""Snowflake's tags in the catalog in force: read, kept, never silently gone (F16)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
from trio.testing import MockClock

from snowgate.control.catalogs import CatalogKeeper
from snowgate.control.current import Current
from snowgate.control.labels import Labels
from snowgate.control.last import LastCatalog
from snowgate.control.overlays import Overlays
from snowgate.control.quarantine import Quarantine
from snowgate.control.references import LOOKED_IN_TURN, TagReferences
from snowgate.model.statement import ObjectName
from snowgate.policy.pattern import parse_pattern
from snowgate.policy.rules import Policy, SnowflakeTag, compile_policy
from snowgate.sql.catalog import Catalog

from .doubles import (
    ALLOW_ALL,
    MASK_PII,
    Labelled,
    Ledger,
    Snowflake,
    Underway,
    catalog,
    catalog_settings,
    name,
    table,
    tags_of,
)
from .test_catalogs import outcome

PII = ObjectName("GOVERNANCE", "TAGS", "PII")
CRM = catalog(
    {"V": "select id from t"}, T=table("ID"), CUSTOMERS=table("ID", "EMAIL"), V=table("ID")
)


def policy(*values: str, excluding: str = "") -> Policy:
    """A policy that takes `pii` over from Snowflake alone."""
    left_out = parse_pattern(excluding, 4, "") if excluding else ()
    source = SnowflakeTag("pii", PII, values, left_out)
    return compile_policy((), (ALLOW_ALL, MASK_PII), (source,))


@dataclass
class Account:
    """A gateway's keeper and the account it reads; `started` again it has the same store."""

    snowflake: Snowflake = field(default_factory=lambda: Snowflake(CRM))
    references: Labelled = field(default_factory=Labelled)
    labels: Labelled = field(default_factory=Labelled)
    ledger: Ledger = field(default_factory=Ledger)
    quarantine: Quarantine = field(default_factory=lambda: Quarantine(Underway()))

    def set(self, place: str, column: str, value: str = "yes", *, late: bool = False) -> None:
        """Tag a column upstream; `late`: the bulk view does not know yet."""
        one = (name(place), column, PII, value)
        self.snowflake.tags.add(one)
        if not late:
            self.snowflake.bulk.add(one)

    def unset(self) -> None:
        """Take all tags away upstream."""
        self.snowflake.tags.clear()
        self.snowflake.bulk.clear()

    @asynccontextmanager
    async def started(self, policy: Policy) -> AsyncGenerator[Running]:
        now = Current(policy)
        keeper = CatalogKeeper(
            now,
            self.snowflake,
            catalog_settings(60.0),
            Labels(self.labels),
            self.quarantine,
            Overlays(),
            TagReferences(self.references),
            LastCatalog(Labelled()),
            self.ledger,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(keeper.run)
            yield Running(self, now, keeper)
            nursery.cancel_scope.cancel()

    @property
    def alerts(self) -> list[tuple[str, str]]:
        """Kind and text of every alert."""
        return [(one["alert"], one["detail"]) for kind, one in self.ledger.entries]


@dataclass
class Running:
    account: Account
    now: Current
    keeper: CatalogKeeper

    def tags(self, place: str, column: str) -> frozenset[str]:
        return tags_of(self.now, place, column)

    async def read(self) -> None:
        await self.keeper.changed(outcome("nobody"))


async def test_a_column_that_snowflake_tags_is_tagged() -> None:
    account = Account()
    account.set("CUSTOMERS", "EMAIL")
    async with account.started(policy()) as running:
        assert running.tags("CUSTOMERS", "EMAIL") == {"pii"}
        assert running.tags("CUSTOMERS", "ID") == frozenset()


async def test_a_tag_that_was_just_set_does_not_wait_for_the_bulk_view() -> None:
    account = Account()
    async with account.started(policy()) as running:
        assert running.tags("CUSTOMERS", "EMAIL") == frozenset()

        account.set("CUSTOMERS", "EMAIL", late=True)
        await running.read()

        assert running.tags("CUSTOMERS", "EMAIL") == {"pii"}
        assert running.now.epoch > 1


async def test_only_values_of_the_policy_count() -> None:
    account = Account()
    account.set("CUSTOMERS", "EMAIL", "IDENTIFIER")
    account.set("T", "ID", "INSENSITIVE")
    async with account.started(policy("IDENTIFIER", "SENSITIVE")) as running:
        assert running.tags("CUSTOMERS", "EMAIL") == {"pii"}
        assert running.tags("T", "ID") == frozenset()


async def test_a_policy_without_snowflakes_tags_asks_for_none() -> None:
    account = Account()
    account.snowflake.tags_broken = True
    async with account.started(compile_policy((), (ALLOW_ALL,))) as running:
        assert running.now.catalog is not None


async def test_a_tag_taken_away_upstream_stays_and_alarms_once() -> None:
    account = Account()
    account.set("CUSTOMERS", "EMAIL")
    async with account.started(policy()) as running:
        account.unset()
        await running.read()
        await running.read()

        assert running.tags("CUSTOMERS", "EMAIL") == {"pii"}
        [(kind, text)] = account.alerts
        assert kind == "tag-taken"
        assert "CRM.PUBLIC.CUSTOMERS: EMAIL (pii)" in text


async def test_a_tag_taken_away_again_alarms_again() -> None:
    account = Account()
    async with account.started(policy()) as running:
        for _ in range(2):
            account.set("CUSTOMERS", "EMAIL")
            await running.read()
            account.unset()
            await running.read()

        assert [kind for kind, _ in account.alerts] == ["tag-taken"] * 2


async def test_a_tag_taken_away_while_the_gateway_was_down_stays() -> None:
    account = Account()
    account.set("CUSTOMERS", "EMAIL")
    async with account.started(policy()):
        pass
    account.unset()
    async with account.started(policy()) as running:
        assert running.tags("CUSTOMERS", "EMAIL") == {"pii"}
        assert [kind for kind, _ in account.alerts] == ["tag-taken"]


async def test_the_policy_can_give_a_tag_up() -> None:
    account = Account()
    account.set("CUSTOMERS", "EMAIL")
    account.set("CUSTOMERS", "ID")
    async with account.started(policy()):
        pass
    account.unset()
    async with account.started(policy(excluding="CRM.PUBLIC.CUSTOMERS.ID")) as running:
        assert running.tags("CUSTOMERS", "ID") == frozenset()
        assert running.tags("CUSTOMERS", "EMAIL") == {"pii"}
        [(_, text)] = account.alerts
        assert "EMAIL" in text
        assert "ID (" not in text


async def test_a_value_that_changes_takes_nothing_away() -> None:
    account = Account()
    account.set("CUSTOMERS", "EMAIL", "IDENTIFIER")
    async with account.started(policy("IDENTIFIER")) as running:
        account.unset()
        account.set("CUSTOMERS", "EMAIL", "NONE")
        await running.read()

        assert running.tags("CUSTOMERS", "EMAIL") == {"pii"}
        assert [kind for kind, _ in account.alerts] == ["tag-taken"]


async def test_another_value_that_counts_is_no_alarm() -> None:
    account = Account()
    account.set("CUSTOMERS", "EMAIL", "IDENTIFIER")
    async with account.started(policy("IDENTIFIER", "SENSITIVE")) as running:
        account.unset()
        account.set("CUSTOMERS", "EMAIL", "SENSITIVE")
        await running.read()

        assert running.tags("CUSTOMERS", "EMAIL") == {"pii"}
        assert account.alerts == []


async def test_a_table_that_is_built_anew_without_its_tags_keeps_them() -> None:
    """CREATE OR REPLACE TABLE loses Snowflake's tags; the values are the same."""
    account = Account()
    account.set("CUSTOMERS", "EMAIL")
    async with account.started(policy()) as running:
        account.snowflake.holds = CRM.replacing({name("CUSTOMERS"): None})
        await running.read()
        account.unset()
        account.snowflake.holds = CRM
        await running.read()

        assert running.tags("CUSTOMERS", "EMAIL") == {"pii"}


async def test_tags_that_cannot_be_read_leave_no_catalog_in_force(
    autojump_clock: MockClock,
) -> None:
    account = Account()
    account.snowflake.tags_broken = True
    async with account.started(policy()) as running:
        assert running.now.catalog is None
        [(kind, text)] = account.alerts
        assert kind == "catalog-unreadable"
        assert "view of Snowflake's tags cannot be read (002003)" in text
        assert "GOVERNANCE_VIEWER" in text

        account.snowflake.tags_broken = False
        await trio.sleep(3)
        assert running.now.catalog is not None

        account.snowflake.tags_broken = True
        await trio.sleep(50)
        assert running.now.catalog is not None
        await trio.sleep(20)
        assert running.now.catalog is None
        assert [kind for kind, _ in account.alerts] == ["catalog-unreadable"] * 2


async def test_what_cannot_be_kept_is_not_put_in_force(autojump_clock: MockClock) -> None:
    account = Account()
    account.references.broken = True
    account.set("CUSTOMERS", "EMAIL")
    async with account.started(policy()) as running:
        assert running.now.catalog is None


async def test_an_object_whose_tags_are_not_shown_could_hold_anything() -> None:
    account = Account()
    account.snowflake.hidden = {name("T"), name("V")}
    async with account.started(policy()) as running:
        assert running.now.catalog is not None
        for one in ("T", "V"):
            held = running.now.catalog.tables[name(one)]
            assert all(column.unknown for column in held.columns)
        # Nor is the text of a view believed to be all of it.
        assert name("V") not in running.now.catalog.views
        assert not running.now.catalog.tables[name("CUSTOMERS")].columns[0].unknown

        account.snowflake.hidden = set()
        await running.read()
        assert running.now.catalog.views == CRM.views


async def test_the_views_of_information_schema_are_nobodys_to_tag() -> None:
    account = Account(Snowflake(catalog(T=table("ID"))))
    views = name("CRM.INFORMATION_SCHEMA.TABLES")
    account.snowflake.holds = account.snowflake.holds.replacing({views: table("TABLE_NAME")})
    account.snowflake.hidden = {views}
    async with account.started(policy()) as running:
        assert running.now.catalog is not None
        assert not running.now.catalog.tables[views].columns[0].unknown


# --- a large account


def large(count: int) -> Catalog:
    return catalog(**{f"T{at:04}": table("ID") for at in range(count)})


async def test_every_object_of_a_large_account_comes_round() -> None:
    count = LOOKED_IN_TURN * 2 + 10
    account = Account(Snowflake(large(count)))
    for at in range(count):
        account.set(f"T{at:04}", "ID", late=True)
    async with account.started(policy()) as running:
        found = []
        for _ in range(3):
            found.append(sum(bool(running.tags(f"T{at:04}", "ID")) for at in range(count)))
            await running.read()

        assert found == [LOOKED_IN_TURN, LOOKED_IN_TURN * 2, count]


async def test_what_is_new_or_was_changed_is_looked_at_out_of_turn() -> None:
    count = LOOKED_IN_TURN * 3
    account = Account(Snowflake(large(count)))
    last = f"T{count - 1:04}"
    async with account.started(policy()) as running:
        account.snowflake.holds = large(count).replacing({name("NEW"): table("ID")})
        account.set("NEW", "ID", late=True)
        account.set(last, "ID", late=True)
        account.quarantine.put("r-1", frozenset({name(last)}))
        await running.read()

        assert running.tags("NEW", "ID") == {"pii"}
        assert running.tags(last, "ID") == {"pii"}
