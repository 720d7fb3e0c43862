"""Long chains of one operator, which the parser nests as deep as they are long."""

from __future__ import annotations

from sqlglot import exp


def operands(node: exp.Expr) -> list[exp.Expr]:
    """The operands of a chain of one binary operator, left to right."""
    kind = type(node)
    right: list[exp.Expr] = []
    while type(node) is kind:
        right.append(node.args["expression"])
        node = node.args["this"]
    right.append(node)
    right.reverse()
    return right
