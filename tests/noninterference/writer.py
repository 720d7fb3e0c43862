"""Writes expressions: what a query's clauses hold.

A writer has a heat, how often it takes a tagged column where it may, and a slip, how often it takes
one where the rules do not let it: most statements should run, and the few that should not are what
the analysis is asked about.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeVar

from . import words
from .words import Column

Item = TypeVar("Item")

_SLOT = re.compile(r"\{([A-Za-z])\}")
_RAW_NAMES = ("EMAIL", "PHONE", "SSN", "FULL_NAME", "CARD_NUMBER")


class Site(Enum):
    """Where a tagged value must not decide anything."""

    FILTER = "filter"
    JOIN = "join"
    SET = "set operation"
    GROUP = "group"
    WINDOW = "window"
    ORDER = "order"
    ROWS = "rows"
    ERROR = "error"
    COUNT = "count"
    STORE = "store"


class Heat(Enum):
    """Which columns an expression may name."""

    COLD = "cold"  # no tagged one
    RAW = "raw"  # exactly a tagged one
    ANY = "any"
    HOT = "hot"  # a tagged one wherever there is one


@dataclass(frozen=True, slots=True)
class Expression:
    """A text and what it is."""

    text: str
    type: str
    hot: bool = False
    raw: bool = False


@dataclass(slots=True)
class Scope:
    """What a query can name: its own columns, and those of queries around it."""

    columns: list[Column]
    outer: list[Column] = field(default_factory=list)


class Writer:
    """Random choices, and expressions made of them."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.heat = self.rng.choice((0.15, 0.35, 0.6))
        # Most slips are alone, since one violation is enough to deny.
        self._slips = self.rng.choice((0, 0, 0, 1, 1, 1, 2))
        self._focus = self.rng.choice(list(Site))
        self.tables: dict[str, tuple[Column, ...]] = dict(words.TABLES)
        self._aliases = 0

    def chance(self, share: float) -> bool:
        """True that often."""
        return self.rng.random() < share

    def pick(self, items: Sequence[Item]) -> Item:
        """One of them."""
        return self.rng.choice(items)

    def slips(self, site: Site) -> bool:
        """Whether to do here what the rules do not let pass."""
        if self._slips > 0 and self.chance(0.6 if site is self._focus else 0.1):
            self._slips -= 1
            return True
        return False

    def often(self, site: Site, share: float, focused: float) -> bool:
        """True that often, more in a session that is about this site."""
        return self.chance(focused if site is self._focus else share)

    def alias(self) -> str:
        """A new name for a source."""
        self._aliases += 1
        return f"{self.pick('COPET')}{self._aliases}"

    def type(self) -> str:
        """A type, text most often."""
        return self.pick("TTTTTNNND" + "V" * self.chance(0.3))

    def cold(self, site: Site) -> Heat:
        """The heat of a clause that must not depend on tagged values."""
        return Heat.HOT if self.slips(site) else Heat.COLD

    def expression(
        self, kind: str, scope: Scope, heat: Heat = Heat.ANY, depth: int = 2
    ) -> Expression:
        """An expression of a type."""
        if heat is Heat.RAW:
            raw = [column for column in scope.columns if column.raw and column.type == kind]
            if raw:
                return self._named(self.pick(raw))
            heat = Heat.ANY
        if heat is Heat.HOT and not any(c.hot and c.type == kind for c in scope.columns):
            # Something hot of this type has to be made.
            forms = [form for form in words.FORMS[kind] if "{T}" in form or "{B}" in form]
            if depth > -2 and any(column.hot for column in scope.columns):
                return self._form(self.pick(forms), kind, scope, heat, depth)
            heat = Heat.ANY
        if depth <= 0 or self.chance(0.35):
            return self._leaf(kind, scope, heat)
        if kind == "N" and heat is not Heat.HOT and self.often(Site.ERROR, 0.05, 0.5):
            heat = self.cold(Site.ERROR)
            return self._form(self.pick(words.FALLIBLE), "N", scope, heat, depth)
        if kind in "TN" and self.chance(0.04):
            return self._scalar_query(kind, heat)
        return self._form(self.pick(words.FORMS[kind]), kind, scope, heat, depth)

    def expression_of(self, form: str, kind: str, scope: Scope, heat: Heat) -> Expression:
        """A form, filled."""
        return self._form(form, kind, scope, heat, 2)

    def _named(self, column: Column) -> Expression:
        return Expression(column.ref, column.type, column.hot, column.raw)

    def _leaf(self, kind: str, scope: Scope, heat: Heat) -> Expression:
        columns = scope.columns
        if scope.outer and self.chance(0.3):
            columns = columns + scope.outer
        columns = [column for column in columns if column.type == kind]
        if heat is Heat.COLD:
            columns = [column for column in columns if not column.hot]
        elif heat is Heat.HOT or self.chance(self.heat):
            columns = [column for column in columns if column.hot] or columns
        if columns and (heat is Heat.HOT or not self.chance(0.08)):
            return self._named(self.pick(columns))
        return self._constant(kind, scope)

    def _constant(self, kind: str, scope: Scope) -> Expression:
        match kind:
            case "T":
                return Expression(quoted(self.pick(words.TEXTS)), "T")
            case "N":
                return Expression(str(self.rng.randrange(0, 12)), "N")
            case "D":
                return Expression(f"DATE {quoted(self.pick(words.DATES))}", "D")
            case "B":
                return self._form("{T} = {T}", "B", scope, Heat.COLD, 1)
            case _:
                return Expression("ARRAY_CONSTRUCT(1, 2)", "V")

    def _form(self, form: str, kind: str, scope: Scope, heat: Heat, depth: int) -> Expression:
        """Fill a form; it is hot if anything in it is."""
        hot = False

        def fill(match: re.Match[str]) -> str:
            nonlocal hot
            slot = match.group(1)
            if slot in "TNDBV":
                part = self.expression(slot, scope, heat, depth - 1)
                hot = hot or part.hot
                return bracketed(part.text)
            return self._word(slot, scope)

        text = _SLOT.sub(fill, form).replace("{{", "{").replace("}}", "}")
        return Expression(text, kind, hot)

    def _word(self, slot: str, scope: Scope) -> str:
        match slot:
            case "k":
                return str(self.rng.randrange(1, 9))
            case "s":
                return quoted(self.pick(words.TEXTS))
            case "g":
                return quoted(self.pick(words.GUESSES))
            case "p":
                return quoted(self.pick(words.PATTERNS))
            case "c":
                return quoted(self.pick(words.CONSTANTS))
            case "d":
                return f"DATE {quoted(self.pick(words.DATES))}"
            case "q":
                return quoted(self.pick(words.PARTS))
            case "r":
                return self.pick(_RAW_NAMES)
            case "w":
                return self.window(scope, ordered=True)
            case _:
                return self.window(scope, ordered=False)

    def _scalar_query(self, kind: str, heat: Heat) -> Expression:
        table = self.pick(("CUSTOMERS", "ORDERS"))
        alias = self.alias()
        scope = Scope(columns_of(alias, self.tables[table]))
        inner = self.aggregate(kind, scope, heat)
        where = f" WHERE {self.predicate(scope, 1)}" if self.chance(0.4) else ""
        text = f"(SELECT {inner.text} FROM {table} {alias}{where})"
        return replace(inner, text=text, raw=False)

    def aggregate(self, kind: str, scope: Scope, heat: Heat = Heat.ANY) -> Expression:
        """An aggregate. COUNT of a raw column is cold."""
        if kind not in words.AGGREGATES:
            kind = "N"
        form = self.pick(words.AGGREGATES[kind])
        made = self._form(form, kind, scope, heat, 1)
        counts = form.startswith(("COUNT(*", "COUNT({", "COUNT(DISTINCT", "APPROX"))
        if counts and made.hot and not self.slips(Site.COUNT):
            inner = self.expression("T", scope, Heat.RAW, 0)
            made = Expression(f"COUNT({'DISTINCT ' * self.chance(0.5)}{inner.text})", "N")
        return made

    def windowed(self, kind: str, scope: Scope, heat: Heat = Heat.ANY) -> Expression:
        """A window function. What it counts by raw columns is hot, though predicates may use it."""
        if kind not in words.WINDOWS:
            kind = "N"
        made = self._form(self.pick(words.WINDOWS[kind]), kind, scope, heat, 1)
        return replace(made, hot=made.hot or "PARTITION" in made.text)

    def window(self, scope: Scope, *, ordered: bool) -> str:
        """PARTITION BY of raw or cold columns, ORDER BY of cold ones."""
        parts: list[str] = []
        if self.chance(0.5):
            heat = Heat.RAW if self.chance(0.4) else self.cold(Site.WINDOW)
            key = self.expression("T", scope, heat, 1 if heat is Heat.HOT else 0)
            parts.append(f"PARTITION BY {key.text}")
        if ordered:
            key = self.expression(self.pick("NNT"), scope, self.cold(Site.WINDOW), 1)
            ids = [column.ref for column in scope.columns if column.name == "ID" and not column.hot]
            keys = [key.text, *ids]
            parts.append(f"ORDER BY {', '.join(keys)}")
        return " ".join(parts)

    def predicate(self, scope: Scope, depth: int = 2) -> str:
        """A predicate: cold, or an equality that passes, or a slip."""
        raw = [column for column in scope.columns if column.raw]
        if self.slips(Site.FILTER):
            if raw and self.chance(0.4):
                return self._asked(self.pick(words.ASKED), scope, raw)
            return self.expression("B", scope, Heat.HOT, depth).text
        if raw and self.chance(0.35):
            let_go = self._asked(self.pick(words.LET_GO), scope, raw)
            if self.chance(0.4):
                other = self.expression("B", scope, Heat.COLD, depth - 1).text
                return f"{let_go} {self.pick(('AND', 'OR'))} {bracketed(other)}"
            return let_go
        ids = [column.ref for column in scope.columns if column.name == "ID" and not column.hot]
        if ids and self.chance(0.5):
            # One that leaves some rows, so that there is something to see.
            return f"{self.pick(ids)} {self.pick(('>', '<=', '<>'))} {self.rng.randrange(1, 9)}"
        return self.expression("B", scope, Heat.COLD, depth).text

    def _asked(self, form: str, scope: Scope, raw: list[Column]) -> str:
        while "{R}" in form:
            form = form.replace("{R}", self.pick(raw).ref, 1)
        form = form.replace("{r}", self.pick(_RAW_NAMES))
        return self._form(form, "B", scope, Heat.COLD, 1).text

    def probe(self, form: str, source: str, scope: Scope) -> str:
        """A form of `probes.PROBES` over a source."""
        hot = [column for column in scope.columns if column.hot]

        def fill(match: re.Match[str]) -> str:
            slot = match.group(1)
            match slot:
                case "f":
                    return source
                case "R":
                    return self.pick(hot).ref
                case "a" | "l":
                    forms = words.ASKED if slot == "a" else words.LET_GO
                    return bracketed(self._asked(self.pick(forms), scope, hot))
                case "F":
                    return self._form(self.pick(words.FALLIBLE), "N", scope, Heat.HOT, 2).text
                case "T" | "N" | "B" | "D" | "V":
                    return bracketed(
                        self.expression(slot, scope, Heat.HOT, self.pick((0, 1, 2))).text
                    )
                case _:
                    return self._word(slot, scope)

        return _SLOT.sub(fill, form)


def quoted(text: str) -> str:
    """A text constant."""
    return "'" + text.replace("'", "''") + "'"


def bracketed(text: str) -> str:
    """In brackets if it is more than one word or call."""
    if re.fullmatch(r"[\w.]+|'[^']*'|[A-Z_0-9]+\([^()]*\)|\(.*\)", text):
        return text
    return f"({text})"


def columns_of(alias: str, columns: Sequence[Column]) -> list[Column]:
    """Columns of a source under its alias."""
    return [replace(column, ref=f"{alias}.{column.name}") for column in columns]
