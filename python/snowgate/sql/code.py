"""Bodies of tasks, alerts and SQL functions (F18)."""

from __future__ import annotations

from snowgate._core import StatementHead, lex, string_value
from snowgate.model.statement import Statement, StatementClass
from snowgate.sql import callees
from snowgate.sql.parser import after_word, column_list, parse_query, solid_tokens
from snowgate.sql.relations import Column, Relation, Scope, Source
from snowgate.sql.state import Refused, State
from snowgate.sql.values import Family, clean
from snowgate.sql.walk import Walk

# A body does one of these; anything else is not judged by it.
JUDGED = frozenset(
    {
        StatementClass.SELECT,
        StatementClass.INSERT,
        StatementClass.UPDATE,
        StatementClass.DELETE,
        StatementClass.MERGE,
    }
)


def not_judged() -> Refused:
    """A body that is more than one query or DML statement."""
    return Refused(
        "code-body",
        "creates or changes code whose body is not judged",
        "deploy it outside the gateway, by the people who review code",
    )


def bodies(head: StatementHead, state: State) -> list[str | Statement]:
    """What the code would run: texts of statements, or statements analysed already."""
    if head.verb != "CREATE":
        return []
    match head.object_kind:
        case "TASK":
            body = after_word(head.rest, "AS")
            # A body has a WHEN of its own where it is a MERGE.
            before = head.rest.removesuffix(body or "")
            found = [] if body is None else [*_condition(before, "WHEN", "AS"), body.strip()]
        case "ALERT":
            body = after_word(head.rest, "THEN")
            found = [] if body is None else [*_condition(head.rest, "IF", "THEN"), body.strip()]
        case "FUNCTION":
            return [_function(head, state)]
        case _:
            found = []
    if not found:
        raise not_judged()
    return list(found)


def _condition(text: str, start: str, end: str) -> list[str]:
    """`WHEN expression`, `IF (EXISTS (query))` as a query of that condition."""
    after = after_word(text, start)
    if after is None:
        return []
    depth, condition = 0, ""
    for kind, piece in lex(after):
        depth += (piece == "(") - (piece == ")")
        if depth == 0 and kind == "word" and piece.upper() == end:
            break
        condition += piece
    # A condition decides what happens, as WHERE does.
    return [f"SELECT 1 WHERE {condition}"]


def _function(head: StatementHead, state: State) -> Statement:
    """A SQL function: an expression or a query over its parameters."""
    body = after_word(head.rest, "AS")
    text = None if body is None else string_value(body.strip())
    if text is None:
        raise not_judged()
    first = next((piece.upper() for _, piece in solid_tokens(text)), "")
    tree = parse_query(text if first in ("SELECT", "WITH", "(") else f"SELECT {text}")
    callees.check_text(tree, text, state)
    columns = tuple(Column(name, clean(Family.ANY)) for name, *_ in column_list(head.rest))
    scope = Scope(sources=[Source(None, Relation(columns))])
    walk = Walk(state)
    walk.query(tree, scope)
    return Statement(
        StatementClass.SELECT,
        reads=tuple(sorted(state.reads)),
        tags=frozenset(state.tags),
        violations=tuple(state.violations),
        unknown_sources=tuple(sorted(state.unknown)),
        calls=tuple(sorted(state.routines)),
    )
