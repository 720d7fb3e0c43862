"""Which budgets a statement counts in, and the largest result that the rules let through.

Both tighten, so they are asked as holds are: where the statement does not tell, the answer is yes.
The limit of an allow rule therefore counts where the rule could speak, also where it cannot be sure
enough of itself to allow anything.
"""

from __future__ import annotations

from collections.abc import Iterable

from snowgate.model.budget import NO_LIMIT, Bound, ResultLimit
from snowgate.model.statement import Statement
from snowgate.policy.matching import Subject, accesses, may_concern
from snowgate.policy.rules import BudgetRule, Policy


def limit_of(policy: Policy, statement: Statement, subject: Subject) -> ResultLimit:
    """The lowest limits of all rules that are about the statement; ties go by name."""
    if not any(rule.limit.asks for rule in policy.rules):
        return NO_LIMIT
    touched = accesses(statement)
    rules = [
        rule
        for rule in policy.rules
        if rule.limit.asks
        and any(
            may_concern(rule.match, rule.exceptions, access, statement, subject)
            for access in touched
        )
    ]
    return ResultLimit(
        _lowest((rule.limit.rows, rule.name) for rule in rules),
        _lowest((rule.limit.bytes, rule.name) for rule in rules),
    )


def budgets_of(policy: Policy, statement: Statement, subject: Subject) -> tuple[BudgetRule, ...]:
    """The budgets that are about the statement, in order of names."""
    if not policy.budgets:
        return ()
    touched = accesses(statement)
    return tuple(
        budget
        for budget in policy.budgets
        if any(may_concern(budget.match, (), access, statement, subject) for access in touched)
    )


def _lowest(limits: Iterable[tuple[int | None, str]]) -> Bound | None:
    known = [(most, rule) for most, rule in limits if most is not None]
    return Bound(*min(known)) if known else None
