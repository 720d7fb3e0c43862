"""Calls of users' functions and procedures: what the registry vetted, and nothing else (F18).

Rule at the door: a call is judged by every overload of its name, since which one runs is for
Snowflake to say. One that nobody vetted, or whose body is not the vetted one, refuses them all.

An unqualified name means the session's schema alone. Snowflake goes on along its search path; who
wants that writes the name in full.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from snowgate._core import StatementHead
from snowgate.model.routine import Overload, RoutineEffect, RoutineKind, shown_digest
from snowgate.model.statement import ObjectName
from snowgate.sql import conversions, tables
from snowgate.sql.catalog import Catalog, family_of_type
from snowgate.sql.functions import builtins
from snowgate.sql.names import fold, resolve
from snowgate.sql.parser import after_word, column_list
from snowgate.sql.relations import Column, Relation, Scope
from snowgate.sql.sizes import BIND_CHARS
from snowgate.sql.state import Knob, Refused, State, unreadable
from snowgate.sql.values import ANY_DIGITS, Family, Value, derived

if TYPE_CHECKING:
    from snowgate.sql.walk import Walk

_TABLE = "TABLE"
# Which failures a vetted function can have: `pure` is the promise that it has none.
_MAY_FAIL = frozenset(RoutineEffect) - {RoutineEffect.PURE}


def parts_of(node: exp.Expr) -> list[str] | None:
    """The name that a call calls, part by part; None if that is a builtin, or it is no call."""
    prefix: list[str] = []
    if isinstance(node, exp.Dot):
        left, node = node.this, node.expression
        while isinstance(left, exp.Dot):
            prefix.insert(0, fold(left.expression))
            left = left.this
        prefix.insert(0, fold(left))
    if not isinstance(node, exp.Anonymous):
        return None
    name = node.this.upper() if isinstance(node.this, str) else fold(node.this)
    if not prefix and name in builtins():
        return None
    return [*prefix, name] if len(prefix) < 3 else None


def called(state: State, node: exp.Expr) -> tuple[Overload, ...]:
    """The overloads of the function that a call names; none where the catalog knows none.

    Raises:
        Refused: One of them is not as it was vetted.
    """
    parts = parts_of(node)
    if parts is None:
        return ()
    name = resolve(parts, state.namespace)
    found = _of_kind(state.catalog, name, RoutineKind.FUNCTION)
    check(name, found)
    if found:
        state.routines.add(name)
    return found


def check(name: ObjectName, overloads: Iterable[Overload]) -> None:
    """Check that all of them are as they were vetted.

    Raises:
        Refused: One of them is not.
    """
    for one in overloads:
        shown = f"{name}({', '.join(one.arguments or ('?',))})"
        if one.vetted is None:
            raise unregistered(one.kind, shown)
        if not one.as_vetted:
            raise Refused(
                "registry-mismatch",
                f"`{shown}` is not what was vetted: its body is {shown_digest(one.body)}, and the"
                f" registry has {shown_digest(one.vetted.body)}",
                "ask the policy's owner to review it again, and to write its digest to `registry:`",
            )


def mismatches(catalog: Catalog) -> list[str]:
    """What to tell of each routine whose body is not the vetted one; never of the body itself."""
    return [
        f"`{one.vetted.signature}` has body {shown_digest(one.body)}, and the registry has"
        f" {shown_digest(one.vetted.body)}"
        for overloads in catalog.routines.values()
        for one in overloads
        if one.vetted is not None and not one.as_vetted
    ]


def unregistered(kind: RoutineKind, shown: str) -> Refused:
    """The refusal of a routine that nobody vetted, or that is not there."""
    rule = "unknown-function" if kind is RoutineKind.FUNCTION else "unregistered-procedure"
    return Refused(
        rule,
        f"calls `{shown}`, which is no {kind.value} of the registry that is there",
        f"do without it, or ask the policy's owner to vet the {kind.value}:"
        " docs/policy/registry.md",
    )


def check_builtin(state: State, name: str) -> None:
    """Check that an unqualified builtin's name means the builtin.

    Raises:
        Refused: A function of that name is where the session's names resolve.
    """
    here = state.namespace
    for schema in (here.schema, "PUBLIC"):
        if state.catalog.routines.get(ObjectName(here.database, schema, name)):
            raise Refused(
                "shadowed-function",
                f"calls `{name}`, and the session's schema has a function of that name",
                "use another schema, and let the function's owner rename it",
            )


def check_target(head: StatementHead, catalog: Catalog, name: ObjectName) -> None:
    """Check that code which is about to be created takes no vetted or builtin name.

    Not even for one session: a temporary function goes before the one that was vetted.

    Raises:
        Refused: It does.
    """
    if "FUNCTION" not in head.object_kind:
        return
    found = catalog.routines.get(name)
    vetted = found is not None and (not found or any(one.vetted for one in found))
    if vetted or name.name in builtins():
        raise Refused(
            "registered-routine",
            "creates a function under the name of a vetted or a builtin one",
            "take another name, or change the function outside and let it be vetted again",
        )


def call(walk: Walk, node: exp.Expr, scope: Scope, overloads: tuple[Overload, ...]) -> Value:
    """What a vetted function makes of its arguments, in an expression."""
    results = [one.returns for one in overloads]
    if any(result.upper().startswith(_TABLE) for result in results):
        raise Refused("unparsed", "calls a table function as a value", "call it in FROM")
    value = _made(walk, node, scope, overloads)
    families = {family_of_type(result) for result in results}
    family = families.pop() if len(families) == 1 else Family.ANY
    return _sized(value, family)


def rows(walk: Walk, node: exp.Expr, scope: Scope, overloads: tuple[Overload, ...]) -> Relation:
    """What a vetted table function makes of its arguments, in FROM.

    How many rows it makes is an output, and so may depend on nothing tagged (F3).
    """
    lists = {_columns_of(one) for one in overloads}
    listed = lists.pop()
    if lists or not listed:
        raise unreadable("what a table function returns")
    value = _made(walk, node, scope, overloads)
    if value.touched:
        walk.state.violate(
            Knob.ROWS, "makes rows with a table function out of a tagged column", value
        )
    return Relation(tuple(Column(name, _sized(value, family)) for name, family in listed))


def reach(walk: Walk, overloads: tuple[Overload, ...]) -> Value:
    """What reaches the results of routines from the objects they read."""
    places = {place for one in overloads if one.vetted for place in one.vetted.reads}
    names = {name for place in places for name in _inside(walk.state.catalog, place)}
    relations = [tables.catalogued(walk, name) for name in sorted(names)]
    return walk.state.touch(derived(relation.everything() for relation in relations))


def procedures(state: State, head: StatementHead) -> tuple[ObjectName, tuple[Overload, ...]]:
    """The procedure that CALL names, and all its overloads.

    Raises:
        Refused: It is not in the registry, or not as it was vetted.
    """
    name = resolve(head.target, state.namespace)
    found = _of_kind(state.catalog, name, RoutineKind.PROCEDURE)
    if not found:
        raise unregistered(RoutineKind.PROCEDURE, str(name))
    check(name, found)
    state.routines.add(name)
    return name, found


def writes(overloads: tuple[Overload, ...]) -> tuple[ObjectName, ...]:
    """What routines write to at most."""
    return tuple(sorted({place for one in overloads if one.vetted for place in one.vetted.writes}))


def sends(state: State, overloads: tuple[Overload, ...], value: Value) -> None:
    """What an external routine is given, or reads, leaves Snowflake."""
    if value.touched and any(
        one.vetted is not None and one.vetted.effect is RoutineEffect.EXTERNAL for one in overloads
    ):
        state.violate(Knob.EXTERNAL, "would send values of a tagged column out of Snowflake", value)


def move(state: State, targets: Iterable[ObjectName], value: Value) -> None:
    """Values that a procedure reads go to what it writes to (F16).

    A target that carries all their tags already is left to who vetted the procedure.
    """
    if not value.touched:
        return
    if value.unknown:
        state.violate(Knob.COPY, "copies values whose origin is not known", value)
    for target in targets:
        if not target.name:
            reason = "writes what it reads of tagged columns to a schema, where any table could be"
            state.violate(Knob.COPY, reason, value)
        for name in _inside(state.catalog, target):
            table = state.catalog.tables.get(name)
            carried = frozenset(tag for c in table.columns for tag in c.tags) if table else None
            if carried is None or not value.all_tags <= carried:
                state.launders |= value.all_tags
                state.moved[(name, "")] = value


def _of_kind(catalog: Catalog, name: ObjectName, kind: RoutineKind) -> tuple[Overload, ...]:
    return tuple(one for one in catalog.routines.get(name, ()) if one.kind is kind)


def _made(walk: Walk, node: exp.Expr, scope: Scope, overloads: tuple[Overload, ...]) -> Value:
    """What reaches the result: arguments and objects read; checked for failures and for leaving."""
    state = walk.state
    values = _arguments(walk, node, scope)
    effects = {one.vetted.effect for one in overloads if one.vetted is not None}
    if not effects.isdisjoint(_MAY_FAIL):
        reason = "calls a function that can fail on account of a tagged column"
        conversions.fail_if(state, values, reason, always=True)
    converted = [value for at, value in enumerate(values) if not _fits(node, at, value, overloads)]
    conversions.fail_if(state, converted, "calls a function with a tagged column of another type")
    value = derived([*values, reach(walk, overloads)])
    sends(state, overloads, value)
    return value


def _sized(value: Value, family: Family) -> Value:
    """A vetted function makes numbers of any size, and texts as long as a request could hold."""
    return replace(derived([value], family), digits=ANY_DIGITS, chars=BIND_CHARS)


def _call_of(node: exp.Expr) -> exp.Anonymous:
    if isinstance(node, exp.Dot):
        node = node.expression
    if not isinstance(node, exp.Anonymous):
        raise unreadable("a call")
    return node


def _arguments(walk: Walk, node: exp.Expr, scope: Scope) -> list[Value]:
    return [walk.value(argument, scope) for argument in _call_of(node).expressions]


def _fits(node: exp.Expr, at: int, value: Value, overloads: tuple[Overload, ...]) -> bool:
    """Whether an argument has the type of the parameter, in every overload that could be meant."""
    named = isinstance(_call_of(node).expressions[at], exp.Kwarg)
    types = {
        family_of_type(kind)
        for one in overloads
        for kind in (one.arguments or ())[slice(None) if named else slice(at, at + 1)]
    }
    return types <= {value.family, Family.VARIANT}


def _columns_of(overload: Overload) -> tuple[tuple[str, Family], ...]:
    text = after_word(overload.returns, _TABLE)
    listed = [] if text is None else column_list(text.strip())
    return tuple((column.name, family_of_type(column.type)) for column in listed)


def _inside(catalog: Catalog, place: ObjectName) -> set[ObjectName]:
    """The object itself, or everything the catalog knows in a schema."""
    if place.name:
        return {place}
    known = {*catalog.tables, *catalog.views}
    schema = (place.database, place.schema)
    return {name for name in known if (name.database, name.schema) == schema}
