"""Relations as the analysis sees them, and how names find their columns.

A relation is an ordered list of columns, each with its value, and, when it is open, further columns
nobody knows. A scope is what a query sees: its sources, its CTEs, the aliases of its outputs, and
the scope around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from snowgate.model.statement import OutputColumn
from snowgate.sql.values import CLEAN, NO_TAGS, UNKNOWN, Value, branches, derived


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: As stored, None where Snowflake makes one up.
        value: What is known of it.
        sure: A result has that name. Those of VALUES can be used, and are not relied on.
    """

    name: str | None
    value: Value
    sure: bool = True

    def output(self) -> OutputColumn:
        """As a predicted output."""
        return self.value.column(self.name if self.sure else None)


@dataclass(frozen=True, slots=True)
class Relation:
    """A table-like thing.

    Attributes:
        columns: Known columns in order.
        open: It has further columns, of which only `rest` is known.
        rest: What can reach a column that is not known.
        rows: Tags that decide which rows exist, through the forms that pass (F1). All other ways
            are violations where they stand.
        single: At most one row, whatever the data.
    """

    columns: tuple[Column, ...] = ()
    open: bool = False
    rest: Value = CLEAN
    rows: frozenset[str] = NO_TAGS
    single: bool = False

    def find(self, name: str) -> Value | None:
        """The column of that name; several of one name count as branches of one value."""
        found = [column.value for column in self.columns if column.name == name]
        if not found:
            return None
        return found[0] if len(found) == 1 else branches(found)

    def everything(self) -> Value:
        """What any of its columns could hold."""
        return derived([*(column.value for column in self.columns), self.rest])

    def renamed(self, names: list[str]) -> Relation:
        """With new names for its first columns."""
        if not names:
            return self
        if self.open or len(names) > len(self.columns):
            # Which column gets which name is not known: each could be any.
            value = self.everything()
            columns = tuple(Column(name, value) for name in names)
            return replace(self, columns=columns, open=True, rest=value)
        kept = tuple(
            Column(name, column.value) for name, column in zip(names, self.columns, strict=False)
        )
        return replace(self, columns=kept + self.columns[len(names) :])

    def value(self) -> Value:
        """As one value: a scalar subquery."""
        if not self.open and len(self.columns) == 1:
            return self.columns[0].value
        return self.everything()


NOWHERE = Relation(open=True, rest=UNKNOWN)


@dataclass(frozen=True, slots=True)
class Source:
    """An item of FROM under its name.

    Attributes:
        name: Alias or table name as stored; None without one.
        relation: What it is.
        hidden: Columns that a USING or NATURAL join shows once, elsewhere.
    """

    name: str | None
    relation: Relation
    hidden: frozenset[str] = NO_TAGS


@dataclass(slots=True)
class Scope:
    """What a query sees. Filled while the query is walked, and only by it."""

    parent: Scope | None = None
    sources: list[Source] = field(default_factory=list)
    merged: dict[str, Value] = field(default_factory=dict)
    ctes: dict[str, Relation] = field(default_factory=dict)
    aliases: dict[str, Value] = field(default_factory=dict)
    parameters: dict[str, Value] = field(default_factory=dict)
    later: set[str] = field(default_factory=set)  # aliases of outputs that are not walked yet
    pseudo: bool = False  # CONNECT BY: LEVEL and its kin are columns

    def chain(self) -> Iterator[Scope]:
        """This scope and those around it, inside out."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def cte(self, name: str) -> Relation | None:
        """The innermost CTE of that name."""
        for scope in self.chain():
            if name in scope.ctes:
                return scope.ctes[name]
        return None

    def source(self, name: str) -> list[Source]:
        """Sources of that name in the innermost scope that has one."""
        for scope in self.chain():
            found = [source for source in scope.sources if source.name == name]
            if found:
                return found
        return []

    def everything(self) -> Value:
        """What any visible column could hold, and what a column nobody knows of could."""
        sources = [source for scope in self.chain() for source in scope.sources]
        return derived([*(source.relation.everything() for source in sources), UNKNOWN])

    def qualified(self, table: str, name: str) -> Value:
        """`table.name`. A column that a known source lacks may be newer than the catalog."""
        sources = self.source(table)
        if not sources:
            return self.everything()
        return branches(_column(source.relation, name) for source in sources)

    def plain(self, name: str) -> Value:
        """An unqualified name.

        The union of every source of the innermost scope that has it and of an output's alias, else
        outer scopes, else everything.
        """
        for scope in self.chain():
            if name in scope.parameters:
                return scope.parameters[name]
            found = scope._named(name)
            if found:
                return branches(found)
        return self.everything()

    def _named(self, name: str) -> list[Value]:
        found = [self.merged[name]] if name in self.merged else []
        if not found:
            known = (source.relation.find(name) for source in self.sources)
            found = [value for value in known if value is not None]
        alias = self.aliases.get(name)
        if alias is not None and alias not in found:
            found.append(alias)
        if not found and name in self.later:
            # It can mean an output further right, before anything of the queries around.
            return [self.everything()]
        return found or [source.relation.rest for source in self.sources if source.relation.open]


def _column(relation: Relation, name: str) -> Value:
    value = relation.find(name)
    if value is not None:
        return value
    return relation.rest if relation.open else derived([relation.everything(), UNKNOWN])


def rows_of(relations: Iterable[Relation]) -> frozenset[str]:
    """Tags that decide the rows of a join of relations."""
    rows: frozenset[str] = NO_TAGS
    for relation in relations:
        rows |= relation.rows
    return rows
