"""What passes between the control plane and its workers is read as it was written, or refused."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_type_hints

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowgate.model.statement import Compared, Namespace, ObjectName, Statement, StatementClass
from snowgate.sql.catalog import Catalog, CatalogColumn, Table
from snowgate.sql.codec import (
    HEAD_BYTES,
    Change,
    CodecError,
    Findings,
    Job,
    Load,
    Reply,
    Request,
    change_between,
    decode,
    encode,
)

WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
NAMES = st.builds(ObjectName, WORDS, WORDS, WORDS)
COLUMNS = st.builds(CatalogColumn, WORDS, WORDS, st.frozensets(WORDS, max_size=2))
TABLES = st.builds(
    Table,
    st.lists(COLUMNS, max_size=3).map(tuple),
    st.booleans(),
    st.frozensets(NAMES, max_size=2),
)
CATALOGS = st.builds(
    Catalog.of, st.dictionaries(NAMES, TABLES, max_size=4), st.dictionaries(NAMES, WORDS)
)
CHANGES = st.builds(change_between, CATALOGS, CATALOGS)
INFERRED: dict[str, Any] = {field.name: ... for field in fields(Statement)}
COMPARED = st.builds(
    Compared, tag=st.text(), value=st.text(), bind=st.integers(0, 2**53), known=st.booleans()
)
STATEMENTS = st.builds(
    Statement,
    **INFERRED
    | {"tagged_constants": st.integers(0, 2**53), "compared": st.lists(COMPARED).map(tuple)},
)
FINDINGS = st.builds(Findings, st.integers(1, 2**53), STATEMENTS, CHANGES)
MESSAGES = st.one_of(
    st.builds(
        lambda *of: Request(load=Load(*of)),
        st.integers(1, 2**53),
        st.integers(0, 2**53),
        CHANGES,
        WORDS,
        WORDS,
    ),
    st.builds(
        lambda *of: Request(job=Job(*of)),
        st.integers(1, 2**53),
        st.integers(1, 2**53),
        st.text(st.characters(codec="utf-8")),
        st.builds(Namespace, WORDS, WORDS),
        WORDS,
        st.none() | st.lists(WORDS).map(tuple),
    ),
    st.builds(Reply, st.none() | st.booleans(), st.none() | st.integers(0, 2**53)),
    FINDINGS.map(lambda found: Reply(findings=found)),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@given(MESSAGES)
def test_a_message_is_read_as_it_was_written(message: Request | Reply) -> None:
    frame = encode(message)

    assert int.from_bytes(frame[:HEAD_BYTES], "big") == len(frame) - HEAD_BYTES
    assert decode(type(message), frame[HEAD_BYTES:]) == message


@given(st.binary(max_size=64) | JSON.map(orjson.dumps))
def test_whatever_else_comes_is_refused(body: bytes) -> None:
    with pytest.raises(CodecError):
        decode(Reply, body)


def _spoilt(document: Any, path: list[int], value: Any) -> Any:
    """The document with the value at a path replaced; the path is taken as far as it goes."""
    if not path or not document or not isinstance(document, (dict, list)):
        return value
    keys = list(document) if isinstance(document, dict) else list(range(len(document)))
    key = keys[path[0] % len(keys)]
    copy = document.copy()
    copy[key] = _spoilt(document[key], path[1:], value)
    return copy


@given(FINDINGS, st.lists(st.integers(0, 30), min_size=1, max_size=8), JSON)
def test_a_spoilt_answer_is_refused_or_still_an_answer(
    found: Findings, path: list[int], value: Any
) -> None:
    body = encode(Reply(findings=found))[HEAD_BYTES:]
    document = _spoilt(orjson.loads(body), path, value)
    try:
        reply = decode(Reply, orjson.dumps(document))
    except CodecError:
        return

    # What is taken has the types it says it has: written again it is the same.
    assert decode(Reply, encode(reply)[HEAD_BYTES:]) == reply


@given(FINDINGS, st.data())
def test_an_answer_with_a_member_too_many_or_too_few_is_refused(
    found: Findings, data: st.DataObject
) -> None:
    document = orjson.loads(encode(Reply(findings=found))[HEAD_BYTES:])
    statement = document["findings"]["statement"]
    if data.draw(st.booleans()):
        statement["decision"] = "allow"
    else:
        del statement[data.draw(st.sampled_from(sorted(statement)))]

    with pytest.raises(CodecError, match="Statement"):
        decode(Reply, orjson.dumps(document))


@given(CATALOGS, CATALOGS)
def test_a_change_makes_one_catalog_of_the_other(before: Catalog, after: Catalog) -> None:
    change = change_between(before, after)

    assert change.onto(before).digest == after.digest
    assert change.empty == (before.digest == after.digest)
    assert change_between(before, before) == Change()


def test_every_attribute_of_a_statement_travels() -> None:
    members = orjson.loads(encode(Reply(findings=_bare()))[HEAD_BYTES:])["findings"]["statement"]

    assert members.keys() == {field.name for field in fields(Statement)}
    assert members.keys() == get_type_hints(Statement).keys()


def _bare() -> Findings:
    return Findings(1, Statement(StatementClass.SELECT), Change())
