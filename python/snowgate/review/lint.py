"""Finds rules that do not do what they seem to: that never decide, say the opposite, or miss.

Every claim is proved from the rules alone (`snowgate.policy.covering`) or from the catalog that was
given; where nothing can be proved, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator

from snowgate.config import Config, Source
from snowgate.model.statement import ObjectName, StatementClass
from snowgate.policy import Allow, Deny, HoldFor, Mask, Match, Policy, Rule
from snowgate.policy.covering import (
    is_sure,
    mask_covers,
    rule_covers,
    taken_away,
    whole_match,
)
from snowgate.policy.pattern import NamePattern
from snowgate.policy.rules import NEVER_ALLOWED
from snowgate.review.findings import Finding, Level
from snowgate.review.kinds import forms_of, is_impossible
from snowgate.sql.catalog import Catalog

# DML whose WHERE is looked at.
_UNBOUNDABLE = frozenset({StatementClass.UPDATE, StatementClass.DELETE})
_PLACE_KEYS = ("database", "schema", "object")


def lint(
    policy: Policy, source: Source, *, config: Config | None = None, catalog: Catalog | None = None
) -> Iterator[Finding]:
    """Everything that can be proved of a policy's rules, in no order.

    Args:
        policy: A policy without mistakes.
        source: Its file.
        config: The configuration around it, if it was in one.
        catalog: Tables and columns, if known.
    """
    linter = _Linter(policy, source, config)
    for rule in policy.rules:
        yield from linter.alone(rule)
        yield from linter.beside(rule)
    for rule in policy.shadows:
        yield linter.note(rule, "not-enforced", ("enforce",), "is recorded, and not enforced", "")
        yield from linter.alone(rule)
    if catalog is not None:
        yield from _unmatched_tags(source, catalog)
        yield from linter.unmatched_places(catalog)


class _Linter:
    def __init__(self, policy: Policy, source: Source, config: Config | None) -> None:
        self._policy = policy
        self._source = source
        self._roles = None if config is None else {mapping.role for mapping in config.roles}

    # -- one rule by itself ----------------------------------------------------------------

    def alone(self, rule: Rule) -> Iterator[Finding]:
        """What is wrong with a rule whatever the others say."""
        match = whole_match(rule)
        taken = taken_away(match, sure=is_sure(rule))
        if taken is not None:
            key = "not" if taken in rule.match.excluding else "except"
            yield self._warn(
                rule,
                "never",
                ("match", "not") if key == "not" else ("except",),
                f"takes away everything that rule `{rule.name}` matches: it never applies",
                f"narrow `{key}:`, or remove the rule",
            )
        yield from self._kinds(rule)
        if match.unbounded and match.classes and match.classes.isdisjoint(_UNBOUNDABLE):
            yield self._warn(
                rule,
                "never",
                ("match", "unbounded"),
                "only `update` and `delete` change every row: the rule never applies",
                "name one of these classes, or leave `unbounded:` out",
            )
        if (
            isinstance(rule.action, HoldFor)
            and rule.action.unmask
            and match.classes
            and StatementClass.SELECT not in match.classes
        ):
            yield self._warn(
                rule,
                "never",
                ("hold", "unmask"),
                "only `select` shows columns: an approval unmasks nothing",
                "name class `select`, or leave `unmask:` out",
            )
        for role in sorted(self._unknown_roles(rule)):
            yield self._warn(
                rule,
                "no-role",
                ("match", "role"),
                f"no group is given role `{role}`, so nobody asks with it",
                "check the name, or add the role to `roles:`",
            )
        if isinstance(rule.action, Deny) and match.classes and match.classes <= NEVER_ALLOWED:
            yield self.note(
                rule,
                "built-in",
                ("match", "class"),
                "the gateway denies these classes whatever the rules say",
                "keep the rule only for its reason",
            )

    def _kinds(self, rule: Rule) -> Iterator[Finding]:
        match = rule.match
        never = [kind for kind in sorted(match.kinds) if is_impossible(kind, match.classes)]
        for kind in never:
            forms = ", ".join(
                f"`{words}` is of class `{of.value}`"
                for of, words in forms_of(kind).items()
                if of is not StatementClass.ACCOUNT_METADATA
            )
            all_of_them = ": the rule never applies" if len(never) == len(match.kinds) else ""
            yield self._warn(
                rule,
                "never" if all_of_them else "kind",
                ("match", "kind"),
                f"no statement of the rule's classes is about kind `{kind.lower()}`{all_of_them}",
                forms or "leave it out",
            )

    def _unknown_roles(self, rule: Rule) -> set[str]:
        if self._roles is None:
            return set()
        asked = {role for match in rule.matches() for role in match.who.roles}
        return asked - self._roles

    # -- one rule beside the others --------------------------------------------------------

    def beside(self, rule: Rule) -> Iterator[Finding]:
        """What other rules make of it. A rule that another one overrules is told once."""
        mask = isinstance(rule.action, Mask)
        for other in self._policy.rules:
            if other is rule or isinstance(other.action, Mask) is not mask:
                continue
            found = self._masked(rule, other) if mask else self._decided(rule, other)
            if found is not None:
                yield found
                return

    def _decided(self, rule: Rule, other: Rule) -> Finding | None:
        if not rule_covers(other, rule):
            return None
        same = whole_match(rule) == whole_match(other) or rule_covers(rule, other)
        said = self._named(other)
        match rule.action, other.action:
            case (Allow() | HoldFor(), Deny()):
                verb = "allows" if isinstance(rule.action, Allow) else "holds"
                problem = (
                    f"{verb} exactly what {said} denies: it never decides"
                    if same
                    else f"never decides: {said} denies everything it {verb}"
                )
                remedy = f"remove it, or write an exception on rule `{other.name}`"
            case (Allow(), HoldFor()):
                problem = (
                    f"allows exactly what {said} holds: every statement is held"
                    if same
                    else f"lets nothing run by itself: {said} holds everything it allows"
                )
                remedy = f"remove it, or write an exception on rule `{other.name}`"
            case (HoldFor(ours), HoldFor(theirs)) if ours.isdisjoint(theirs):
                problem = f"nobody may approve for it and for {said}: what it holds is denied"
                remedy = "name a common group of approvers, or write an exception on one of them"
                return self._warn(rule, "hold-conflict", ("hold", "approvers"), problem, remedy)
            case _:
                return self._redundant(rule, other, same)
        code = "contradiction" if same else "shadowed"
        return self._warn(rule, code, (), problem, remedy)

    def _redundant(self, rule: Rule, other: Rule, same: bool) -> Finding | None:
        alike = isinstance(rule.action, Deny) or (rule.action, rule.limit) == (
            other.action,
            other.limit,
        )
        # Of two that are equal, the one that stands first is kept.
        later = self._line(other) < self._line(rule)
        if type(rule.action) is not type(other.action) or not alike or (same and not later):
            return None
        if rule.match.launders or (isinstance(rule.action, Allow) and rule.action.propagate):
            return None  # it says where tagged values may go, which the wider one does not
        if rule.limit.asks and rule.limit != other.limit:
            return None  # the lowest limit counts, whichever rule allows
        said = self._named(other)
        if isinstance(rule.action, Deny):
            problem = f"adds only its reason: {said} denies everything it matches"
            return self.note(rule, "redundant", (), problem, "remove it, unless for the reason")
        problem = f"adds nothing: {said} does the same for everything it matches"
        return self._warn(rule, "redundant", (), problem, "remove one of them")

    def _masked(self, rule: Rule, other: Rule) -> Finding | None:
        ours, theirs = rule.action, other.action
        if not isinstance(ours, Mask) or not isinstance(theirs, Mask):
            return None
        if not mask_covers(other, rule) or not _hides_as_much(theirs, ours):
            return None
        equal = _hides_as_much(ours, theirs) and mask_covers(rule, other)
        if equal and self._line(other) >= self._line(rule):
            return None
        return self._warn(
            rule,
            "masked-over",
            (),
            f"its mask never shows: {self._named(other)} is as strict, for the same readers",
            f"remove it, or add its readers to the `not:` of rule `{other.name}`",
        )

    # -- the catalog -----------------------------------------------------------------------

    def unmatched_places(self, catalog: Catalog) -> Iterator[Finding]:
        """Places of rules that are nowhere now; they may come to be."""
        names = [*{*catalog.tables, *catalog.views}]
        if not names:
            return
        seen: dict[NamePattern, bool] = {}
        for rule in (*self._policy.rules, *self._policy.shadows):
            for key, patterns in _places(rule.match):
                for pattern in sorted(patterns):
                    if pattern not in seen:
                        seen[pattern] = _is_metadata(pattern) or any(
                            pattern.matches(_parts(name)) for name in names
                        )
                    if not seen[pattern]:
                        yield self.note(
                            rule,
                            "no-place",
                            ("match", key),
                            f"`{pattern}` matches nothing in the catalog",
                            "check the name, unless it is to be made",
                        )

    # -- words -----------------------------------------------------------------------------

    def _warn(
        self, rule: Rule, code: str, steps: tuple[str, ...], problem: str, remedy: str
    ) -> Finding:
        return self._finding(Level.WARNING, rule, code, steps, problem, remedy)

    def note(
        self, rule: Rule, code: str, steps: tuple[str, ...], problem: str, remedy: str
    ) -> Finding:
        """Something that is no mistake."""
        return self._finding(Level.NOTE, rule, code, steps, problem, remedy)

    def _finding(
        self, level: Level, rule: Rule, code: str, steps: tuple[str, ...], problem: str, remedy: str
    ) -> Finding:
        place = (*self._source.rule(rule.name), *steps)
        named = f"rule `{rule.name}`"
        told = problem if named in problem else f"{named}: {problem}"
        return Finding(level, code, self._source.remark(place, told, remedy), rule.name)

    def _named(self, rule: Rule) -> str:
        return f"rule `{rule.name}` (line {self._line(rule)})"

    def _line(self, rule: Rule) -> int:
        return self._source.line(self._source.rule(rule.name))


def _unmatched_tags(source: Source, catalog: Catalog) -> Iterator[Finding]:
    """Column patterns that find nothing: their columns are in clear."""
    for location, tag, pattern in source.patterns():
        if not _finds(pattern, catalog):
            yield Finding(
                Level.WARNING,
                "no-column",
                source.remark(
                    location,
                    f"tag `{tag}`: `{pattern}` matches no column of the catalog",
                    "check the names: a column that no pattern finds is not masked",
                ),
            )


def _finds(pattern: NamePattern, catalog: Catalog) -> bool:
    last = pattern.parts[3]
    return any(
        any(last.matches(column.name) for column in table.columns)
        for name, table in catalog.tables.items()
        if pattern.matches(_parts(name))
    )


def _parts(name: ObjectName) -> tuple[str, str, str]:
    return name.database, name.schema, name.name


def _places(match: Match) -> Iterator[tuple[str, frozenset[NamePattern]]]:
    yield from zip(_PLACE_KEYS, (match.databases, match.schemas, match.objects), strict=True)


def _is_metadata(pattern: NamePattern) -> bool:
    """Every database has this schema, and no catalog lists it."""
    return len(pattern.parts) > 1 and pattern.parts[1].matches("INFORMATION_SCHEMA")


def _hides_as_much(one: Mask, other: Mask) -> bool:
    """Whether a mask hides whatever the other one hides."""
    if one.kind is not other.kind:
        return one.kind.strictness > other.kind.strictness
    return one.keep_first <= other.keep_first and one.keep_last <= other.keep_last
