"""A verdict on a template, used for every statement that has it, is never weaker than their own.

What the gate does: it asks for the verdict on the template's text, and uses it if it allows.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from snowgate._core import template
from snowgate.config import load_policy
from snowgate.model.identity import Principal
from snowgate.model.statement import Namespace
from snowgate.model.verdict import Decision, Verdict
from snowgate.policy import Policy, Subject, judge
from snowgate.sql.analysis import Examined, examine
from snowgate.sql.catalog import NOTHING, Catalog
from snowgate.sql.temporary import overlaid

VECTORS = Path(__file__).parents[2] / "vectors"
SUBJECT = Subject(
    Principal("CRM", "https://i.example.com", "1", "analyst"),
    frozenset({"analysts", "etl-writers"}),
    "ANALYST",
)


@cache
def setting(folder: str) -> tuple[Catalog, Policy]:
    catalog = Catalog.from_json((VECTORS / folder / "catalog.json").read_text())
    return catalog, load_policy(VECTORS / folder / "policy.yaml").policy


def statements(folder: str, file: Path) -> Iterator[tuple[str, Namespace, Catalog]]:
    """Every statement of a file, where its session stands."""
    start = setting(folder)[0]
    for line in file.read_text().splitlines():
        case = json.loads(line)
        catalog, here = start, Namespace(start.database, start.schema)
        own = NOTHING
        for text in case["sql"] if isinstance(case["sql"], list) else [case["sql"]]:
            yield text, here, overlaid(catalog, own)
            left = examine(text, here, catalog, role="ANALYST", own=own)
            here, catalog, own = left.namespace, left.catalog, left.own


def verdicts(
    folder: str, text: str, here: Namespace | None = None, catalog: Catalog | None = None
) -> tuple[Verdict, Verdict | None]:
    """The verdict on the exact text, and the one on its template if the gate would use it."""
    known, policy = setting(folder)
    catalog = catalog or known
    here = here or Namespace(known.database, known.schema)

    def judged(text: str, binds: list[str] | None) -> tuple[Verdict, Examined]:
        examined = examine(text, here, catalog, role="ANALYST", binds=binds)
        return judge(policy, examined.statement, SUBJECT), examined

    exact, _ = judged(text, None)
    found = template(text, [])
    if found is None:
        return exact, None
    general, _ = judged(*found)
    return exact, general if general.decision is Decision.ALLOW and general.cacheable else None


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        ("reference", "evasions.jsonl"),
        ("reference", "lineage.jsonl"),
        ("reference", "reference/statements.jsonl"),
        ("reference", "reference/benign.jsonl"),
        ("staff", "staff/statements.jsonl"),
    ],
)
def test_no_template_is_judged_weaker_than_a_statement_that_has_it(folder: str, file: str) -> None:
    used = 0
    for text, here, catalog in statements(folder, VECTORS / file):
        exact, general = verdicts(folder, text, here, catalog)
        if general is not None:
            assert general == exact, text
            used += 1
    assert used


# Each would be let through by a template that knew less than its instances.
ATTACKS = [
    # More constants than may be compared (F1), in lists and one by one.
    "SELECT id FROM customers WHERE email IN ({})".format(", ".join(f"'u{n}'" for n in range(51))),
    "SELECT id FROM customers WHERE {}".format(
        " OR ".join(f"email = 'u{n}'" for n in range(51)),
    ),
    # A number converts the column.
    "SELECT id FROM customers WHERE phone = 5550100",
    "SELECT id FROM customers WHERE phone IN (5550100, 5550101)",
    # The constant is a part of something larger.
    "SELECT id FROM customers WHERE 'x' = 'x' || SUBSTR(ssn, 1, 1)",
    "SELECT id = 0 / LENGTH(ssn) FROM customers",
    "SELECT 1 = 1000000000000000000000 * LENGTH(ssn) FROM customers",
    # The first row, or all of them.
    "SELECT id FROM customers WHERE id = (SELECT id FROM customers WHERE email = 'x')",
    # What is compared decides whether a conversion is tried.
    "SELECT IFF(ssn = '1', '2026-13-45'::DATE, NULL) FROM customers",
    "SELECT CASE WHEN ssn = '1' THEN TO_DATE('x') END FROM customers",
    # Patterns.
    "SELECT id FROM customers WHERE ssn LIKE '1%'",
    "SELECT id FROM customers WHERE ssn BETWEEN '1' AND '2'",
    "SELECT id FROM customers WHERE ssn > '4'",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_what_is_denied_for_its_constants_has_no_template_that_allows_it(text: str) -> None:
    exact, general = verdicts("reference", text)
    assert exact.decision is Decision.DENY
    assert general is None


@pytest.mark.parametrize(
    ("text", "binds"),
    [
        ("SELECT ? FROM customers", ["literal-text"]),
        ("SELECT LEFT ( name , ? ) FROM customers", ["literal-number"]),
        ("SELECT id FROM customers ORDER BY ?", ["literal-number"]),
        ("SELECT id FROM orders WHERE id = ANY ( ? )", ["literal-number"]),
        ("SELECT id FROM orders WHERE ? = id", ["literal-number"]),
        ("SELECT id FROM orders WHERE id = ?", ["literal-numbers"]),
        ("SELECT id FROM orders WHERE id IN ( ? , ? )", ["literal-number", "literal-numbers"]),
        ("SELECT * FROM IDENTIFIER ( ? )", ["literal-text"]),
        ("SELECT id FROM orders LIMIT ?", ["literal-text"]),
        ("SELECT PARSE_JSON ( ? ) : a FROM orders", ["literal-text"]),
        # Read as a path into a column, so that the slot is lost.
        ("SELECT id ? FROM orders", ["literal-text"]),
        ("UPDATE orders SET status = ? || region WHERE id = 1", ["literal-text"]),
        ("INSERT INTO orders ( id ) VALUES ( ? )", ["literal-number"]),
    ],
)
def test_a_slot_out_of_place_is_refused(text: str, binds: list[str]) -> None:
    catalog, _ = setting("reference")
    here = Namespace(catalog.database, catalog.schema)
    refusal = examine(text, here, catalog, role="ANALYST", binds=binds).statement.refusal
    assert refusal is not None, text


def test_a_bind_of_the_statement_itself_keeps_its_type_beside_slots() -> None:
    catalog, policy = setting("reference")
    here = Namespace(catalog.database, catalog.schema)
    found = template("SELECT id FROM customers WHERE phone = ? AND email = 'x'", ["FIXED"])
    assert found is not None
    for text, binds in (found, (found[0], ["TEXT", found[1][1]])):
        statement = examine(text, here, catalog, role="ANALYST", binds=binds).statement
        numeric = binds[0] == "FIXED"
        assert (judge(policy, statement, SUBJECT).decision is Decision.DENY) == numeric


def test_a_reader_sees_the_same_masks_whatever_the_constants() -> None:
    one, general = verdicts(
        "reference", "SELECT id, email FROM customers WHERE email = 'x' LIMIT 1"
    )
    assert general == one
    assert general is not None
    assert general.plan is not None
    assert not general.plan.clear
