"""What statements of the past needed: accesses, by who was given the role for them.

An access is what policy judges (`snowgate.policy.matching`). It comes from the text, analysed by
the catalog of today; of a text that is destroyed, or that means something else now, from what the
ledger says of classes and objects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from snowgate.model.statement import ObjectName, Statement, StatementClass
from snowgate.policy.matching import ANYWHERE, CARRIES_QUERY, Access, accesses
from snowgate.review.history import Past
from snowgate.review.setting import Setting
from snowgate.sql.analysis import analyse

C = StatementClass

# What may touch nothing at all.
_PLACELESS = frozenset({C.SELECT, C.EXPLAIN, C.SESSION, C.USE, C.TRANSACTION})
# What reads the rows of its sources; SHOW and DESCRIBE only name them.
_READS_ROWS = CARRIES_QUERY | {C.SELECT, C.EXPLAIN}
# DML whose WHERE rules may ask for.
_BOUNDED = frozenset({C.UPDATE, C.DELETE})
# Different needs of a history; one that has more is no workload that rules by name can describe.
MAX_NEEDS = 100_000


@dataclass(frozen=True, slots=True)
class Grantee:
    """Who is to have a rule: a group, or one identity that has none."""

    group: str = ""
    issuer: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """One access that somebody needed.

    Attributes:
        grantee: Who.
        role: Upstream role.
        access: Class, object and kind.
        launders: Tags that the statement copied to untagged places.
        unbounded: Of an UPDATE or DELETE, whether it changed every row; else None.
    """

    grantee: Grantee
    role: str
    access: Access
    launders: frozenset[str] = frozenset()
    unbounded: bool | None = None


@dataclass(slots=True)
class Needs:
    """Everything a history needed.

    Attributes:
        counts: Each need, and how often.
        reads: Roles, and what they read; also what a statement both reads and changes.
        statements: Statements that ran.
        denied: Denials by principal, class and rules.
        held: Statements that waited for approval: they stay with the rules that hold them.
        failed: Statements that upstream refused, or whose end is not known.
        guessed: Statements whose accesses were taken from classes and objects.
        incomplete: Those of them whose objects the ledger does not list whole.
    """

    counts: Counter[Need] = field(default_factory=Counter)
    reads: set[tuple[str, ObjectName]] = field(default_factory=set)
    statements: int = 0
    denied: Counter[tuple[str, str, tuple[str, ...]]] = field(default_factory=Counter)
    held: int = 0
    failed: int = 0
    guessed: int = 0
    incomplete: int = 0

    @property
    def overflows(self) -> bool:
        """Whether needs were left out, since there are too many different ones."""
        return len(self.counts) >= MAX_NEEDS


def needs_of(history: Iterable[Past], setting: Setting) -> Needs:
    """Collect what a history needed.

    Args:
        history: Statements with their outcomes; read once.
        setting: The catalog of today, and the role of each group.
    """
    needs = Needs()
    for past in history:
        match past.answer.word:
            case "deny":
                needs.denied[past.subject.principal.name, past.kind, past.rules] += 1
            case "hold":
                needs.held += 1
            case _ if past.succeeded is not True:
                needs.failed += 1
            case _:
                needs.statements += 1
                for need in _needs(past, setting, needs):
                    if need in needs.counts or not needs.overflows:
                        needs.counts[need] += 1
    return needs


def _needs(past: Past, setting: Setting, needs: Needs) -> Iterator[Need]:
    grantee, role = _grantee(past, setting), past.subject.role
    statement = _analysed(past, setting)
    if statement is None:
        needs.guessed += 1
        needs.incomplete += not past.complete
        yield from (Need(grantee, role, access) for access in _recorded(past))
        return
    if statement.kind in _READS_ROWS and not needs.overflows:
        needs.reads.update((role, place) for place in statement.reads)
    for access in accesses(statement):
        own = access.kind is statement.kind
        yield Need(
            grantee,
            role,
            access,
            statement.launders if own else frozenset(),
            statement.unbounded if own and access.kind in _BOUNDED else None,
        )


def _grantee(past: Past, setting: Setting) -> Grantee:
    """The group by which the role was given; the first of all if none was."""
    subject = past.subject
    giving = [
        group for group, role in setting.roles if role == subject.role and group in subject.groups
    ]
    for group in (*giving, *sorted(subject.groups)):
        return Grantee(group)
    return Grantee(issuer=subject.principal.issuer, subject=subject.principal.subject)


def _analysed(past: Past, setting: Setting) -> Statement | None:
    """What the statement is; None if that is not what it was."""
    if past.text is None:
        return None
    found = analyse(
        past.text,
        past.namespace,
        setting.catalog,
        role=past.subject.role,
        binds=past.binds,
    )
    return None if found.refusal is not None or found.kind.value != past.kind else found


def _recorded(past: Past) -> Iterator[Access]:
    """Accesses that the statement may have made, as far as the ledger tells."""
    try:
        kind = StatementClass(past.kind)
    except ValueError:
        return
    places: list[ObjectName | None] = [_place(name) for name in past.objects]
    for place in places or [None if kind in _PLACELESS else ANYWHERE]:
        yield Access(kind, place)
        if kind in CARRIES_QUERY and place is not None:
            yield Access(C.SELECT, place)


def _place(name: str) -> ObjectName:
    """An object as entries spell it; of one with dots in its names no part is sure."""
    parts = name.split(".")
    return ObjectName(*parts) if len(parts) == 3 else ANYWHERE
