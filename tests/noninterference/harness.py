"""Checks sessions on twins, and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from .client import Judged, Plan, Unexpected, View, judge_session, plan, tree_of, views
from .declassified import kinds
from .duck import Gap
from .engine import Engine
from .twins import Kind, Pair, Twin, pairs

# How often the rows of a twin are stored in another order to see whether the answer follows.
_SHUFFLES = 3


class Result(Enum):
    """What became of a session."""

    DENIED = "denied"  # nothing of it runs
    NOT_RUN = "not run"  # DuckDB does not understand it
    UNEXPECTED = "unexpected"  # other columns than predicted: the gateway voids all of it
    UNDETERMINED = "undetermined"  # the answer depends on the order in which rows are stored
    ALIKE = "alike"
    LEAK = "leak"


@dataclass(frozen=True, slots=True)
class Checked:
    """A session and what became of it.

    Attributes:
        texts: Its statements.
        result: What became of it.
        judged: Statements with their verdicts.
        why: For a leak, the twins and what was seen of each; for what did not run, the reason.
        kinds: Kinds of twins it met.
    """

    texts: tuple[str, ...]
    result: Result
    judged: tuple[Judged, ...]
    why: str = ""
    kinds: frozenset[Kind] = frozenset()

    @property
    def masked(self) -> bool:
        """Whether some output is masked."""
        return any(one.masked for one in self.judged)


class Harness:
    """Twins, and the engine that holds them."""

    def __init__(self, found: Sequence[Pair] | None = None) -> None:
        self._pairs = list(found) if found is not None else pairs()
        self._engine = Engine()

    def check(self, texts: Sequence[str]) -> Checked:
        """Judge a session, and run it on every pair of twins that it may meet."""
        judged = tuple(judge_session(texts))
        if not any(one.runs for one in judged):
            return Checked(tuple(texts), Result.DENIED, judged)
        try:
            prepared = plan(judged)
            met = kinds([tree_of(one.text) for one in prepared.judged])
        except Gap as gap:
            return Checked(tuple(texts), Result.NOT_RUN, judged, str(gap))
        return self._compare(tuple(texts), judged, prepared, met)

    def _compare(
        self,
        texts: tuple[str, ...],
        judged: tuple[Judged, ...],
        prepared: Plan,
        met: frozenset[Kind],
    ) -> Checked:
        seen: dict[str, View] = {}
        undetermined = ""
        for pair in self._pairs:
            if pair.kind not in met:
                continue
            for twin in (pair.one, pair.two):
                if twin.name in seen:
                    continue
                try:
                    gap, view = views(self._engine, twin, prepared)
                except Unexpected as error:
                    return Checked(texts, Result.UNEXPECTED, judged, str(error), met)
                if gap:
                    return Checked(texts, Result.NOT_RUN, judged, self._gap(twin, prepared), met)
                seen[twin.name] = view
            one, two = seen[pair.one.name], seen[pair.two.name]
            if one == two:
                continue
            why = f"{pair.kind.value}: {_difference(one, two)}"
            if self._settled(pair.one, prepared, one) and self._settled(pair.two, prepared, two):
                return Checked(texts, Result.LEAK, judged, why, met)
            undetermined = why
        result = Result.UNDETERMINED if undetermined else Result.ALIKE
        return Checked(texts, result, judged, undetermined, met)

    def _gap(self, twin: Twin, prepared: Plan) -> str:
        for answer in self._engine.run(twin, prepared.texts):
            if answer.gap:
                return f"{answer.error}: {answer.text.splitlines()[0][:160]}"
        return "a query of the state afterwards"

    def _settled(self, twin: Twin, prepared: Plan, view: View) -> bool:
        """Whether the answer is the same however the rows are stored."""
        return all(
            views(self._engine, twin.shuffled(seed), prepared) == (False, view)
            for seed in range(1, _SHUFFLES + 1)
        )


def _difference(one: View, two: View) -> str:
    for first, second in zip(one, two, strict=False):
        if first != second:
            return f"{_short(first)} | {_short(second)}"
    return f"{len(one)} answers | {len(two)} answers"


def _short(part: object) -> str:
    text = str(part)
    return text if len(text) < 300 else f"{text[:300]}…"


@dataclass(slots=True)
class Campaign:
    """Counts of many sessions."""

    generated: int = 0
    allowed: int = 0
    masked: int = 0
    results: Counter[Result] = field(default_factory=Counter)
    kinds: Counter[Kind] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    leaks: list[Checked] = field(default_factory=list)
    odd: list[Checked] = field(default_factory=list)

    def add(self, checked: Checked) -> None:
        """Count one more."""
        self.generated += 1
        self.results[checked.result] += 1
        if checked.result is Result.DENIED:
            self.rules.update({rule for one in checked.judged for rule in one.verdict.rules})
            return
        self.allowed += 1
        self.masked += checked.masked
        self.kinds.update(checked.kinds)
        if checked.result is Result.NOT_RUN:
            self.gaps[checked.why[:70]] += 1
        elif checked.result is Result.LEAK:
            self.leaks.append(checked)
        elif checked.result in (Result.UNEXPECTED, Result.UNDETERMINED):
            self.odd.append(checked)

    @property
    def ran(self) -> int:
        """Sessions that ran on twins, whatever was seen."""
        return self.allowed - self.results[Result.NOT_RUN] - self.results[Result.UNEXPECTED]

    def summary(self) -> str:
        """One line of counts."""
        results = ", ".join(f"{self.results[result]} {result.value}" for result in Result)
        met = ", ".join(f"{count} {kind.value}" for kind, count in self.kinds.most_common())
        return (
            f"{self.generated} generated, {self.allowed} allowed, {self.masked} of them masked,"
            f" {self.ran} ran; {results}; met twins: {met}"
        )


def campaign(harness: Harness, sessions: Iterable[Sequence[str]]) -> Campaign:
    """Check many sessions."""
    counted = Campaign()
    for texts in sessions:
        counted.add(harness.check(texts))
    return counted
