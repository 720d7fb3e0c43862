"""Whether a match fits one access of a statement.

A statement is judged access by access: each object it writes, with its own class, and each object
it reads, as `select` where the statement carries a query (`INSERT … SELECT`, `CREATE TABLE … AS`).
CALL is judged as the procedure it calls: what that one writes, who vetted it has said. So a rule
over one schema says nothing about the other schemas that the same statement touches.

Where the statement does not tell (dropping a database names no table), the answer depends on what
follows from it. Rules that tighten match when they could (`sure=False`), rules that loosen only
when they must (`sure=True`); an exception, and `not:`, turn the question round.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from snowgate.model.identity import Principal
from snowgate.model.statement import ObjectName, Statement, StatementClass
from snowgate.policy.rules import Allow, Match, Network, Policy, Rule

C = StatementClass

# Not known which object: every part could be the one meant.
ANYWHERE = ObjectName("", "", "")
CARRIES_QUERY = frozenset(
    {C.INSERT, C.UPDATE, C.DELETE, C.MERGE, C.CREATE, C.ALTER, C.CODE, C.UNLOAD, C.LOAD, C.CALL}
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
        source: IP address that logged in; empty if not told.
        at_s: When the statement is judged, Unix time; None if not told.
    """

    principal: Principal
    groups: frozenset[str]
    role: str
    client: str = ""
    source: str = ""
    at_s: float | None = None

    @property
    def digest(self) -> str:
        """SHA-256, hex, over all but the time, which a verdict's own end stands for.

        Equal digests, equal verdicts on the same statement in the same period of the policy.
        """
        principal = self.principal.key
        form = json.dumps([principal, sorted(self.groups), self.role, self.client, self.source])
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
    targets = statement.calls if kind is C.CALL else statement.writes
    found = [Access(kind, place, statement.object_kind) for place in targets]
    for place in dict.fromkeys((*statement.reads, *statement.unknown_sources)):
        if targets == (place,):
            continue  # its values stay where they are
        if kind in CARRIES_QUERY:
            found.append(Access(C.SELECT, place))
        if kind not in CARRIES_QUERY or kind is C.UNLOAD:
            found.append(Access(kind, place, statement.object_kind))
    if kind is C.UNLOAD and not statement.writes:
        # To a place that nobody can name.
        found.append(Access(kind, ANYWHERE))
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


def grants(rule: Rule, access: Access, statement: Statement, subject: Subject) -> bool:
    """Whether a hold rule that applies to one access is sure enough of it to lift masks there.

    A hold applies where it could; to show more, it must. Of its tags one is enough all the same:
    which ones it shows, it says itself.
    """
    match = replace(rule.match, tags=frozenset())
    return _fits(match, access, statement, subject, sure=True) and not any(
        _fits(exception, access, statement, subject, sure=False) for exception in rule.exceptions
    )


def may_concern(
    match: Match,
    exceptions: Iterable[Match],
    access: Access,
    statement: Statement,
    subject: Subject,
) -> bool:
    """Whether a match is about one access, or could be: the question of whatever tightens."""
    return _fits(match, access, statement, subject, sure=False) and not any(
        _fits(exception, access, statement, subject, sure=True) for exception in exceptions
    )


def concerns(rule: Rule, subject: Subject) -> bool:
    """Whether a mask rule applies to a reader. Mask rules ask nothing of statements."""
    return reader_fits(rule.match, subject, sure=False) and not any(
        reader_fits(exception, subject, sure=True) for exception in rule.exceptions
    )


def propagating(policy: Policy, subject: Subject) -> tuple[Rule, ...]:
    """The rules that let tags propagate, for this reader and now, wherever that is to."""
    return tuple(
        rule
        for rule in policy.rules
        if isinstance(rule.action, Allow)
        and rule.action.propagate
        and reader_fits(rule.match, subject, sure=True)
    )


def misses(
    match: Match, access: Access, statement: Statement, subject: Subject, *, sure: bool
) -> Iterator[str]:
    """The keys of a match, as the file spells them, that do not fit an access."""
    yield from reader_misses(match, subject, sure=sure)
    if match.classes and access.kind not in match.classes:
        yield "class"
    if not _kind_fits(match.kinds, access, sure):
        yield "kind"
    yield from _place_misses(match, access.place, sure)
    if not _tags_fit(match.tags, statement.tags, sure):
        yield "tag"
    if not _tags_fit(match.launders, statement.launders, sure):
        yield "launders"
    if match.unbounded not in (None, statement.unbounded):
        yield "unbounded"
    if any(_fits(other, access, statement, subject, not sure) for other in match.excluding):
        yield "not"


def reader_misses(match: Match, subject: Subject, *, sure: bool) -> Iterator[str]:
    """The keys of a match that ask for a reader or a time, and do not fit."""
    who, principal = match.who, subject.principal
    if who.groups and who.groups.isdisjoint(subject.groups):
        yield "group"
    if who.roles and subject.role not in who.roles:
        yield "role"
    if who.principals and (principal.issuer, principal.subject) not in who.principals:
        yield "principal"
    if who.clients and not any(glob.matches(subject.client.upper()) for glob in who.clients):
        yield "client"
    if who.sources and not _source_fits(who.sources, subject.source, sure):
        yield "source"
    yield from match.when.misses(subject.at_s, sure=sure)


def reader_fits(match: Match, subject: Subject, *, sure: bool) -> bool:
    """Whether the reader, and the time, is one that a match of a mask rule asks for."""
    return next(reader_misses(match, subject, sure=sure), None) is None and not any(
        reader_fits(other, subject, sure=not sure) for other in match.excluding
    )


def _fits(match: Match, access: Access, statement: Statement, subject: Subject, sure: bool) -> bool:
    if match.classes and access.kind not in match.classes:
        # As `misses` would say; most matches are about other classes.
        return False
    return next(misses(match, access, statement, subject, sure=sure), None) is None


def _source_fits(networks: frozenset[Network], source: str, sure: bool) -> bool:
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return not sure
    # A listener of both families sees IPv4 peers as ::ffff:a.b.c.d.
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def _kind_fits(kinds: frozenset[str], access: Access, sure: bool) -> bool:
    if not kinds or access.object_kind in kinds:
        return True
    return not access.object_kind and not sure and access.kind in _HAS_KIND


def _place_misses(match: Match, place: ObjectName | None, sure: bool) -> Iterator[str]:
    names = None if place is None else (place.database, place.schema, place.name)
    for key, patterns in (
        ("database", match.databases),
        ("schema", match.schemas),
        ("object", match.objects),
    ):
        if patterns and (
            names is None or not any(pattern.matches(names, sure=sure) for pattern in patterns)
        ):
            yield key


def _tags_fit(wanted: frozenset[str], touched: frozenset[str], sure: bool) -> bool:
    if not wanted:
        return True
    if sure:
        return bool(touched) and touched <= wanted
    return not touched.isdisjoint(wanted)
