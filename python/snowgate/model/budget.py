"""What may be taken: the largest result, and how much of something within a window."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bound:
    """The most of something in one result, that included, and the rule that says so."""

    most: int
    rule: str


@dataclass(frozen=True, slots=True)
class ResultLimit:
    """The largest result that is given: what is larger is withheld whole."""

    rows: Bound | None = None
    bytes: Bound | None = None


NO_LIMIT = ResultLimit()


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of something one principal may take within a window. The gate counts.

    Attributes:
        name: Its name; rules have none of the same.
        per_s: The window, in seconds; it slides.
        statements: Most statements; None counts none. So with the others.
        rows, bytes: Most rows and bytes of results.
        values: Most distinct (tag, value) pairs that tagged columns are compared with (F1).
        tags: The tags whose values count; all of them if it names none.
        holds: What is over it waits for an approval; else it is denied.
    """

    name: str
    per_s: int
    statements: int | None = None
    rows: int | None = None
    bytes: int | None = None
    values: int | None = None
    tags: tuple[str, ...] = ()
    holds: bool = False
