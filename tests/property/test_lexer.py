"""Laws of the lexer and of the analysis behind it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowgate._core import SqlError, classify, lex
from snowgate.model.statement import Namespace
from snowgate.sql.analysis import analyse
from snowgate.sql.catalog import Catalog

VECTORS = Path(__file__).parents[1] / "vectors"
CATALOG = Catalog.from_json((VECTORS / "reference" / "catalog.json").read_text())
NAMESPACE = Namespace("CRM", "PUBLIC")
TEXTS = [
    text
    for line in (VECTORS / "evasions.jsonl").read_text().splitlines()
    for text in (lambda sql: sql if isinstance(sql, list) else [sql])(json.loads(line)["sql"])
    if len(text) < 300
]
WORDS = """
SELECT FROM WHERE AND OR ( ) , . * = customers email ssn id 'a' 1 JOIN ON USING IN AS ; -- /* */ $$
:: -> ->> ? @ $x [ ] { } LIKE ORDER BY GROUP UNION ALL LATERAL FLATTEN INSERT INTO VALUES
"""
FRAGMENTS = st.sampled_from(WORDS.split())


@given(st.one_of(st.text(max_size=80), st.lists(FRAGMENTS, max_size=40).map(" ".join)))
def test_tokens_joined_are_the_text(text: str) -> None:
    try:
        tokens = lex(text)
    except SqlError:
        return

    assert "".join(piece for _, piece in tokens) == text


@given(st.lists(FRAGMENTS, max_size=40).map(" ".join))
@settings(deadline=None)
def test_any_text_gets_an_answer(text: str) -> None:
    statement = analyse(text, NAMESPACE, CATALOG)

    assert statement == analyse(text, NAMESPACE, CATALOG)


def respaced(text: str, fillers: list[str]) -> str:
    """The same statement with other white space and comments between its tokens."""
    waiting = list(fillers)
    pieces = []
    for kind, piece in lex(text):
        if kind in ("space", "comment"):
            piece = waiting.pop() if waiting else " "
        pieces.append(piece)
    return "".join(pieces)


@pytest.mark.parametrize("swap", [str.lower, str.upper])
def test_case_of_unquoted_words_changes_nothing(swap: Callable[[str], str]) -> None:
    for text in TEXTS:
        try:
            pieces = lex(text)
        except SqlError:
            continue
        other = "".join(swap(piece) if kind == "word" else piece for kind, piece in pieces)
        assert analyse(other, NAMESPACE, CATALOG) == analyse(text, NAMESPACE, CATALOG), text


@given(
    st.sampled_from(TEXTS),
    st.lists(
        st.sampled_from([" ", "\n", "\t ", " /* ; DROP */ ", " -- x\n", " // '\n"]), max_size=60
    ),
)
@settings(deadline=None, max_examples=150)
def test_white_space_and_comments_change_nothing(text: str, fillers: list[str]) -> None:
    try:
        other = respaced(text, fillers)
    except SqlError:
        return

    assert analyse(other, NAMESPACE, CATALOG) == analyse(text, NAMESPACE, CATALOG)


@given(st.sampled_from(TEXTS), st.integers(0, 299))
def test_a_text_cut_short_never_gains_a_statement(text: str, at: int) -> None:
    try:
        whole, part = classify(text), classify(text[:at])
    except SqlError:
        return

    assert len(part.statements) <= len(whole.statements)
