"""Which classes have which kinds of objects: what the classifier answers, asked once.

`class: create, kind: stage` matches nothing, since `CREATE STAGE` is of class `stage`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from snowgate._core import SqlError, classify, object_kinds
from snowgate.model.statement import StatementClass

C = StatementClass

# Every form in which a statement of the classes below names a kind.
_FORMS = (
    "CREATE {kind} x",
    "CREATE OR REPLACE {kind} x",
    "CREATE TEMPORARY {kind} x",
    "UNDROP {kind} x",
    "ALTER {kind} x SET COMMENT = 'c'",
    "DROP {kind} x",
    "COMMENT ON {kind} x IS 'c'",
    "SHOW {kind}",
    "DESCRIBE {kind} x",
    "TRUNCATE {kind} x",
)
# Classes whose kinds these forms tell completely, and those that never have one.
_TOLD = frozenset({C.CREATE, C.ALTER, C.DROP, C.COMMENT, C.SHOW, C.DESCRIBE, C.TRUNCATE})
_WITHOUT = frozenset(
    {
        C.SELECT,
        C.INSERT,
        C.UPDATE,
        C.DELETE,
        C.MERGE,
        C.EXPLAIN,
        C.TRANSACTION,
    }
)


def is_impossible(kind: str, classes: frozenset[StatementClass]) -> bool:
    """Whether no statement of any of these classes is about this kind."""
    known = _classes_of().get(kind)
    return (
        known is not None
        and bool(classes)
        and classes <= _TOLD | _WITHOUT
        and classes.isdisjoint(known)
    )


def is_kind(kind: str) -> bool:
    """Whether rules may name this kind."""
    return kind in _known()


def forms_of(kind: str) -> Mapping[StatementClass, str]:
    """The classes of statements about a kind, each with the words that begin one."""
    return _classes_of().get(kind, {})


@cache
def _known() -> frozenset[str]:
    return frozenset(object_kinds())


@cache
def _classes_of() -> dict[str, dict[StatementClass, str]]:
    found: dict[str, dict[StatementClass, str]] = {}
    for kind in object_kinds():
        for form in _FORMS:
            try:
                heads = classify(form.format(kind=kind)).statements
            except SqlError:
                continue
            for head in heads:
                words = form.partition(" x")[0].format(kind=kind)
                found.setdefault(head.object_kind, {}).setdefault(StatementClass(head.kind), words)
    return found
