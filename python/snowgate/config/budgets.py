"""The `budgets:` of the file, and what they compile to."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from snowgate.config.fields import (
    Duration,
    Shape,
    Size,
    Word,
    Wrong,
    between,
    raise_all,
    sized,
)
from snowgate.config.rules import (
    MAX_AMOUNT,
    READER_KEYS,
    HoldShape,
    MatchShape,
    empty_keys,
    key_of,
)
from snowgate.model.budget import Budget
from snowgate.policy.builtin import RESERVED
from snowgate.policy.rules import BudgetRule

# Each statement asks all that are about it, and its entry names them.
MAX_BUDGETS = 32
# A human looks at some dozens of customers a day; the gate keeps a hash of each.
MAX_VALUES = 10_000
_AMOUNTS = ("statements", "rows", "bytes", "distinct_tagged_values")
# A time would let what was counted at one hour be forgotten at another.
_MAY_ASK = (READER_KEYS - {"hours", "days"}) | {"classes", "tag"}


def _over(value: object) -> object:
    if value == "deny":
        return {}
    if isinstance(value, dict) and value:
        return value
    raise Wrong("must be `deny`, or who may approve", "write `{hold: {approvers: GROUP}}`")


class _OrDeny:
    """Tells editors that the word `deny` may stand there."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"const": "deny"}, handler(core)]}


class OverShape(Shape):
    """What becomes of a statement that is over a budget; without `hold` it is denied."""

    hold: HoldShape | None = None


class BudgetShape(Shape):
    """How much of something each principal may take within a window that slides."""

    name: Word
    match: MatchShape
    per: Annotated[Duration, between("1m", "31d")]
    statements: int | None = Field(None, ge=1, le=MAX_AMOUNT)
    rows: int | None = Field(None, ge=1, le=MAX_AMOUNT)
    bytes: Annotated[Size, sized("1KiB", "1024GiB")] | None = None
    distinct_tagged_values: int | None = Field(None, ge=1, le=MAX_VALUES)
    over: Annotated[OverShape, BeforeValidator(_over), _OrDeny()] = OverShape()

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        wrongs = empty_keys(self)
        if self.name in RESERVED:
            wrongs.append(Wrong(f"`{self.name}` is the name of a built-in rule", at=("name",)))
        if self.model_fields_set.isdisjoint(_AMOUNTS):
            words = ", ".join(f"`{one}`" for one in _AMOUNTS)
            wrongs.append(Wrong("counts nothing", f"give it one of {words}"))
        if "hold" in self.over.model_fields_set and self.over.hold is None:
            wrongs.append(Wrong("must not be empty", "name its `approvers`", ("over", "hold")))
        matches: list[tuple[tuple[str | int, ...], MatchShape, AbstractSet[str]]] = [
            (("match",), self.match, _MAY_ASK | {"excluding"})
        ]
        others = enumerate(self.match.excluding or ())
        matches += [(("match", "not", at), one, _MAY_ASK) for at, one in others]
        for where, match, may in matches:
            wrongs += [
                Wrong(
                    "a budget asks only for readers, classes and tags",
                    "remove it",
                    (*where, key_of(MatchShape, name)),
                )
                for name in sorted(match.model_fields_set - may)
            ]
        raise_all(wrongs)
        return self

    def compiled(self) -> BudgetRule:
        """The budget as the policy takes it."""
        match, hold = self.match.compiled(), self.over.hold
        budget = Budget(
            self.name,
            int(self.per),
            self.statements,
            self.rows,
            self.bytes,
            self.distinct_tagged_values,
            tuple(sorted(match.tags)),
            hold is not None,
        )
        return BudgetRule(budget, match, hold.compiled() if hold else None)
