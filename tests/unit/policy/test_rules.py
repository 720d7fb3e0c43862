"""The compiled form and its digest."""

from snowgate.model.statement import ObjectName
from snowgate.model.verdict import MaskKind
from snowgate.policy import Allow, Deny, Mask, Match, Rule, TagPattern, Who, compile_policy
from snowgate.policy.pattern import parse_pattern
from snowgate.policy.rules import CLASS_WORDS

READS = Rule("reads", Match(classes=CLASS_WORDS["select"]), Allow())
NEVER = Rule("never", Match(Who(groups=frozenset({"a", "b"}))), Deny("r", "m"))
MASK = Rule("mask", Match(tags=frozenset({"pii"})), Mask(MaskKind.REDACT))
TAGS = [TagPattern("pii", one) for one in parse_pattern("A.B.C.{D,E}", 4, "")]


def test_the_digest_ignores_order() -> None:
    one = compile_policy(TAGS, [READS, NEVER, MASK])
    other = compile_policy(TAGS[::-1], [MASK, NEVER, READS])

    assert one == other


def test_the_digest_tells_every_change() -> None:
    policies = [
        compile_policy(TAGS, [READS, NEVER]),
        compile_policy(TAGS[:1], [READS, NEVER]),
        compile_policy(TAGS, [READS]),
        compile_policy(TAGS, [READS, Rule("never", NEVER.match, Deny("other", "m"))]),
        compile_policy(TAGS, [READS, Rule("never", Match(), Deny("r", "m"))]),
        compile_policy(TAGS, [READS, Rule("never", NEVER.match, NEVER.action, (Match(),))]),
        compile_policy(TAGS, [READS, Rule("never", NEVER.match, Allow())]),
    ]

    assert len({policy.digest for policy in policies}) == len(policies)


def test_the_digest_is_the_same_in_every_process() -> None:
    # Sets iterate differently in each process; the value was computed in another one.
    assert compile_policy(TAGS, [READS, NEVER, MASK]).digest == (
        "2b276cc41bdc78b1fca15913810ffb92570fb6bbfa4945fa768c3982e56f6230"
    )


def test_a_word_of_a_class_covers_what_belongs_to_it() -> None:
    assert {kind.value for kind in CLASS_WORDS["session"]} == {"session", "use", "transaction"}
    assert {kind.value for kind in CLASS_WORDS["select"]} == {"select", "explain"}


def test_the_tags_of_a_column_are_the_union_of_its_patterns() -> None:
    more = TagPattern("phi", parse_pattern("A.*.C.*", 4, "")[0])
    policy = compile_policy([*TAGS, more], [])

    tags = policy.column_tags(ObjectName("A", "B", "C"), ["D", "Z"])

    assert tags == {"D": {"pii", "phi"}, "Z": {"phi"}}
