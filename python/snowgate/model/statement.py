"""What a statement is and touches: what `sql` answers and `policy` judges."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class StatementClass(Enum):
    """The class of a statement, from its head; the Rust classifier gives it."""

    SELECT = "select"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    MERGE = "merge"
    CREATE = "create"
    ALTER = "alter"
    DROP = "drop"
    TRUNCATE = "truncate"
    COMMENT = "comment"
    GRANT = "grant"
    SHOW = "show"
    DESCRIBE = "describe"
    EXPLAIN = "explain"
    SESSION = "session"  # ALTER SESSION, SET, UNSET
    USE = "use"
    TRANSACTION = "transaction"
    LOAD = "load"  # COPY INTO table
    UNLOAD = "unload"  # COPY INTO location
    STAGE = "stage"  # PUT, GET, LIST, REMOVE, and DDL on stages
    SHARE = "share"
    INTEGRATION = "integration"
    CREDENTIAL = "credential"
    CODE = "code"
    ACCOUNT_METADATA = "account-metadata"
    CALL = "call"
    DYNAMIC = "dynamic"  # EXECUTE IMMEDIATE, scripting
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, order=True)
class ObjectName:
    """A fully qualified object, as stored: unquoted names upper-case, quoted names as written."""

    database: str
    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.database}.{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """One column of a result, as predicted.

    Attributes:
        name: Predicted name as stored, or None where Snowflake makes one up (expressions).
        tags: Names of the tags whose values can reach the column.
        raw: The column is exactly one raw tagged column in every branch, so a configured mask fits
            (F2).
        unknown: Its origin could not be computed: counts as tainted by everything.
    """

    name: str | None
    tags: frozenset[str] = frozenset()
    raw: bool = False
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Violation:
    """A way in which the statement would reveal tagged values outside a maskable output.

    Attributes:
        knob: Which policy knob answers for it, such as `pii_order` (sql.md section 3.4).
        reason: What is wrong, without literals.
        remedy: How to rewrite the statement.
        tags: Tags that would leak.
    """

    knob: str
    reason: str
    remedy: str
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason why the statement can never be forwarded, whatever the rules say.

    Attributes:
        rule: Built-in rule's name, such as `unparsed` or `one-statement`.
        reason: What is wrong, without literals.
        remedy: What the caller can do.
    """

    rule: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, order=True)
class Compared:
    """A tag, and a constant that one of its columns is compared with (F1).

    Attributes:
        tag: The tag.
        value: The constant as text; empty where it is a bind, or not known.
        bind: Position of the bind, from 1; 0 where it is none.
        known: Whether the statement shows what is compared; a variable of the session does not.
    """

    tag: str
    value: str = field(default="", repr=False)
    bind: int = 0
    known: bool = True


@dataclass(frozen=True, slots=True)
class Statement:
    """One analysed statement.

    Attributes:
        kind: Its class.
        verb: Head word, upper-case, such as `DROP`.
        object_kind: Kind of object a DDL, SHOW or DESCRIBE names, upper-case, such as `SCHEMA`;
            empty if none.
        reads: Catalog objects read.
        writes: Objects created, changed, dropped or written to.
        columns: Outputs in order; None where their number cannot be predicted.
        tags: Every tag any touched column carries, whether or not it reaches an output.
        launders: Tags whose values would be written to a place that does not carry them.
        violations: Predicates, orders, joins … that would reveal tagged values.
        refusal: Set when nothing may run; then only `kind` and `verb` are meaningful.
        read_only: Running it twice changes nothing.
        barrier: It may change session state, so others wait for it (F9).
        unbounded: DML without WHERE.
        query: It returns rows of data whose columns are predicted (SELECT, EXPLAIN excluded).
        unknown_sources: Objects it reads that the catalog does not know.
        tagged_constants: Distinct constants it compares with tagged columns (F1).
        calls: Functions and procedures of users that it calls; all of them are vetted.
        compared: The same by tag, sorted, for budgets of distinct values.
    """

    kind: StatementClass
    verb: str = ""
    object_kind: str = ""
    reads: tuple[ObjectName, ...] = ()
    writes: tuple[ObjectName, ...] = ()
    columns: tuple[OutputColumn, ...] | None = ()
    tags: frozenset[str] = frozenset()
    launders: frozenset[str] = frozenset()
    violations: tuple[Violation, ...] = ()
    refusal: Refusal | None = None
    read_only: bool = False
    barrier: bool = False
    unbounded: bool = False
    query: bool = False
    unknown_sources: tuple[ObjectName, ...] = ()
    tagged_constants: int = 0
    calls: tuple[ObjectName, ...] = ()
    compared: tuple[Compared, ...] = ()


@dataclass(frozen=True, slots=True)
class Namespace:
    """Where unqualified names resolve."""

    database: str
    schema: str
