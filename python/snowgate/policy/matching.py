"""Whether a match fits one access of a statement.

A statement is judged access by access: each object it writes, with its own class, and each object
it reads, as `select` where the statement carries a query (`INSERT … SELECT`, `CREATE TABLE … AS`).
So a rule over one schema says nothing about the other schemas that the same statement touches.

Where the statement does not tell (dropping a database names no table), the answer depends on what
follows from it. Rules that tighten match when they could (`sure=False`), rules that loosen only
when they must (`sure=True`); an exception, and `not:`, turn the question round.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from snowgate.model.identity import Principal
from snowgate.model.statement import ObjectName, Statement, StatementClass
from snowgate.policy.rules import Allow, Match, Rule, Who

C = StatementClass

# Not known which object: every part could be the one meant.
ANYWHERE = ObjectName("", "", "")
_CARRIES_QUERY = frozenset(
    {C.INSERT, C.UPDATE, C.DELETE, C.MERGE, C.CREATE, C.ALTER, C.CODE, C.UNLOAD, C.LOAD}
)
# All they touch is in `reads`, so that none means none.
_PLACELESS = frozenset({C.SELECT, C.EXPLAIN, C.SESSION, C.USE, C.TRANSACTION})
_HAS_KIND = frozenset(
    {C.CREATE, C.ALTER, C.DROP, C.COMMENT, C.GRANT, C.SHOW, C.DESCRIBE, C.ACCOUNT_METADATA}
)


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything a rule may read of the one who asks: nothing else changes a verdict (F4).

    Attributes:
        principal: Who.
        groups: Groups granted at login.
        role: Upstream role, as stored.
        client: What the client calls itself, such as `PythonConnector`.
    """

    principal: Principal
    groups: frozenset[str]
    role: str
    client: str = ""

    @property
    def digest(self) -> str:
        """SHA-256, hex, over all of it: equal digests, equal verdicts on the same statement."""
        principal = self.principal.key
        form = json.dumps([principal, sorted(self.groups), self.role, self.client])
        return hashlib.sha256(form.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Access:
    """One object a statement touches, and as what.

    Attributes:
        kind: Class under which it is judged.
        place: The object; None where there is none.
        object_kind: Kind of object, where it is the statement's own target.
    """

    kind: StatementClass
    place: ObjectName | None
    object_kind: str = ""


def accesses(statement: Statement) -> tuple[Access, ...]:
    """All accesses of a statement; at least one is of its own class."""
    kind = statement.kind
    found = [Access(kind, place, statement.object_kind) for place in statement.writes]
    for place in dict.fromkeys((*statement.reads, *statement.unknown_sources)):
        if statement.writes == (place,):
            continue  # its values stay where they are
        if kind in _CARRIES_QUERY:
            found.append(Access(C.SELECT, place))
        if kind not in _CARRIES_QUERY or kind is C.UNLOAD:
            found.append(Access(kind, place, statement.object_kind))
    if not any(access.kind is kind for access in found):
        unnamed = None if kind in _PLACELESS else ANYWHERE
        found.append(Access(kind, unnamed, statement.object_kind))
    return tuple(found)


def applies(rule: Rule, access: Access, statement: Statement, subject: Subject) -> bool:
    """Whether an allow, deny or hold rule applies to one access."""
    sure = isinstance(rule.action, Allow)
    return _fits(rule.match, access, statement, subject, sure) and not any(
        _fits(exception, access, statement, subject, not sure) for exception in rule.exceptions
    )


def concerns(rule: Rule, subject: Subject) -> bool:
    """Whether a mask rule applies to a reader. Mask rules ask nothing of statements."""
    return _reader_fits(rule.match, subject) and not any(
        _reader_fits(exception, subject) for exception in rule.exceptions
    )


def _reader_fits(match: Match, subject: Subject) -> bool:
    return _is(match.who, subject) and not any(
        _reader_fits(other, subject) for other in match.excluding
    )


def _fits(match: Match, access: Access, statement: Statement, subject: Subject, sure: bool) -> bool:
    return (
        _is(match.who, subject)
        and (not match.classes or access.kind in match.classes)
        and _kind_fits(match.kinds, access, sure)
        and _place_fits(match, access.place, sure)
        and _tags_fit(match.tags, statement.tags, sure)
        and _tags_fit(match.launders, statement.launders, sure)
        and match.unbounded in (None, statement.unbounded)
        and not any(_fits(other, access, statement, subject, not sure) for other in match.excluding)
    )


def _is(who: Who, subject: Subject) -> bool:
    principal = subject.principal
    return (
        (not who.groups or not who.groups.isdisjoint(subject.groups))
        and (not who.roles or subject.role in who.roles)
        and (not who.principals or (principal.issuer, principal.subject) in who.principals)
        and (not who.clients or any(glob.matches(subject.client.upper()) for glob in who.clients))
    )


def _kind_fits(kinds: frozenset[str], access: Access, sure: bool) -> bool:
    if not kinds or access.object_kind in kinds:
        return True
    return not access.object_kind and not sure and access.kind in _HAS_KIND


def _place_fits(match: Match, place: ObjectName | None, sure: bool) -> bool:
    for patterns in (match.databases, match.schemas, match.objects):
        if not patterns:
            continue
        if place is None:
            return False
        names = (place.database, place.schema, place.name)
        if not any(pattern.matches(names, sure=sure) for pattern in patterns):
            return False
    return True


def _tags_fit(wanted: frozenset[str], touched: frozenset[str], sure: bool) -> bool:
    if not wanted:
        return True
    if sure:
        return bool(touched) and touched <= wanted
    return not touched.isdisjoint(wanted)
