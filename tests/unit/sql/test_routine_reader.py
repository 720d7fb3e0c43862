"""How functions and procedures are read back: which there are, and the digests of their texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256

import pytest

from snowgate.errors import UpstreamError
from snowgate.model.routine import RoutineEffect, RoutineKind, Vetted, parse_signature
from snowgate.model.statement import ObjectName
from snowgate.sql.routine_reader import digest_of, read_routines

F, P = ObjectName("CRM", "PUBLIC", "F"), ObjectName("CRM", "OPS", "P")
TEXT = 'CREATE OR REPLACE FUNCTION "F"("X" VARCHAR)\nRETURNS VARCHAR\nAS \'UPPER(X)\';'


class Account:
    """Answers lists and GET_DDL; a text of None cannot be shown, and fails all asked with it."""

    def __init__(self, *rows: tuple[str, list[str | None]], **texts: str | None) -> None:
        self.rows = rows
        self.texts = texts
        self.asked: list[str] = []

    async def query(self, sql: str, purpose: str) -> Sequence[Sequence[str | None]]:
        assert purpose == "catalog"
        self.asked.append(sql)
        if "GET_DDL" not in sql:
            return [row for view, row in self.rows if f"INFORMATION_SCHEMA.{view}" in sql]
        names = re.findall(r'"(\w+)"\([^)]*\)', sql)
        if any(self.texts.get(name) is None for name in names):
            raise UpstreamError("002003", "does not exist or not authorized")
        return [[self.texts[name] for name in names]]


def vetted(signature: str, kind: RoutineKind = RoutineKind.FUNCTION) -> Vetted:
    return Vetted(kind, parse_signature(signature), RoutineEffect.PURE, (), (), "0" * 64)


def function(name: str, arguments: str, returns: str = "VARCHAR") -> tuple[str, list[str | None]]:
    return "FUNCTIONS", ["PUBLIC", name, arguments, returns]


def procedure(name: str, arguments: str = "()") -> tuple[str, list[str | None]]:
    return "PROCEDURES", ["OPS", name, arguments, "NUMBER"]


ONE = vetted("CRM.PUBLIC.F(VARCHAR)")
CALLED = vetted("CRM.OPS.P()", RoutineKind.PROCEDURE)


async def test_every_overload_of_a_vetted_name_is_read_and_no_other_name() -> None:
    account = Account(
        function("F", "(X VARCHAR)"), function("F", "(X NUMBER)"), function("G", "()"), F=TEXT
    )

    found = await read_routines(account, ["CRM"], [ONE])

    assert list(found) == [F]
    assert [one.arguments for one in found[F]] == [("NUMBER",), ("VARCHAR",)]
    assert {one.body for one in found[F]} == {sha256(TEXT.encode()).hexdigest()}
    assert not any("PROCEDURES" in sql for sql in account.asked)


async def test_a_function_with_the_name_of_a_builtin_is_listed_without_its_text() -> None:
    account = Account(function("LOWER", "(X VARCHAR)"))

    found = await read_routines(account, ["CRM"], [])

    assert [one.body for one in found[ObjectName("CRM", "PUBLIC", "LOWER")]] == [""]
    assert not any("GET_DDL" in sql for sql in account.asked)


async def test_a_text_that_is_not_shown_costs_no_other_its_digest() -> None:
    other = vetted("CRM.PUBLIC.G()")
    account = Account(function("F", "(X VARCHAR)"), function("G", "()"), F=TEXT, G=None)

    found = await read_routines(account, ["CRM"], [ONE, other])

    assert found[F][0].body == digest_of(TEXT)
    assert found[ObjectName("CRM", "PUBLIC", "G")][0].body == ""


async def test_an_overload_with_odd_arguments_is_listed_without_them() -> None:
    account = Account(function("F", "(X VARCHAR)"), function("F", "what is this"), F=TEXT)

    found = await read_routines(account, ["CRM"], [ONE])

    assert sorted(one.arguments is None for one in found[F]) == [False, True]


async def test_a_procedure_is_read_alone() -> None:
    account = Account(
        procedure("P"), procedure("P", "(A NUMBER)"), procedure("Q"), function("F", "()"), P="x"
    )

    found = await read_routines(account, ["CRM"], [ONE, CALLED], {P})

    assert list(found) == [P]
    assert len(found[P]) == 2
    assert not any("FUNCTIONS" in sql for sql in account.asked)


async def test_names_are_quoted_wherever_they_stand() -> None:
    odd = vetted("""CRM."o'%".F()""")
    account = Account(("FUNCTIONS", ["o'%", "F", "()", "VARCHAR"]), F=TEXT)

    await read_routines(account, ["CRM"], [odd])

    assert account.asked[-1] == """SELECT GET_DDL('FUNCTION', '"CRM"."o''%"."F"()')"""


async def test_rows_of_another_form_are_an_error() -> None:
    with pytest.raises(UpstreamError):
        await read_routines(Account(("FUNCTIONS", ["PUBLIC", "F"])), ["CRM"], [ONE])


@pytest.mark.parametrize(
    ("text", "pinned"),
    [
        (TEXT, True),
        ("CREATE FUNCTION F() IMPORTS = () AS 'x'", True),
        ("CREATE FUNCTION F()\r\nAS 'a\u00a0b'", True),
        ("CREATE FUNCTION F()\nIMPORTS = ('@CRM.PUBLIC.S/f.py')\nAS 'x'", False),
        ("create function f() imports=(\n'@s/f.jar') AS 'x'", False),
    ],
)
def test_a_text_stands_for_the_body_unless_files_belong_to_it(text: str, pinned: bool) -> None:
    assert (digest_of(text) == sha256(text.encode()).hexdigest()) is pinned
    assert bool(digest_of(text)) is pinned
