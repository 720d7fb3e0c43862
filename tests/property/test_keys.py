"""Keys of a catalog file mean the names they were made of, whatever these hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snowgate.model.statement import ObjectName
from snowgate.sql.keys import key_of, names_of

PARTS = st.text(st.sampled_from('.." aé\n'), max_size=5) | st.text(max_size=8)


@given(PARTS, PARTS, PARTS)
def test_a_key_means_the_name_it_was_made_of(database: str, schema: str, name: str) -> None:
    one = ObjectName(database, schema, name)

    assert names_of(key_of(one)) == [one]


@given(*[st.tuples(PARTS, PARTS, PARTS)] * 2)
def test_two_names_have_two_keys(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    same = key_of(ObjectName(*one)) == key_of(ObjectName(*other))

    assert same == (one == other)
