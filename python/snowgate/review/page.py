"""An explanation as a page of a terminal. Foreign text is made visible (F29)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from snowgate.audit.render import visible
from snowgate.model.statement import StatementClass
from snowgate.policy.readings import Reading
from snowgate.review.explain import Explanation, action_word, place_text, why
from snowgate.review.report import mask_text

_SAYS = {
    "allow": "allow: it runs, and every column is clear",
    "mask": "mask: it runs, and some columns are masked",
    "hold": "hold: it waits for approval",
    "deny": "deny: it does not run",
}
_LABEL = 10


def page(explanation: Explanation) -> Iterator[str]:
    """The lines of an explanation."""
    statement, verdict = explanation.statement, explanation.verdict
    says = _SAYS[explanation.word]
    if explanation.word == "mask" and verdict.void_all:
        says = "mask: it runs, and every column is void, since they could not be predicted"
    if explanation.word == "allow" and not (verdict.plan and verdict.plan.columns):
        says = "allow: it runs"
    yield _line("verdict", says)
    if verdict.reason:
        yield _line("because", verdict.reason)
    if verdict.remedy:
        yield _line("do", verdict.remedy)
    kind = f", {statement.object_kind.lower()}" if statement.object_kind else ""
    if statement.kind is not StatementClass.UNKNOWN:
        yield _line("class", f"{statement.kind.value}{kind}")
    for label, names in (
        ("reads", statement.reads),
        ("writes", statement.writes),
        ("unknown", statement.unknown_sources),
    ):
        for at, name in enumerate(names):
            yield _line("" if at else label, str(name))
    if statement.tags:
        yield _line("tags", ", ".join(sorted(statement.tags)))
    if verdict.plan is not None:
        rows = [
            (column.name or "(expression)", mask_text(column), ", ".join(column.tags))
            for column in verdict.plan.columns
        ]
        yield from _table("columns", rows)
    for unit, bound in (("rows", verdict.limit.rows), ("bytes", verdict.limit.bytes)):
        if bound is not None:
            yield _line("limit", f"{bound.most} {unit}, by {bound.rule}")
    for budget in verdict.budgets:
        yield _line("budget", f"{budget.name}: what it has taken is not known here")
    for rule in explanation.built_in():
        yield _line("built in", f"{rule}: the gateway's own rule")
    yield from _table("rules", [_rule(explanation, list(each)) for each in _by_rule(explanation)])
    if verdict.shadow:
        yield _line("shadow", f"{', '.join(verdict.shadow)}: matches, and is not enforced")


def _by_rule(explanation: Explanation) -> Iterator[list[Reading]]:
    """Readings of one rule together; what has a say first."""
    grouped = [
        list(each)
        for _, each in groupby(explanation.readings, key=lambda reading: reading.rule.name)
    ]
    yield from sorted(grouped, key=lambda each: not any(reading.applies for reading in each))


def _rule(explanation: Explanation, readings: list[Reading]) -> tuple[str, str, str, str]:
    rule = readings[0].rule
    applying = [reading for reading in readings if reading.applies]
    action = action_word(rule) + ("" if rule.enforce else " (not enforced)")
    if applying:
        places = [place_text(each.access) for each in applying if each.access]
        told = "" if len(applying) == len(readings) else f"for {', '.join(filter(None, places))}"
        return "yes", rule.name, action, told
    reasons = dict.fromkeys(
        why(each, explanation.statement, explanation.subject) for each in readings
    )
    return "no", rule.name, action, " / ".join(reasons)


def _table(label: str, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows under a label, in columns as wide as they must be."""
    shown = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for at, row in enumerate(shown):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"{'' if at else label:<{_LABEL}}{'  '.join(cells)}".rstrip()


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{visible(text)}".rstrip()
