"""Laws of the policy: they hold for every set of rules and every statement."""

import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from snowgate.model.identity import Principal
from snowgate.model.statement import (
    ObjectName,
    OutputColumn,
    Statement,
    StatementClass,
    Violation,
)
from snowgate.model.verdict import Decision, MaskKind, Verdict
from snowgate.policy import (
    Allow,
    Deny,
    HoldFor,
    Mask,
    Match,
    Rule,
    Subject,
    Who,
    compile_policy,
    judge,
)
from snowgate.policy.masks import strictest
from snowgate.policy.matching import Access, applies
from snowgate.policy.pattern import Glob, NamePattern, parse_pattern
from snowgate.policy.readings import readings
from snowgate.policy.rules import NEVER_ALLOWED, NEVER_HELD

C = StatementClass
Tags = frozenset[str]
WORDS = ["A", "B", "C"]

some_tags = st.frozensets(st.sampled_from(["pii", "phi"]))
groups = st.frozensets(st.sampled_from(["g1", "g2", "g3"]))
classes = st.frozensets(st.sampled_from(list(C)), max_size=6)
words = st.sampled_from([*WORDS, ""])
places = st.lists(st.builds(ObjectName, words, words, words), max_size=3).map(tuple)
globs = st.sampled_from([Glob(("A",)), Glob(("B",)), Glob(("", ""))])
databases = st.frozensets(st.builds(lambda one: NamePattern((one,)), globs), max_size=2)
whos = st.builds(Who, groups=groups, roles=st.frozensets(st.sampled_from(["R1", "R2"])))
simple_matches = st.builds(
    Match,
    who=whos,
    classes=classes,
    kinds=st.frozensets(st.sampled_from(["TABLE", "SCHEMA"])),
    databases=databases,
    tags=some_tags,
    launders=some_tags,
    unbounded=st.sampled_from([None, True, False]),
)
matches = st.builds(
    lambda match, excluding: Match(
        **{
            name: getattr(match, name)
            for name in ("who", "classes", "kinds", "databases", "tags", "launders", "unbounded")
        },
        excluding=tuple(excluding),
    ),
    simple_matches,
    st.lists(simple_matches, max_size=2),
)
masks = st.builds(Mask, st.sampled_from(list(MaskKind)), st.integers(0, 8), st.integers(0, 8))
actions = st.one_of(
    st.just(Allow()),
    st.just(Allow(propagate=True)),
    st.builds(Deny, st.sampled_from(["r1", "r2"]), st.just("m")),
    st.builds(
        HoldFor,
        st.frozensets(st.sampled_from(["dba", "sec"]), min_size=1),
        st.integers(1, 3),
        st.sampled_from([20.0, 60.0]),
        some_tags,
    ),
    masks,
)
rules = st.lists(
    st.builds(
        Rule,
        name=st.sampled_from([f"rule-{number}" for number in range(30)]),
        match=matches,
        action=actions,
        exceptions=st.lists(simple_matches, max_size=1).map(tuple),
    ),
    max_size=8,
    unique_by=lambda rule: rule.name,
)
columns = st.lists(
    st.builds(
        OutputColumn,
        name=st.sampled_from(["X", None]),
        tags=some_tags,
        raw=st.booleans(),
        unknown=st.booleans(),
    ),
    max_size=4,
).map(tuple)
statements = st.builds(
    Statement,
    kind=st.sampled_from(list(C)),
    object_kind=st.sampled_from(["", "TABLE", "SCHEMA"]),
    reads=places,
    writes=places,
    columns=st.one_of(st.none(), columns),
    tags=some_tags,
    launders=some_tags,
    violations=st.lists(
        st.builds(Violation, st.just("pii_x"), st.just("r"), st.just("m"), some_tags), max_size=1
    ).map(tuple),
    unbounded=st.booleans(),
    query=st.booleans(),
    unknown_sources=st.one_of(st.just(()), places),
)
subjects = st.builds(
    Subject,
    principal=st.just(Principal("ACME", "https://i", "1", "n")),
    groups=groups,
    role=st.sampled_from(["R1", "R2"]),
)


