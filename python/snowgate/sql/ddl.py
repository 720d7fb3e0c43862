"""What DDL leaves behind: objects that move take their tags along (F16).

Tags are only ever added here. A name that is renamed or dropped keeps its entry: only reading the
catalog again takes something away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import zip_longest

from snowgate._core import StatementHead, lex
from snowgate.model.statement import Namespace, ObjectName
from snowgate.sql.catalog import Catalog, CatalogColumn, Table, united
from snowgate.sql.names import parse_name, resolve
from snowgate.sql.parser import ListedColumn, after_word, body_of, column_list, solid_tokens
from snowgate.sql.relations import Column, Relation
from snowgate.sql.state import Refused, State
from snowgate.sql.values import Family, Shape, Value

# Kinds of objects that hold rows, and those that are a query of others.
TABLES = frozenset(
    {
        "TABLE",
        "DYNAMIC TABLE",
        "HYBRID TABLE",
        "EVENT TABLE",
        "INTERACTIVE TABLE",
        "ICEBERG TABLE",
    }
)
VIEWS = frozenset({"VIEW", "MATERIALIZED VIEW"})
_BLANK = ("space", "comment")
# What gives an object another name: RENAME alone would be of a column.
_MOVES = (["RENAME", "TO"], ["SWAP", "WITH"])
# Objects that live in a schema; the others have no place a rule could name.
_SCHEMA_LESS = frozenset({"WAREHOUSE", "ROLE", "RESOURCE MONITOR", "USER", "COMPUTE POOL"})
_TYPES = {
    Family.TEXT: "VARCHAR",
    Family.NUMBER: "NUMBER",
    Family.TIME: "TIMESTAMP_NTZ",
    Family.BOOL: "BOOLEAN",
    Family.BINARY: "BINARY",
    Family.VARIANT: "VARIANT",
}
_STREAM = (
    CatalogColumn("METADATA$ACTION", "VARCHAR"),
    CatalogColumn("METADATA$ISUPDATE", "BOOLEAN"),
    CatalogColumn("METADATA$ROW_ID", "VARCHAR"),
)


@dataclass(frozen=True, slots=True)
class Places:
    """The objects that a DDL statement names.

    Attributes:
        writes: What it makes, changes or drops; what it renames to or swaps with, too.
        reads: What it takes rows from: the source of a clone or a stream.
    """

    writes: tuple[ObjectName, ...]
    reads: tuple[ObjectName, ...] = ()


def places(head: StatementHead, namespace: Namespace) -> Places:
    """The objects a statement names, in full; a database or schema has empty parts.

    Raises:
        Refused: The name of one of them is worked out when it runs.
    """
    own = _place(head.target, head, namespace)
    if head.verb == "CREATE":
        before = ("TABLE", "VIEW") if head.object_kind == "STREAM" else ("CLONE",)
        sources = (_written_after(head.rest, word) for word in before)
        return Places(own, tuple(n for each in sources for n in _place(each, head, namespace)))
    words = [piece.upper() for _, piece in solid_tokens(head.rest)][:2]
    if head.verb != "ALTER" or words not in _MOVES:
        return Places(own)
    other = _written_after(head.rest, words[1])
    # A name without a schema may stay beside the old one, or go to the session's.
    beside = Namespace(own[0].database, own[0].schema) if own else namespace
    both = (*_place(other, head, beside), *_place(other, head, namespace))
    return Places(tuple(dict.fromkeys((*own, *both))))


def _written_after(text: str, word: str) -> list[str]:
    """The name that must follow a word, if the word is there.

    Raises:
        Refused: No name follows it.
    """
    after = after_word(text, word)
    if after is None:
        return []
    name = named_after(text, word)
    first = [piece.upper() for _, piece in solid_tokens(after)][:2]
    if name is None or first == ["IDENTIFIER", "("]:
        raise Refused("unparsed", f"no name follows {word}", "write the name itself")
    return name


def _place(parts: list[str], head: StatementHead, namespace: Namespace) -> tuple[ObjectName, ...]:
    if not parts or head.object_kind in _SCHEMA_LESS:
        return ()
    if head.object_kind == "DATABASE":
        return (ObjectName(parts[0], "", ""),)
    if head.object_kind == "SCHEMA":
        return (_schema(parts, namespace),)
    return (resolve(parts, namespace),)


def _schema(parts: list[str], namespace: Namespace) -> ObjectName:
    database = parts[0] if len(parts) == 2 else namespace.database
    return ObjectName(database, parts[-1], "")


def query_of(head: StatementHead) -> str | None:
    """The query of CREATE … AS; None where there is none.

    Raises:
        Refused: Its columns come from somewhere else.
    """
    if head.verb != "CREATE" or head.object_kind not in TABLES | VIEWS:
        return None
    if after_word(head.rest, "TEMPLATE") is not None:
        raise Refused(
            "unparsed", "takes its columns from files or another query", "list the columns"
        )
    if after_word(head.rest, "AS") is None:
        return None
    return body_of(head.text)[0]


def namespace_of(head: StatementHead, namespace: Namespace) -> Namespace:
    """Where names in the query resolve: for a view, where the view lives."""
    if head.object_kind not in VIEWS:
        return namespace
    name = resolve(head.target, namespace)
    return Namespace(name.database, name.schema)


def after_ddl(
    head: StatementHead, namespace: Namespace, catalog: Catalog, body: Relation
) -> Catalog:
    """The catalog once a DDL statement has run.

    Args:
        head: The statement.
        namespace: Where its names resolve.
        catalog: Before.
        body: What its query makes; empty without one.
    """
    if head.verb == "CREATE":
        return _created(head, namespace, catalog, body)
    if head.verb == "ALTER" and head.target:
        return _altered(head, namespace, catalog)
    return catalog


def after_dml(catalog: Catalog, state: State) -> Catalog:
    """The catalog once tagged values were written to columns that carried less."""
    changed: dict[ObjectName, Table | None] = {}
    for (name, column), value in state.moved.items():
        table = changed.get(name) or catalog.tables.get(name)
        if table is None and not column:
            # A procedure makes it: whatever columns it has then could hold anything.
            changed[name] = Table((), opaque=True)
        if table is not None:
            # A column that is not known could be any.
            any_ = all(known.name != column for known in table.columns)
            columns = tuple(
                _widened(known, value) if any_ or known.name == column else known
                for known in table.columns
            )
            changed[name] = replace(table, columns=columns)
    return catalog.replacing(changed) if changed else catalog


def _widened(column: CatalogColumn, value: Value) -> CatalogColumn:
    return replace(
        column,
        tags=column.tags | value.all_tags,
        derived=True,
        unknown=column.unknown or value.unknown,
    )


def _created(
    head: StatementHead, namespace: Namespace, catalog: Catalog, body: Relation
) -> Catalog:
    if head.object_kind in ("DATABASE", "SCHEMA"):
        return _cloned(head, namespace, catalog)
    if head.object_kind not in TABLES | VIEWS | {"STREAM"}:
        return catalog
    name = resolve(head.target, namespace)
    if head.object_kind == "VIEW":
        return catalog.replacing({name: _table_of(body, head)}, {name: head.text})
    table, old = _new_table(head, namespace, catalog, body), catalog.tables.get(name)
    if old is not None and said(head, "IF", "NOT", "EXISTS"):
        table = _either_shape(table, old)
    return catalog.replacing({name: _united(table, old)}, {name: None})


def said(head: StatementHead, *phrase: str) -> bool:
    """Whether these words stand, in a row, before or right after the name of its object."""
    before = head.text[: len(head.text) - len(head.rest)]
    words = [piece.upper() for kind, piece in lex(before) if kind == "word"]
    return any(words[at : at + len(phrase)] == [*phrase] for at in range(len(words)))


def _either_shape(new: Table, old: Table) -> Table:
    """The columns of a table that may be there already, with others: by place as well."""
    columns = [
        column
        if was is None
        else united(Table((column,)), Table((replace(was, name=column.name),))).columns[0]
        for column, was in zip_longest(new.columns, old.columns)
        if column is not None
    ]
    more = len(old.columns) > len(new.columns)
    return replace(new, columns=tuple(columns), opaque=new.opaque or more)


def _new_table(
    head: StatementHead, namespace: Namespace, catalog: Catalog, body: Relation
) -> Table:
    if query_of(head) is not None:
        return _table_of(body, head)
    source = named_after(head.rest, "CLONE") or named_after(head.rest, "LIKE")
    if head.object_kind == "STREAM":
        source = named_after(head.rest, "TABLE") or named_after(head.rest, "VIEW")
    if source is not None:
        known = catalog.tables.get(resolve(source, namespace))
        if known is None:
            return Table((), opaque=True)
        extra = _STREAM if head.object_kind == "STREAM" else ()
        return replace(known, columns=known.columns + extra)
    listed = column_list(head.rest)
    return Table(tuple(map(_listed, listed)), opaque=not listed)


def _listed(column: ListedColumn) -> CatalogColumn:
    """A column of a list. One that is computed from others may hold what they hold."""
    type_ = column.type
    if column.words[1:2] == ("(",) and ")" in column.words:
        type_ += "".join(column.words[1 : column.words.index(")") + 1])
    return CatalogColumn(column.name, type_, unknown=column.computed)


def named_after(text: str, word: str) -> list[str] | None:
    """The name that follows a word outside brackets; None if none does."""
    after = after_word(text, word)
    if after is None:
        return None
    name = ""
    for kind, piece in solid_tokens(after):
        if kind in ("word", "quoted") and name and not name.endswith("."):
            break
        if kind not in ("word", "quoted") and piece != ".":
            break
        name += piece
    try:
        return parse_name(name)
    except Refused:
        return None


def _table_of(body: Relation, head: StatementHead) -> Table:
    """A relation as a table. What is computed from tagged columns is marked as such (F2)."""
    named = body.renamed([column.name for column in column_list(head.rest)])
    if named.open:
        return Table(tuple(_column_of(column) for column in named.columns), opaque=True)
    return Table(tuple(_column_of(column) for column in named.columns))


def _column_of(column: Column) -> CatalogColumn:
    value = column.value
    computed = value.touched and (value.shape is not Shape.RAW or bool(value.grouping))
    return CatalogColumn(
        column.name or "", _TYPES.get(value.family, ""), value.all_tags, computed, value.unknown
    )


def _united(new: Table, old: Table | None) -> Table:
    """A replaced table keeps the tags it had."""
    return new if old is None else united(new, old)


def _altered(head: StatementHead, namespace: Namespace, catalog: Catalog) -> Catalog:
    words = [piece.upper() for _, piece in solid_tokens(head.rest)]
    if head.object_kind in ("DATABASE", "SCHEMA"):
        target = named_after(head.rest, "TO") if words[:2] == ["RENAME", "TO"] else None
        if words[:2] == ["SWAP", "WITH"]:
            target = named_after(head.rest, "WITH")
        return _copied(head, target, namespace, catalog, words[:1] == ["SWAP"])
    name = resolve(head.target, namespace)
    table, text = catalog.tables.get(name), catalog.views.get(name)
    if words[:2] == ["RENAME", "TO"]:
        parts = named_after(head.rest, "TO")
        if parts is None or (table is None and text is None):
            return catalog
        other = resolve(parts, Namespace(name.database, name.schema))
        tables = {} if table is None else {other: _united(table, catalog.tables.get(other))}
        return catalog.replacing(tables, {} if text is None else {other: text})
    if words[:2] == ["SWAP", "WITH"]:
        parts = named_after(head.rest, "WITH")
        return catalog if parts is None else _swapped(catalog, name, resolve(parts, namespace))
    if table is None:
        return catalog
    return catalog.replacing({name: _with_columns(table, head.rest, words)})


def _swapped(catalog: Catalog, one: ObjectName, two: ObjectName) -> Catalog:
    """Each table under the other's name; columns of one name carry the tags of both."""
    first, second = catalog.tables.get(one), catalog.tables.get(two)
    if first is None or second is None:
        opaque = Table((), opaque=True)
        return catalog.replacing({one: opaque, two: opaque})
    return catalog.replacing({one: _united(second, first), two: _united(first, second)})


