"""Analyses as messages between the control plane and its workers.

    control plane ── Load, Job ──► worker        a frame: length, four bytes, then JSON
                  ◄─ Findings ────

Rule at the door: what a worker sends is not trusted. It is read into the types of `model` and
`catalog` member by member; a member too many, too few or of another type is a `CodecError`. Nothing
here is ever pickled, and no message names a class.

The form of a message is the form of its dataclass, so that a new attribute of `Statement` travels
without a change here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import orjson

from snowgate.model.routine import Overload
from snowgate.model.statement import Namespace, ObjectName, Statement
from snowgate.sql.catalog import Catalog, Table

# The length of a frame is that many bytes, big-endian.
HEAD_BYTES = 4
# A catalog of 50,000 columns is 5 MB; a statement at most 1 MB.
MAX_REQUEST_BYTES = 256 * 2**20
# What a statement changes can be a whole schema (CREATE SCHEMA … CLONE).
MAX_REPLY_BYTES = 16 * 2**20

_T = TypeVar("_T")


class CodecError(ValueError):
    """A message has another form. It never quotes the message."""


@dataclass(frozen=True, slots=True)
class NamedTable:
    """A table and its name; None: there is none."""

    name: ObjectName
    table: Table | None


@dataclass(frozen=True, slots=True)
class NamedText:
    """A view's name and text; None: there is none."""

    name: ObjectName
    text: str | None


@dataclass(frozen=True, slots=True)
class NamedRoutines:
    """A name and the functions and procedures that have it; None: there is none."""

    name: ObjectName
    overloads: tuple[Overload, ...] | None


@dataclass(frozen=True, slots=True)
class Change:
    """From one catalog to another."""

    tables: tuple[NamedTable, ...] = ()
    views: tuple[NamedText, ...] = ()
    routines: tuple[NamedRoutines, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether both are the same."""
        return not self.tables and not self.views and not self.routines

    @property
    def names(self) -> frozenset[ObjectName]:
        """Objects that differ."""
        tables, views = (each.name for each in self.tables), (each.name for each in self.views)
        return frozenset((*tables, *views, *(each.name for each in self.routines)))

    def onto(self, catalog: Catalog) -> Catalog:
        """The other catalog."""
        if self.empty:
            return catalog
        return catalog.replacing(
            {each.name: each.table for each in self.tables},
            {each.name: each.text for each in self.views},
            {each.name: each.overloads for each in self.routines},
        )


@dataclass(frozen=True, slots=True)
class Load:
    """Have this catalog from now on.

    Attributes:
        number: Its number; jobs name it.
        base: Number of the catalog that `change` starts from; 0 for an empty one.
        change: What to change.
        database, schema: Of the catalog.
    """

    number: int
    base: int
    change: Change
    database: str
    schema: str


@dataclass(frozen=True, slots=True)
class Job:
    """Examine one statement.

    Attributes:
        number: Comes back with the findings.
        catalog: Number of the catalog to use.
        sql, namespace, role, binds: As in `snowgate.sql.analysis.examine`.
        own: Temporary objects of the session, as what makes them of nothing.
    """

    number: int
    catalog: int
    sql: str
    namespace: Namespace
    role: str
    binds: tuple[str, ...] | None
    own: Change = Change()


@dataclass(frozen=True, slots=True)
class Request:
    """One message to a worker: one of its attributes is set."""

    load: Load | None = None
    job: Job | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out about a statement.

    Attributes:
        number: Of the job.
        statement: The analysis.
        change: What the catalog becomes once the statement has run.
        own: What the session's temporary objects become.
    """

    number: int
    statement: Statement
    change: Change
    own: Change = Change()


@dataclass(frozen=True, slots=True)
class Reply:
    """One message of a worker: one of its attributes is set.

    Attributes:
        ready: It is warm; whether its parser is the compiled one.
        loaded: Number of the catalog it has now.
        findings: Of the job it was given.
        exhausted: The job needs more memory than a worker has.
        leaving: It ends after this message.
    """

    ready: bool | None = None
    loaded: int | None = None
    findings: Findings | None = None
    exhausted: bool = False
    leaving: bool = False


def change_between(before: Catalog, after: Catalog) -> Change:
    """What to do to `before` to have `after`."""
    if after is before:
        return Change()
    return Change(
        tuple(NamedTable(name, table) for name, table in _differing(before.tables, after.tables)),
        tuple(NamedText(name, text) for name, text in _differing(before.views, after.views)),
        tuple(
            NamedRoutines(name, found)
            for name, found in _differing(before.routines, after.routines)
        ),
    )


def _differing(
    before: Mapping[ObjectName, _T], after: Mapping[ObjectName, _T]
) -> list[tuple[ObjectName, _T | None]]:
    changed: list[tuple[ObjectName, _T | None]] = []
    for name, value in after.items():
        known = before.get(name)
        # Most are the same object still, which is quicker to see than that they are equal.
        if known is not value and known != value:
            changed.append((name, value))
    changed += [(name, None) for name in before if name not in after]
    return changed


def encode(message: Request | Reply) -> bytes:
    """A frame."""
    body = orjson.dumps(message, default=_plain)
    return len(body).to_bytes(HEAD_BYTES, "big") + body


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is in no message")


def decode(kind: type[_T], body: bytes) -> _T:
    """The message in a frame's body.

    Raises:
        CodecError: It has another form.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise CodecError("a message is not JSON") from None
    read: _Reader = _reader(cast("Any", kind))
    return cast("_T", read(document))


_Reader = Callable[[Any], Any]


@cache
def _reader(kind: Any, /) -> _Reader:  # noqa: ANN401 - whatever a type hint can be
    """What reads a JSON value into a type."""
    if kind in (str, int, bool):
        return _exactly(kind)
    if is_dataclass(kind):
        return _record(cast("type", kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType) and len(arguments) == 2 and arguments[1] is NoneType:
        return _optional(_reader(arguments[0]))
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _sequence(_reader(arguments[0]), tuple)
    if origin is frozenset:
        return _sequence(_reader(arguments[0]), frozenset)
    raise TypeError(f"{kind} is in no message")


def _exactly(kind: type) -> _Reader:
    def read(value: Any) -> Any:  # noqa: ANN401
        if type(value) is not kind:
            raise CodecError(f"a message has something else for {kind.__name__}")
        return value

    return read


def _member(kind: type[Enum]) -> _Reader:
    members = {member.value: member for member in kind}

    def read(value: Any) -> Any:  # noqa: ANN401
        member = members.get(value) if isinstance(value, str) else None
        if member is None:
            raise CodecError(f"a message has no {kind.__name__} where one must be")
        return member

    return read


def _optional(inner: _Reader) -> _Reader:
    return lambda value: None if value is None else inner(value)


def _sequence(inner: _Reader, make: Callable[[list[Any]], Any]) -> _Reader:
    def read(value: Any) -> Any:  # noqa: ANN401
        if type(value) is not list:
            raise CodecError("a message has something else for a list")
        return make([inner(item) for item in value]) if value else make([])

    return read


def _record(kind: type) -> _Reader:
    hints = get_type_hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in fields(kind)}
    names = readers.keys()
    parts = tuple(readers.items())

    def read(value: Any) -> Any:  # noqa: ANN401
        if type(value) is not dict or value.keys() != names:
            raise CodecError(f"a message has another form than {kind.__name__}")
        # In the order of the fields, whatever the order of the members.
        return kind(*[reader(value[name]) for name, reader in parts])

    return read
