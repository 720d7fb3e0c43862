"""Databases that differ in tagged values only, and what each of them keeps alike.

    RENAMED   other values, one for one across all tagged columns; the same constants, NULLs, and
              forms (upper-case, padded): every declassifier shows the same
    RECASED   as RENAMED, but other forms too: for statements without LOWER, UPPER and TRIM
    OTHER     nothing alike: NULLs, duplicates, lengths, order: for statements that declassify
              nothing

A tagged value is a core in a form. The cores in `FIXED` stay the same, and only those may be
compared with tagged columns; the cores in the pools move, and appear in untagged columns and in the
generator's dictionaries, so that a comparison that should have been denied finds something.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

TAGGED = ("FULL_NAME", "EMAIL", "PHONE", "SSN", "CARD_NUMBER")

# Constants that statements compare with tagged columns.
FIXED_CASED = ("ann@shop.example", "bob ray", "kim")
FIXED_PLAIN = ("555-0100", "4111", "19")
FIXED = FIXED_CASED + FIXED_PLAIN
# Cores that move. Those without letters read the same in capitals, so they move among themselves.
_CASED_A = ("al@a.example", "zoe", "cy@c.example", "dora lang", "m", "carl@shop.example")
_CASED_B = ("wendy@very.long.example", "abe", "yo@b.example", "bo li", "q7", "eve@shop.example")
_PLAIN_A = ("555-0199", "7", "123-45-6789", "2024-01-05", "0", "900001", "12.5", "42")
_PLAIN_B = ("1", "555-1", "800", "999-99-9999", "5550123", "31", "2023-13-45", "6000 1")
MOVING = _CASED_A + _CASED_B + _PLAIN_A + _PLAIN_B

Value = str | None
Customers = list[dict[str, Value]]


class Kind(Enum):
    """What a pair of twins keeps alike."""

    RENAMED = "renamed"
    RECASED = "recased"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Twin:
    """A database: the tagged columns of its customers, by row.

    Attributes:
        name: Unique.
        customers: Tagged values, one mapping for each customer.
        shuffle: Seed of the order in which rows are stored; 0 for the order of ids.
    """

    name: str
    customers: tuple[tuple[Value, ...], ...]
    shuffle: int = 0

    def shuffled(self, seed: int) -> Twin:
        """The same rows, stored in another order."""
        return Twin(f"{self.name}#{seed}", self.customers, seed)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two twins and what they keep alike."""

    kind: Kind
    one: Twin
    two: Twin


ROWS = 12
_FORMS: tuple[Callable[[str], str], ...] = (str, str, str, str.upper, lambda text: f" {text}")


def _base(rng: random.Random) -> list[list[tuple[int, str] | None]]:
    """Customers as (form, core), with NULLs, duplicates, and values shared between columns."""
    cased, plain = _CASED_A * 2 + FIXED_CASED, _PLAIN_A * 2 + FIXED_PLAIN
    pools = {
        "FULL_NAME": cased,
        "EMAIL": cased,
        "PHONE": plain,
        "SSN": plain,
        "CARD_NUMBER": plain + _CASED_A[:2],
    }
    rows: list[list[tuple[int, str] | None]] = []
    for _ in range(ROWS):
        row: list[tuple[int, str] | None] = []
        for column in TAGGED:
            if rng.random() < 0.15:
                row.append(None)
            else:
                row.append((rng.randrange(len(_FORMS)), rng.choice(pools[column])))
        rows.append(row)
    # One customer twice, but for the key.
    rows[-1] = list(rows[0])
    return rows


def _moved(rng: random.Random, old: Sequence[str], new: Sequence[str]) -> dict[str, str]:
    """One for one, and no value stays."""
    targets = [*old, *new]
    while True:
        rng.shuffle(targets)
        mapping = dict(zip(old, targets, strict=False))
        if all(core != target for core, target in mapping.items()):
            return mapping


def _written(rows: list[list[tuple[int, str] | None]]) -> tuple[tuple[Value, ...], ...]:
    return tuple(
        tuple(None if cell is None else _FORMS[cell[0]](cell[1]) for cell in row) for row in rows
    )


def _renamed(
    rng: random.Random, rows: list[list[tuple[int, str] | None]]
) -> tuple[tuple[Value, ...], ...]:
    mapping = {
        **{core: core for core in FIXED},
        **_moved(rng, _CASED_A, _CASED_B),
        **_moved(rng, _PLAIN_A, _PLAIN_B),
    }
    moved = [[None if c is None else (c[0], mapping[c[1]]) for c in row] for row in rows]
    return _written(moved)


def _recased(
    rng: random.Random, rows: tuple[tuple[Value, ...], ...]
) -> tuple[tuple[Value, ...], ...]:
    """Any value to any other, one for one; what can equal a constant stays."""
    kept = {form(core) for core in FIXED for form in _FORMS}
    old = sorted({cell for row in rows for cell in row if cell is not None} - kept)
    new = [form(core) for core in MOVING for form in (str, str.upper, lambda text: f"{text} ")]
    mapping = _moved(rng, old, sorted(set(new) - set(old)))
    return tuple(
        tuple(None if cell is None else mapping.get(cell, cell) for cell in row) for row in rows
    )


