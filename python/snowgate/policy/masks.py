"""What a reader sees of each tag, and of each column.

A tag is clear to a reader whom none of the mask rules that name it concerns. Where several do, the
strictest mask counts, whatever their order. A tag that no rule masks for anybody is a tag somebody
forgot: its values are void for everybody.

A configured mask fits only a raw tagged column; whatever is computed from one could take the mask
apart, so it is void: one constant for every row (F2). So is a column whose origin is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from snowgate.model.statement import OutputColumn, Statement
from snowgate.model.verdict import ColumnMask, MaskKind, MaskPlan
from snowgate.policy.matching import Subject, concerns
from snowgate.policy.rules import Mask, Policy

# The name in a verdict of the rule that is missing.
UNMASKED_TAG = "unmasked-tag"
PASS = Mask(MaskKind.PASS)
VOID = Mask(MaskKind.VOID)


@dataclass(frozen=True, slots=True)
class TagView:
    """How one reader sees a raw column with one tag, and the rules that say so."""

    mask: Mask
    rules: frozenset[str] = frozenset()

    @property
    def clear(self) -> bool:
        """Whether the reader may see the values."""
        return self.mask.kind is MaskKind.PASS


@dataclass(frozen=True, slots=True)
class PlannedMasks:
    """A mask plan and the rules behind it."""

    plan: MaskPlan
    rules: frozenset[str]


# What the readers see whom no mask rule concerns.
CLEAR = TagView(PASS)


def touched_tags(statement: Statement) -> frozenset[str]:
    """Every tag that a verdict on a statement can depend on."""
    columns = statement.columns or ()
    return statement.tags.union(*(column.tags for column in columns)) | statement.launders.union(
        *(violation.tags for violation in statement.violations)
    )


def view_tag(policy: Policy, tag: str, subject: Subject) -> TagView:
    """How this reader sees a tag."""
    naming = [
        (rule, rule.action)
        for rule in policy.rules
        if isinstance(rule.action, Mask) and tag in rule.match.tags
    ]
    if not naming:
        return TagView(VOID, frozenset({UNMASKED_TAG}))
    concerned = [(rule.name, mask) for rule, mask in naming if concerns(rule, subject)]
    return TagView(
        strictest(mask for _, mask in concerned), frozenset(name for name, _ in concerned)
    )


def strictest(masks: Iterable[Mask]) -> Mask:
    """The strictest of some masks; `PASS` of none. Two `partial` keep only what both keep."""
    result = PASS
    for mask in masks:
        if mask.kind.strictness > result.kind.strictness:
            result = mask
        elif mask.kind is result.kind:
            first = min(mask.keep_first, result.keep_first)
            last = min(mask.keep_last, result.keep_last)
            result = Mask(mask.kind, first, last)
    return result


def plan_masks(columns: Iterable[OutputColumn], views: Mapping[str, TagView]) -> PlannedMasks:
    """The masks of a result.

    Args:
        columns: Predicted outputs, in order.
        views: How the reader sees each tag that occurs in them.
    """
    planned: list[ColumnMask] = []
    rules: set[str] = set()
    for column in columns:
        mask = _mask_of(column, views)
        tags = tuple(sorted(column.tags))
        planned.append(ColumnMask(column.name, mask.kind, tags, mask.keep_first, mask.keep_last))
        rules.update(*(views[tag].rules for tag in tags))
    return PlannedMasks(MaskPlan(tuple(planned)), frozenset(rules))


def _mask_of(column: OutputColumn, views: Mapping[str, TagView]) -> Mask:
    if column.unknown:
        return VOID
    if not column.tags:
        return PASS
    mask = strictest(views[tag].mask for tag in column.tags)
    return mask if column.raw or mask.kind is MaskKind.PASS else VOID
