"""What is known of a value: which tags can reach it, and in what shape.

    CLEAN ──► RAW ──► FOLDED ──► DERIVED        plus `unknown`: anything could reach it

A value is RAW when it is exactly one tagged column in every branch that makes it, so that a
configured mask fits it. LOWER, UPPER and TRIM of a raw column are FOLDED: equality treats them as
raw, everything else as derived (F1). Whatever else touches a tag makes a DERIVED value (F2).

Grouping is apart: it says that PARTITION BY of raw tagged columns decided the value. Such a value
shows how often a tagged value occurs and nothing more, so predicates may use it, outputs may not
show it (F3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, IntEnum

from snowgate.model.statement import OutputColumn

NO_TAGS: frozenset[str] = frozenset()

# Digits before the point that a number of a column or a function is taken to have.
COLUMN_DIGITS = 17
# Nobody knows how many.
ANY_DIGITS = 1000
# Characters that a text of a column is taken to have, and what nobody knows.
COLUMN_CHARS = 1_000
ANY_CHARS = 10**12


class Shape(IntEnum):
    """How a tagged value relates to the column it comes from; a larger one is further away."""

    CLEAN = 0
    RAW = 1
    FOLDED = 2
    DERIVED = 3


class Family(Enum):
    """Types as far as conversions between them can fail."""

    TEXT = "text"
    NUMBER = "number"
    TIME = "time"
    BOOL = "bool"
    BINARY = "binary"
    VARIANT = "variant"
    NULL = "null"  # the constant NULL, which fits every type
    ANY = "any"  # not known


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of one expression.

    Attributes:
        tags: Tags whose values can reach it.
        shape: CLEAN if and only if there are no tags and it is not unknown.
        unknown: Its origin could not be computed.
        grouping: Tags that decided it through PARTITION BY of raw columns only.
        family: Its type.
        origin: The one column that a comparable value comes from; empty where there are several.
        folds: LOWER, UPPER and TRIM on the way, innermost first.
        digits: Digits before the point at most, of a number.
        chars: Characters at most, of a text, and of what an array or object is written as.
        container: It is an array or an object for certain, or NULL.
    """

    tags: frozenset[str] = NO_TAGS
    shape: Shape = Shape.CLEAN
    unknown: bool = False
    grouping: frozenset[str] = NO_TAGS
    family: Family = Family.ANY
    origin: str = ""
    folds: tuple[str, ...] = ()
    digits: int = COLUMN_DIGITS
    chars: int = COLUMN_CHARS
    container: bool = False

    @property
    def tainted(self) -> bool:
        """Whether a tag, or something unknown, decides its value."""
        return self.unknown or bool(self.tags)

    @property
    def touched(self) -> bool:
        """As `tainted`, groupings counted."""
        return self.tainted or bool(self.grouping)

    @property
    def comparable(self) -> bool:
        """Whether equality may treat it as its raw column."""
        return not self.unknown and self.shape in (Shape.RAW, Shape.FOLDED)

    @property
    def all_tags(self) -> frozenset[str]:
        """Its tags, groupings included."""
        return self.tags | self.grouping

    def of(self, family: Family) -> Value:
        """The same with another type."""
        return self if self.family is family else replace(self, family=family)

    def column(self, name: str | None) -> OutputColumn:
        """As a predicted output."""
        raw = self.shape is Shape.RAW and not self.grouping and not self.unknown
        return OutputColumn(name, self.all_tags, raw, self.unknown)


CLEAN = Value()
UNKNOWN = Value(shape=Shape.DERIVED, unknown=True)


def clean(family: Family, digits: int = COLUMN_DIGITS, chars: int = COLUMN_CHARS) -> Value:
    """A value that nothing tagged decides."""
    if digits == COLUMN_DIGITS and chars == COLUMN_CHARS:
        return _CLEAN[family]
    return Value(family=family, digits=digits, chars=chars)


_CLEAN = {family: Value(family=family) for family in Family}
_SHORT = frozenset({Family.NUMBER, Family.TIME, Family.BOOL, Family.NULL})
_WITHOUT_DIGITS = frozenset({Family.TEXT, Family.BOOL, Family.BINARY, Family.NULL})


def derived(values: Iterable[Value], family: Family = Family.ANY) -> Value:
    """A value computed from others: whatever touches any of them touches it."""
    tags, grouping, unknown, digits, chars = NO_TAGS, NO_TAGS, False, 0, 0
    for value in values:
        digits = max(digits, value.digits)
        chars += value.chars
        if value.tags:
            tags |= value.tags
        if value.grouping:
            grouping |= value.grouping
        unknown = unknown or value.unknown
    if not digits or family in _WITHOUT_DIGITS:
        digits = COLUMN_DIGITS
    if not chars or family in _SHORT:
        chars = COLUMN_CHARS
    chars = min(chars, ANY_CHARS)
    if not tags and not grouping and not unknown:
        return clean(family, digits, chars)
    shape = Shape.DERIVED if tags or unknown else Shape.CLEAN
    return Value(tags, shape, unknown, grouping, family, digits=digits, chars=chars)


def branches(values: Iterable[Value]) -> Value:
    """A value that is one of several: raw only if every branch is raw (F2)."""
    seen = list(values)
    # Most names mean one column; of one branch only the digits are another.
    if len(seen) == 1 and seen[0].digits == COLUMN_DIGITS:
        return seen[0]
    shapes = {value.shape for value in seen}
    union = one_of(derived(seen, family_of(seen)), seen)
    if seen and all(value.container for value in seen):
        union = replace(union, container=True)
    if len(shapes) > 1 or not union.tainted:
        return union
    origins = {(value.origin, value.folds) for value in seen}
    origin, folds = origins.pop() if len(origins) == 1 else ("", ())
    return replace(union, shape=shapes.pop(), origin=origin, folds=folds)


def one_of(value: Value, results: Iterable[Value]) -> Value:
    """A value that is as long as one of several at most, whatever else decides it."""
    chars = max((result.chars for result in results), default=COLUMN_CHARS)
    return value if value.chars == chars else replace(value, chars=chars)


def family_of(values: Iterable[Value]) -> Family:
    """The common type of several values; ANY where they differ."""
    families = {value.family for value in values} - {Family.NULL}
    if not families:
        return Family.NULL
    return families.pop() if len(families) == 1 else Family.ANY