# Most statements of the laws above are denied; of these, most wait.
queries = st.builds(
    Statement,
    kind=st.just(C.SELECT),
    reads=places,
    columns=columns,
    tags=some_tags,
    violations=st.lists(
        st.builds(Violation, st.just("pii_x"), st.just("r"), st.just("m"), some_tags), max_size=1
    ).map(tuple),
    query=st.just(True),
)
unmasking = st.builds(
    lambda others, unmask: [
        *(rule for rule in others if not isinstance(rule.action, Deny)),
        Rule("every", Match(tags=frozenset({"pii", "phi"})), Mask(MaskKind.PARTIAL)),
        Rule(
            "glass",
            Match(classes=frozenset({C.SELECT})),
            HoldFor(frozenset({"dba", "sec"}), 1, 60.0, unmask),
        ),
    ],
    rules,
    some_tags,
)


def verdict(policy: Sequence[Rule], statement: Statement, subject: Subject) -> Verdict:
    return judge(compile_policy((), policy), statement, subject)


@given(rules, statements, subjects, st.randoms())
def test_the_order_of_rules_never_matters(
    policy: list[Rule], statement: Statement, subject: Subject, random: Random
) -> None:
    shuffled = list(policy)
    random.shuffle(shuffled)

    assert verdict(policy, statement, subject) == verdict(shuffled, statement, subject)


@given(rules, statements, subjects)
def test_nothing_is_allowed_unless_a_rule_allows(
    policy: list[Rule], statement: Statement, subject: Subject
) -> None:
    closed = [rule for rule in policy if not isinstance(rule.action, Allow)]

    assert verdict(closed, statement, subject).decision is not Decision.ALLOW


@given(rules, statements, subjects)
def test_nothing_is_held_unless_a_rule_holds(
    policy: list[Rule], statement: Statement, subject: Subject
) -> None:
    answer = verdict(policy, statement, subject)

    if answer.decision is Decision.HOLD:
        holding = {rule.name for rule in policy if isinstance(rule.action, HoldFor)}
        assert answer.hold is not None
        assert answer.hold.rule in holding
        assert statement.kind not in NEVER_HELD
    assert (answer.hold is None) is (answer.decision is not Decision.HOLD)


@given(rules, statements, subjects, st.sampled_from([C.INSERT, C.MERGE]), some_tags)
def test_tags_go_only_where_a_rule_lets_them(
    policy: list[Rule], statement: Statement, subject: Subject, kind: StatementClass, tags: Tags
) -> None:
    copy = replace(statement, kind=kind, tags=tags | {"pii"}, launders=frozenset({"pii"}))

    answer = verdict(policy, copy, subject)

    if answer.decision is not Decision.DENY:
        lets = [
            rule
            for rule in policy
            if "pii" in rule.match.launders or rule.action == Allow(propagate=True)
        ]
        for place in copy.writes:
            access = Access(kind, place, copy.object_kind)
            assert any(applies(rule, access, copy, subject) for rule in lets)


@given(rules, statements, subjects, matches)
def test_one_more_denial_never_loosens(
    policy: list[Rule], statement: Statement, subject: Subject, match: Match
) -> None:
    before = verdict(policy, statement, subject)
    after = verdict([*policy, Rule("more", match, Deny("r", "m"))], statement, subject)

    assert after.decision in (before.decision, Decision.DENY)


@given(rules, statements, subjects, matches)
def test_one_more_hold_never_turns_into_permission(
    policy: list[Rule], statement: Statement, subject: Subject, match: Match
) -> None:
    terms = HoldFor(frozenset({"dba"}), 1, 60)
    before = verdict(policy, statement, subject)
    after = verdict([*policy, Rule("more", match, terms)], statement, subject)

    if before.decision is not Decision.ALLOW:
        assert after.decision is not Decision.ALLOW


