"""Limits of rules and budgets, as the file has them."""

from collections.abc import Callable

import pytest

from snowgate.config import Config, config_schema, policy_schema
from snowgate.errors import ConfigError
from snowgate.model.budget import Budget
from snowgate.policy import HoldFor, Limit

Mistakes = Callable[..., list[ConfigError]]
Load = Callable[..., Config]

READS = "  - {name: reads, match: {class: [select, show, session]}, allow: true}\n"
DAY = "{name: day, match: {group: etl-writers}, per: 24h, statements: 500}"


def with_budgets(*budgets: str) -> tuple[str, str]:
    return READS, READS + "budgets:\n" + "".join(f"  - {budget}\n" for budget in budgets)


def with_limit(limit: str, rule: str = READS) -> tuple[str, str]:
    return rule, rule.replace("}\n", f", limit: {limit}}}\n")


def test_a_limit_is_read_with_its_units(load: Load) -> None:
    [rule] = [
        rule
        for rule in load(with_limit("{rows: 10000, bytes: 50MiB}")).policy.rules
        if rule.name == "reads"
    ]

    assert rule.limit == Limit(10_000, 50 * 1024**2)


def test_budgets_are_read_and_sorted(load: Load) -> None:
    held = (
        "{name: asks, match: {class: select, tag: pii, not: {group: fraud-team}}, per: 10m,"
        " rows: 100000, bytes: 200MiB, distinct_tagged_values: 50,"
        " over: {hold: {approvers: data-platform, quorum: 2, expires: 1h}}}"
    )

    asks, day = load(with_budgets(DAY, held)).policy.budgets

    assert day.budget == Budget("day", 86_400, statements=500)
    assert day.over is None
    assert day.match.who.groups == {"etl-writers"}
    assert asks.budget == Budget(
        "asks", 600, None, 100_000, 200 * 1024**2, 50, tags=("pii",), holds=True
    )
    assert asks.over == HoldFor(frozenset({"data-platform"}), 2, 3600.0)


def test_deny_may_be_said(load: Load) -> None:
    [day] = load(with_budgets(DAY.replace("500", "500, over: deny"))).policy.budgets

    assert not day.budget.holds


def test_editors_are_told_of_both() -> None:
    for schema in (config_schema(), policy_schema()):
        parts = schema["$defs"]
        assert isinstance(parts, dict)
        budget, rule = parts["BudgetShape"], parts["RuleShape"]
        assert {"per", "statements", "rows", "bytes", "distinct_tagged_values"} <= set(
            budget["properties"]
        )
        assert {"const": "deny"} in budget["properties"]["over"]["anyOf"]
        assert "limit" in rule["properties"]


