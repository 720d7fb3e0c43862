"""Whether one match covers another: whatever fits the narrow one fits the wide one too.

For people who write rules, never for a verdict. Sound and not complete: `covers` says yes only
where it follows from the keys alone, so that what is said of two rules holds for every statement.

`sure` is that of `matching`: where a statement does not tell, a rule that tightens could match and
one that loosens does not. A match that could fit says nothing of one that must.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from snowgate.policy.moments import When
from snowgate.policy.pattern import Glob, NamePattern
from snowgate.policy.rules import Allow, Match, Network, Rule, Who

_T = TypeVar("_T")


def covers(wide: Match, narrow: Match, *, wide_sure: bool, narrow_sure: bool) -> bool:
    """Whether every access and reader that fits `narrow` certainly fits `wide`.

    Args:
        wide: The one that is to fit too.
        narrow: The one that fits.
        wide_sure: How the wide one is asked.
        narrow_sure: How the narrow one is asked.
    """
    return (
        _may_cover(wide, narrow)
        and (
            not _may_be_untold(wide)
            if wide_sure and not narrow_sure
            else _untold_covers(wide, narrow)
        )
        and all(
            _apart(other, narrow)
            or any(
                covers(own, other, wide_sure=not narrow_sure, narrow_sure=not wide_sure)
                for own in narrow.excluding
            )
            for other in wide.excluding
        )
    )


def is_sure(rule: Rule) -> bool:
    """How a rule's match is asked."""
    return isinstance(rule.action, Allow)


def whole_match(rule: Rule) -> Match:
    """A rule's match without its exceptions: they are asked as what a match excludes."""
    return replace(rule.match, excluding=(*rule.match.excluding, *rule.exceptions))


def rule_covers(wide: Rule, narrow: Rule) -> bool:
    """Whether an allow, deny or hold rule applies wherever another one does."""
    return _may_cover(wide.match, narrow.match) and covers(
        whole_match(wide),
        whole_match(narrow),
        wide_sure=is_sure(wide),
        narrow_sure=is_sure(narrow),
    )


def mask_covers(wide: Rule, narrow: Rule) -> bool:
    """Whether a mask rule concerns every reader that another one does, for all of its tags."""
    readers = (replace(whole_match(each), tags=frozenset()) for each in (wide, narrow))
    return narrow.match.tags <= wide.match.tags and covers(
        *readers, wide_sure=False, narrow_sure=False
    )


def taken_away(match: Match, *, sure: bool) -> Match | None:
    """What a match excludes that covers all of it, so that nothing ever fits; None if none does."""
    return next(
        (
            other
            for other in match.excluding
            if covers(other, replace(match, excluding=()), wide_sure=not sure, narrow_sure=sure)
        ),
        None,
    )


def glob_covers(wide: Glob, narrow: Glob) -> bool:
    """Whether every text that fits `narrow` fits `wide`."""
    # A character that `wide` does not hold stands for any text: only a star of `wide` takes it in.
    known = set("".join(wide.pieces))
    other = next(chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in known)
    return wide.matches(other.join(narrow.pieces))


def pattern_covers(wide: NamePattern, narrow: NamePattern) -> bool:
    """Whether every name that fits `narrow` fits `wide`, which may have fewer parts."""
    return len(wide.parts) <= len(narrow.parts) and all(
        glob_covers(part, inner) for part, inner in zip(wide.parts, narrow.parts, strict=False)
    )


def _may_cover(wide: Match, narrow: Match) -> bool:
    """The keys that are always told: cheap to compare, and most rules differ in them."""
    return (
        _words_cover(wide.classes, narrow.classes)
        and _who_covers(wide.who, narrow.who)
        and wide.unbounded in (None, narrow.unbounded)
    )


def _words_cover(wide: frozenset[_T], narrow: frozenset[_T]) -> bool:
    """Of two sets of which one word is enough; an empty one asks nothing."""
    return not wide or (bool(narrow) and narrow <= wide)


def _who_covers(wide: Who, narrow: Who) -> bool:
    return (
        _words_cover(wide.groups, narrow.groups)
        and _words_cover(wide.roles, narrow.roles)
        and _words_cover(wide.principals, narrow.principals)
        and _each_covered(wide.clients, narrow.clients, glob_covers)
    )


def _may_be_untold(match: Match) -> bool:
    """Whether it asks for anything that a statement or a session may not tell."""
    return bool(
        match.kinds
        or match.databases
        or match.schemas
        or match.objects
        or match.tags
        or match.launders
        or match.who.sources
        or match.when.asks
    )


def _untold_covers(wide: Match, narrow: Match) -> bool:
    """The same keys, where `narrow` is asked at least as surely."""
    return (
        _words_cover(wide.kinds, narrow.kinds)
        and _words_cover(wide.tags, narrow.tags)
        and _words_cover(wide.launders, narrow.launders)
        and _each_covered(wide.who.sources, narrow.who.sources, _network_covers)
        and _times_cover(wide.when, narrow.when)
        and _places_cover(wide, narrow)
    )


def _places_cover(wide: Match, narrow: Match) -> bool:
    asked = (narrow.databases, narrow.schemas, narrow.objects)
    return all(
        not patterns or any(_each_covered(patterns, inner, pattern_covers) for inner in asked)
        for patterns in (wide.databases, wide.schemas, wide.objects)
    )


def _times_cover(wide: When, narrow: When) -> bool:
    hours = not wide.hours or (
        bool(narrow.hours)
        and all(
            any(one.start <= inner.start and inner.end <= one.end for one in wide.hours)
            for inner in narrow.hours
        )
    )
    return hours and _words_cover(wide.days, narrow.days)


def _network_covers(wide: Network, narrow: Network) -> bool:
    # Both are of one family where the versions are the same, which a type checker cannot see.
    return wide.version == narrow.version and (
        wide.network_address <= narrow.network_address  # type: ignore[operator]
        and narrow.broadcast_address <= wide.broadcast_address  # type: ignore[operator]
    )


def _each_covered(
    wide: frozenset[_T], narrow: frozenset[_T], test: Callable[[_T, _T], bool]
) -> bool:
    """Of two sets of patterns of which one is enough; an empty one asks nothing."""
    return not wide or (
        bool(narrow) and all(any(test(one, inner) for one in wide) for inner in narrow)
    )


def _apart(one: Match, other: Match) -> bool:
    """Whether nothing fits both, whatever a statement does not tell."""
    return (
        _disjoint(one.classes, other.classes)
        or _disjoint(one.who.roles, other.who.roles)
        or _disjoint(one.who.principals, other.who.principals)
        or {one.unbounded, other.unbounded} == {True, False}
    )


def _disjoint(one: frozenset[_T], other: frozenset[_T]) -> bool:
    return bool(one) and bool(other) and one.isdisjoint(other)
