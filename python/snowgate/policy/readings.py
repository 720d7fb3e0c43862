"""What each rule says of a statement, and why: the reasons behind a verdict, for people.

`judge` decides by the same functions; nothing here is asked when a statement runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from snowgate.model.statement import Statement
from snowgate.policy.masks import touched_tags
from snowgate.policy.matching import Access, Subject, accesses, misses, reader_fits, reader_misses
from snowgate.policy.rules import Allow, Mask, Match, Policy, Rule


@dataclass(frozen=True, slots=True)
class Reading:
    """One rule, read for one access of a statement.

    Attributes:
        rule: The rule.
        access: The access; None for a mask rule, which is about tags and readers alone.
        misses: Keys of its match that do not fit, as the file spells them.
        exception: Position of the exception that lifts it, else None. Asked only if the match fits.
    """

    rule: Rule
    access: Access | None
    misses: tuple[str, ...] = ()
    exception: int | None = None

    @property
    def applies(self) -> bool:
        """Whether the rule has a say."""
        return not self.misses and self.exception is None


def readings(policy: Policy, statement: Statement, subject: Subject) -> tuple[Reading, ...]:
    """Every rule, those not enforced too, in order of names, for every access.

    Args:
        policy: The policy.
        statement: Analysed, without refusal.
        subject: Who asks.
    """
    asked = accesses(statement)
    found: list[Reading] = []
    for rule in sorted((*policy.rules, *policy.shadows), key=lambda rule: rule.name):
        if isinstance(rule.action, Mask):
            found.append(_of_mask(rule, statement, subject))
        else:
            found += (_of_access(rule, access, statement, subject) for access in asked)
    return tuple(found)


def _of_access(rule: Rule, access: Access, statement: Statement, subject: Subject) -> Reading:
    sure = isinstance(rule.action, Allow)

    def missing(match: Match, *, sure: bool) -> tuple[str, ...]:
        return tuple(misses(match, access, statement, subject, sure=sure))

    missed = missing(rule.match, sure=sure)
    lifted = None
    if not missed:
        lifted = next(
            (
                at
                for at, exception in enumerate(rule.exceptions)
                if not missing(exception, sure=not sure)
            ),
            None,
        )
    return Reading(rule, access, missed, lifted)


def _of_mask(rule: Rule, statement: Statement, subject: Subject) -> Reading:
    touched = touched_tags(statement)
    missed = [] if rule.match.tags & touched else ["tag"]
    missed += reader_misses(rule.match, subject, sure=False)
    if any(reader_fits(other, subject, sure=True) for other in rule.match.excluding):
        missed.append("not")
    lifted = None
    if not missed:
        lifted = next(
            (
                at
                for at, other in enumerate(rule.exceptions)
                if reader_fits(other, subject, sure=True)
            ),
            None,
        )
    return Reading(rule, None, tuple(missed), lifted)
