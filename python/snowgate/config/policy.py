"""The keys of a policy, alone in a file or in the whole configuration."""

from __future__ import annotations

from pydantic import Field

from snowgate.config.budgets import MAX_BUDGETS, BudgetShape
from snowgate.config.fields import Shape, TagName
from snowgate.config.registry import RoutineShape
from snowgate.config.rules import RuleShape
from snowgate.config.tags import Tag
from snowgate.policy.rules import Policy, compile_policy


class PolicyShape(Shape):
    """Tags, rules, the routines that were vetted, and budgets."""

    tags: dict[TagName, Tag] = Field(default_factory=dict)
    rules: list[RuleShape]
    registry: list[RoutineShape] = Field([])
    budgets: list[BudgetShape] = Field([], max_length=MAX_BUDGETS)

    def compiled(self) -> Policy:
        """The policy; its names must be unique (`checks.check_policy`)."""
        named = self.tags.items()
        return compile_policy(
            [one for tag, shape in named for one in shape.patterns(tag)],
            [rule.compiled() for rule in self.rules],
            [one for tag, shape in named for one in shape.sources(tag)],
            [routine.compiled() for routine in self.registry],
            [budget.compiled() for budget in self.budgets],
        )
