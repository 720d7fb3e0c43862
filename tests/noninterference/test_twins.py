"""Twins keep alike what they say, and differ in the rest: without that no difference is a leak."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from .client import tree_of
from .declassified import kinds
from .twins import FIXED, TAGGED, Kind, Pair, pairs, rows_of

PAIRS = pairs(bases=3)
FOLDS: tuple[Callable[[str], str], ...] = (
    str,
    str.lower,
    str.upper,
    str.strip,
    lambda text: text.strip().lower(),
)


def cells(pair: Pair) -> list[tuple[str | None, str | None]]:
    """The tagged values of both twins, side by side."""
    ones = [cell for row in pair.one.customers for cell in row]
    twos = [cell for row in pair.two.customers for cell in row]
    return list(zip(ones, twos, strict=True))


def of(kind: Kind) -> list[Pair]:
    return [pair for pair in PAIRS if pair.kind is kind]


@pytest.mark.parametrize("pair", of(Kind.RENAMED) + of(Kind.RECASED), ids=lambda p: p.two.name)
def test_equal_values_stay_equal_and_nulls_stay_nulls(pair: Pair) -> None:
    for (one, two), (other, another) in product(cells(pair), repeat=2):
        assert (one is None) == (two is None)
        assert (one == other) == (two == another)


@pytest.mark.parametrize("pair", of(Kind.RENAMED), ids=lambda p: p.two.name)
def test_folded_values_stay_equal_where_forms_are_kept(pair: Pair) -> None:
    texts = [(one, two) for one, two in cells(pair) if one is not None and two is not None]
    for (one, two), (other, another) in product(texts, repeat=2):
        for fold, folding in product(FOLDS, repeat=2):
            assert (fold(one) == folding(other)) == (fold(two) == folding(another))


@pytest.mark.parametrize("pair", of(Kind.RENAMED), ids=lambda p: p.two.name)
def test_what_equals_a_constant_equals_it_in_the_twin(pair: Pair) -> None:
    for one, two in cells(pair):
        if one is not None and two is not None:
            for fold, constant in product((str, *FOLDS), FIXED):
                assert (fold(one) == constant) == (fold(two) == constant)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: p.two.name)
def test_twins_differ_in_tagged_columns_only(pair: Pair) -> None:
    one, two = rows_of(pair.one), rows_of(pair.two)

    width = len(TAGGED)
    bare = [[(row[0], *row[width + 1 :]) for row in rows["CUSTOMERS"]] for rows in (one, two)]
    assert bare[0] == bare[1]
    assert pair.one.customers != pair.two.customers
    assert {name: rows for name, rows in one.items() if name != "CUSTOMERS"} == {
        name: rows for name, rows in two.items() if name != "CUSTOMERS"
    }


def test_a_shuffled_twin_has_the_same_rows() -> None:
    twin = PAIRS[0].one

    assert rows_of(twin.shuffled(1)) != rows_of(twin)
    assert sorted(rows_of(twin.shuffled(1))["ORDERS"], key=repr) == sorted(
        rows_of(twin)["ORDERS"], key=repr
    )


EVERY = {Kind.RENAMED, Kind.RECASED, Kind.OTHER}


@pytest.mark.parametrize(
    ("sql", "met"),
    [
        ("SELECT id, LEFT(email, 1) FROM customers WHERE id > 3", EVERY),
        ("SELECT c.id FROM customers c JOIN orders o ON o.customer_id = c.id", EVERY),
        ("SELECT id FROM customers WHERE email = 'kim'", {Kind.RENAMED, Kind.RECASED}),
        ("SELECT id FROM customers WHERE LOWER(email) = 'kim'", {Kind.RENAMED}),
        ("SELECT id FROM customers WHERE email = 'zoe'", set()),
        ("SELECT id FROM customers WHERE LEFT(email, 3) = 'zoe'", {Kind.RENAMED, Kind.RECASED}),
        ("SELECT COUNT(email) FROM customers", {Kind.RENAMED, Kind.RECASED}),
        ("SELECT COUNT(*) FROM customers GROUP BY email", {Kind.RENAMED, Kind.RECASED}),
        (
            "SELECT x FROM (SELECT email x FROM customers) WHERE x IS NULL",
            {Kind.RENAMED, Kind.RECASED},
        ),
        ("SELECT id FROM customers UNION SELECT id FROM orders", EVERY),
        (
            "SELECT email FROM customers UNION SELECT phone FROM customers",
            {Kind.RENAMED, Kind.RECASED},
        ),
        ("SELECT * FROM customers NATURAL JOIN orders", {Kind.RENAMED, Kind.RECASED}),
    ],
)
def test_a_statement_meets_twins_that_keep_what_it_lets_go(sql: str, met: set[Kind]) -> None:
    assert kinds([tree_of(sql)]) == met
