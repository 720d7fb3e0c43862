"""The same made-up data at every start: CRM.PUBLIC with customers, orders, products, events, BIG.

Values of the five personal columns are unique, at least ten characters long and occur in no other
column, so that a leak can be found by searching bytes.
"""

from __future__ import annotations

import random

import duckdb
import pyarrow as pa


def _words(text: str) -> list[str]:
    return text.split()


CUSTOMERS = 2_000

_FIRST = _words("""
Adaeze Bertil Chiara Dmitri Eleni Farouk Gudrun Hamza Ingrid Joaquim Katarina Leopold Marisol
Nikolai Oluchi Priyanka Quentin Rosalind Siobhan Thibault Ursula Valentin Wilhelmina Xiomara
Yevgenia Zsofia
""")
_HEAD = _words("""
Alder Bram Carn Dorn Ester Falk Grim Harl Iven Jost Kron Lind Mord Nord Olm Perl
""")
_MIDDLE = ["an", "el", "in", "or", "us", "ath", "erg", "isk", "ond", "ulf"]
_TAIL = _words("""
berg dottir feld gaard hoven kamp mark stein strand vik wald zeller
""")
_COUNTRIES = {
    "DE": ("Hamburg", "Dresden", "Freiburg"),
    "FR": ("Nantes", "Grenoble", "Dijon"),
    "US": ("Tacoma", "Dayton", "Fresno"),
    "PL": ("Gdynia", "Lublin", "Opole"),
    "BR": ("Recife", "Manaus", "Natal"),
}
_SEGMENTS = ("consumer", "business", "premium")


def _luhn(digits: str) -> str:
    """The digits with their check digit, as on a real card."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


def _customers() -> list[tuple[object, ...]]:
    chance = random.Random(20261124)
    names: set[str] = set()
    rows: list[tuple[object, ...]] = []
    for number in range(1, CUSTOMERS + 1):
        name = ""
        while not name or name in names:
            surname = chance.choice(_HEAD) + chance.choice(_MIDDLE) + chance.choice(_TAIL)
            name = f"{chance.choice(_FIRST)} {surname}"
        names.add(name)
        country = chance.choice(list(_COUNTRIES))
        rows.append(
            (
                number,
                name,
                f"{name.split()[1].lower()}.{number:04d}@mail.example",
                f"+49-555-{number // 100 + 200:03d}-{number * 7919 % 10000:04d}",
                f"{900 + number % 90:03d}-{number % 97 + 1:02d}-{number * 3571 % 10000:04d}",
                _luhn(f"41297{number * 7_654_321 % 10_000_000_000:010d}"),
                country,
                chance.choice(_COUNTRIES[country]),
                chance.choice(_SEGMENTS),
                f"20{15 + number % 10:02d}-{number % 12 + 1:02d}-{number % 28 + 1:02d}",
            )
        )
    return rows


TABLES = """
CREATE TABLE CUSTOMERS (ID BIGINT NOT NULL, FULL_NAME VARCHAR, EMAIL VARCHAR, PHONE VARCHAR,
    SSN VARCHAR, CARD_NUMBER VARCHAR, COUNTRY VARCHAR, CITY VARCHAR, SEGMENT VARCHAR,
    SIGNUP_DATE DATE);
CREATE TABLE ORDERS AS SELECT i::BIGINT AS ID, (i * 37 % 2000 + 1)::BIGINT AS CUSTOMER_ID,
    DATE '2025-01-01' + (i % 600)::INTEGER AS ORDER_DATE,
    ((i * 7919) % 500000 / 100)::DECIMAL(12,2) AS AMOUNT,
    ['open','paid','shipped','cancelled'][i % 4 + 1] AS STATUS,
    ['north','south','east','west'][i % 4 + 1] AS REGION
    FROM range(1, 5001) t(i);
CREATE TABLE PRODUCTS AS SELECT i::BIGINT AS ID, 'Product ' || i AS NAME,
    ((i * 31) % 20000 / 100)::DECIMAL(12,2) AS PRICE,
    ['tools','toys','books','garden'][i % 4 + 1] AS CATEGORY
    FROM range(1, 201) t(i);
CREATE TABLE EVENTS AS SELECT i::BIGINT AS ID, (i * 13 % 2000 + 1)::BIGINT AS USER_ID,
    TIMESTAMP '2026-01-01 00:00:00' + to_seconds(i * 977) + to_milliseconds(i % 1000) AS TS,
    ['view','click','buy'][i % 3 + 1] AS KIND,
    json_object('device', ['web','ios','android'][i % 3 + 1], 'items', [json_object('sku',
    'SKU-' || (i % 200 + 1), 'qty', i % 5 + 1)]) AS V
    FROM range(1, 3001) t(i);
"""

BIG = """
CREATE TABLE BIG AS SELECT i::BIGINT AS ID, ((i * 7919) % 1000)::BIGINT AS GROUP_ID,
    ((i * 31) % 100)::BIGINT AS QUANTITY, ((i * 104729) % 1000000 / 100)::DECIMAL(12,2) AS PRICE,
    ((i * 15485863) % 100000000000 / 10000)::DECIMAL(18,4) AS AMOUNT,
    DATE '2020-01-01' + (i % 2000)::INTEGER AS DAY, 'label ' || (i % 5000) AS LABEL,
    'note on row ' || i AS NOTE
    FROM range(1, {rows} + 1) t(i);
"""


def fill(duck: duckdb.DuckDBPyConnection, big_rows: int) -> None:
    """Create and fill CRM.PUBLIC on a connection whose current schema it is."""
    duck.execute(TABLES)
    seed = pa.table(list(zip(*_customers(), strict=True)), names=[f"c{n}" for n in range(10)])
    duck.register("standin_seed", seed)
    duck.execute("INSERT INTO CUSTOMERS SELECT * FROM standin_seed")
    duck.unregister("standin_seed")
    duck.execute(BIG.format(rows=big_rows))