def _with_columns(table: Table, rest: str, words: list[str]) -> Table:
    """RENAME COLUMN keeps the tags under both names; ADD COLUMN adds untagged ones."""
    if words[:2] == ["RENAME", "COLUMN"]:
        old, new = named_after(rest, "COLUMN"), named_after(rest, "TO")
        if old and new:
            added = [replace(c, name=new[-1]) for c in table.columns if c.name == old[-1]]
            columns = [
                c
                for column in table.columns
                for c in ([*added] if column.name == old[-1] else [column])
            ]
            return replace(table, columns=tuple(columns))
    if words[:1] == ["ADD"] and len(words) > 2:
        skip = 2 if words[1] == "COLUMN" else 1
        if words[skip : skip + 3] == ["IF", "NOT", "EXISTS"]:
            skip += 3
        listed = column_list(f"({_after_nth(rest, skip)})")
        known = {column.name for column in table.columns}
        fresh = [_listed(each) for each in listed if each.name not in known and each.type]
        return replace(table, columns=table.columns + tuple(fresh))
    return table


def _after_nth(text: str, count: int) -> str:
    """What follows the first `count` tokens."""
    at = 0
    for kind, piece in lex(text):
        if count == 0:
            break
        at += len(piece)
        count -= kind not in _BLANK
    return text[at:]


