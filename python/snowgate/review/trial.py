"""Judges the statements of one session, and what came of all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snowgate.model.statement import Namespace, Statement
from snowgate.model.verdict import Verdict
from snowgate.policy import Subject, foresee
from snowgate.review.report import masked_of, names, objects_of, strictness, word_of
from snowgate.review.setting import Setting
from snowgate.sql.session import analyse_session


@dataclass(frozen=True, slots=True)
class Trial:
    """A judged session.

    Attributes:
        judged: Statements with their verdicts, in order; at least one. The masks of a held one are
            those of once it is approved.
    """

    judged: tuple[tuple[Statement, Verdict], ...]

    @property
    def strictest(self) -> tuple[Statement, Verdict]:
        """The statement that decides for the session: the first of the strictest."""
        return max(self.judged, key=lambda pair: strictness(word_of(pair[1])))

    @property
    def word(self) -> str:
        """The session's verdict: allow, mask, hold or deny."""
        return word_of(self.strictest[1])

    @property
    def rules(self) -> list[str]:
        """Names of the rules that decided any of the statements."""
        return names(rule for _, verdict in self.judged for rule in verdict.rules)

    @property
    def objects(self) -> list[str]:
        """What the statements touch."""
        return names(name for statement, _ in self.judged for name in objects_of(statement))

    @property
    def masked(self) -> list[tuple[int, str | None]]:
        """The masked columns of the last statement: position from 1, and predicted name."""
        verdict = self.judged[-1][1]
        columns = verdict.plan.columns if verdict.plan else ()
        return [(at + 1, columns[at].name) for at in masked_of(verdict)]


def try_session(
    setting: Setting, texts: Sequence[str], subject: Subject, namespace: Namespace | None = None
) -> Trial:
    """Judge statements as one session, each as if those before it had run.

    Args:
        setting: Policy and catalog.
        texts: The statements in order; at least one.
        subject: Who asks.
        namespace: Where names resolve at the start; the catalog's own by default.
    """
    analysed = analyse_session(texts, setting.catalog, role=subject.role, namespace=namespace)
    return Trial(tuple((each, foresee(setting.policy, each, subject)) for each in analysed))
