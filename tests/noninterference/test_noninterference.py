"""What analysts see is the same on twins, whatever they ask and may run (F3)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from snowgate.sql.state import Knob, State
from snowgate.sql.values import Shape, Value

from .client import VECTORS, judge_session
from .generator import session
from .harness import Campaign, Checked, Harness, Result
from .shrink import shrink
from .twins import pairs

# Sessions that every push checks, from this seed on; the long run takes others.
SEED, COUNT = 20_261_124, 1_000
LONG_SEED, LONG_COUNT, LONG_PARTS = 30_000_000, 20_000, 10
FILES = (
    "evasions.jsonl",
    "evasions_found.jsonl",
    "reference/statements.jsonl",
    "reference/benign.jsonl",
)
# What rows are stored first may decide a few answers of DuckDB, never many.
MOST_UNDETERMINED = 0.02
LEAST_RAN = 0.6


def corpus() -> Iterator[Any]:
    """Every labelled statement and session over the reference catalog."""
    for name in FILES:
        path = VECTORS / name
        if path.exists():
            for line in path.read_text().splitlines():
                item = json.loads(line)
                texts = item["sql"] if isinstance(item["sql"], list) else [item["sql"]]
                yield pytest.param(texts, id=f"{path.stem}-{item['id']}")


@pytest.fixture(scope="module")
def harness() -> Harness:
    return Harness()


def leaks(harness: Harness, texts: Sequence[str]) -> bool:
    return harness.check(texts).result is Result.LEAK


def told(harness: Harness, seed: int, leak: Checked) -> str:
    """A leak, small enough to read."""
    small = shrink(leak.texts, lambda texts: leaks(harness, texts))
    statements = ";\n  ".join(small)
    return f"seed {seed}: {harness.check(small).why}\n  {statements}"


def run(harness: Harness, seed: int, count: int) -> Campaign:
    """Check generated sessions; a leak fails at the end, with all others."""
    counted, found = Campaign(), []
    for at in range(seed, seed + count):
        checked = harness.check(session(at))
        counted.add(checked)
        if checked.result is Result.LEAK:
            found.append(told(harness, at, checked))
    print(counted.summary())
    assert not found, "\n\n".join(found)
    unexpected = [(one.texts, one.why) for one in counted.odd if one.result is Result.UNEXPECTED]
    assert not unexpected
    assert counted.results[Result.UNDETERMINED] <= MOST_UNDETERMINED * count
    assert counted.ran >= LEAST_RAN * counted.allowed
    return counted


def test_generated_statements_do_not_interfere(harness: Harness) -> None:
    counted = run(harness, SEED, COUNT)

    # Without statements that run, or without such as are denied, nothing was asked.
    assert counted.allowed > COUNT / 2
    assert counted.masked > COUNT / 10
    assert counted.results[Result.DENIED] > COUNT / 10


@pytest.mark.long
@pytest.mark.parametrize("part", range(LONG_PARTS))
def test_many_generated_statements_do_not_interfere(part: int) -> None:
    count = LONG_COUNT // LONG_PARTS

    run(Harness(pairs(part, bases=2)), LONG_SEED + part * count, count)


@pytest.mark.parametrize("texts", list(corpus()))
def test_labelled_statements_do_not_interfere(harness: Harness, texts: list[str]) -> None:
    checked = harness.check(texts)

    assert checked.result is not Result.LEAK, checked.why


# With a defence off, these leak. A check that cannot fail is no check.
DEFENCES = {
    Knob.PREDICATE: "SELECT id FROM customers WHERE ssn LIKE '1%'",
    Knob.DICTIONARY: "SELECT p.id FROM products p JOIN customers c ON p.name = c.email",
    Knob.GROUP: "SELECT COUNT(*) FROM customers GROUP BY LEFT(email, 1)",
    Knob.ORDER: "SELECT id FROM customers ORDER BY ssn",
    Knob.ROWS: "SELECT c.id FROM customers c, LATERAL FLATTEN(INPUT => SPLIT(c.ssn, '-')) f",
    Knob.ERROR: "SELECT id, 1 / IFF(phone LIKE '%7%', 0, 1) FROM customers WHERE id = 4",
}


def without(monkeypatch: pytest.MonkeyPatch, *off: Knob) -> None:
    """Let pass what these knobs deny."""
    violate = State.violate

    def tolerate(self: State, knob: Knob, reason: str, *values: Value) -> None:
        if knob not in off:
            violate(self, knob, reason, *values)

    monkeypatch.setattr(State, "violate", tolerate)


@pytest.mark.parametrize(("knob", "sql"), DEFENCES.items(), ids=lambda item: str(item)[:24])
def test_the_harness_sees_what_a_defence_prevents(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, knob: Knob, sql: str
) -> None:
    assert harness.check([sql]).result is Result.DENIED
    without(monkeypatch, knob)

    assert harness.check([sql]).result is Result.LEAK


def test_the_harness_sees_computed_values_that_are_not_masked(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "SELECT id, NULLIF(LEFT(ssn, 1), '1') FROM customers"
    assert harness.check([sql]).result is Result.ALIKE
    column = Value.column
    clean = Value()

    def forget(self: Value, name: str | None) -> Any:
        return column(clean if self.shape is Shape.DERIVED else self, name)

    monkeypatch.setattr(Value, "column", forget)

    assert harness.check([sql]).result is Result.LEAK


@pytest.fixture(scope="module")
def denied() -> dict[str, list[list[str]]]:
    """Generated sessions by the rules that deny them."""
    found: dict[str, list[list[str]]] = {}
    for at in range(SEED, SEED + 600):
        texts = session(at)
        for rule in {rule for one in judge_session(texts) for rule in one.verdict.rules}:
            found.setdefault(rule, []).append(texts)
    return found


@pytest.mark.parametrize("knob", DEFENCES)
def test_the_generator_finds_what_a_defence_prevents(
    harness: Harness,
    monkeypatch: pytest.MonkeyPatch,
    denied: dict[str, list[list[str]]],
    knob: Knob,
) -> None:
    without(monkeypatch, knob)

    assert any(leaks(harness, texts) for texts in denied[knob.value])


def test_a_leak_shrinks_to_what_can_be_read(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, Knob.ORDER)
    texts = [
        "WITH q AS (SELECT c.id, c.email AS e, o.amount FROM customers c JOIN orders o"
        " ON o.customer_id = c.id WHERE c.id > 0 AND o.id < 100)"
        " SELECT q.id, COALESCE(q.amount, 3) AS a FROM q WHERE q.id <> 40"
        " ORDER BY LEFT(q.e, 3), q.id"
    ]
    assert leaks(harness, texts)

    small = shrink(texts, lambda tried: leaks(harness, tried))

    assert leaks(harness, small)
    assert len(small[0]) < 120
