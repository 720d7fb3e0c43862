"""Constants that tagged columns are compared with: bounded in number, and told to budgets (F1).

A budget counts distinct values, so what is told must differ where the values do. A constant is told
as its text, a bind by its position: the gate knows what is bound. What the statement does not show,
such as a variable of the session, is told as not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlglot import exp

from snowgate.model.statement import Compared
from snowgate.sql import slots
from snowgate.sql.state import State
from snowgate.sql.values import Value


def compare(state: State, constant: exp.Expr, column: Value) -> None:
    """Note a constant that a tagged column is compared with.

    A column whose tags are not known has the tag `""`, which could be any.
    """
    told = _told(constant, state.binds)
    state.compared |= {
        Compared(tag, told.value, told.bind, told.known) for tag in column.all_tags or ("",)
    }
    many = slots.stands_for_many(constant, state.binds)
    state.compare_constant(constant.sql(), column, too_many=many)


def without_binds(compared: Iterable[Compared]) -> tuple[Compared, ...]:
    """The same of a text whose binds are not those of the statement around it, sorted."""
    return tuple(
        sorted({replace(one, bind=0, known=False) if one.bind else one for one in compared})
    )


def _told(constant: exp.Expr, binds: Sequence[str] | None) -> Compared:
    match constant:
        case exp.Paren():
            return _told(constant.this, binds)
        case exp.Literal() | exp.RawString():
            return Compared("", str(constant.this))
        case exp.Null():
            return Compared("", "NULL")  # as a bind that is NULL
    binds_within = list(constant.find_all(exp.Placeholder))
    if constant.find(exp.Parameter) is not None or len(binds_within) > 1:
        return Compared("", known=False)
    if not binds_within:
        return Compared("", constant.sql())
    # Whatever is made of one bind differs only if the bind does.
    [bind] = binds_within
    number = str(bind.this)
    if slots.slot_of(bind, binds) is not None or not number.isdecimal():
        return Compared("", known=False)
    return Compared("", bind=int(number))