def _cloned(head: StatementHead, namespace: Namespace, catalog: Catalog) -> Catalog:
    """CREATE SCHEMA or DATABASE … CLONE: every object inside is cloned."""
    source = named_after(head.rest, "CLONE")
    if source is None:
        return catalog
    old = _container(source, head.object_kind, namespace)
    new = _container(head.target, head.object_kind, namespace)
    return _moved(catalog, old, new)


def _copied(
    head: StatementHead,
    target: list[str] | None,
    namespace: Namespace,
    catalog: Catalog,
    both: bool,
) -> Catalog:
    """RENAME and SWAP of a schema or database: its objects are under both names."""
    if target is None:
        return catalog
    old = _container(head.target, head.object_kind, namespace)
    new = _container(target, head.object_kind, namespace)
    moved = _moved(catalog, old, new)
    return _moved(moved, new, old) if both else moved


def _container(parts: list[str], kind: str, namespace: Namespace) -> tuple[str, str]:
    if kind == "DATABASE":
        return parts[-1], ""
    name = _schema(parts, namespace)
    return name.database, name.schema


def _moved(catalog: Catalog, old: tuple[str, str], new: tuple[str, str]) -> Catalog:
    def to(name: ObjectName) -> ObjectName | None:
        if name.database != old[0] or (old[1] and name.schema != old[1]):
            return None
        return ObjectName(new[0], new[1] or name.schema, name.name)

    tables: dict[ObjectName, Table | None] = {}
    for name, table in catalog.tables.items():
        target = to(name)
        if target is not None:
            tables[target] = _united(table, catalog.tables.get(target))
    views: dict[ObjectName, str | None] = {}
    for name, text in catalog.views.items():
        target = to(name)
        if target is not None:
            views[target] = text
    return catalog.replacing(tables, views)
