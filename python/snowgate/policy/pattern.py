"""Patterns over names: databases, schemas, objects, columns.

    CRM.PUBLIC.*            every object of one schema
    CRM.*.CUSTOMERS.EMAIL   one column, in every schema
    CRM.PUBLIC.{A,B}_RAW    two objects
    CRM."my schema".*       a quoted name is taken as written, stars and braces included

Unquoted text is folded to upper case, as Snowflake folds identifiers, so `email` never matches a
column created as `"email"`. `*` stands for any run of characters inside one part. Matching is
linear in the name (F26): there is nothing to backtrack into.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

MAX_LENGTH = 1024
# `{…}` multiplies: enough for every column of a wide table, and no more.
MAX_EXPANSIONS = 500

_PLAIN = re.compile(r"[A-Za-z0-9_$]+")
_QUOTED = re.compile(r'"((?:[^"]|"")+)"')
_BARE_NAME = re.compile(r"[A-Z_][A-Z0-9_$]*")


class PatternError(ValueError):
    """The text is no pattern; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True, order=True)
class Glob:
    """One part of a pattern: literal pieces with a star between each two of them."""

    pieces: tuple[str, ...]

    def matches(self, text: str) -> bool:
        """Whether the whole of `text` fits."""
        first, *middle = self.pieces
        if not middle:
            return text == first
        last = middle.pop()
        if len(text) < len(first) + len(last):
            return False
        if not text.startswith(first) or not text.endswith(last):
            return False
        at, end = len(first), len(text) - len(last)
        for piece in middle:
            found = text.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    def __str__(self) -> str:
        if self.pieces == ("", ""):
            return "*"
        return "*".join(
            piece if not piece or _BARE_NAME.fullmatch("_" + piece) else quoted(piece)
            for piece in self.pieces
        )


@dataclass(frozen=True, slots=True, order=True)
class NamePattern:
    """A dotted pattern, one glob for each part."""

    parts: tuple[Glob, ...]

    def matches(self, names: Sequence[str], *, sure: bool = True) -> bool:
        """Whether a dotted name fits.

        Args:
            names: The name's parts, at least as many as the pattern's. An empty part is one the
                statement does not name: dropping a database names no schema.
            sure: The answer for an empty part. False: it could be the one meant, so it matches.
        """
        return all(
            glob.matches(name) if name else not sure
            for glob, name in zip(self.parts, names, strict=False)
        )

    def __str__(self) -> str:
        return ".".join(str(part) for part in self.parts)


def quoted(name: str) -> str:
    """A name in double quotes, as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def parse_name(text: str) -> str:
    """One identifier as Snowflake stores it: upper-case unless quoted.

    Raises:
        PatternError: It is not one identifier.
    """
    whole = _QUOTED.fullmatch(text)
    if whole:
        return whole.group(1).replace('""', '"')
    if _BARE_NAME.fullmatch(text.upper()) is None:
        raise PatternError("is not a name: other than letters, digits, `_` and `$` needs quotes")
    return text.upper()


def parse_pattern(text: str, parts: int, form: str) -> tuple[NamePattern, ...]:
    """Read one pattern; `{a,b}` makes several of it.

    Args:
        text: The pattern as written.
        parts: How many dotted parts it must have.
        form: What to show when it has another number, such as `DATABASE.SCHEMA`.

    Raises:
        PatternError: It is none.
    """
    if len(text) > MAX_LENGTH:
        raise PatternError(f"is longer than {MAX_LENGTH} characters")
    reader = _Reader(text)
    read = [reader.part()]
    while reader.take("."):
        read.append(reader.part())
    if reader.rest:
        raise PatternError(f"has a character that needs double quotes at {reader.at + 1}")
    if len(read) != parts:
        raise PatternError(f"has {len(read)} dotted part{'s' * (len(read) > 1)}; write {form}")
    total = 1
    for part in read:
        total *= len(part)
    if total > MAX_EXPANSIONS:
        raise PatternError(f"stands for more than {MAX_EXPANSIONS} names")
    return tuple(NamePattern(tuple(globs)) for globs in product(*read))


class _Reader:
    """Reads a pattern from left to right. A part is a list of alternatives."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0

    @property
    def rest(self) -> str:
        return self._text[self.at :]

    def take(self, character: str) -> bool:
        if self._text.startswith(character, self.at):
            self.at += len(character)
            return True
        return False

    def part(self) -> list[Glob]:
        ways: list[tuple[str, ...]] = [("",)]
        start = self.at
        while True:
            if self.take("{"):
                choices = self._choices()
                if len(ways) * len(choices) > MAX_EXPANSIONS:
                    raise PatternError(f"stands for more than {MAX_EXPANSIONS} names")
                ways = [_joined(way, choice) for way in ways for choice in choices]
                continue
            run = self._run()
            if run == ("",):
                break
            ways = [_joined(way, run) for way in ways]
        if self.at == start:
            raise PatternError("has an empty part")
        return [Glob(_collapsed(way)) for way in ways]

    def _choices(self) -> list[tuple[str, ...]]:
        choices: list[tuple[str, ...]] = []
        while True:
            self._skip_spaces()
            choice = self._run()
            if choice == ("",):
                raise PatternError("has an empty or nested choice in `{…}`")
            choices.append(choice)
            self._skip_spaces()
            if self.take("}"):
                return choices
            if not self.take(","):
                raise PatternError("has a `{` that is not closed, or a choice that needs quotes")

    def _run(self) -> tuple[str, ...]:
        """Literals and stars up to the next `.`, brace or comma."""
        pieces = [""]
        while True:
            if self.take("*"):
                pieces.append("")
                continue
            plain = _PLAIN.match(self._text, self.at)
            quote = _QUOTED.match(self._text, self.at)
            if plain:
                pieces[-1] += plain.group().upper()
                self.at = plain.end()
            elif quote:
                pieces[-1] += quote.group(1).replace('""', '"')
                self.at = quote.end()
            else:
                return tuple(pieces)

    def _skip_spaces(self) -> None:
        while self.take(" "):
            pass


def _joined(left: tuple[str, ...], right: tuple[str, ...]) -> tuple[str, ...]:
    return (*left[:-1], left[-1] + right[0], *right[1:])


def _collapsed(way: tuple[str, ...]) -> tuple[str, ...]:
    """Two stars in a row say nothing more than one: equal globs get one form."""
    last = len(way) - 1
    return tuple(piece for index, piece in enumerate(way) if piece or index in (0, last))
