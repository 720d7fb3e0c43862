"""Ties the parts of the analysis together: queries hold expressions, which hold queries.

Each part is a module of functions that take the walk first, and reaches the others through it.
"""

from __future__ import annotations

from sqlglot import exp

from snowgate.sql import expressions, predicates, queries, sources
from snowgate.sql.relations import Relation, Scope, Source
from snowgate.sql.state import State
from snowgate.sql.values import Value


class Walk:
    """One walk over one parsed statement."""

    __slots__ = ("state",)

    def __init__(self, state: State) -> None:
        self.state = state

    def value(self, node: exp.Expr, scope: Scope) -> Value:
        """What is known of an expression."""
        self.state.step()
        return expressions.value(self, node, scope)

    def query(self, node: exp.Expr, parent: Scope | None) -> Relation:
        """The relation a query makes."""
        self.state.step()
        return queries.query(self, node, parent)

    def source(self, node: exp.Expr, scope: Scope) -> list[Source]:
        """The sources of one item of FROM, its nested joins included."""
        return sources.source(self, node, scope)

    def filter(self, node: exp.Expr, scope: Scope) -> frozenset[str]:
        """Check a predicate; return the tags that decide rows in the forms that pass."""
        return predicates.check(self, node, scope)
