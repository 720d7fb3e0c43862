"""Words of messages: foreign text made visible, and the nearest word to a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_SHOWN = 60


def shown(text: str) -> str:
    """Text of a file for a message: control and direction characters made visible, cut (F29)."""
    cut = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in cut
    )


def suggest(word: str, known: Iterable[str], *, what: str = "known") -> str:
    """A remedy for a word that is none of the known ones."""
    words = sorted(known)
    listed = f"{what}: {', '.join(f'`{one}`' for one in words)}" if words else ""
    return nearest(word, words) or listed


def nearest(word: str, known: Iterable[str]) -> str:
    """As `suggest`, of words that are too many to list; empty if none is near."""
    near = difflib.get_close_matches(word[:MAX_SHOWN], sorted(known), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""
