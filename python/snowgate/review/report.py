"""Verdicts in the words of every tool: allow, mask, hold, deny.

`mask` means: runs, with at least one masked column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from snowgate.model.statement import Statement
from snowgate.model.verdict import ColumnMask, Decision, MaskKind, Verdict

WORDS = ("allow", "mask", "hold", "deny")


def word_of(verdict: Verdict) -> str:
    """The verdict in a word."""
    if verdict.decision is not Decision.ALLOW:
        return str(verdict.decision.value)
    masked = verdict.void_all or (verdict.plan is not None and not verdict.plan.clear)
    return "mask" if masked else "allow"


def strictness(word: str) -> int:
    """Rank of a word: a larger one is stricter."""
    return WORDS.index(word)


def objects_of(statement: Statement) -> list[str]:
    """Names of everything it touches, sorted."""
    touched = {
        *statement.reads,
        *statement.writes,
        *statement.calls,
        *statement.unknown_sources,
    }
    return sorted(map(str, touched))


def columns_of(statement: Statement, verdict: Verdict) -> list[dict[str, Any]]:
    """Outputs in order, as JSON; `mask` is null where the value is shown in clear."""
    if verdict.plan is None:
        return []
    predicted = statement.columns or ()
    return [
        {
            "name": column.name,
            "tags": sorted(predicted[at].tags if at < len(predicted) else column.tags),
            "mask": None if column.mask is MaskKind.PASS else column.mask.value,
        }
        for at, column in enumerate(verdict.plan.columns)
    ]


def masked_of(verdict: Verdict) -> list[int]:
    """0-based positions of the masked columns."""
    columns = verdict.plan.columns if verdict.plan else ()
    return [at for at, column in enumerate(columns) if column.mask is not MaskKind.PASS]


def mask_text(column: ColumnMask) -> str:
    """A mask as the policy spells it."""
    if column.mask is MaskKind.PASS:
        return "clear"
    if column.mask is MaskKind.PARTIAL:
        return f"partial [{column.keep_first}, {column.keep_last}]"
    return str(column.mask.value)


def mask_name(mask: object) -> str:
    """A mask of the ledger as the policy spells it."""
    if isinstance(mask, Mapping):
        return " ".join(f"{name} {list(kept)}" for name, kept in mask.items())
    return str(mask)


def names(words: Iterable[str]) -> list[str]:
    """Without doubles, sorted."""
    return sorted(set(words))
