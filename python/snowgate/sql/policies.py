"""Masking and row access policies of Snowflake: code that decides what a table shows (F16, F18).

    CREATE MASKING POLICY p AS (a VARCHAR, b VARCHAR) RETURNS VARCHAR -> b
    ALTER TABLE t MODIFY COLUMN label SET MASKING POLICY p USING (label, email)

From then on LABEL shows e-mails. So a body may not read what its author sees masked, no policy may
be attached that decides by a tagged column, and a table with one that decides by several columns is
untraceable once it gains a tag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from snowgate._core import StatementHead, lex
from snowgate.model.statement import ObjectName
from snowgate.sql import callees, flows
from snowgate.sql.catalog import Catalog, untraceable
from snowgate.sql.ddl import TABLES, VIEWS
from snowgate.sql.parser import after_word, column_list, parse_query, solid_tokens
from snowgate.sql.relations import Column, Relation, Scope, Source
from snowgate.sql.state import Knob, Refused, State
from snowgate.sql.tables import relation_of
from snowgate.sql.values import UNKNOWN, Family, clean, derived
from snowgate.sql.walk import Walk

# Kinds whose body is an expression over the columns it is attached to.
_JUDGED = frozenset({"MASKING POLICY", "ROW ACCESS POLICY", "STORAGE LIFECYCLE POLICY"})


def check(
    head: StatementHead, names: Sequence[ObjectName], state: State, after: Catalog
) -> Catalog:
    """Check a body, and what a statement attaches a policy to.

    Args:
        head: A statement that is DDL or reads no rows.
        names: The objects it names.
        state: Where violations are recorded.
        after: The catalog once it has run.

    Returns:
        The same, with tables that a policy feeds.

    Raises:
        Refused: It cannot be told what the policy would show.
    """
    if head.verb not in ("CREATE", "ALTER"):
        return after
    if head.object_kind.endswith(" POLICY"):
        _check_body(head, state)
    elif head.object_kind in TABLES | VIEWS:
        deciding = _deciding(head.rest)
        if deciding:
            return _attached(head, names, state, after, deciding)
    return after


def _check_body(head: StatementHead, state: State) -> None:
    body = _after_arrow(head.rest)
    if body is None:
        return
    if head.verb == "CREATE" and head.object_kind in _JUDGED:
        text = f"SELECT {body}"
        tree = parse_query(text)
        callees.check_text(tree, text, state)
        columns = column_list(after_word(head.rest, "AS") or "")
        parameters = tuple(Column(column.name, clean(Family.ANY)) for column in columns)
        found = Walk(state).query(tree, Scope(sources=[Source(None, Relation(parameters))]))
        value = found.everything()
        if value.touched:
            state.violate(Knob.ROWS, "makes a policy show, or decide by, a tagged column", value)
    elif head.object_kind in _JUDGED or _queries(body):
        raise Refused(
            "unparsed",
            "gives a policy a body that is not judged",
            "create a policy of its own whose body is an expression over its parameters",
        )


def _after_arrow(text: str) -> str | None:
    at = 0
    for _, piece in lex(text):
        at += len(piece)
        if piece == "->":
            return text[at:]
    return None


def _queries(text: str) -> bool:
    return any(kind == "word" and piece.upper() == "SELECT" for kind, piece in lex(text))


def _attached(
    head: StatementHead,
    names: Sequence[ObjectName],
    state: State,
    after: Catalog,
    deciding: frozenset[str],
) -> Catalog:
    if head.object_kind in VIEWS:
        raise Refused(
            "unparsed",
            "attaches a policy to a view, where it decides by several columns or hides rows",
            "attach the policy to the tables of the view",
        )
    for name in names:
        table = after.tables.get(name)
        columns = () if table is None else relation_of(table, name).columns
        known = {column.name: column.value for column in columns}
        value = derived(known.get(column, UNKNOWN) for column in deciding)
        if value.touched:
            state.violate(Knob.ROWS, "attaches a policy that decides by a tagged column", value)
            if table is not None:
                after = after.replacing({name: replace(untraceable(table), opaque=True)})
        after = flows.fed(after, [name], {name})
    return after


def _deciding(text: str) -> frozenset[str]:
    """The columns in `POLICY p ON (…)` and `POLICY p USING (…)`.

    A masking policy over its own column alone shows nothing that the column does not hold.
    """
    tokens = solid_tokens(text)
    found: set[str] = set()
    for at, (kind, piece) in enumerate(tokens):
        if kind != "word" or piece.upper() != "POLICY":
            continue
        at += 1
        while at < len(tokens) and tokens[at][1].upper() not in ("ON", "USING", ",", "(", ")"):
            at += 1
        if at + 1 >= len(tokens) or tokens[at][1].upper() not in ("ON", "USING"):
            continue
        end = next((n for n in range(at, len(tokens)) if tokens[n][1] == ")"), at)
        listed = column_list(" ".join(token for _, token in tokens[at + 1 : end + 1]))
        if tokens[at][1].upper() == "ON" or len(listed) > 1:
            found |= {column.name for column in listed}
    return frozenset(found)
