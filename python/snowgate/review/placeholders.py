"""Shows statements of the past without the values in them."""

from __future__ import annotations

import re

from snowgate._core import SqlError, lex

MAX_SHOWN = 2000
_VALUES = frozenset({"text", "dollar", "number"})
_JOINED_BEFORE = frozenset({",", ")", ".", ";"})
# Rows of VALUES.
_ROWS = re.compile(r"\(\?\)(, \(\?\))+")
_JOINED_AFTER = frozenset({"(", "."})


def without_values(text: str) -> str:
    """A statement with `?` in place of every constant, without comments, on one line.

    Statements that differ in their constants only, or in the length of a list of them, are equal.
    A text that cannot be read shows nothing of itself.
    """
    try:
        tokens = lex(text)
    except SqlError:
        return f"(a text of {len(text.encode(errors='replace'))} bytes that has no one reading)"
    words: list[str] = []
    for kind, piece in tokens:
        if kind in ("space", "comment"):
            continue
        word = "?" if kind in _VALUES else piece.upper() if kind == "word" else piece
        if word == "?" and words[-2:] == ["?", ","]:
            del words[-1]  # a list of constants is as long as one
            continue
        words.append(word)
    shown = _ROWS.sub("(?)", _spaced(words))
    return shown if len(shown) <= MAX_SHOWN else shown[: MAX_SHOWN - 1] + "…"


def _spaced(words: list[str]) -> str:
    line: list[str] = []
    for at, word in enumerate(words):
        if at and word not in _JOINED_BEFORE and words[at - 1] not in _JOINED_AFTER:
            line.append(" ")
        line.append(word)
    return "".join(line)
