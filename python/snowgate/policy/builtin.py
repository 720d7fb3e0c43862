"""Denials that no rule can lift, and those that stand where no rule speaks.

Each is named, as rules are, so that a message, a ledger entry and a search mean the same thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from snowgate.model.statement import ObjectName, Statement, StatementClass, Violation
from snowgate.policy.masks import UNMASKED_TAG, TagView
from snowgate.policy.matching import ANYWHERE, Access
from snowgate.policy.rules import Rule

C = StatementClass

CREDENTIAL = "credential"
UNKNOWN_STATEMENT = "unknown-statement"
UNKNOWN_OBJECT = "unknown-object"
LAUNDERING = "laundering"
CODE_BODY = "code-body"
UNLOAD_SOURCE = "unload-source"
HOLD_CONFLICT = "hold-conflict"
NOT_HELD = "not-held"
NO_RULE = "no-rule"
ACCOUNT_METADATA = "account-metadata"

# What other rooms call their own denials; `docs/policy/builtin-rules.md` says what each stops.
# Single words are left to policies: they are about a connection and stand in no verdict.
_ELSEWHERE = """
    pii_pattern_predicate pii_eq_predicate pii_dictionary_join pii_group pii_order pii_row_source
    pii_error_oracle
    unparsed one-statement empty unknown-form scripting dynamic-sql dynamic-name flow-operator
    result-by-id temporary-name stage-read file-transfer unregistered-procedure code-reach
    unknown-function registered-routine shadowed-function call-argument registry-mismatch
    registry-unread function-reads-by-name function-external function-delay
    role-pin session-parameter session-variable
    analysis-limit busy catalog-unavailable quarantine control-plane
    unknown-endpoint request-body request-size request-time request-id-reuse token-request
    session-state not-your-query result-gone statement-failed outcome-unknown ledger-unavailable
    chunk-tickets
"""
# Rules of a policy take none of these names, so that a name means one thing.
RESERVED = frozenset(_ELSEWHERE.split()) | {
    CREDENTIAL,
    UNKNOWN_STATEMENT,
    UNKNOWN_OBJECT,
    LAUNDERING,
    CODE_BODY,
    UNLOAD_SOURCE,
    HOLD_CONFLICT,
    NOT_HELD,
    NO_RULE,
    ACCOUNT_METADATA,
    UNMASKED_TAG,
}

# What reads the rows of its sources; DDL and SHOW only name them.
_READS_ROWS = frozenset(
    {C.SELECT, C.EXPLAIN, C.INSERT, C.UPDATE, C.DELETE, C.MERGE, C.UNLOAD, C.LOAD, C.CODE, C.CALL}
)


@dataclass(frozen=True, slots=True, order=True)
class Denial:
    """One reason not to run a statement: the rule's name, why, and what to do."""

    rule: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Spread:
    """Where tagged values may go.

    Attributes:
        here: Tags that rules let this statement write where they are not tagged; its targets are
            labelled before it is forwarded.
        rules: Rules that let tags propagate, to these places or to others.
    """

    here: frozenset[str] = frozenset()
    rules: tuple[Rule, ...] = ()

    def permits(self, violation: Violation) -> bool:
        """Whether what is written may differ from what the target expects."""
        return violation.knob == LAUNDERING and bool(violation.tags) and violation.tags <= self.here


