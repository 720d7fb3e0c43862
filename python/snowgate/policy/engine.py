"""Decides one statement: may it run, and what may be seen of its result.

    Statement, Subject ──► judge ──► Verdict(decision × mask plan)
                             ▲
                          Policy

Five rules make the answer safe to rely on:

1. Deny by default: an access on which no rule speaks is denied.
2. The strictest match wins, whatever the order of the rules: deny over hold over allow.
3. What is built in comes before any rule: a refusal of the analysis, credentials, objects nobody
   knows, predicates that reveal tagged values, tagged values copied to where they are not tagged.
4. The mask plan is computed apart from the decision, so that no approval removes a mask (F12),
   unless a rule says so (`unmask`), and then only once its caller says what was approved.
5. A rule that is not enforced is recorded and changes nothing, not even what another rule does.

Pure: no clock, no socket, no state. The audit can replay any verdict from its inputs.

Source: XACML 3.0 appendix C.2 (deny-overrides), with approval between permit and deny.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from snowgate.model.statement import Statement, StatementClass
from snowgate.model.verdict import Decision, Hold, MaskPlan, Verdict
from snowgate.policy.budgets import budgets_of, limit_of
from snowgate.policy.builtin import Denial, Spread, denials, hold_conflict, no_rule, not_held
from snowgate.policy.masks import (
    CLEAR,
    UNMASKED_TAG,
    TagView,
    plan_masks,
    touched_tags,
    view_tag,
)
from snowgate.policy.matching import (
    Access,
    Subject,
    accesses,
    applies,
    concerns,
    grants,
    propagating,
)
from snowgate.policy.rules import NEVER_HELD, Allow, Deny, HoldFor, Mask, Policy

# A client's message gives that many reasons; the verdict names all rules.
_MAX_REASONS = 3


def judge(
    policy: Policy,
    statement: Statement,
    subject: Subject,
    over: Collection[str] = (),
    approved: Collection[str] | None = None,
) -> Verdict:
    """Judge one analysed statement for one reader.

    Cost: one pass over the rules for each object the statement touches.

    Args:
        policy: The policy in force.
        statement: What it is and touches.
        subject: Who asks.
        over: Budgets that the statement is over. Those that ask people hold it, as a rule does.
        approved: Tags that people agreed to show, of those that rules would unmask now: all other
            masks stay, and nothing rests on what was not approved. None where nobody was asked
            yet: the hold tells what would be shown, and its plan still hides it.

    Returns:
        The verdict. Allow and deny may be cached for the same statement, subject and policy until
        the verdict's own end; a hold is a question to people and is asked anew.
    """
    if statement.refusal is not None:
        refusal = statement.refusal
        return _deny(policy, [Denial(refusal.rule, refusal.reason, refusal.remedy)])
    verdict = _decide(policy, statement, subject, over, approved)
    if policy.shadows:
        verdict = replace(verdict, shadow=_shadow(policy, statement, subject))
    if approved is not None:
        # It is the answer to more than the statement.
        verdict = replace(verdict, cacheable=False)
    if not policy.times:
        return verdict
    if subject.at_s is None:
        # Nobody knows when it ends.
        return replace(verdict, cacheable=False)
    return replace(verdict, valid_until_s=policy.next_change_s(subject.at_s))


def foresee(policy: Policy, statement: Statement, subject: Subject) -> Verdict:
    """As `judge`, with the masks of a held statement as they are once it is approved.

    For people who read a policy: nothing is shown by such a verdict.
    """
    verdict = judge(policy, statement, subject)
    if verdict.hold is None or not verdict.hold.unmask:
        return verdict
    return judge(policy, statement, subject, approved=verdict.hold.unmask)


def _decide(
    policy: Policy,
    statement: Statement,
    subject: Subject,
    over: Collection[str],
    approved: Collection[str] | None,
) -> Verdict:
    hidden = {tag: view_tag(policy, tag, subject) for tag in touched_tags(statement)}
    said = _ask_rules(policy, statement, subject)
    lifted = _unmasked(statement, hidden, said)
    if approved is not None:
        lifted &= frozenset(approved)
    views = hidden | dict.fromkeys(lifted, CLEAR)
    budgets = budgets_of(policy, statement, subject)
    asking = {one.name: one.over for one in budgets if one.over and one.name in over}
    holds = said.holds | asking
    spread = Spread(said.may_launder, propagating(policy, subject))
    refused = [*denials(statement, views, spread), *said.denials]
    refused += [
        not_held(access, name)
        for name in sorted(asking)
        for access in accesses(statement)
        if access.kind in NEVER_HELD
    ]
    if not refused:
        refused = [no_rule(access) for access in said.silent]
    if refused:
        return _deny(policy, refused)
    hold = _terms(holds, lifted) if holds else None
    if isinstance(hold, Denial):
        return _deny(policy, [hold])
    seen = _see(statement, hidden if approved is None else views)
    reason = _asks(hold) if hold else ""
    if asking:
        reason = f"{_used_up(sorted(asking))}: {reason}"
    return Verdict(
        decision=Decision.HOLD if hold else Decision.ALLOW,
        rules=tuple(sorted(seen.rules | (holds.keys() if hold else said.allows))),
        reason=reason,
        remedy="wait while approvers decide; cancelling withdraws the request" if hold else "",
        plan=seen.plan,
        void_all=seen.void_all,
        hide_errors=seen.hide_errors,
        hold=hold,
        policy_digest=policy.digest,
        cacheable=hold is None,
        limit=limit_of(policy, statement, subject),
        budgets=tuple(one.budget for one in budgets),
        over=tuple(sorted(asking)),
    )


@dataclass(frozen=True, slots=True)
class _Said:
    """What the rules say of a statement, access by access.

    Attributes:
        denials: Of deny rules.
        holds: Hold rules that apply, by name.
        allows: Names of allow rules that apply.
        silent: Accesses on which no rule speaks.
        may_launder: Tags that applying rules let go where they are not tagged.
        unmask: Tags that hold rules show in clear, whichever access they are read by.
    """

    denials: tuple[Denial, ...]
    holds: dict[str, HoldFor]
    allows: frozenset[str]
    silent: tuple[Access, ...]
    may_launder: frozenset[str]
    unmask: frozenset[str]


def _ask_rules(policy: Policy, statement: Statement, subject: Subject) -> _Said:
    refused: list[Denial] = []
    holds: dict[str, HoldFor] = {}
    allows: set[str] = set()
    silent: list[Access] = []
    launderable: list[set[str]] = []
    unmasked: list[set[str]] = []
    for access in accesses(statement):
        speaking = [
            rule
            for rule in policy.rules
            if not isinstance(rule.action, Mask) and applies(rule, access, statement, subject)
        ]
        if not speaking:
            silent.append(access)
        here: set[str] = set()
        clear: set[str] = set()
        for rule in speaking:
            match rule.action:
                case Deny(reason, remedy):
                    refused.append(Denial(rule.name, reason, remedy))
                case HoldFor() if access.kind in NEVER_HELD:
                    refused.append(not_held(access, rule.name))
                case HoldFor() as terms:
                    holds[rule.name] = terms
                    here |= rule.match.launders
                    if terms.unmask and grants(rule, access, statement, subject):
                        clear |= terms.unmask
                case Allow(propagate):
                    allows.add(rule.name)
                    here |= touched_tags(statement) if propagate else rule.match.launders
        if access.kind is statement.kind:
            launderable.append(here)
        unmasked.append(clear)
    # A rule that lets values into one table says nothing of the others written to, and one that
    # shows those of one table nothing of the others read.
    may_launder = frozenset(set.intersection(*launderable))
    unmask = frozenset(set.intersection(*unmasked))
    return _Said(tuple(refused), holds, frozenset(allows), tuple(silent), may_launder, unmask)


def _unmasked(statement: Statement, views: dict[str, TagView], said: _Said) -> frozenset[str]:
    """The tags that an approval would show, of those that are hidden from the reader.

    Only of a query whose columns are all predicted: what it shows ends with its reply. A tag that
    no rule masks for anybody stays void: to show it is not yet anybody's decision.
    """
    shows = statement.kind is StatementClass.SELECT and statement.query
    if not shows or statement.columns is None or statement.unknown_sources:
        return frozenset()
    return frozenset(
        tag
        for tag, view in views.items()
        if tag in said.unmask and not view.clear and UNMASKED_TAG not in view.rules
    )


def _shadow(policy: Policy, statement: Statement, subject: Subject) -> tuple[str, ...]:
    """The rules that would have had a say, were they enforced."""
    touched, asked = touched_tags(statement), accesses(statement)
    return tuple(
        rule.name
        for rule in policy.shadows
        if (
            not rule.match.tags.isdisjoint(touched) and concerns(rule, subject)
            if isinstance(rule.action, Mask)
            else any(applies(rule, access, statement, subject) for access in asked)
        )
    )


def _terms(holds: dict[str, HoldFor], unmask: Collection[str]) -> Hold | Denial:
    """Terms that satisfy every rule at once, so that none of them is softened by another."""
    approvers = frozenset.intersection(*(terms.approvers for terms in holds.values()))
    if not approvers:
        return hold_conflict(sorted(holds))
    return Hold(
        rule=min(holds, key=lambda name: (holds[name].expires_s, name)),
        approvers=tuple(sorted(approvers)),
        quorum=max(terms.quorum for terms in holds.values()),
        expires_s=min(terms.expires_s for terms in holds.values()),
        unmask=tuple(sorted(unmask)),
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """What of a result is seen, and the rules that say so; attributes as of `Verdict`."""

    plan: MaskPlan | None
    rules: set[str]
    void_all: bool
    hide_errors: bool


def _see(statement: Statement, views: dict[str, TagView]) -> _Seen:
    """What the reader sees of a statement that may run, now or once approved."""
    hidden = {tag for tag, view in views.items() if not view.clear}
    opaque = _opaque(statement)
    unsure = opaque or bool(statement.unknown_sources)
    plan: MaskPlan | None = None
    rules: set[str] = set()
    void_all = opaque or (statement.kind is StatementClass.CALL and (unsure or bool(hidden)))
    if statement.query or statement.kind is StatementClass.SELECT:
        if statement.columns is None:
            void_all = unsure or bool(hidden)
        else:
            masks = plan_masks(statement.columns, views)
            plan, rules = masks.plan, set(masks.rules)
    if void_all:
        rules.update(*(views[tag].rules for tag in hidden))
    hide_errors = unsure or bool(hidden) or statement.kind is StatementClass.CODE
    return _Seen(plan, rules, void_all, hide_errors)


def _opaque(statement: Statement) -> bool:
    """Whether it returns whatever somebody's code returns, and nobody has vetted that code."""
    called = statement.kind is StatementClass.CALL and not statement.calls
    return called or statement.kind is StatementClass.DYNAMIC


def _used_up(budgets: Sequence[str]) -> str:
    names = ", ".join(f"`{name}`" for name in budgets)
    return f"budget {names} is used up" if len(budgets) == 1 else f"budgets {names} are used up"


def _asks(hold: Hold) -> str:
    groups = " or ".join(f"`{group}`" for group in hold.approvers)
    people = "1 person" if hold.quorum == 1 else f"{hold.quorum} people"
    asks = f"needs the approval of {people} of {groups} within {_spelt(hold.expires_s)}"
    if not hold.unmask:
        return asks
    tags = ", ".join(f"`{tag}`" for tag in hold.unmask)
    return f"{asks}, and then shows {tags} in clear"


def _spelt(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _deny(policy: Policy, refused: Sequence[Denial]) -> Verdict:
    ordered = sorted(set(refused))
    told = ordered[:_MAX_REASONS]
    return Verdict(
        decision=Decision.DENY,
        rules=tuple(sorted({denial.rule for denial in ordered})),
        reason="; ".join(dict.fromkeys(denial.reason for denial in told)),
        remedy="; ".join(dict.fromkeys(denial.remedy for denial in told)),
        policy_digest=policy.digest,
        cacheable=True,
    )
