"""What Snowflake's databases hold, as far as the gateway was told: tables, views, tags, routines.

Rule at the door: a value. A catalog never changes; a refresh, a policy change or a DDL makes
another one. What it does not hold is unknown, and unknown is treated as tagged by everything.

Tags belong to columns, not to names (F16): a pattern of the configuration puts them there once, and
DDL moves them with the column (`snowgate.sql.ddl`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Protocol, TypeVar

from snowgate.model.routine import Overload, RoutineKind, Signature, Vetted, parse_signature
from snowgate.model.statement import ObjectName
from snowgate.sql.keys import key_of, names_of
from snowgate.sql.values import NO_TAGS, Family

_Thing = TypeVar("_Thing")


class ColumnPattern(Protocol):
    """A pattern over (database, schema, object, column), such as `snowgate.policy.NamePattern`."""

    def matches(self, names: Sequence[str], *, sure: bool = True) -> bool:
        """Whether a column's full name fits."""


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """One column.

    Attributes:
        name: As stored.
        type: Snowflake's type, upper-case, such as `VARCHAR(20)`; empty if not known.
        tags: Names of its tags.
        derived: Its values were computed from tagged ones, so no configured mask fits them (F2).
        unknown: Where its values come from could not be computed.
    """

    name: str
    type: str = ""
    tags: frozenset[str] = NO_TAGS
    derived: bool = False
    unknown: bool = False

    @property
    def labelled(self) -> bool:
        """Whether there is something to keep of it beside its name and type."""
        return bool(self.tags) or self.derived or self.unknown

    @property
    def family(self) -> Family:
        """Its type as far as conversions can fail."""
        return family_of_type(self.type)


@dataclass(frozen=True, slots=True)
class Table:
    """A table, or a view whose text is not known.

    Attributes:
        columns: In ordinal order.
        opaque: A view without its text: its columns are named, where they come from is not known.
        fed_by: Objects whose values come here by themselves from now on (`snowgate.sql.flows`).
    """

    columns: tuple[CatalogColumn, ...]
    opaque: bool = False
    fed_by: frozenset[ObjectName] = frozenset()


# All functions and procedures of each name.
Routines = dict[ObjectName, tuple[Overload, ...]]