@pytest.mark.parametrize(
    ("change", "line", "key", "problem", "remedy"),
    [
        (with_limit("{rows: 0}"), 27, "rules[2].limit.rows", "must be at least 1", ""),
        (with_limit("{rows: 10k}"), 27, "rules[2].limit.rows", "must be a whole number", ""),
        (with_limit("{bytes: 50MB}"), 27, "rules[2].limit.bytes", "`50MB` is no size", "`1MiB`"),
        (with_limit("{bytes: 5B}"), 27, "rules[2].limit.bytes", "between 1KiB and 1024GiB", ""),
        (with_limit("{}"), 27, "rules[2].limit", "limits nothing", "`rows` or `bytes`"),
        (with_limit("{rows: }"), 27, "rules[2].limit.rows", "must not be empty", ""),
        (with_limit(""), 27, "rules[2].limit", "must not be empty", "`rows` or `bytes`"),
        (with_limit("{row: 5}"), 27, "rules[2].limit.row", "unknown key", "`rows`"),
        (
            (
                "mask: partial}",
                "mask: partial, limit: {rows: 5}}",
            ),
            *(26, "rules[1].limit", "what an `allow` or `hold` lets through", "remove it"),
        ),
        (
            with_budgets(DAY, DAY),
            *(30, "budgets[1].name", "budget 1 is called `day` too", "each budget"),
        ),
        (
            with_budgets(DAY.replace("name: day", "name: reads")),
            *(29, "budgets[0].name", "rule 3 is called `reads` too", ""),
        ),
        (
            with_budgets(DAY.replace("name: day", "name: no-rule")),
            *(29, "budgets[0].name", "the name of a built-in rule", ""),
        ),
        (
            with_budgets(DAY.replace("24h", "30s")),
            *(29, "budgets[0].per", "between 1m and 31d", ""),
        ),
        (with_budgets(DAY.replace("24h", "90d")), 29, "budgets[0].per", "between 1m and 31d", ""),
        (with_budgets(DAY.replace("24h", "day")), 29, "budgets[0].per", "no duration", "`30s`"),
        (
            with_budgets(DAY.replace("500", "0")),
            *(29, "budgets[0].statements", "must be at least 1", ""),
        ),
        (
            with_budgets(DAY.replace("500", "-1")),
            *(29, "budgets[0].statements", "must be at least 1", ""),
        ),
        (
            with_budgets(DAY.replace("statements: 500", "distinct_tagged_values: 20000")),
            *(29, "budgets[0].distinct_tagged_values", "must be at most 10000", ""),
        ),
        (
            with_budgets(DAY.replace(", statements: 500", "")),
            *(29, "budgets[0]", "counts nothing", "`statements`"),
        ),
        (
            with_budgets(DAY.replace("500", "")),
            *(29, "budgets[0].statements", "must not be empty", ""),
        ),
        (with_budgets(DAY.replace(", per: 24h", "")), 29, "budgets[0].per", "is missing", ""),
        (
            with_budgets(DAY.replace("group: etl-writers", "schema: CRM.PUBLIC")),
            *(29, "budgets[0].match.schema", "only for readers, classes and tags", "remove it"),
        ),
        (
            with_budgets(DAY.replace("group: etl-writers", "hours: 08:00-18:00")),
            *(29, "budgets[0].match.hours", "only for readers, classes and tags", "remove it"),
        ),
        (
            with_budgets(DAY.replace("group: etl-writers", "not: {kind: table}")),
            *(29, "budgets[0].match.not.kind", "only for readers, classes and tags", ""),
        ),
        (
            with_budgets(DAY.replace("group: etl-writers", "group: nobody")),
            *(29, "budgets[0].match.group", "no issuer may give", ""),
        ),
        (
            with_budgets(DAY.replace("group: etl-writers", "tag: phi")),
            *(29, "budgets[0].match.tag", "no columns have the tag `phi`", ""),
        ),
        (
            with_budgets(DAY.replace("500", "500, over: warn")),
            *(29, "budgets[0].over", "must be `deny`, or who may approve", "hold"),
        ),
        (
            with_budgets(DAY.replace("500", "500, over: {hold: }")),
            *(29, "budgets[0].over.hold", "must not be empty", "`approvers`"),
        ),
        (
            with_budgets(
                DAY.replace("500", "500, over: {hold: {approvers: data-platform, unmask: pii}}")
            ),
            *(29, "budgets[0].over.hold.unmask", "unknown key", ""),
        ),
        (
            with_budgets(DAY.replace("500", "500, over: {hold: {approvers: etl-writers}}")),
            *(29, "budgets[0].over.hold.approvers", "nobody could approve", ""),
        ),
        (
            with_budgets(DAY.replace("500", "500, window: 1h")),
            *(29, "budgets[0].window", "unknown key", ""),
        ),
        (
            with_budgets(*(DAY.replace("day", f"day-{at}") for at in range(33))),
            *(28, "budgets", "must have at most 32 entries", ""),
        ),
    ],
)
def test_a_mistake_is_named(
    mistakes: Mistakes,
    change: tuple[str, str],
    line: int,
    key: str,
    problem: str,
    remedy: str,
) -> None:
    found = mistakes(change)

    assert any(
        (error.line, key) == (line, error.key[: len(key)])
        and problem in error.problem
        and remedy in error.remedy
        for error in found
    ), [(error.line, error.key, error.problem, error.remedy) for error in found]


def test_a_budget_that_asks_people_needs_the_api(mistakes: Mistakes) -> None:
    held = DAY.replace("500", "500, over: {hold: {approvers: data-platform}}")
    api = ("api: {address: 127.0.0.1, port: 8444, ca_file: tls.crt}\n", "")
    ddl = ("  - {name: ddl, match: {class: ddl}, hold: {approvers: data-platform}}\n", "")

    [error] = mistakes(with_budgets(held), api, ddl)

    assert "budget `day` holds statements" in error.problem
