"""The definitions behind a query: whatever could change what it shows changes their digest."""

from __future__ import annotations

import pytest

from snowgate.control.definitions import definitions_digest
from snowgate.model.routine import Overload, RoutineKind
from snowgate.model.statement import ObjectName, Statement, StatementClass
from snowgate.sql.catalog import Catalog, Table

from .doubles import catalog, name, table

TABLES = {"T": table("A"), "U": table("A"), "FAR": table("A")}


def digest(views: dict[str, str] | None = None, /, **tables: Table) -> str:
    return of(catalog(views, **{**TABLES, **tables}))


def of(known: Catalog, *calls: ObjectName) -> str:
    statement = Statement(StatementClass.SELECT, reads=(name("V"),), calls=calls)
    return definitions_digest(statement, known)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"V": "select a from t"}, {"V": "select a from u"}),
        ({"V": "select a from t"}, {}),
        ({"V": "select a from w", "W": "select a from t"}, {"V": "select a from w"}),
        (
            {"V": "select a from w", "W": "select a from t"},
            {"V": "select a from w", "W": "select a from u"},
        ),
    ],
)
def test_another_view_is_another_digest(before: dict[str, str], after: dict[str, str]) -> None:
    assert digest(before) != digest(after)


@pytest.mark.parametrize(
    ("view", "changed"),
    [
        ("select a from t", table("B")),
        ("select a from t", table("A", "B")),
        ("select a from t", table("A", pii=["A"])),
        ('select a from "T"', table("B")),
        # A text nobody can read could mean anything.
        ("select 'open", table("B")),
    ],
)
def test_another_table_behind_a_view_is_another_digest(view: str, changed: Table) -> None:
    assert digest({"V": view}) != digest({"V": view}, T=changed)


def test_what_the_query_does_not_stand_on_may_change() -> None:
    view = {"V": "select a from t"}

    assert digest(view) == digest(view, FAR=table("B")) == digest({**view, "X": "select 1"})


def test_views_that_name_each_other_have_a_digest() -> None:
    assert digest({"V": "select a from w", "W": "select a from v"})


def test_another_function_is_another_digest() -> None:
    def known(body: str) -> Catalog:
        overload = Overload(RoutineKind.FUNCTION, ("VARCHAR",), "VARCHAR", body)
        return catalog({"V": "select f(a) from t"}, **TABLES).replacing(
            {}, routines={name("F"): (overload,), name("G"): (overload,)}
        )

    assert of(known("1")) != of(known("2"))
    assert of(known("1")) == of(known("1"))
    assert of(known("1"), name("G")) != of(known("1"))