@given(rules, statements, subjects)
def test_a_denial_says_why_and_what_to_do(
    policy: list[Rule], statement: Statement, subject: Subject
) -> None:
    answer = verdict(policy, statement, subject)

    if answer.decision is Decision.DENY:
        assert answer.rules
        assert answer.reason
        assert answer.remedy
        assert answer.plan is None


@given(rules, statements, subjects)
def test_what_outlives_a_session_never_runs(
    policy: list[Rule], statement: Statement, subject: Subject
) -> None:
    if statement.kind in NEVER_ALLOWED:
        assert verdict(policy, statement, subject).decision is Decision.DENY


@given(rules, statements, subjects, masks)
def test_one_more_mask_never_shows_more(
    policy: list[Rule], statement: Statement, subject: Subject, mask: Mask
) -> None:
    # Once a tag has a mask rule: the first one replaces the void of a forgotten tag.
    named = [*policy, Rule("every", Match(tags=frozenset({"pii", "phi"})), Mask(MaskKind.PARTIAL))]
    before = verdict(named, statement, subject)
    after = verdict(
        [*named, Rule("more", Match(tags=frozenset({"pii"})), mask)], statement, subject
    )

    if before.plan is not None and after.plan is not None:
        for old, new in zip(before.plan.columns, after.plan.columns, strict=True):
            assert new.mask.strictness >= old.mask.strictness
    assert before.void_all <= after.void_all or after.decision is Decision.DENY


@given(unmasking, queries, subjects, some_tags)
def test_f12_an_approval_shows_only_tags_that_it_and_a_rule_name(
    policy: list[Rule], statement: Statement, subject: Subject, approved: Tags
) -> None:
    plain = verdict([_without_unmask(rule) for rule in policy], statement, subject)
    shown = judge(compile_policy((), policy), statement, subject, approved=approved)
    unmasked = frozenset(shown.hold.unmask if shown.hold else ())

    names = [rule.action.unmask for rule in policy if isinstance(rule.action, HoldFor)]
    assert unmasked <= approved & frozenset().union(*names)
    assert shown.void_all == plain.void_all or Decision.DENY in (shown.decision, plain.decision)
    if plain.plan is not None and shown.plan is not None:
        for old, new in zip(plain.plan.columns, shown.plan.columns, strict=True):
            assert new.mask is old.mask or unmasked & set(new.tags)
            # Another tag of the column hides it as ever.
            assert set(new.tags) <= unmasked or new.mask is not MaskKind.PASS
    if not unmasked:
        assert _told(shown) == _told(plain)


@given(unmasking, queries, subjects)
def test_f12_what_waits_for_an_approval_shows_nothing_yet(
    policy: list[Rule], statement: Statement, subject: Subject
) -> None:
    waiting = verdict(policy, statement, subject)
    plain = verdict([_without_unmask(rule) for rule in policy], statement, subject)

    if plain.decision is not Decision.DENY:
        assert (waiting.plan, waiting.void_all) == (plain.plan, plain.void_all)
        assert waiting.decision is plain.decision
    elif waiting.decision is not Decision.DENY:
        # People are asked whether it may rest on what it shows.
        assert waiting.hold is not None
        assert waiting.hold.unmask


def _without_unmask(rule: Rule) -> Rule:
    if not isinstance(rule.action, HoldFor):
        return rule
    return replace(rule, action=replace(rule.action, unmask=frozenset()))


def _told(answer: Verdict) -> Verdict:
    return replace(answer, policy_digest="", cacheable=False)


@given(rules, statements, subjects)
def test_a_column_that_is_not_raw_is_clear_or_void(
    policy: list[Rule], statement: Statement, subject: Subject
) -> None:
    plan = verdict(policy, statement, subject).plan

    if plan is not None and statement.columns is not None:
        for column, shown in zip(statement.columns, plan.columns, strict=True):
            if not column.raw or column.unknown:
                assert shown.mask in (MaskKind.PASS, MaskKind.VOID)
            if column.unknown:
                assert shown.mask is MaskKind.VOID


