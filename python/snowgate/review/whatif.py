"""Judges the past by another policy, and tells which verdicts would be others.

Each statement is judged twice by the catalog of today: by the present policy and by the other one.
Where the two differ, the change makes it so; where only the record differs, something else has
changed since, which is counted and not blamed on the policy.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from snowgate.audit.render import visible
from snowgate.model.statement import Statement
from snowgate.model.verdict import MaskKind, Verdict
from snowgate.policy import judge
from snowgate.review.history import Answer, Left, Past, column_detail, hold_detail
from snowgate.review.placeholders import without_values
from snowgate.review.report import mask_text, word_of
from snowgate.review.setting import Setting
from snowgate.sql.analysis import analyse

# Different changes that are told one by one; those beyond are counted.
MAX_CHANGES = 5_000
MAX_REFERENCES = 3
# Analyses that are kept: dashboards ask the same all day.
MAX_KEPT = 4_096


@dataclass(slots=True)
class Change:
    """Statements of one form and principal whose verdict changes in the same way.

    Attributes:
        template: Their text without its constants.
        principal: Display name.
        kind: Their class.
        was: The verdict as recorded.
        present: The verdict by the policy of today.
        would: The verdict by the other one, with its rules and reason.
        count: How many statements.
        first_s, last_s: When, Unix time.
        references: Of the first few.
    """

    template: str
    principal: str
    kind: str
    was: Answer
    present: Answer
    would: Answer
    rules: tuple[str, ...]
    reason: str
    first_s: float
    last_s: float
    count: int = 0
    references: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "was": _document(self.was),
            "present": _document(self.present),
            "would": _document(self.would),
            "count": self.count,
            "principal": self.principal,
            "class": self.kind,
            "template": self.template,
            "rules": list(self.rules),
            "reason": self.reason,
            "first": _moment(self.first_s),
            "last": _moment(self.last_s),
            "references": list(self.references),
        }


@dataclass(slots=True)
class WhatIf:
    """What another policy would change.

    Attributes:
        changes: The most frequent first.
        judged: Statements that were judged.
        changed: Those of them whose verdict changes.
        elsewhere: Those that both policies judge otherwise than recorded, and alike.
        more: Changed ones beyond `MAX_CHANGES` forms.
        left: What was not judged.
    """

    changes: list[Change]
    judged: int
    changed: int
    elsewhere: int
    more: int
    left: Left

    def document(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "judged": self.judged,
            "changed": self.changed,
            "elsewhere": self.elsewhere,
            "not_listed": self.more,
            "not_judged": {
                "text_destroyed": self.left.destroyed,
                "no_login": self.left.no_login,
                "not_of_the_policy": self.left.apart,
            },
            "changes": [change.document() for change in self.changes],
        }

    def lines(self) -> Iterator[str]:
        """The same for people."""
        yield f"{_counted(self.judged, 'statement')} judged, {self.changed} would change"
        for change in self.changes:
            yield ""
            yield from _change_lines(change)
        if self.more:
            yield f"and {_counted(self.more, 'change')} of other forms"
        left = self.left
        notes = (
            (self.elsewhere, "judged otherwise than recorded by the present policy as well"),
            (left.destroyed, "not judged: the text's key has been destroyed"),
            (left.no_login, "not judged: the ledger has no login of the session"),
            (left.apart, "not judged: refused for the gateway's own reasons, not by a policy"),
        )
        if any(count for count, _ in notes):
            yield ""
        yield from (f"{count} {told}" for count, told in notes if count)


def what_if(history: Iterable[Past], present: Setting, other: Setting, left: Left) -> WhatIf:
    """Judge the past by two policies.

    Args:
        history: The statements, in any order; read once, and not kept.
        present: The policy of today.
        other: The policy to try. Its catalog may have other tags.
        left: Counts what the history leaves out, while it is read.

    Raises:
        LedgerError: The ledger behind the history cannot be read.
    """
    changes: dict[str, Change] = {}
    found = WhatIf([], 0, 0, 0, 0, left)
    analyses = (_Analyses(present), _Analyses(other))
    for past in history:
        if past.text is None:
            continue
        found.judged += 1
        (_, _, today), (statement, verdict, would) = (each.judge(past) for each in analyses)
        if not today.differs(would):
            found.elsewhere += past.answer.differs(would)
            continue
        found.changed += 1
        template = without_values(past.text)
        key = _key(template, past, today, would, verdict)
        change = changes.get(key)
        if change is None:
            if len(changes) >= MAX_CHANGES:
                found.more += 1
                continue
            change = changes[key] = Change(
                template,
                past.subject.principal.name,
                statement.kind.value,
                past.answer,
                today,
                would,
                verdict.rules,
                verdict.reason,
                past.at_s,
                past.at_s,
            )
        change.count += 1
        change.first_s = min(change.first_s, past.at_s)
        change.last_s = max(change.last_s, past.at_s)
        if past.reference and len(change.references) < MAX_REFERENCES:
            change.references.append(past.reference)
    found.changes = sorted(changes.values(), key=lambda change: (-change.count, change.template))
    return found


def answer_of(verdict: Verdict) -> Answer:
    """A verdict in the form in which the past is told."""
    word = word_of(verdict)
    if word == "hold" and verdict.hold is not None:
        hold = verdict.hold
        return Answer(word, hold_detail(hold.approvers, hold.quorum, hold.unmask))
    if word != "mask":
        return Answer(word)
    if verdict.void_all:
        return Answer(word, ("every column void",))
    columns = verdict.plan.columns if verdict.plan else ()
    return Answer(
        word,
        tuple(
            column_detail(at, column.name, mask_text(column))
            for at, column in enumerate(columns, 1)
            if column.mask is not MaskKind.PASS
        ),
    )


class _Analyses:
    """Judges by one setting, and remembers what statements are."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._kept: OrderedDict[bytes, Statement] = OrderedDict()

    def judge(self, past: Past) -> tuple[Statement, Verdict, Answer]:
        statement = self._statement(past)
        verdict = judge(self._setting.policy, statement, past.subject)
        return statement, verdict, answer_of(verdict)

    def _statement(self, past: Past) -> Statement:
        text, here, role = past.text or "", past.namespace, past.subject.role
        parts = (text, here.database, here.schema, role, *(past.binds or ("none",)))
        form = "\0".join(f"{len(part)}:{part}" for part in parts)
        key = hashlib.sha256(form.encode(errors="surrogatepass")).digest()
        known = self._kept.get(key)
        if known is None:
            known = analyse(text, here, self._setting.catalog, role=role, binds=past.binds)
            self._kept[key] = known
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return known


def _key(template: str, past: Past, today: Answer, would: Answer, verdict: Verdict) -> str:
    parts = (
        template,
        past.subject.principal.text,
        *map(str, (past.answer, today, would)),
        *verdict.rules,
    )
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()


def _change_lines(change: Change) -> Iterator[str]:
    was = "" if not change.was.differs(change.present) else f", {change.present} today"
    yield visible(
        f"{change.was}{was} → {change.would}    {change.count} × by {change.principal},"
        f" {change.kind}, last {_moment(change.last_s)}"
    )
    yield visible(f"    {change.template}")
    if change.rules:
        yield visible(f"    by {', '.join(change.rules)}")
    if change.reason:
        yield visible(f"    {change.reason}")
    if change.references:
        yield visible(f"    reference {', '.join(change.references)}")


def _document(answer: Answer) -> dict[str, Any]:
    return {
        "verdict": answer.word,
        "detail": None if answer.detail is None else list(answer.detail),
    }


def _moment(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
