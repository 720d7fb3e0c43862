"""What each builtin function may do, from the reviewed table in `functions.txt`.

Rule at the door: a name that is not in the table has no effect anybody reviewed, so the statement
that calls it is refused (F17). Refreshing the table from an account can only remove trust.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.resources import files

from snowgate.sql.values import Family


class Effect(Enum):
    """What a call can do beside computing its value."""

    PURE = "pure"
    SESSION = "session"  # reads the session's context or a clock
    READS_BY_NAME = "reads-by-name"  # its argument names an object, a query or a text to run
    EXTERNAL = "external"  # sends its arguments somewhere, or hands out access
    DELAY = "delay"  # takes as long as its argument says


class Fallible(Enum):
    """Which tagged arguments can decide between success and error."""

    NEVER = "never"
    ALWAYS = "always"
    TEXT = "text"  # text and variants, which are converted
    TEXT_LATER = "text-later"  # text and variants, and all from the second argument on
    LATER = "later"  # from the second argument on
    NUMBER_LATER = "number-later"  # text from the second argument on
    PATTERN = "pattern"  # from the second on: a pattern can be invalid whatever it is
    COMPUTED = "computed"  # any that is more than a column: how long it gets hangs on all rows
    KEYS = "keys"  # the first, third, … argument


class Role(Enum):
    """How a function sees rows."""

    SCALAR = "scalar"
    AGGREGATE = "aggregate"
    WINDOW = "window"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Function:
    """One builtin.

    Attributes:
        effect: What it may do.
        fallible: Which tagged arguments can make it fail.
        returns: Family of its value; None where it is that of its arguments.
        role: How it sees rows.
    """

    effect: Effect
    fallible: Fallible
    returns: Family | None
    role: Role

    @property
    def trusted(self) -> bool:
        """Whether a statement may call it."""
        return self.effect in (Effect.PURE, Effect.SESSION)


@cache
def builtins() -> dict[str, Function]:
    """Every reviewed builtin by its upper-case name."""
    table: dict[str, Function] = {}
    current: Function | None = None
    text = files("snowgate.sql").joinpath("functions.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("["):
            effect, fallible, returns, role = line.strip("[]").split()
            family = None if returns == "same" else Family(returns)
            current = Function(Effect(effect), Fallible(fallible), family, Role(role))
        elif current is not None and not line.startswith("#"):
            table.update(dict.fromkeys(line.split(), current))
    return table