@given(rules, statements, subjects)
def test_rows_of_unpredicted_columns_are_never_shown_where_tags_are_hidden(
    policy: list[Rule], statement: Statement, subject: Subject
) -> None:
    answer = verdict(
        [*policy, Rule("every", Match(tags=frozenset({"pii", "phi"})), Mask(MaskKind.REDACT))],
        statement,
        subject,
    )

    if answer.decision is not Decision.DENY and statement.query and statement.columns is None:
        assert answer.void_all or not statement.tags


@given(rules, rules, statements, subjects)
def test_f12_a_rule_that_is_not_enforced_changes_nothing(
    policy: list[Rule], added: list[Rule], statement: Statement, subject: Subject
) -> None:
    shadows = [replace(rule, name=f"shadow-{rule.name}", enforce=False) for rule in added]

    plain = verdict(policy, statement, subject)
    shadowed = verdict([*policy, *shadows], statement, subject)

    told = replace(shadowed, shadow=(), policy_digest=plain.policy_digest)
    assert told == plain
    assert set(shadowed.shadow) <= {rule.name for rule in shadows}


@given(rules, statements, subjects)
def test_what_a_rule_would_do_is_recorded_while_it_is_not_enforced(
    policy: list[Rule], statement: Statement, subject: Subject
) -> None:
    enforced = verdict(policy, statement, subject)
    shadowed = verdict([replace(rule, enforce=False) for rule in policy], statement, subject)

    assert set(enforced.rules) & {rule.name for rule in policy} <= set(shadowed.shadow)


@given(rules, statements, subjects)
def test_readings_agree_with_the_verdict(
    policy: list[Rule], statement: Statement, subject: Subject
) -> None:
    answer = verdict(policy, statement, subject)

    read = readings(compile_policy((), policy), statement, subject)

    applying = {each.rule.name for each in read if each.applies}
    assert {each.rule for each in read} == set(policy)
    assert set(answer.rules) & {rule.name for rule in policy} <= applying
    denying = {rule.name for rule in policy if isinstance(rule.action, Deny)}
    if applying & denying:
        assert answer.decision is Decision.DENY


@given(rules, statements)
def test_equal_subject_digests_give_equal_verdicts(
    policy: list[Rule], statement: Statement
) -> None:
    one = Subject(
        Principal("ACME", "https://i", "1", "a", triggered_by=("p",)), frozenset({"g1", "g2"}), "R1"
    )
    other = Subject(
        Principal("ACME", "https://i", "1", "b", people=True), frozenset({"g2", "g1"}), "R1"
    )

    assert one.digest == other.digest
    assert verdict(policy, statement, one) == verdict(policy, statement, other)


@given(st.lists(masks, max_size=5), st.randoms())
def test_the_strictest_mask_is_the_same_in_any_order(several: list[Mask], random: Random) -> None:
    shuffled = list(several)
    random.shuffle(shuffled)

    assert strictest(several) == strictest(shuffled)
    assert all(strictest(several).kind.strictness >= mask.kind.strictness for mask in several)


quoted_names = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20
)


@given(quoted_names)
def test_any_name_can_be_written_in_quotes(name: str) -> None:
    (pattern,) = parse_pattern('"' + name.replace('"', '""') + '"', 1, "A")

    assert pattern.matches((name,))
    assert parse_pattern(str(pattern), 1, "A") == (pattern,)


@given(st.lists(st.text("AB", max_size=3), min_size=1, max_size=5), st.text("AB", max_size=12))
def test_a_glob_agrees_with_a_regular_expression(pieces: list[str], name: str) -> None:
    glob = Glob((pieces[0], *pieces[1:]))
    expression = ".*".join(re.escape(piece) for piece in pieces)

    assert glob.matches(name) is (re.fullmatch(expression, name) is not None)