def denials(statement: Statement, views: Mapping[str, TagView], spread: Spread) -> list[Denial]:
    """What is denied whatever the rules say.

    Args:
        statement: Analysed, without refusal.
        views: How the reader sees every tag that occurs in the statement.
        spread: Where tagged values may go.
    """
    found: list[Denial] = []
    if statement.kind is C.CREDENTIAL:
        found.append(
            Denial(
                CREDENTIAL,
                "users, keys, tokens, secrets, security policies and role grants to users are not"
                " changed through the gateway, and nobody can approve it",
                "let an administrator make the change in a session of their own",
            )
        )
    if statement.kind is C.UNKNOWN:
        found.append(
            Denial(
                UNKNOWN_STATEMENT,
                f"`{statement.verb or 'this'}` is no statement the gateway knows",
                "write the statement in a form that the documentation lists",
            )
        )
    hidden = frozenset(tag for tag, view in views.items() if not view.clear)
    if statement.kind in _READS_ROWS and statement.unknown_sources:
        found.append(_unknown_object(statement.unknown_sources))
    found += [
        Denial(violation.knob, violation.reason, violation.remedy)
        for violation in statement.violations
        # A violation that names no tag could concern any.
        if not spread.permits(violation)
        and (not violation.tags or not violation.tags.isdisjoint(hidden))
    ]
    laundered = sorted(statement.launders - spread.here)
    if laundered:
        found.append(_laundering(laundered, spread.rules))
    masked = sorted(statement.tags & hidden)
    if statement.kind is C.CODE and masked:
        found.append(
            Denial(
                CODE_BODY,
                f"the code reads columns with {_tags(masked)}, and its results pass no mask",
                "leave those columns out of the code",
            )
        )
    if statement.kind is C.UNLOAD:
        found += _unloaded(statement, masked)
    return found


def no_rule(access: Access) -> Denial:
    """The denial of an access on which no rule speaks."""
    kind = access.kind.value
    place = "" if access.place in (None, ANYWHERE) else f" on `{_shown(access.place)}`"
    if access.kind is C.ACCOUNT_METADATA:
        return Denial(
            ACCOUNT_METADATA,
            "the account's users, grants, secrets and history show what everybody does"
            f"{place}, and no rule names them",
            "ask the policy's owner for a rule that allows class `account-metadata`",
        )
    return Denial(
        NO_RULE,
        f"no rule allows class `{kind}`{place}",
        f"ask the policy's owner for a rule that allows class `{kind}`{place}",
    )


def not_held(access: Access, rule: str) -> Denial:
    """The denial of an access that a rule would hold, of a class that nobody can approve (F18)."""
    return Denial(
        NOT_HELD,
        f"rule `{rule}` holds it, but class `{access.kind.value}` cannot be approved",
        "let an administrator run it in a session of their own",
    )


def hold_conflict(rules: list[str]) -> Denial:
    """The denial of a statement whose holds leave no group that may decide."""
    names = ", ".join(f"`{name}`" for name in rules)
    return Denial(
        HOLD_CONFLICT,
        f"rules {names} hold it, and no group may decide for all of them",
        "ask the policy's owner for an exception on one of them, or a common approver group",
    )


def _laundering(tags: list[str], rules: tuple[Rule, ...]) -> Denial:
    reason = f"values with {_tags(tags)} would go where they are not tagged"
    for rule in rules:
        places = " or ".join(f"`{place}`" for place in sorted(map(str, rule.match.places)))
        reason += f"; rule `{rule.name}` lets tags propagate only into {places}"
    return Denial(
        LAUNDERING,
        reason,
        "tag the column they go to, leave them out, or "
        + (
            "write them where tags may propagate"
            if rules
            else "ask for a rule with `allow: {propagate: true}` on the schema they go to"
        ),
    )


def _unloaded(statement: Statement, masked: list[str]) -> list[Denial]:
    """Files pass no mask, and nobody tags what is in them."""
    if not statement.reads and not statement.unknown_sources:
        return [
            Denial(
                UNLOAD_SOURCE,
                "the gateway cannot tell which columns the files would hold",
                "read the rows with a query, or let an administrator unload them",
            )
        ]
    if not masked:
        return []
    return [
        Denial(
            UNLOAD_SOURCE,
            f"the files would hold columns with {_tags(masked)}, and files pass no mask",
            "leave those columns out",
        )
    ]


def _unknown_object(sources: tuple[ObjectName, ...]) -> Denial:
    names = ", ".join(f"`{_shown(name)}`" for name in sorted(sources)[:5])
    return Denial(
        UNKNOWN_OBJECT,
        f"the catalog does not know {names}, so its columns may be tagged",
        "check the name and the role's privileges; a database is known once the configuration lists"
        " it under `upstream.catalog.databases`",
    )


def _shown(place: ObjectName | None) -> str:
    if place is None:
        return ""
    return ".".join(part for part in (place.database, place.schema, place.name) if part)


def _tags(names: list[str]) -> str:
    return ("tag " if len(names) == 1 else "tags ") + ", ".join(f"`{name}`" for name in names)
