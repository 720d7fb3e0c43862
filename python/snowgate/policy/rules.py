"""What a policy is once it is compiled: rules over classes, places, tags and readers.

Values only. `snowgate.config` builds them from the file and has checked them; the digest is taken
over this form, so layout, comments and the order of rules do not change it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network

from snowgate.model.budget import Budget
from snowgate.model.routine import Vetted
from snowgate.model.statement import ObjectName, StatementClass
from snowgate.model.verdict import MaskKind
from snowgate.policy.moments import ALWAYS, When
from snowgate.policy.pattern import Glob, NamePattern

C = StatementClass
Network = IPv4Network | IPv6Network

# The words of `class:`. A word that is a class too covers what nobody would grant or refuse apart
# from it: whoever may run a query may see its plan, and a session that may be set up may open a
# transaction.
CLASS_WORDS: dict[str, frozenset[StatementClass]] = {
    kind.value: frozenset({kind}) for kind in C
} | {
    "select": frozenset({C.SELECT, C.EXPLAIN}),
    "session": frozenset({C.SESSION, C.USE, C.TRANSACTION}),
    "dml": frozenset({C.INSERT, C.UPDATE, C.DELETE, C.MERGE}),
    "ddl": frozenset({C.CREATE, C.ALTER, C.DROP, C.TRUNCATE, C.COMMENT}),
}

# No rule allows these: their effect outlives every session (F18), or is not known.
NEVER_ALLOWED = frozenset({C.CREDENTIAL, C.UNKNOWN})
# What puts values or definitions somewhere: only there can tags propagate to.
WRITING = CLASS_WORDS["dml"] | CLASS_WORDS["ddl"]
# Account metadata is everybody's SQL and logins: a rule may allow it by name (F17), nobody is asked
# to wave it through.
NEVER_HELD = NEVER_ALLOWED | {C.ACCOUNT_METADATA}


@dataclass(frozen=True, slots=True)
class Who:
    """Readers. An empty set asks nothing; of a set, one is enough; all that ask must agree.

    Attributes:
        groups: Groups, exactly.
        roles: Upstream roles, as stored.
        principals: (issuer, subject) pairs: a display name is never a key (F6).
        clients: What the client says it is, upper-case. It can say anything: only tighten by it.
        sources: Networks of the address that logged in; of a balancer, if one stands between.
    """

    groups: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    principals: frozenset[tuple[str, str]] = frozenset()
    clients: frozenset[Glob] = frozenset()
    sources: frozenset[Network] = frozenset()


@dataclass(frozen=True, slots=True)
class Match:
    """What a rule is about. Sets are read as in `Who`.

    Attributes:
        who: Readers.
        classes: Statement classes.
        kinds: Object kinds, upper-case, such as `SCHEMA`.
        databases, schemas, objects: Places, of one, two and three parts.
        tags: Tags the statement touches.
        launders: Tags whose values it would copy to where they are not tagged.
        unbounded: DML without WHERE; None asks nothing.
        when: Times at which it is about anything.
        excluding: None of these may match.
    """

    who: Who = Who()
    classes: frozenset[StatementClass] = frozenset()
    kinds: frozenset[str] = frozenset()
    databases: frozenset[NamePattern] = frozenset()
    schemas: frozenset[NamePattern] = frozenset()
    objects: frozenset[NamePattern] = frozenset()
    tags: frozenset[str] = frozenset()
    launders: frozenset[str] = frozenset()
    unbounded: bool | None = None
    when: When = ALWAYS
    excluding: tuple[Match, ...] = ()

    @property
    def places(self) -> frozenset[NamePattern]:
        """Every pattern of places."""
        return self.databases | self.schemas | self.objects


@dataclass(frozen=True, slots=True)
class Allow:
    """The statement may run.

    Attributes:
        propagate: Tagged values may go to the places of the match; the tags go with them.
    """

    propagate: bool = False


@dataclass(frozen=True, slots=True)
class Deny:
    """The statement may not run."""

    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class HoldFor:
    """The statement waits for people.

    Attributes:
        approvers: Groups that may decide.
        quorum: How many people must.
        expires_s: How long it waits.
        unmask: Tags whose masks an approval lifts, for this one statement.
    """

    approvers: frozenset[str]
    quorum: int
    expires_s: float
    unmask: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Mask:
    """Raw columns with a tag are shown like this; the two numbers are of `partial` only."""

    kind: MaskKind
    keep_first: int = 0
    keep_last: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """The largest result that a rule lets through; None lets any through."""

    rows: int | None = None
    bytes: int | None = None

    @property
    def asks(self) -> bool:
        """Whether it limits anything."""
        return self.rows is not None or self.bytes is not None


@dataclass(frozen=True, slots=True)
class BudgetRule:
    """A budget, whose statements count in it, and who may let one go over it.

    Attributes:
        match: Readers, classes and tags; nothing else.
        over: None denies what is over it.
    """

    budget: Budget
    match: Match
    over: HoldFor | None = None

    @property
    def name(self) -> str:
        """The budget's name."""
        return self.budget.name


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what it is about, what follows, and where it does not apply.

    Attributes:
        enforce: False: that it matches is recorded, and nothing follows.
        limit: Of what an allow or hold rule lets through.
    """

    name: str
    match: Match
    action: Allow | Deny | HoldFor | Mask
    exceptions: tuple[Match, ...] = ()
    enforce: bool = True
    limit: Limit = Limit()

    def matches(self) -> Iterator[Match]:
        """Its matches, exceptions and what they exclude."""
        waiting = [self.match, *self.exceptions]
        while waiting:
            match = waiting.pop()
            yield match
            waiting += match.excluding


@dataclass(frozen=True, slots=True, order=True)
class TagPattern:
    """A tag and one four-part pattern of columns that carry it."""

    tag: str
    columns: NamePattern


@dataclass(frozen=True, slots=True, order=True)
class SnowflakeTag:
    """A tag that columns carry where Snowflake says so.

    Attributes:
        tag: The tag in the policy.
        source: Snowflake's tag, as stored.
        values: The values that count, exactly; empty for all.
        excluding: Columns that do not carry it, whatever Snowflake says or once said.
    """

    tag: str
    source: ObjectName
    values: tuple[str, ...] = ()
    excluding: tuple[NamePattern, ...] = ()

    def covers(self, table: ObjectName, column: str, value: str) -> bool:
        """Whether a column that has Snowflake's tag with this value carries the policy's tag."""
        if self.values and value not in self.values:
            return False
        names = (table.database, table.schema, table.name, column)
        return not any(pattern.matches(names) for pattern in self.excluding)


@dataclass(frozen=True, slots=True)
class Policy:
    """A compiled policy.

    Attributes:
        tags: Sorted.
        rules: Those in force, sorted by name; names are unique.
        digest: SHA-256, hex, of the canonical compiled form.
        shadows: Rules that are only recorded, sorted by name.
        times: Every time that a rule asks for.
        snowflake: Tags that are taken over from Snowflake, sorted.
        registry: Functions and procedures that were vetted, sorted.
        budgets: Sorted by name; names are unique among rules and budgets.
    """

    tags: tuple[TagPattern, ...]
    rules: tuple[Rule, ...]
    digest: str
    shadows: tuple[Rule, ...] = ()
    times: frozenset[When] = frozenset()
    snowflake: tuple[SnowflakeTag, ...] = ()
    registry: tuple[Vetted, ...] = ()
    budgets: tuple[BudgetRule, ...] = ()

    def next_change_s(self, at_s: float) -> float | None:
        """The first moment after `at_s`, Unix time, at which a verdict may be another."""
        return min((when.next_change_s(at_s) for when in self.times), default=None)

    def column_tags(self, table: ObjectName, columns: Iterable[str]) -> dict[str, frozenset[str]]:
        """The tags of each column of one table or view, by the patterns of `tags:`.

        Args:
            table: The object.
            columns: Column names as stored.
        """
        place = (table.database, table.schema, table.name)
        near = [one for one in self.tags if one.columns.matches(place)]
        return {
            column: frozenset(one.tag for one in near if one.columns.parts[3].matches(column))
            for column in columns
        }


def compile_policy(
    tags: Iterable[TagPattern],
    rules: Iterable[Rule],
    snowflake: Iterable[SnowflakeTag] = (),
    registry: Iterable[Vetted] = (),
    budgets: Iterable[BudgetRule] = (),
) -> Policy:
    """Bring the parts, in any order, into one form and name it by its digest."""
    ordered_tags = tuple(sorted(set(tags)))
    ordered_sources = tuple(sorted(set(snowflake)))
    ordered = tuple(sorted(rules, key=lambda rule: rule.name))
    vetted = tuple(sorted(registry, key=lambda one: (one.kind.value, one.signature)))
    ordered_budgets = tuple(sorted(budgets, key=lambda budget: budget.name))
    content = {"form": 4, "tags": _plain(ordered_tags), "rules": _plain(ordered)}
    if ordered_sources:
        content["snowflake"] = _plain(ordered_sources)
    if vetted:
        content["registry"] = _plain(vetted)
    if ordered_budgets:
        content["budgets"] = _plain(ordered_budgets)
    form = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return Policy(
        ordered_tags,
        tuple(rule for rule in ordered if rule.enforce),
        hashlib.sha256(form.encode()).hexdigest(),
        tuple(rule for rule in ordered if not rule.enforce),
        frozenset(match.when for rule in ordered for match in rule.matches() if match.when.asks),
        ordered_sources,
        vetted,
        ordered_budgets,
    )


def _plain(value: object) -> object:
    """A compiled value as JSON, the same for equal values."""
    if isinstance(value, NamePattern | IPv4Network | IPv6Network):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset):
        return sorted((_plain(one) for one in value), key=json.dumps)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if is_dataclass(value):
        inner = {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
        return {type(value).__name__: inner}
    return value
