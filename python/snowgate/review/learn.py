"""Turns a history into a policy that allows it and nothing else, and into grants.

The policy is whole: tags, registry, budgets and every rule that does not allow stay as they are in
the configuration, so that it can be checked, tried with what-if, and be put in place of the old.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from snowgate.audit.render import visible
from snowgate.config import Source
from snowgate.review.grants import grants_of, revokes_of
from snowgate.review.history import Left, Past
from snowgate.review.needs import Needs, needs_of
from snowgate.review.proposal import MANY, Rule, propose, yaml_lines
from snowgate.review.setting import Setting

MAX_DENIALS = 20


@dataclass(frozen=True, slots=True)
class Learnt:
    """What was learnt.

    Attributes:
        needs: What the history needed.
        left: What it left out.
        beside: Tags and registry of the configuration, as its file has them.
        kept: Its rules that do not allow.
        limited: Names of its allow rules with a limit, which the proposed ones do not have.
        rules: The allow rules that are proposed.
        grants, revokes: SQL for each role; no revokes where only a part of the history was read.
    """

    needs: Needs
    left: Left
    beside: Mapping[str, Any]
    kept: list[Rule]
    limited: list[str]
    rules: list[Rule]
    grants: dict[str, list[str]]
    revokes: dict[str, list[str]]

    def policy_lines(self) -> Iterator[str]:
        """The policy file."""
        if self.beside:
            yield from yaml_lines(self.beside)
            yield ""
        yield "rules:"
        if self.kept:
            yield "  # As they are: they deny, hold and mask."
            yield from yaml_lines(self.kept, 2)
        if self.rules:
            yield "  # Learnt: what was seen, and nothing else."
            yield from yaml_lines(self.rules, 2)
        if not self.kept and not self.rules:
            yield "  []"

    def lines(self) -> Iterator[str]:
        """The policy file, with everything else in its comments."""
        for note in self.notes():
            yield f"# {note}"
        yield ""
        yield from self.policy_lines()
        for told, by_role in (
            ("Before the grants, to take away what was not used; read it first:", self.revokes),
            ("What the roles need in Snowflake; text only, nothing was run:", self.grants),
        ):
            if by_role:
                yield ""
                yield f"# {told}"
                for statements in by_role.values():
                    yield from (f"#   {statement}" for statement in statements)

    def notes(self) -> Iterator[str]:
        """What to know of it."""
        needs, left = self.needs, self.left
        yield f"Learnt from {needs.statements} statements that were allowed and succeeded."
        yield f"A rule names the schema where its group touched {MANY} objects of one, or more."
        told = (
            (needs.held, "waited for approval: the rules that hold them are kept"),
            (needs.failed, "failed, or their end is not recorded: nothing was learnt of them"),
            (
                needs.guessed,
                "were learnt from classes and objects alone: their text does not tell",
            ),
            (needs.incomplete, "of these touched more objects than the ledger lists"),
            (left.destroyed, "have a text whose key has been destroyed"),
            (left.no_login, "have no login in the ledger, and were left out"),
        )
        yield from (f"{number} {words}." for number, words in told if number)
        if self.limited:
            yield f"No learnt rule has the `limit:` of {', '.join(self.limited)}: add it by hand."
        if needs.overflows:
            yield "There were too many different accesses: some were left out."
        total = sum(needs.denied.values())
        if total:
            yield f"{total} were denied, and are denied by this too unless it says otherwise:"
        for (name, kind, rules), number in needs.denied.most_common(MAX_DENIALS):
            yield visible(f"  {number} × {name}: {kind} by {', '.join(rules)}")

    def document(self) -> dict[str, Any]:
        """The same as JSON."""
        needs = self.needs
        return {
            "statements": needs.statements,
            "held": needs.held,
            "failed": needs.failed,
            "guessed": needs.guessed,
            "incomplete": needs.incomplete,
            "text_destroyed": self.left.destroyed,
            "no_login": self.left.no_login,
            "denied": [
                {"principal": name, "class": kind, "rules": list(rules), "count": number}
                for (name, kind, rules), number in needs.denied.most_common()
            ],
            "limited": self.limited,
            "rules": self.rules,
            "policy": "\n".join(self.policy_lines()) + "\n",
            "revokes": self.revokes,
            "grants": self.grants,
        }


def learn(
    history: Iterable[Past],
    setting: Setting,
    source: Source,
    left: Left,
    *,
    warehouses: Mapping[str, str | None],
    partly: bool = False,
) -> Learnt:
    """Learn from a history.

    Args:
        history: Statements with their outcomes; read once.
        setting: Policy, catalog and roles of today.
        source: The file of the policy.
        left: Counts what the history leaves out, while it is read.
        warehouses: The warehouse of each role.
        partly: Only some of the principals were read: what a role can do without is not known.

    Raises:
        LedgerError: The ledger behind the history cannot be read.
    """
    needs = needs_of(history, setting)
    beside, present = source.plain()
    kept = [rule for rule in present if "allow" not in rule]
    rules = propose(needs.counts, [str(rule.get("name")) for rule in kept])
    return Learnt(
        needs,
        left,
        beside,
        kept,
        [str(rule["name"]) for rule in present if "allow" in rule and "limit" in rule],
        rules,
        grants_of(needs, setting.catalog, warehouses),
        {} if partly else revokes_of(needs),
    )
