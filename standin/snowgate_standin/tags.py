"""Object tags: CREATE TAG, SET and UNSET TAG, WITH TAG, and the two ways to read references.

Kept beside DuckDB, by the names of objects. A tag belongs to its object: a rename and a swap take
it along, a replacement and a drop lose it, a clone copies it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
from sqlglot import exp

from snowgate_standin import history, local
from snowgate_standin.catalog import Catalog, Object, resolve, resolve_schema
from snowgate_standin.errors import SnowflakeError, insufficient, missing
from snowgate_standin.roles import USAGE_VIEW, Name

if TYPE_CHECKING:
    from snowgate_standin.access import Access
    from snowgate_standin.result import Result
    from snowgate_standin.session import Session

# Classification sets these; people may too.
_SYSTEM_TAGS: frozenset[Name] = frozenset(
    ("SNOWFLAKE", "CORE", name) for name in ("PRIVACY_CATEGORY", "SEMANTIC_CATEGORY")
)

Place = tuple[str, ...]
"""Database, schema, object and column, as far as there are any."""

_PART = r'(?:"[^"]+"|[\w$]+)'
_NAME = rf"{_PART}(?:\s*\.\s*{_PART}){{0,2}}"
_TAG = re.compile(
    rf"(CREATE|DROP)\s+(OR\s+REPLACE\s+)?TAG\s+(IF\s+(?:NOT\s+)?EXISTS\s+)?({_NAME})", re.IGNORECASE
)
_SET = re.compile(
    rf"ALTER\s+(TABLE|VIEW|SCHEMA|DATABASE)\s+(?:IF\s+EXISTS\s+)?({_NAME})\s+"
    rf"(?:(?:MODIFY|ALTER)\s+(?:COLUMN\s+)?({_PART})\s+)?(SET|UNSET)\s+TAG\s+(.+)",
    re.IGNORECASE | re.DOTALL,
)
_VALUE = re.compile(rf"\s*({_NAME})\s*=\s*'((?:[^']|'')*)'\s*(?:,|$)")
_BARE = re.compile(rf"\s*({_NAME})\s*(?:,|$)")

_TAG_COLUMNS = ("TAG_DATABASE", "TAG_SCHEMA", "TAG_NAME", "TAG_VALUE")
_OBJECT_COLUMNS = ("OBJECT_DATABASE", "OBJECT_SCHEMA", "OBJECT_NAME", "DOMAIN", "COLUMN_NAME")


def _rows(names: tuple[str, ...], rows: list[tuple[str | None, ...]]) -> pa.Table:
    cells = list(zip(*rows, strict=True)) if rows else [[] for _ in names]
    return pa.Table.from_arrays([pa.array(one, pa.string()) for one in cells], names=list(names))


def _parts(name: str) -> list[str]:
    return [
        part[1:-1] if part.startswith('"') else part.upper() for part in re.findall(_PART, name)
    ]


@dataclass(frozen=True, slots=True)
class Given:
    """A tag that CREATE TABLE gives to the table or to one of its columns."""

    column: str | None
    tag: Name
    value: str


@dataclass(slots=True)
class Tags:
    """All tags of the account and where they are set.

    Attributes:
        latency_s: How long the view of the account is behind.
    """

    access: Access
    catalog: Catalog
    latency_s: float = 0.0
    _known: set[Name] = field(default_factory=lambda: set(_SYSTEM_TAGS))
    _set: dict[Place, dict[Name, str]] = field(default_factory=dict)
    _past: list[tuple[float, dict[Place, dict[Name, str]]]] = field(default_factory=list)

    def answer(self, session: Session, sql: str) -> Result | None:
        """The result of a statement about tags, else None.

        Raises:
            SnowflakeError: it is one, and refused.
        """
        if match := _TAG.match(sql):
            return self._define(session, match)
        if match := _SET.fullmatch(sql):
            return self._assign(session, match)
        return None

    def _define(self, session: Session, match: re.Match[str]) -> Result:
        name = self._full(session, match[4])
        active = self.access.active(session)
        if not self.catalog.schema_exists(session, name[0], name[1]):
            raise missing("Schema", f"{name[0]}.{name[1]}")
        if not self.access.roles.holds(active, "CREATE", (name[0], name[1], "")):
            raise insufficient("schema", name[1])
        if match[1].upper() == "CREATE":
            self._known.add(name)
            return local.status(local.DDL, f"Tag {name[2]} successfully created.")
        if name not in self._known and not match[3]:
            raise missing("Tag", ".".join(name))
        self._known.discard(name)
        self._change(
            {place: {t: v for t, v in tags.items() if t != name} for place, tags in self._all()}
        )
        return local.status(local.DDL, f"{name[2]} successfully dropped.")

    def _assign(self, session: Session, match: re.Match[str]) -> Result:
        kind, column, rest = match[1].upper(), match[3], match[5]
        place = self._place(session, kind, match[2])
        if column is not None:
            place = (*place, self._column(session, place, _parts(column)[0]))
        if match[4].upper() == "UNSET":
            gone = {self._tag(session, name) for name in _BARE.findall(rest)}
            kept = {t: v for t, v in self._set.get(place, {}).items() if t not in gone}
            self._change({**self._set, place: kept})
        else:
            new = {
                self._tag(session, name): value.replace("''", "'")
                for name, value in _VALUE.findall(rest)
            }
            self._change({**self._set, place: {**self._set.get(place, {}), **new}})
        return local.status(local.DDL)

    def _place(self, session: Session, kind: str, name: str) -> Place:
        """The object that is tagged; the session must own it."""
        parts = _parts(name)
        if kind == "DATABASE":
            place: Place = (parts[0],)
            known = self.catalog.schema_exists(session, parts[0])
        elif kind == "SCHEMA":
            place = (session.database or "", *parts)[-2:]
            known = self.catalog.schema_exists(session, *place)
        else:
            place = self._full(session, name)
            known = True
            self.access.visible(session, self._full(session, name), kind.capitalize())
        if not known:
            raise missing(kind.capitalize(), ".".join(place))
        owned = (*place, *("*" if kind == "DATABASE" else "",) * 2)[:3]
        if not self.access.roles.holds(self.access.active(session), "OWNERSHIP", owned):  # type: ignore[arg-type]
            raise insufficient(kind.lower(), place[-1])
        return place

    def _column(self, session: Session, place: Place, name: str) -> str:
        found = self.catalog.find(session, (place[0], place[1], place[2]))
        if found is None or name not in {column.name for column in found.columns}:
            raise SnowflakeError(
                "000904", "42000", f"SQL compilation error:\ninvalid identifier '{name}'"
            )
        return name

    def _full(self, session: Session, name: str) -> Name:
        parts = _parts(name)
        current = [session.database or "", session.schema or ""]
        full = [*current[: 3 - len(parts)], *parts]
        return full[0], full[1], full[2]

    def _tag(self, session: Session, name: str) -> Name:
        full = self._full(session, name)
        if full not in self._known:
            raise missing("Tag", ".".join(full))
        return full

    # -- what CREATE, DROP and ALTER TABLE do ------------------------------------------------

    def taken_out(self, session: Session, statement: exp.Expression) -> list[Given]:
        """The tags that a CREATE gives; they are taken out of it, since DuckDB knows none."""
        given: list[Given] = []
        for tags in list(statement.find_all(exp.Tags)):
            column = tags.find_ancestor(exp.ColumnDef)
            for item in tags.expressions:
                name = self._tag(session, item.this.sql(dialect="snowflake"))
                holder = None if column is None else exp.to_column(column.name).name
                if column is not None and not column.this.args.get("quoted"):
                    holder = column.name.upper()
                given.append(Given(holder, name, item.args["value"].name))
            (tags.parent if isinstance(tags.parent, exp.ColumnConstraint) else tags).pop()
        properties = statement.args.get("properties")
        if properties is not None and not properties.expressions:
            statement.set("properties", None)
        return given

    def created(self, session: Session, create: exp.Create, given: list[Given]) -> None:
        """A table or view is new: it has the tags that were given, and those of what it clones."""
        table = create.this.this if isinstance(create.this, exp.Schema) else create.this
        if not isinstance(table, exp.Table) or create.kind not in ("TABLE", "VIEW"):
            return
        name = resolve(table, session)
        left = {place: tags for place, tags in self._all() if place[:3] != name}
        clone = create.args.get("clone")
        if clone is not None and isinstance(clone.this, exp.Table):
            left |= self._of(resolve(clone.this, session), name)
        for one in given:
            place = name if one.column is None else (*name, one.column)
            left[place] = {**left.get(place, {}), one.tag: one.value}
        self._change(left)

    def dropped(self, session: Session, drop: exp.Drop) -> None:
        """Objects are gone, with what was in them."""
        for table in drop.args.get("tables") or []:
            if drop.kind == "SCHEMA":
                place: Place = resolve_schema(table, session)
            elif drop.kind == "DATABASE":
                place = (table.name.upper(),)
            else:
                place = resolve(table, session)
            self._change({p: tags for p, tags in self._all() if p[: len(place)] != place})

    def renamed(self, old: Name, new: Name, *, swapped: bool) -> None:
        """An object has another name, or two have each other's."""
        left = {place: tags for place, tags in self._all() if place[:3] not in (old, new)}
        left |= self._of(old, new)
        if swapped:
            left |= self._of(new, old)
        self._change(left)

    def _of(self, old: Name, new: Name) -> dict[Place, dict[Name, str]]:
        """The tags of an object and its columns, under another name."""
        return {(*new, *place[3:]): tags for place, tags in self._all() if place[:3] == old}

    def _all(self) -> Iterator[tuple[Place, dict[Name, str]]]:
        yield from self._set.items()

    def _change(self, now: dict[Place, dict[Name, str]]) -> None:
        self._past.append((time.monotonic(), now))
        self._set = now

    # -- reading -----------------------------------------------------------------------------

    def usage(self, session: Session) -> str:
        """The view of the account: what was set where, some time ago; the name of its table."""
        until = time.monotonic() - self.latency_s
        known = next((then for at, then in reversed(self._past) if at <= until), {})
        rows: list[tuple[str | None, ...]] = []
        for place, tags in sorted(known.items()):
            where = self._described(session, place)
            rows += [(*tag, value, *where, None) for tag, value in sorted(tags.items())]
        names = (*_TAG_COLUMNS, *_OBJECT_COLUMNS, "OBJECT_DELETED")
        return history.expose(session, _rows(names, rows))

    def _described(self, session: Session, place: Place) -> tuple[str | None, ...]:
        match place:
            case (database,):
                return None, None, database, "DATABASE", None
            case (database, schema):
                return database, None, schema, "SCHEMA", None
            case (database, schema, name):
                found = self.catalog.find(session, (database, schema, name))
                return database, schema, name, found.kind if found else "TABLE", None
            case _:
                return *place[:3], "COLUMN", place[3]

    def effective(self, session: Session, name: Name) -> str:
        """TAG_REFERENCES_ALL_COLUMNS: what each column carries now; the name of its table.

        Raises:
            SnowflakeError: the object is not there, or not for these roles.
        """
        self.access.visible(session, name, "Object")
        found = self.catalog.find(session, name)
        rows = [] if found is None else [*self._effective(session, found)]
        names = (*_TAG_COLUMNS, "APPLY_METHOD", "LEVEL", *_OBJECT_COLUMNS)
        return history.expose(session, _rows(names, rows))

    def _effective(self, session: Session, found: Object) -> Iterator[tuple[str | None, ...]]:
        active = self.access.active(session)
        imported = self.access.roles.holds(active, "SELECT", USAGE_VIEW)
        for column in found.columns:
            path = (*found.name, column.name)
            carried: dict[Name, tuple[str, int]] = {}
            for depth in (1, 2, 3, 4):
                tags = self._set.get(path[:depth], {})
                carried |= {tag: (value, depth) for tag, value in tags.items()}
            for tag, (value, depth) in sorted(carried.items()):
                if imported or tag[0] != "SNOWFLAKE":
                    method = "MANUAL" if depth == 4 else "INHERITED"
                    level = ("DATABASE", "SCHEMA", found.kind, "COLUMN")[depth - 1]
                    yield (*tag, value, method, level, *found.name, "COLUMN", column.name)