def _others(rng: random.Random) -> list[tuple[tuple[Value, ...], ...]]:
    """Nothing known, everything the same, everything different, something else."""
    everything = [form(core) for core in MOVING + FIXED for form in _FORMS] + ["", "é", "x" * 60]
    width = len(TAGGED)
    return [
        ((None,) * width,) * ROWS,
        (("42",) * width,) * ROWS,
        tuple(
            tuple(f"{at * 13 % 12}-{column}" * (at + 1) for column in range(width))
            for at in range(ROWS)
        ),
        tuple(tuple(rng.choice([*everything, None]) for _ in range(width)) for _ in range(ROWS)),
    ]


def pairs(seed: int = 0, bases: int = 1) -> list[Pair]:
    """Pairs of twins, each base with several.

    Args:
        seed: Another seed, other values.
        bases: How many databases the pairs start from.
    """
    rng = random.Random(seed)
    found: list[Pair] = []
    for base in range(bases):
        rows = _base(rng)
        one = Twin(f"base{base}", _written(rows))
        for at in range(2):
            two = Twin(f"renamed{base}{at}", _renamed(rng, rows))
            found.append(Pair(Kind.RENAMED, one, two))
        found.append(Pair(Kind.RECASED, one, Twin(f"recased{base}", _recased(rng, one.customers))))
        for at, customers in enumerate(_others(rng)):
            found.append(Pair(Kind.OTHER, one, Twin(f"other{base}{at}", customers)))
    return found


_UNTAGGED = [
    # id, country, city, segment, signup_date
    (1, "DE", "Ulm", "vip", "2024-01-05"),
    (2, "DE", "kim", "std", "2024-01-06"),
    (3, "US", "zoe", "std", "2024-02-01"),
    (4, "US", "Ulm", None, "2024-02-02"),
    (5, "FR", "abe", "vip", "2024-03-09"),
    (6, "FR", None, "std", "2023-12-31"),
    (7, None, "Nice", "vip", "2024-01-05"),
    (8, "DE", "Ulm", "std", None),
    (9, "US", "m", "vip", "2024-05-05"),
    (10, "DE", "Nice", "std", "2024-06-01"),
    (11, "AT", "Graz", None, "2024-07-01"),
    (12, "AT", "Graz", "vip", "2024-07-02"),
]
_ORDERS = [
    (1, 1, "2024-01-07", "10.00", "open", "EU"),
    (2, 1, "2024-01-08", "5.00", "paid", "EU"),
    (3, 2, "2024-02-01", "0.00", "7", "US"),
    (4, 3, "2024-02-03", "42.50", "open", "US"),
    (5, 5, "2024-03-10", "1.00", "zoe", "EU"),
    (6, 7, "2024-03-11", "99.00", None, "EU"),
    (7, 9, "2024-05-06", "10.00", "paid", None),
    (8, 12, None, "3.00", "abe", "EU"),
    (9, 40, "2024-08-01", None, "open", "US"),
]
_PRODUCTS = [
    (1, "zoe", "10.00", "a"),
    (2, "al@a.example", "5.00", "b"),
    (3, "555-0199", "0.00", "a"),
    (4, "ann@shop.example", "7.00", "b"),
    (5, "7", "42.00", None),
    (6, "abe", None, "c"),
]
_EVENTS = [
    (
        1,
        1,
        "2024-01-01 10:00:00",
        "view",
        '{"user":{"id":1,"name":"zoe"},"items":[{"sku":"a"}],"n":3}',
    ),
    (
        2,
        2,
        "2024-01-01 11:00:00",
        "buy",
        '{"user":{"id":2},"items":[{"sku":"b"},{"sku":"c"}],"n":0}',
    ),
    (3, 5, "2024-01-02 10:00:00", "view", '{"items":[],"n":7}'),
    (4, 9, "2024-01-03 10:00:00", "buy", None),
    (5, 99, None, "view", "[1,2,3]"),
]
TABLES = {
    "CUSTOMERS": (
        "ID DECIMAL(38,0), FULL_NAME VARCHAR, EMAIL VARCHAR, PHONE VARCHAR, SSN VARCHAR,"
        " CARD_NUMBER VARCHAR, COUNTRY VARCHAR, CITY VARCHAR, SEGMENT VARCHAR, SIGNUP_DATE DATE"
    ),
    "ORDERS": (
        "ID DECIMAL(38,0), CUSTOMER_ID DECIMAL(38,0), ORDER_DATE DATE, AMOUNT DECIMAL(38,2),"
        " STATUS VARCHAR, REGION VARCHAR"
    ),
    "PRODUCTS": "ID DECIMAL(38,0), NAME VARCHAR, PRICE DECIMAL(38,2), CATEGORY VARCHAR",
    "EVENTS": "ID DECIMAL(38,0), USER_ID DECIMAL(38,0), TS TIMESTAMP, KIND VARCHAR, V JSON",
}


def rows_of(twin: Twin) -> dict[str, list[tuple[object, ...]]]:
    """The rows of every table in the order they are stored."""
    customers: list[tuple[object, ...]] = [
        (known[0], *tagged, *known[1:])
        for known, tagged in zip(_UNTAGGED, twin.customers, strict=True)
    ]
    tables: dict[str, list[tuple[object, ...]]] = {
        "CUSTOMERS": customers,
        "ORDERS": list(_ORDERS),
        "PRODUCTS": list(_PRODUCTS),
        "EVENTS": list(_EVENTS),
    }
    if twin.shuffle:
        rng = random.Random(twin.shuffle)
        for rows in tables.values():
            rng.shuffle(rows)
    return tables