@dataclass(frozen=True)
class Catalog:
    """Tables and views by full name.

    Attributes:
        tables: Tables, and the columns of views where they are known.
        views: Texts of views, the query only or the whole CREATE VIEW.
        database, schema: Where names resolve when a session says nothing.
        routines: All functions and procedures of a name that the registry holds, and functions with
            the name of a builtin; other ones are nobody's to call.
    """

    tables: Mapping[ObjectName, Table]
    views: Mapping[ObjectName, str]
    database: str = ""
    schema: str = ""
    routines: Mapping[ObjectName, tuple[Overload, ...]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str | bytes) -> Catalog:
        """Read `{"tables": {"DB.SCHEMA.T": [{name, type, tags}]}, "views": {…}, "session": {…}}`.

        What `to_json` writes beside: `opaque` lists the views whose text is not known, `fed_by`
        says what feeds a table, and columns may be `derived` or `unknown`; `routines` are
        `{"DB.SCHEMA.F(VARCHAR)": {kind, digest, returns}}`. Keys are those of `snowgate.sql.keys`.

        Raises:
            ValueError: The document has another form.
        """
        document = json.loads(text)
        try:
            opaque = frozenset(document.get("opaque") or ())
            fed = document.get("fed_by") or {}
            listed = {
                key: Table(
                    tuple(_column(key, each) for each in columns),
                    key in opaque,
                    frozenset(name for feeder in fed.get(key, ()) for name in names_of(feeder)),
                )
                for key, columns in (document.get("tables") or {}).items()
            }
            views = {key: str(text) for key, text in (document.get("views") or {}).items()}
            session = document.get("session") or {}
            return cls.of(
                _by_name(listed),
                _by_name(views),
                str(session.get("database") or ""),
                str(session.get("schema") or ""),
                _routines(document.get("routines") or {}),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(
                "the catalog has another form than tables, views, routines, session"
            ) from error

    @classmethod
    def of(
        cls,
        tables: Mapping[ObjectName, Table],
        views: Mapping[ObjectName, str] | None = None,
        database: str = "",
        schema: str = "",
        routines: Mapping[ObjectName, tuple[Overload, ...]] | None = None,
    ) -> Catalog:
        """A catalog of these objects; the mappings are copied."""
        return cls(
            MappingProxyType(dict(tables)),
            MappingProxyType(dict(views or {})),
            database,
            schema,
            MappingProxyType(dict(routines or {})),
        )

    def to_json(self) -> bytes:
        """The same catalog as `from_json` reads it."""
        tables = sorted(self.tables.items())
        document = {
            "tables": {key_of(name): [*map(_written, table.columns)] for name, table in tables},
            "views": {key_of(name): text for name, text in sorted(self.views.items())},
            "opaque": [key_of(name) for name, table in tables if table.opaque],
            "fed_by": {
                key_of(name): [*map(key_of, sorted(table.fed_by))]
                for name, table in tables
                if table.fed_by
            },
            "routines": _written_routines(self.routines),
            "session": {"database": self.database, "schema": self.schema},
        }
        return json.dumps(document, indent=1).encode()

    @cached_property
    def digest(self) -> str:
        """SHA-256, hex, over everything it holds: equal catalogs, equal analyses."""
        tables = [
            [
                str(name),
                table.opaque,
                sorted(map(str, table.fed_by)),
                [[c.name, c.type, sorted(c.tags), c.derived, c.unknown] for c in table.columns],
            ]
            for name, table in sorted(self.tables.items())
        ]
        views = [[str(name), text] for name, text in sorted(self.views.items())]
        routines = [[str(name), repr(found)] for name, found in sorted(self.routines.items())]
        form = json.dumps([tables, views, self.database, self.schema, routines])
        return hashlib.sha256(form.encode()).hexdigest()

    def knows(self, name: ObjectName) -> bool:
        """Whether it holds that table or view."""
        return name in self.tables or name in self.views

    def with_tags(self, patterns: Iterable[tuple[str, ColumnPattern]]) -> Catalog:
        """With the tags of these patterns added; none is taken away."""
        listed = list(patterns)
        tables = {
            name: replace(
                table, columns=tuple(_tagged(name, column, listed) for column in table.columns)
            )
            for name, table in self.tables.items()
        }
        return replace(self, tables=MappingProxyType(tables))

    def with_registry(self, registry: Iterable[Vetted]) -> Catalog:
        """With what the registry says of each of its routines, and of no other.

        A name of the registry that is not there has no overloads, and is listed all the same:
        nobody else may take it.
        """
        vetted: dict[tuple[RoutineKind, Signature | None], Vetted] = {
            (one.kind, one.signature): one for one in registry
        }
        missing: Routines = {one.signature.name: () for one in vetted.values()}
        return replace(
            self,
            routines=MappingProxyType(
                {
                    name: tuple(
                        replace(one, vetted=vetted.get((one.kind, one.signature(name))))
                        for one in found
                    )
                    for name, found in (missing | dict(self.routines)).items()
                }
            ),
        )

    def with_procedures(self, read: Routines, registry: Iterable[Vetted]) -> Catalog:
        """With these procedures, read again, in the place of those of the same names."""
        other: Routines = {
            name: tuple(
                one for one in self.routines.get(name, ()) if one.kind is not RoutineKind.PROCEDURE
            )
            for name in read
        }
        replaced = {name: (*other[name], *found) or None for name, found in read.items()}
        return self.replacing({}, routines=replaced).with_registry(registry)

    def keeping(self, before: Catalog) -> Catalog:
        """With the tags that columns had in `before`; none is lost by reading the catalog anew.

        DDL moves tags before it is forwarded (`snowgate.sql.ddl`); a pattern of the configuration
        would not find a renamed column again (F16).
        """
        kept: dict[ObjectName, Table | None] = {
            name: united(table, before.tables[name])
            for name, table in self.tables.items()
            if name in before.tables
        }
        return self.replacing(kept)

    def tags_in(self, place: ObjectName) -> frozenset[str]:
        """Every tag of an object; of all inside, where schema or object are empty."""
        if place.name:
            known = self.tables.get(place)
            tables = [known] if known else []
        else:
            tables = [
                table
                for name, table in self.tables.items()
                if name.database == place.database and place.schema in ("", name.schema)
            ]
        return frozenset(tag for table in tables for column in table.columns for tag in column.tags)

    def replacing(
        self,
        tables: Mapping[ObjectName, Table | None],
        views: Mapping[ObjectName, str | None] | None = None,
        routines: Mapping[ObjectName, tuple[Overload, ...] | None] | None = None,
    ) -> Catalog:
        """With some objects replaced; None removes one."""
        kept = {**self.tables, **tables}
        texts = {**self.views, **(views or {})}
        called = {**self.routines, **(routines or {})}
        return Catalog.of(
            {name: table for name, table in kept.items() if table is not None},
            {name: text for name, text in texts.items() if text is not None},
            self.database,
            self.schema,
            {name: found for name, found in called.items() if found is not None},
        )


# No objects at all.
NOTHING = Catalog.of({})


def united(table: Table, before: Table) -> Table:
    """A table whose columns keep what columns of the same name carried before."""
    carried = {column.name: column for column in before.columns}
    columns = []
    for column in table.columns:
        known = carried.get(column.name)
        if known is not None:
            column = replace(
                column,
                tags=column.tags | known.tags,
                derived=column.derived or known.derived,
                unknown=column.unknown or known.unknown,
            )
        columns.append(column)
    return Table(tuple(columns), table.opaque, table.fed_by | before.fed_by)


def untraceable(table: Table) -> Table:
    """A table of whose columns nobody knows what they hold."""
    columns = (replace(column, derived=True, unknown=True) for column in table.columns)
    return replace(table, columns=tuple(columns))


def _tagged(
    table: ObjectName, column: CatalogColumn, patterns: list[tuple[str, ColumnPattern]]
) -> CatalogColumn:
    names = (table.database, table.schema, table.name, column.name)
    tags = frozenset(tag for tag, pattern in patterns if pattern.matches(names))
    return replace(column, tags=column.tags | tags) if tags else column


def _written(column: CatalogColumn) -> dict[str, object]:
    flags = {key: True for key in ("derived", "unknown") if getattr(column, key)}
    return {"name": column.name, "type": column.type, "tags": sorted(column.tags), **flags}


def _by_name(listed: dict[str, _Thing]) -> dict[ObjectName, _Thing]:
    """By the names that the keys mean.

    Raises:
        ValueError: A key is no name, or two mean the same.
    """
    found: dict[ObjectName, _Thing] = {}
    for key, value in listed.items():
        for name in names_of(key):
            if name in found:
                raise ValueError(f"`{key}` is there under another key as well")
            found[name] = value
    return found


def _column(table: str, document: Mapping[str, object]) -> CatalogColumn:
    wrong = ValueError(
        f"`{table}` has a column of another form than a name, a type and a list of tags"
    )
    if not isinstance(document, Mapping) or not isinstance(document.get("name"), str):
        raise wrong
    tags = document.get("tags") or ()
    if not isinstance(tags, (list, tuple)):
        raise wrong
    return CatalogColumn(
        str(document["name"]),
        str(document.get("type") or "").upper(),
        frozenset(map(str, tags)),
        derived=document.get("derived") is True,
        unknown=document.get("unknown") is True,
    )


def _written_routines(routines: Mapping[ObjectName, tuple[Overload, ...]]) -> dict[str, object]:
    """Names with an overload whose arguments are not known are left out: nobody may call them."""
    return {
        f"{'.'.join(map(_quoted, (name.database, name.schema, name.name)))}"
        f"({', '.join(one.arguments or ())})": {
            "kind": one.kind.value,
            "returns": one.returns,
            "digest": f"sha256:{one.body}",
        }
        for name, overloads in sorted(routines.items())
        if all(one.arguments is not None for one in overloads)
        for one in overloads
    }


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _routines(document: Mapping[str, Mapping[str, object]]) -> Routines:
    found: Routines = {}
    for key, one in document.items():
        signature = parse_signature(key)
        body = str(one["digest"]).removeprefix("sha256:")
        overload = Overload(
            RoutineKind(one["kind"]), signature.arguments, str(one.get("returns", "")), body
        )
        found[signature.name] = (*found.get(signature.name, ()), overload)
    return found


_FAMILIES = {
    Family.TEXT: "VARCHAR CHAR CHARACTER NCHAR NVARCHAR NVARCHAR2 STRING TEXT",
    Family.NUMBER: "NUMBER NUMERIC DECIMAL DEC INT INTEGER BIGINT SMALLINT TINYINT BYTEINT FLOAT "
    "FLOAT4 FLOAT8 DOUBLE REAL DECFLOAT FIXED",
    Family.TIME: "DATE DATETIME TIME TIMESTAMP TIMESTAMP_NTZ TIMESTAMP_LTZ TIMESTAMP_TZ "
    "TIMESTAMPNTZ TIMESTAMPLTZ TIMESTAMPTZ",
    Family.BOOL: "BOOLEAN BOOL",
    Family.BINARY: "BINARY VARBINARY",
    Family.VARIANT: "VARIANT OBJECT ARRAY MAP",
}
_FAMILY_OF = {word: family for family, words in _FAMILIES.items() for word in words.split()}
# Names of types.
TYPES = frozenset(_FAMILY_OF)


# Accounts use few types, however many columns they have.
@lru_cache(maxsize=1024)
def family_of_type(name: str) -> Family:
    """The family of a type such as `NUMBER(38,0)`."""
    word = name.partition("(")[0].strip().upper()
    return _FAMILY_OF.get(word.partition(" ")[0], Family.ANY)
