"""Reads the cases of a policy: statements with the verdict that somebody expects.

    catalog: catalog.json
    as: {name: ana, groups: [analysts]}
    cases:
      - name: analysts see no email
        sql: SELECT id, email FROM customers
        verdict: mask
        masked: [EMAIL]

What is asked of the answer may stand under `expect:` too, and who asks beside the name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from snowgate.config.fields import (
    Address,
    FilePath,
    Group,
    Identifier,
    IssuerUrl,
    Many,
    Shape,
    Text,
    Wrong,
)
from snowgate.config.load import read_file
from snowgate.config.translate import validate
from snowgate.errors import ConfigErrors

MAX_SQL = 1024 * 1024


# A Monday, so that a case that says no time has the same answer every day.
NOON = "2026-11-23T12:00"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a case expects.

    Attributes:
        verdict: allow, mask, hold or deny.
        rules: Names that must be among the rules that decide, the gateway's own too.
        masked: All masked columns: names as stored, or positions from 1; None asks nothing.
        each: Asked of each statement, and not of all of them together.
    """

    verdict: str
    rules: frozenset[str] = frozenset()
    masked: frozenset[str | int] | None = None
    each: bool = False


@dataclass(frozen=True, slots=True)
class CaseAsker:
    """Who asks; what is empty is not told."""

    name: str
    groups: tuple[str, ...] = ()
    role: str = ""
    client: str = ""
    source: str = ""
    issuer: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    Attributes:
        path, line: Where it stands.
        name: Unique in its file.
        asker: Who asks.
        at: When, ISO.
        database, schema: Where names resolve; empty for the catalog's own.
        sql: Statements of one session, in order.
        expected: Masked columns are those of the last statement.
    """

    path: str
    line: int
    name: str
    asker: CaseAsker
    at: str
    database: str
    schema: str
    sql: tuple[str, ...]
    expected: Expected


@dataclass(frozen=True, slots=True)
class CasesFile:
    """A file of cases.

    Attributes:
        catalog: The catalog that they need, beside the file; None if it names none.
        cases: In the order of the file.
    """

    catalog: Path | None
    cases: tuple[Case, ...]


def _sql(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_SQL:
        raise Wrong("must be a statement", "write its text")
    return value


def _position(value: object) -> object:
    if type(value) is int and value >= 1:
        return value
    if isinstance(value, str) and value:
        return value
    raise Wrong("is no column", "write its name as stored, or its position from 1")


def _expect(value: object) -> object:
    return {"verdict": value} if isinstance(value, str) else value


def _some(value: object) -> object:
    """A list that may be empty: nothing is masked is something to expect."""
    return value if isinstance(value, list) else [value]


Sql = Annotated[str, BeforeValidator(_sql)]
Column = Annotated[str | int, BeforeValidator(_position)]


Verdict = Literal["allow", "mask", "hold", "deny"]
Names = Annotated[list[Text], BeforeValidator(_some)]
Columns = Annotated[list[Column], BeforeValidator(_some)]
Groups = Annotated[list[Group], BeforeValidator(_some)]


class ExpectShape(Shape):
    """The verdict, and what else is asked of it."""

    verdict: Verdict
    rules: Names | None = None
    masked: Columns | None = None
    each: bool = False


class WhoShape(Shape):
    """Who asks."""

    name: Text
    groups: Groups = Field([], validate_default=False)
    role: Identifier | None = None
    client: Text | None = None
    source: Address | None = None
    issuer: IssuerUrl | None = None
    subject: Text | None = None


def _who(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


Whoever = Annotated[WhoShape, BeforeValidator(_who)]


class CaseShape(Shape):
    """One case. Who asks may be said beside `as:`, and what is expected without `expect:`."""

    name: Text
    who: Whoever | None = Field(None, alias="as")
    groups: Groups | None = None
    role: Identifier | None = None
    client: Text | None = None
    source: Address | None = None
    issuer: IssuerUrl | None = None
    subject: Text | None = None
    at: Text | None = None
    database: Identifier | None = None
    schemas: Identifier | None = Field(None, alias="schema")
    sql: Many[Sql]
    expect: Annotated[ExpectShape | None, BeforeValidator(_expect)] = None
    verdict: Verdict | None = None
    rules: Names | None = None
    masked: Columns | None = None
    each: bool = False

    @model_validator(mode="after")
    def _expects_one_thing(self) -> Self:
        if (self.expect is None) == (self.verdict is None):
            raise Wrong("needs one verdict", "add `verdict:`, or `expect:` with a verdict")
        return self

    def asker(self, default: WhoShape | None) -> CaseAsker | None:
        """Who asks; None if nobody is named here or for the whole file."""
        who = self.who or default
        if who is None:
            return None
        return CaseAsker(
            who.name,
            tuple(who.groups if self.groups is None else self.groups),
            self.role or who.role or "",
            self.client or who.client or "",
            self.source or who.source or "",
            self.issuer or who.issuer or "",
            self.subject or who.subject or "",
        )

    def expected(self) -> Expected:
        """What is expected."""
        asked = self.expect or self
        masked = None if asked.masked is None else frozenset(asked.masked)
        return Expected(asked.verdict or "", frozenset(asked.rules or ()), masked, asked.each)


class CasesShape(Shape):
    """A file of cases."""

    catalog: FilePath | None = None
    who: Whoever | None = Field(None, alias="as")
    cases: list[CaseShape] = Field(min_length=1)


def load_cases(path: str | Path) -> CasesFile:
    """Load a file of cases.

    Raises:
        ConfigError: It is wrong; `ConfigErrors` where in more than one place.
    """
    document = read_file(path)
    shape = validate(document, CasesShape)
    cases: list[Case] = []
    first: dict[str, int] = {}
    for at, case in enumerate(shape.cases if shape else ()):
        if case.name in first:
            document.blame(
                ("cases", at, "name"),
                f"case {first[case.name] + 1} has this name too",
                "give each case a name of its own",
            )
        first.setdefault(case.name, at)
        asker = case.asker(shape.who if shape else None)
        if asker is None:
            document.blame(("cases", at, "as"), "is missing", "add `as:`, here or for the file")
            continue
        line = document.find(("cases", at)).node.line
        cases.append(_case(case, asker, str(path), line))
    if shape is None or document.mistakes:
        errors = sorted(document.mistakes, key=lambda error: (error.line, error.key))
        raise errors[0] if len(errors) == 1 else ConfigErrors(tuple(errors))
    catalog = None if shape.catalog is None else Path(path).parent / shape.catalog
    return CasesFile(catalog, tuple(cases))


def _case(shape: CaseShape, asker: CaseAsker, path: str, line: int) -> Case:
    return Case(
        path=path,
        line=line,
        name=shape.name,
        asker=asker,
        at=shape.at or NOON,
        database=shape.database or "",
        schema=shape.schemas or "",
        sql=tuple(shape.sql),
        expected=shape.expected(),
    )
