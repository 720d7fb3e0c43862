"""Hours and days: what they fit, and when that ends."""

import math
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowgate.model.identity import Principal
from snowgate.model.statement import Statement, StatementClass
from snowgate.model.verdict import Decision, MaskKind, Verdict
from snowgate.policy import (
    Allow,
    Deny,
    Mask,
    Match,
    Rule,
    Subject,
    Who,
    compile_policy,
    judge,
)
from snowgate.policy.masks import view_tag
from snowgate.policy.moments import Hours, When

C = StatementClass
SELECT = Statement(C.SELECT, query=True)
READS = Match(classes=frozenset({C.SELECT}))
OFFICE = When(frozenset({Hours(8 * 60, 18 * 60)}), frozenset(range(5)))


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def asks(at_s: float | None = None, source: str = "") -> Subject:
    return Subject(
        Principal("A", "https://i", "1", "n"), frozenset({"g"}), "R", source=source, at_s=at_s
    )


def verdict(match: Match, action: Allow | Deny, subject: Subject) -> Verdict:
    rules = [Rule("timed", match, action)]
    if isinstance(action, Deny):
        rules.append(Rule("reads", READS, Allow()))
    return judge(compile_policy((), rules), SELECT, subject)


# 24 November 2026 is a Tuesday.
@pytest.mark.parametrize(
    ("moment", "inside", "ends"),
    [
        ("2026-11-24T07:59:59", False, "2026-11-24T08:00"),
        ("2026-11-24T08:00", True, "2026-11-24T18:00"),
        ("2026-11-24T17:59:59.5", True, "2026-11-24T18:00"),
        ("2026-11-24T18:00", False, "2026-11-25T00:00"),
        ("2026-11-28T12:00", False, "2026-11-28T18:00"),
        ("1970-01-01T09:00", True, "1970-01-01T18:00"),
    ],
)
def test_office_hours_and_their_next_boundary(moment: str, inside: bool, ends: str) -> None:
    allowed = verdict(Match(classes=READS.classes, when=OFFICE), Allow(), asks(at(moment)))

    assert (allowed.decision is Decision.ALLOW) is inside
    assert allowed.valid_until_s == at(ends)
    assert allowed.cacheable


@given(
    st.sets(
        st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda two: two[0] < two[1]),
        max_size=3,
    ),
    st.sets(st.integers(0, 6), max_size=6),
    st.integers(0, 4_000_000_000),
    st.floats(0, 1, exclude_max=True),
)
def test_f4_nothing_changes_before_the_next_boundary(
    hours: set[tuple[int, int]], days: set[int], now_s: int, part: float
) -> None:
    when = When(frozenset(Hours(*each) for each in hours), frozenset(days))
    if not when.asks:
        return

    ends_s = when.next_change_s(now_s)
    # The product may be rounded up to the boundary itself.
    between_s = min(now_s + (ends_s - now_s) * part, math.nextafter(ends_s, now_s))

    assert now_s < ends_s <= now_s + 86_400
    assert [*when.misses(now_s, sure=True)] == [*when.misses(between_s, sure=True)]


def test_a_time_that_is_not_told_tightens_and_never_loosens() -> None:
    timed = Match(classes=READS.classes, when=OFFICE)

    loosened = verdict(timed, Allow(), asks(None))
    tightened = verdict(timed, Deny("r", "m"), asks(None))

    assert loosened.decision is tightened.decision is Decision.DENY
    assert tightened.rules == ("timed",)
    assert not loosened.cacheable
    assert not tightened.cacheable


def test_a_policy_without_times_gives_verdicts_without_an_end() -> None:
    free = verdict(READS, Allow(), asks(at("2026-11-24T08:00")))

    assert free.valid_until_s is None
    assert free.cacheable


@pytest.mark.parametrize("place", ["exception", "not", "mask"])
def test_a_time_anywhere_in_a_rule_ends_the_verdict(place: str) -> None:
    timed = Match(when=OFFICE)
    rules = {
        "exception": Rule("a", READS, Deny("r", "m"), (timed,)),
        "not": Rule("a", Match(classes=READS.classes, excluding=(timed,)), Deny("r", "m")),
        "mask": Rule("a", Match(tags=frozenset({"pii"}), when=OFFICE), Mask(MaskKind.REDACT)),
    }
    policy = compile_policy((), [rules[place], Rule("reads", READS, Allow())])

    answer = judge(policy, SELECT, asks(at("2026-11-24T12:00")))

    assert answer.valid_until_s == at("2026-11-24T18:00")


def test_a_mask_outside_office_hours_only() -> None:
    mask = Rule(
        "night",
        Match(tags=frozenset({"pii"}), excluding=(Match(when=OFFICE),)),
        Mask(MaskKind.REDACT),
    )
    policy = compile_policy((), [mask])

    assert view_tag(policy, "pii", asks(at("2026-11-24T12:00"))).clear
    assert not view_tag(policy, "pii", asks(at("2026-11-24T20:00"))).clear
    assert not view_tag(policy, "pii", asks(None)).clear


@pytest.mark.parametrize(
    ("source", "inside"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.0.0.1", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
    ],
)
def test_networks(source: str, inside: bool) -> None:
    networks = frozenset({ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")})
    match = Match(Who(sources=networks), READS.classes)

    assert (verdict(match, Allow(), asks(source=source)).decision is Decision.ALLOW) is inside
    denied = verdict(match, Deny("r", "m"), asks(source=source))
    assert (denied.decision is Decision.DENY) is inside


@pytest.mark.parametrize("source", ["", "127.0.0.1:4711", "localhost"])
def test_an_address_that_is_not_told_tightens_and_never_loosens(source: str) -> None:
    match = Match(Who(sources=frozenset({ip_network("0.0.0.0/0")})), READS.classes)

    assert verdict(match, Allow(), asks(source=source)).decision is Decision.DENY
    assert verdict(match, Deny("r", "m"), asks(source=source)).rules == ("timed",)


def test_f4_two_addresses_never_share_a_digest() -> None:
    assert asks(source="10.0.0.1").digest != asks(source="10.0.0.2").digest
