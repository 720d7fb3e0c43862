"""Laws of the JSON masker, told by another reader: the standard library's."""

from __future__ import annotations

import contextlib
import json
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowgate._core import MaskError, mask_arrow_stream, mask_json_rowset

Cell: TypeAlias = str | None
Mask: TypeAlias = str | dict[str, list[int]]
Column: TypeAlias = tuple[str, Mask]

cells = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
masks = st.sampled_from(["pass", "redact", "null", "void"]) | st.builds(
    lambda first, last: {"partial": [first, last]}, st.integers(0, 4), st.integers(0, 4)
)
columns = st.lists(
    st.tuples(st.sampled_from(["text", "TEXT", "fixed", "variant", "from the future"]), masks),
    min_size=1,
    max_size=5,
)


@st.composite
def results(draw: st.DrawFn) -> tuple[list[Column], list[list[Cell]]]:
    plan = draw(columns)
    row = st.lists(cells, min_size=len(plan), max_size=len(plan))
    return plan, draw(st.lists(row, max_size=6))


def shown(column: Column, cell: Cell) -> Cell:
    """The masked cell, written anew from the rule."""
    kind, mask = column
    is_text = kind.lower() == "text"
    if mask == "pass":
        return cell
    if mask == "null" or not is_text:
        return None
    if not isinstance(mask, dict):
        return "***"
    if cell is None:
        return None
    first, last = mask["partial"]
    if 2 * (first + last) > len(cell):
        return "***"
    return cell[:first] + "***" + cell[len(cell) - last :]


@given(results(), st.booleans(), st.sampled_from([None, 1]))
def test_a_masked_rowset_decodes_to_the_masked_cells(
    result: tuple[list[Column], list[list[Cell]]], ascii_only: bool, indent: int | None
) -> None:
    plan, rows = result
    rowset = json.dumps(rows, ensure_ascii=ascii_only, indent=indent).encode()

    masked, count = mask_json_rowset(json.dumps(plan), rowset)

    assert count == len(rows)
    assert json.loads(masked) == [
        [shown(column, cell) for column, cell in zip(plan, row, strict=True)] for row in rows
    ]


@given(st.binary(max_size=200) | st.text('[]", \\un\n', max_size=40).map(str.encode))
def test_arbitrary_bytes_are_masked_or_refused(data: bytes) -> None:
    plan = json.dumps([["text", "redact"]])

    with contextlib.suppress(MaskError):
        masked, count = mask_json_rowset(plan, data)
        assert json.loads(masked) == [["***"]] * count
    with contextlib.suppress(MaskError):
        assert mask_arrow_stream(plan, data) == (b"", 0)


@pytest.mark.parametrize("plan", ["", "{}", '[["text"]]', '[["text","hash"]]', "[[1,null]]"])
def test_a_plan_that_is_none_is_refused(plan: str) -> None:
    with pytest.raises(MaskError, match="this is no mask plan"):
        mask_json_rowset(plan, b"[]")


def test_an_error_names_no_value() -> None:
    with pytest.raises(MaskError) as refused:
        mask_json_rowset('[["text","redact"]]', b'[["canary" 1]]')

    assert "canary" not in str(refused.value)
