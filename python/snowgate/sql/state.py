"""What one analysis has found so far, and the words it reports in.

Reasons name no literal; each knob has one remedy, so that a client always reads what to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

from snowgate.model.statement import Compared, Namespace, ObjectName, Violation
from snowgate.sql.catalog import Catalog
from snowgate.sql.relations import Relation
from snowgate.sql.values import CLEAN, Value, derived

# A text of 20,000 tokens takes about as many; views and recursion multiply. About 1 s of work.
MAX_STEPS = 60_000
# Distinct constants that one statement may compare with tagged columns (F1).
MAX_CONSTANTS = 50


class Knob(Enum):
    """Ways to reveal a tagged value outside a maskable output; the value is how to do without."""

    PREDICATE = "pii_pattern_predicate"
    CONSTANTS = "pii_eq_predicate"
    DICTIONARY = "pii_dictionary_join"
    GROUP = "pii_group"
    ORDER = "pii_order"
    ROWS = "pii_row_source"
    ERROR = "pii_error_oracle"
    COPY = "laundering"
    EXTERNAL = "function-external"

    @property
    def remedy(self) -> str:
        """How to rewrite the statement."""
        return _REMEDIES[self]


_REMEDIES = {
    Knob.PREDICATE: "compare the tagged column itself, with =, <>, IN or IS NULL and constants, or"
    " filter by a column that is not tagged",
    Knob.CONSTANTS: f"compare with at most {MAX_CONSTANTS} constants in one statement, or join to a"
    " table that has the values in a column with the same tag",
    Knob.DICTIONARY: "join on an untagged key, have the other column tagged the same, or use UNION"
    " ALL for UNION",
    Knob.GROUP: "group by the tagged column itself, or by a column that is not tagged",
    Knob.ORDER: "order by a column that is not tagged, such as a key or a date, or sort the rows"
    " once you have them",
    Knob.ROWS: "take the tagged column out of what makes the rows: FLATTEN, LATERAL, table"
    " functions, UNPIVOT, PIVOT over ANY, LIMIT",
    Knob.COPY: "copy the tagged column as it is to a column with the same tags, or write where a"
    " rule lets tags propagate",
    Knob.ERROR: "use the form that cannot fail, such as TRY_TO_NUMBER or TRY_CAST, constants of the"
    " column's own type, or a divisor that is a constant",
    Knob.EXTERNAL: "leave the tagged column out of the call: what leaves Snowflake passes no mask",
}


class Refused(Exception):
    """The text cannot be judged. Ends the analysis; the statement is refused.

    Attributes:
        rule, reason, remedy: As in `Refusal`.
    """

    def __init__(self, rule: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.rule = rule
        self.reason = reason
        self.remedy = remedy


def unreadable(what: str) -> Refused:
    """A construct that the analysis does not know."""
    return Refused(
        "unparsed", f"{what} is not understood", "write the statement without that construct"
    )


@dataclass(slots=True)
class State:
    """Collected during one analysis, by the walk only.

    Attributes:
        catalog: What is known.
        namespace: Where unqualified names resolve now; a view's own while it is walked.
        binds: Types of the binds as drivers name them; None when not told.
        reads, unknown: Objects read, and those of them that the catalog does not know.
        bases: Objects read, and those that views among them read.
        tags: Tags of every column referred to.
        violations: What would reveal tagged values.
        constants: Distinct constants compared with tagged columns.
        compared: The same by tag, as far as they are known.
        metadata: It reads metadata of the account beyond structure.
        changes: It changes something although it is a query, such as a sequence.
        control: What decides whether the present expression is evaluated at all.
        views: Views being walked, outermost first.
        resolved: Views walked already.
        launders: Tags whose values would be written where they are not tagged.
        moved: What would be written to columns that carry less, by table and column.
        routines: Functions and procedures of users that are called.
        steps: How far the walk is.
    """

    catalog: Catalog
    namespace: Namespace
    binds: tuple[str, ...] | None = None
    reads: set[ObjectName] = field(default_factory=set)
    unknown: set[ObjectName] = field(default_factory=set)
    bases: set[ObjectName] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    violations: set[Violation] = field(default_factory=set)
    constants: set[str] = field(default_factory=set)
    compared: set[Compared] = field(default_factory=set)
    metadata: bool = False
    changes: bool = False
    control: Value = CLEAN
    views: list[ObjectName] = field(default_factory=list)
    resolved: dict[ObjectName, Relation] = field(default_factory=dict)
    launders: set[str] = field(default_factory=set)
    moved: dict[tuple[ObjectName, str], Value] = field(default_factory=dict)
    routines: set[ObjectName] = field(default_factory=set)
    steps: int = 0

    def step(self) -> None:
        """Count one step of the walk, so that no statement can make it run for ever."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise Refused(
                "unparsed", "the statement takes too many steps to analyse", "split the statement"
            )

    def violate(self, knob: Knob, reason: str, *values: Value, remedy: str = "") -> None:
        """Record that `values`, at least one of them tainted, would be revealed."""
        cause = derived(values)
        # A violation of unknown origin names no tag: it could concern any.
        tags = frozenset() if cause.unknown else cause.all_tags
        if cause.unknown:
            reason = f"{reason}; a column that the catalog does not know counts as tagged"
        self.violations.add(Violation(knob.value, reason, remedy or knob.remedy, tags))

    def touch(self, value: Value) -> Value:
        """Note the tags of a column that is referred to, and return it."""
        self.tags |= value.all_tags
        return value

    def compare_constant(self, key: str, value: Value, *, too_many: bool = False) -> None:
        """Count a constant compared with a tagged column, or a list of nobody knows how many."""
        self.constants.add(key)
        if too_many or len(self.constants) > MAX_CONSTANTS:
            self.violate(
                Knob.CONSTANTS,
                f"compares tagged columns with more than {MAX_CONSTANTS} constants",
                value,
            )

    @contextmanager
    def under(self, *conditions: Value) -> Iterator[None]:
        """Inside: what is evaluated only when `conditions` say so."""
        before = self.control
        if any(condition.touched for condition in conditions):
            self.control = derived([before, *conditions])
        try:
            yield
        finally:
            self.control = before
