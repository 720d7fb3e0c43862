"""What a reader sees of tagged columns."""

import pytest

from snowgate.model.identity import Principal
from snowgate.model.statement import OutputColumn
from snowgate.model.verdict import ColumnMask, MaskKind
from snowgate.policy import Mask, Match, Policy, Rule, Subject, Who, compile_policy
from snowgate.policy.masks import VOID, TagView, plan_masks, strictest, view_tag

PII = frozenset({"pii"})
READER = Subject(Principal("A", "https://i", "1", "n"), frozenset({"analysts"}), "R")


def rule(name: str, mask: Mask, tag: str = "pii", *unless: str) -> Rule:
    excluding = tuple(Match(Who(groups=frozenset({group}))) for group in unless)
    return Rule(name, Match(tags=frozenset({tag}), excluding=excluding), mask)


def planned(policy: Policy, column: OutputColumn) -> ColumnMask:
    views = {tag: view_tag(policy, tag, READER) for tag in column.tags}
    return plan_masks([column], views).plan.columns[0]


REDACT = compile_policy((), [rule("m", Mask(MaskKind.REDACT))])


def test_a_raw_column_gets_the_configured_mask() -> None:
    assert planned(REDACT, OutputColumn("E", PII, raw=True)) == ColumnMask(
        "E", MaskKind.REDACT, ("pii",)
    )


def test_f2_whatever_is_computed_from_a_tagged_column_is_void() -> None:
    assert planned(REDACT, OutputColumn("E", PII)).mask is MaskKind.VOID


def test_a_column_of_unknown_origin_is_void_for_everybody() -> None:
    clear = compile_policy((), [rule("m", Mask(MaskKind.REDACT), "pii", "analysts")])

    assert planned(clear, OutputColumn("E", unknown=True)).mask is MaskKind.VOID
    assert planned(clear, OutputColumn("E", PII, raw=True, unknown=True)).mask is MaskKind.VOID


def test_an_untagged_column_passes() -> None:
    assert planned(REDACT, OutputColumn("ID")).mask is MaskKind.PASS


def test_a_tag_that_no_rule_masks_is_void_for_everybody() -> None:
    view = view_tag(compile_policy((), []), "pii", READER)

    assert view == TagView(VOID, frozenset({"unmasked-tag"}))


def test_a_tag_is_clear_to_whom_no_rule_concerns() -> None:
    policy = compile_policy((), [rule("m", Mask(MaskKind.REDACT), "pii", "analysts")])

    assert view_tag(policy, "pii", READER).clear


def test_an_exception_frees_its_readers() -> None:
    exception = Match(Who(roles=frozenset({"R"})))
    policy = compile_policy((), [Rule("m", Match(tags=PII), Mask(MaskKind.REDACT), (exception,))])

    assert view_tag(policy, "pii", READER).clear


def test_one_exempting_rule_does_not_lift_another() -> None:
    policy = compile_policy(
        (),
        [
            rule("a", Mask(MaskKind.REDACT), "pii", "analysts"),
            rule("b", Mask(MaskKind.PARTIAL, 0, 4)),
        ],
    )

    assert view_tag(policy, "pii", READER) == TagView(
        Mask(MaskKind.PARTIAL, 0, 4), frozenset({"b"})
    )


def test_f12_the_strictest_mask_of_several_counts() -> None:
    masks = [rule("a", Mask(MaskKind.PARTIAL, 0, 4)), rule("b", Mask(MaskKind.REDACT))]

    for rules in (masks, masks[::-1]):
        view = view_tag(compile_policy((), rules), "pii", READER)

        assert view == TagView(Mask(MaskKind.REDACT), frozenset({"a", "b"}))


def test_a_raw_column_with_two_tags_gets_the_stricter_mask() -> None:
    policy = compile_policy(
        (), [rule("a", Mask(MaskKind.PARTIAL, 0, 4)), rule("b", Mask(MaskKind.NULL), "phi")]
    )

    column = planned(policy, OutputColumn("E", frozenset({"pii", "phi"}), raw=True))

    assert column == ColumnMask("E", MaskKind.NULL, ("phi", "pii"))


@pytest.mark.parametrize("raw", [True, False])
def test_one_clear_tag_does_not_open_a_column_with_another(raw: bool) -> None:
    policy = compile_policy(
        (),
        [
            rule("a", Mask(MaskKind.REDACT), "pii", "analysts"),
            rule("b", Mask(MaskKind.REDACT), "phi"),
        ],
    )

    column = planned(policy, OutputColumn("E", frozenset({"pii", "phi"}), raw=raw))

    assert column.mask is (MaskKind.REDACT if raw else MaskKind.VOID)


def test_a_computed_column_of_clear_tags_passes() -> None:
    policy = compile_policy((), [rule("a", Mask(MaskKind.REDACT), "pii", "analysts")])

    assert planned(policy, OutputColumn("E", PII)).mask is MaskKind.PASS


def test_two_partial_masks_keep_what_both_keep() -> None:
    left, right = Mask(MaskKind.PARTIAL, 2, 4), Mask(MaskKind.PARTIAL, 0, 6)

    assert strictest([left, right]) == strictest([right, left]) == Mask(MaskKind.PARTIAL, 0, 4)


def test_a_plan_names_the_rules_behind_it() -> None:
    views = {"pii": view_tag(REDACT, "pii", READER)}

    assert plan_masks([OutputColumn("ID")], views).rules == frozenset()
    assert plan_masks([OutputColumn("E", PII)], views).rules == {"m"}
