"""Why a statement gets the verdict it gets: what it is, and what every rule says of it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from snowgate.model.statement import Namespace, Statement
from snowgate.model.verdict import Verdict
from snowgate.policy import Allow, Deny, HoldFor, Mask, Match, Rule, Subject, foresee
from snowgate.policy.builtin import RESERVED
from snowgate.policy.matching import ANYWHERE, Access
from snowgate.policy.readings import Reading, readings
from snowgate.review.report import columns_of, word_of
from snowgate.review.setting import Setting
from snowgate.sql.analysis import analyse


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict and its reasons.

    Attributes:
        statement: What was asked.
        subject: Who asked.
        verdict: What the gateway would answer; of a hold, with the masks of once it is approved.
        readings: What each rule says of each access; none where the analysis refuses.
    """

    statement: Statement
    subject: Subject
    verdict: Verdict
    readings: tuple[Reading, ...]

    @property
    def word(self) -> str:
        """The verdict: allow, mask, hold or deny."""
        return word_of(self.verdict)

    def document(self) -> dict[str, Any]:
        """The same as JSON."""
        statement, verdict, hold = self.statement, self.verdict, self.verdict.hold
        return {
            "verdict": self.word,
            "class": statement.kind.value,
            "verb": statement.verb,
            "kind": statement.object_kind or None,
            "reads": [str(name) for name in statement.reads],
            "writes": [str(name) for name in statement.writes],
            "unknown": [str(name) for name in statement.unknown_sources],
            "tags": sorted(statement.tags),
            "columns": columns_of(statement, verdict),
            "void_all": verdict.void_all,
            "rules": list(verdict.rules),
            "shadow": list(verdict.shadow),
            "reason": verdict.reason,
            "remedy": verdict.remedy,
            "hold": hold
            and {
                "approvers": list(hold.approvers),
                "quorum": hold.quorum,
                "expires_s": hold.expires_s,
                "unmask": list(hold.unmask),
            },
            "limit": asdict(verdict.limit),
            "budgets": [asdict(budget) for budget in verdict.budgets],
            "valid_until_s": verdict.valid_until_s,
            "policy": verdict.policy_digest,
            "considered": [self._considered(reading) for reading in self.readings],
        }

    def built_in(self) -> tuple[str, ...]:
        """The rules of the verdict that no policy holds: the gateway's own."""
        known = {reading.rule.name for reading in self.readings}
        return tuple(rule for rule in self.verdict.rules if rule in RESERVED or rule not in known)

    def _considered(self, reading: Reading) -> dict[str, Any]:
        access = reading.access
        return {
            "rule": reading.rule.name,
            "action": action_word(reading.rule),
            "enforced": reading.rule.enforce,
            "access": access and {"class": access.kind.value, "object": place_text(access)},
            "applies": reading.applies,
            "misses": list(reading.misses),
            "exception": reading.exception,
            "why": why(reading, self.statement, self.subject),
        }


def explain(
    setting: Setting, sql: str, subject: Subject, namespace: Namespace | None = None
) -> Explanation:
    """Judge one statement as the gateway would, and read every rule for it.

    Args:
        setting: Policy and catalog.
        sql: The exact text.
        subject: Who asks.
        namespace: Where names resolve; the catalog's own by default.
    """
    catalog = setting.catalog
    here = namespace or Namespace(catalog.database, catalog.schema)
    statement = analyse(sql, here, catalog, role=subject.role)
    verdict = foresee(setting.policy, statement, subject)
    read = () if statement.refusal else readings(setting.policy, statement, subject)
    return Explanation(statement, subject, verdict, read)


def action_word(rule: Rule) -> str:
    """What follows from a rule, in a few words."""
    match rule.action:
        case Allow(propagate):
            return "allow, tags propagate" if propagate else "allow"
        case Deny():
            return "deny"
        case HoldFor(approvers, quorum, _, unmask):
            shows = f", unmasks {_listed(sorted(unmask))}" if unmask else ""
            return f"hold for {quorum} of {_listed(sorted(approvers))}{shows}"
        case Mask(kind, first, last):
            keeps = f" [{first}, {last}]" if first or last else ""
            return f"mask {kind.value}{keeps}"


def place_text(access: Access) -> str | None:
    """The object of an access; `*` where the statement does not say which, None without one."""
    place = access.place
    if place is None:
        return None
    if place == ANYWHERE:
        return "*"
    return ".".join(part or "*" for part in (place.database, place.schema, place.name))


def why(reading: Reading, statement: Statement, subject: Subject) -> str:
    """Why a rule applies or does not, in a line."""
    if reading.exception is not None:
        return f"its exception {reading.exception + 1} fits"
    if not reading.misses:
        return "fits"
    match, access = reading.rule.match, reading.access
    return "; ".join(_told(key, match, access, statement, subject) for key in reading.misses)


def _told(
    key: str, match: Match, access: Access | None, statement: Statement, subject: Subject
) -> str:
    """Why one key does not fit: what is, and what the rule asks."""
    match key:
        case "class" if access is not None:
            return f"class is {access.kind.value}"
        case "kind":
            kind = access.object_kind if access is not None else ""
            asked = " or ".join(sorted(match.kinds)).lower()
            return f"kind is {kind.lower() or 'none'}, not {asked}"
        case "database" | "schema" | "object" if access is not None:
            return f"{key} is another: {place_text(access) or 'it has none'}"
        case "tag":
            return _tags("touches", match.tags, statement.tags)
        case "launders":
            return _tags("copies to untagged places", match.launders, statement.launders)
        case "group":
            return f"not in {_listed(sorted(match.who.groups), 'or')}"
        case "role":
            return f"role is {subject.role}"
        case "principal":
            return "is another principal"
        case "client":
            return f"client is {subject.client or 'not told'}"
        case "source":
            return f"address is {subject.source or 'not told'}"
        case "days" | "hours":
            return f"{key}: it is {_moment(subject.at_s)}"
        case "unbounded":
            return "changes every row" if statement.unbounded else "does not change every row"
        case "not":
            return "its `not` fits"
        case _:
            return f"{key} does not fit"


def _tags(verb: str, asked: frozenset[str], found: frozenset[str]) -> str:
    if found & asked:
        return f"{verb} {_listed(sorted(found - asked))} too"
    return f"{verb} no {_listed(sorted(asked), 'or')}"


def _moment(at_s: float | None) -> str:
    if at_s is None:
        return "not told"
    return f"{datetime.datetime.fromtimestamp(at_s, datetime.UTC):%a %H:%M} UTC".lower()


def _listed(words: Iterable[str], joint: str = "and") -> str:
    *most, last = words
    return f"{', '.join(most)} {joint} {last}" if most else last
