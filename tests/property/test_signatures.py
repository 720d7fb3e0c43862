"""Signatures of functions and procedures: read as Snowflake would, or not at all."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from snowgate.model.routine import Signature, parse_arguments, parse_signature
from snowgate.model.statement import ObjectName

# What the lexer takes in a name; the rest is refused, and so nobody may call it.
NAMES = st.text("aZé漢_1 .,()\"'$-/*", min_size=1, max_size=9)
TYPES = {
    "VARCHAR": ["varchar", "STRING", "Text", "VARCHAR(16777216)", "CHAR ( 3 )"],
    "NUMBER": ["number(38, 0)", "INT", "decimal", "BIGINT"],
    "FLOAT": ["FLOAT", "double", "DOUBLE PRECISION"],
    "TIMESTAMP_NTZ": ["timestamp", "DATETIME", "TIMESTAMP_NTZ(9)"],
    "VARIANT": ["variant"],
    "VECTOR(FLOAT,3)": ["VECTOR(FLOAT, 3)", "vector( float,3 )"],
}
SPELT = st.sampled_from([(name, spelt) for name, words in TYPES.items() for spelt in words])
SPACE = st.sampled_from(["", " ", "\n", " /* x */ "])


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@given(st.tuples(NAMES, NAMES, NAMES), st.lists(SPELT, max_size=4), SPACE)
def test_a_signature_is_read_whatever_its_spelling(
    names: tuple[str, str, str], types: list[tuple[str, str]], space: str
) -> None:
    listed = f"{space},{space}".join(spelt for _, spelt in types)
    text = f"{'.'.join(map(quoted, names))}{space}({space}{listed}{space})"

    expected = Signature(ObjectName(*names), tuple(name for name, _ in types))
    assert parse_signature(text) == expected


@given(st.lists(st.tuples(NAMES, SPELT), max_size=4))
def test_the_catalog_s_arguments_are_read_as_their_types(
    parameters: list[tuple[str, tuple[str, str]]],
) -> None:
    listed = ", ".join(f"{quoted(name)} {spelt}" for name, (_, spelt) in parameters)

    assert parse_arguments(f"({listed})") == tuple(name for _, (name, _) in parameters)


@given(st.text(st.sampled_from("aF1.,() \"'$*-/=\n"), max_size=24) | st.text(max_size=24))
def test_a_signature_that_is_read_is_one_call_of_one_name(text: str) -> None:
    """Whatever is no signature is a `ValueError`, and nothing else."""
    with contextlib.suppress(ValueError):
        found = parse_signature(text)
        assert all((found.name.database, found.name.schema, found.name.name))
        assert text.strip().endswith(")") or "/" in text or "-" in text
        assert all(kind and "." not in kind for kind in found.arguments)
    parse_arguments(text)
