"""Numbers that leave their range, and dates that leave the calendar, on account of a tagged value.

Each denied text here was an oracle: with `LIKE 'a%'`, `LIKE 'b%'`, … in place of the condition, the
error tells a tagged value letter by letter.
"""

from pathlib import Path

import pytest

from snowgate.model.statement import Namespace
from snowgate.sql.analysis import analyse
from snowgate.sql.catalog import Catalog

REFERENCE = Path(__file__).parents[2] / "vectors" / "reference"
CATALOG = Catalog.from_json((REFERENCE / "catalog.json").read_text())

IF = "IFF(email LIKE 'a%'"
LARGEST = "9" * 38
ERROR = "pii_error_oracle"


def knobs(sql: str) -> set[str]:
    statement = analyse(sql, Namespace("CRM", "PUBLIC"), CATALOG)
    assert statement.refusal is None, statement.refusal
    return {violation.knob for violation in statement.violations}


@pytest.mark.parametrize(
    "expression",
    [
        f"{IF}, {LARGEST}, 0) + 1",
        f"{IF}, 1, 0) + {LARGEST}",
        f"{LARGEST} + {IF}, 1, 0)",
        f"{IF}, -{LARGEST}, 0) - 1",
        f"1 - {IF}, {LARGEST}, 0)",
        f"{IF}, 1e37, 0) + id",
        f"{IF}, 1, 0) * {LARGEST}",
        f"{IF}, id, 0) * id * id * id",
        f"{IF}, {LARGEST}, 0) / 0.001",
        f"DIV0({IF}, {LARGEST}, 0), 0.001)",
        f"SUM({IF}, {LARGEST}, 0))",
        f"{IF}, 1, 0) + TO_NUMBER(REPEAT('9', 38))",
        f"{IF}, 1, 0) + '{LARGEST}'",
        f"{IF}, 1, 0) + REPEAT('9', 38)::number",
        f"{IF}, 1, 0) + POWER(10, 38)",
        f"{IF}, 1, 0) + $x",
        f"{IF}, 1, 0) + ?",
        f"{IF}, ?, 0) * 2",
        f"{IF}, {LARGEST}, 0.5)",
        "CASE WHEN email LIKE 'a%' THEN 9e37 * 10 END",
        f"{IF}, 1e300, 1)::int",
        f"TO_NUMBER({IF}, 300, 1), 2, 0)",
        f"ROUND(id, {IF}, 1000, 0))",
        f"BITSHIFTLEFT(1, {IF}, 1000, 0))",
    ],
)
def test_a_number_does_not_leave_its_range_on_account_of_a_tagged_value(expression: str) -> None:
    assert ERROR in knobs(f"SELECT {expression} FROM customers")


@pytest.mark.parametrize(
    "expression",
    [
        f"DATEADD(year, {IF}, 999999, 0), signup_date)",
        f"{IF}, DATEADD(year, 999999, signup_date), signup_date)",
        f"{IF}, DATEADD(day, id, signup_date), signup_date)",
        f"DATEADD(day, id * 1000000, {IF}, signup_date, NULL))",
        f"ADD_MONTHS(signup_date, {IF}, 99999999, 0))",
        f"signup_date + {IF}, 99999999, 0)",
        f"{IF}, signup_date, NULL) + INTERVAL '99999999 years'",
        f"DATE_FROM_PARTS({IF}, 999999999, 2000), 1, 1)",
        f"TIMESTAMP_FROM_PARTS({IF}, 999999999, 2000), 1, 1, 0, 0, 0)",
    ],
)
def test_a_date_does_not_leave_the_calendar_on_account_of_a_tagged_value(expression: str) -> None:
    assert ERROR in knobs(f"SELECT {expression} FROM customers")


def test_steps_through_queries_are_counted() -> None:
    one = f"a AS (SELECT {IF}, 1000000000, 0) n, {IF}, signup_date, NULL) d FROM customers)"
    numbers = ", ".join(f"{name} AS (SELECT n * n n FROM {of})" for of, name in ("ab", "bc"))
    dates = ", ".join(
        f"{name} AS (SELECT DATEADD(year, 9999, d) d FROM {of})" for of, name in ("ab", "bc", "cd")
    )
    looped = "r AS (SELECT 1 n UNION ALL SELECT n * 10 FROM r WHERE n < 9)"

    assert ERROR in knobs(f"WITH {one}, {numbers} SELECT n FROM c")
    assert knobs(f"WITH {one}, {dates} SELECT d FROM d") == set()
    assert ERROR in knobs(f"WITH {one}, {dates} SELECT DATEADD(year, 9999, d) FROM d")
    assert ERROR in knobs(f"WITH RECURSIVE {looped}, {one} SELECT r.n + a.n FROM r, a")


@pytest.mark.parametrize(
    "expression",
    [
        "LENGTH(email) + 1",
        "LENGTH(email) * LENGTH(phone)",
        "LENGTH(email) * 100.0 / 7",
        "SUM(LENGTH(email) * 12)",
        "AVG(LENGTH(email))",
        "ROUND(LENGTH(email) / 3, 2)",
        "COUNT(email) * 100.0 / SUM(id)",
        f"COUNT(email) + {LARGEST}",
        f"{IF}, 1, 0) + id - 5",
        f"SUM({IF}, 1, 0))",
        f"DATEADD(day, -30, {IF}, signup_date, NULL))",
        f"{IF}, signup_date, NULL) + 7",
        f"{IF}, signup_date, NULL) - INTERVAL '2 days, 3 hours'",
        f"DATEDIFF(day, {IF}, signup_date, NULL), CURRENT_DATE())",
        f"{IF}, id, 1)::int",
        f"id + {LARGEST}",
        "DATEADD(year, 999999, signup_date)",
    ],
)
def test_everyday_calculations_are_left_alone(expression: str) -> None:
    assert knobs(f"SELECT {expression} FROM customers") == set()
