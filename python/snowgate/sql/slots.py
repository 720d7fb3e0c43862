"""Slots: placeholders of a template, each in place of some constant of a known type.

A verdict on a template counts for every statement that has one (`rust/sql/src/template.rs`). So a
slot must mean the same to the analysis as any constant would, or something worse:

- It is accepted only where no constant changes what the analysis finds: compared, as an element of
  IN, as a count of rows, converted on the spot. Anywhere else the template is refused.
- A slot for a whole IN list stands for more constants than may be compared with a tagged column.
- Each slot counts as a constant of its own.

What looks at the value of a constant asks for a literal (a divisor that is not zero, a factor's
digits, a date's form, LIMIT 1), which a slot is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from snowgate.sql.state import Refused
from snowgate.sql.values import Family


@dataclass(frozen=True, slots=True)
class Slot:
    """What a placeholder of a template stands for.

    Attributes:
        family: Type of the constant.
        many: It is a whole IN list of two or more.
    """

    family: Family
    many: bool = False


# The words of `Slot::bind_type` in Rust. Types of binds that drivers name have no `-`.
_SLOTS = {
    "literal-text": Slot(Family.TEXT),
    "literal-number": Slot(Family.NUMBER),
    "literal-texts": Slot(Family.TEXT, many=True),
    "literal-numbers": Slot(Family.NUMBER, many=True),
}
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Like, exp.ILike)
# They convert their argument, and ask nothing of it.
_CONVERSIONS = frozenset(
    {
        "TO_DATE",
        "TO_TIME",
        "TO_TIMESTAMP",
        "TO_TIMESTAMP_LTZ",
        "TO_TIMESTAMP_NTZ",
        "TO_TIMESTAMP_TZ",
    }
)


def slot_of(node: exp.Expr, binds: Sequence[str] | None) -> Slot | None:
    """The slot that a placeholder is; None for a bind of the statement itself."""
    number = str(node.this)
    at = int(number) - 1 if number.isdecimal() else -1
    if binds is None or not 0 <= at < len(binds):
        return None
    return _SLOTS.get(binds[at])


def own_binds(binds: Sequence[str]) -> list[str]:
    """Types of the binds of the statement itself."""
    return [kind for kind in binds if kind not in _SLOTS]


def stands_for_many(node: exp.Expr, binds: Sequence[str] | None) -> bool:
    """Whether a constant is a slot for a whole list."""
    if not isinstance(node, exp.Placeholder):
        return False
    slot = slot_of(node, binds)
    return slot is not None and slot.many


def check(tree: exp.Expr, binds: Sequence[str] | None) -> None:
    """Check that every slot of a template stands where any constant means the same.

    Args:
        tree: The template, parsed.
        binds: Types of all its placeholders, slots included; without slots there is nothing to do.

    Raises:
        Refused: A slot stands elsewhere, or the parser took it for something else.
    """
    expected = [at for at, kind in enumerate(binds or ()) if kind in _SLOTS]
    if not expected:
        return
    seen: list[int] = []
    for node in tree.find_all(exp.Placeholder):
        slot = slot_of(node, binds)
        if slot is None:
            continue
        seen.append(int(str(node.this)) - 1)
        if not _is_place(node, slot):
            raise _unsure()
    if sorted(seen) != expected:
        raise _unsure()


def _is_place(node: exp.Expr, slot: Slot) -> bool:
    parent = node.parent
    match parent:
        case exp.In():
            alone = len(parent.expressions) == 1
            return node.arg_key == "expressions" and (alone or not slot.many)
        case _ if slot.many:
            return False
        case exp.Cast() | exp.TryCast():
            return node.arg_key == "this"
        case exp.Anonymous():
            name = parent.this
            known = isinstance(name, str) and name.upper() in _CONVERSIONS
            return known and len(parent.expressions) == 1
        case exp.Between():
            return node.arg_key in ("low", "high")
        case exp.Limit() | exp.Offset():
            return slot.family is Family.NUMBER
        case _:
            return isinstance(parent, _COMPARISONS) and node.arg_key == "expression"


def _unsure() -> Refused:
    return Refused(
        "template",
        "a constant of the statement may decide what it does",
        "the statement is judged by its exact text",
    )
