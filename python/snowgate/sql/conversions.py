"""What can fail at run time, and whether a tagged value decides that it does (F3).

    IFF(ssn LIKE '1%', 1/0, 1)      the condition decides
    TO_NUMBER(email)                the operand decides
    phone = 5550100                 Snowflake converts the column, unasked

Not fallible: division by a constant that is not zero or by NULLIF(…, 0), casts to text, numbers to
integers. Everything else that converts is, unless it is the TRY_ form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from sqlglot import exp

from snowgate.sql import slots
from snowgate.sql.catalog import family_of_type
from snowgate.sql.functions import Fallible, builtins
from snowgate.sql.state import Knob, State
from snowgate.sql.values import Family, Value

# Text, or something that may hold text: converting it to another family can fail.
LOOSE = frozenset({Family.TEXT, Family.VARIANT, Family.ANY})
_STRICT = frozenset({Family.NUMBER, Family.TIME, Family.BOOL, Family.BINARY})
# Conversions that cannot fail, beside those to text.
_SAFE = frozenset(
    {
        (Family.NUMBER, Family.NUMBER),
        (Family.NUMBER, Family.BOOL),
        (Family.BOOL, Family.NUMBER),
        (Family.BOOL, Family.BOOL),
        (Family.TIME, Family.TIME),
        (Family.BINARY, Family.BINARY),
    }
)
_CONSTANT_CASTS = {
    Family.NUMBER: re.compile(r"[+-]?\d{1,37}(\.\d{1,18})?"),
    Family.TIME: re.compile(r"\d{4}-[01]\d-[0-3]\d([ T][0-2]\d:[0-5]\d(:[0-5]\d(\.\d{1,9})?)?)?"),
    Family.BOOL: re.compile(r"true|false", re.IGNORECASE),
}
# CHAR is VARCHAR(1), where VARCHAR is as long as can be.
ONE_CHARACTER = frozenset({"CHAR", "CHARACTER", "NCHAR"})
_NARROWED = frozenset({Family.NUMBER, Family.TEXT, Family.BINARY})
# Functions whose first argument must be an array or an object: a variant that is none is an error.
_OF_CONTAINER_NAMES = """
    ARRAY_APPEND ARRAY_COMPACT ARRAY_DISTINCT ARRAY_FLATTEN ARRAY_INSERT ARRAY_PREPEND
    ARRAY_REMOVE ARRAY_REMOVE_AT ARRAY_REVERSE ARRAY_SLICE ARRAY_SORT ARRAY_TO_STRING
    FILTER OBJECT_DELETE OBJECT_INSERT OBJECT_KEYS OBJECT_PICK REDUCE TRANSFORM
"""
_OF_TWO_NAMES = "ARRAYS_OVERLAP ARRAYS_ZIP ARRAY_CAT ARRAY_EXCEPT ARRAY_INTERSECTION"
_CONTAINERS = (
    dict.fromkeys(_OF_CONTAINER_NAMES.split(), (0,))
    | dict.fromkeys(_OF_TWO_NAMES.split(), (0, 1))
    | {"ARRAY_CONTAINS": (1,), "ARRAY_POSITION": (1,)}
)
_CONSTRUCTORS = ("ARRAY_CONSTRUCT", "OBJECT_CONSTRUCT", "OBJECT_CONSTRUCT_KEEP_NULL")
# Conversions of numbers that are no conversions of moments.
_DATES = frozenset({"DATE", "TIME", "TO_DATE", "TO_TIME"})
# Calls that make one constant of others: the same for every row and every time.
_TEXT_NAMES = """
    CONCAT CONCAT_WS LOWER LPAD LTRIM MD5 MD5_HEX REPLACE RTRIM SHA1 SHA1_HEX SHA2 SHA2_HEX TO_CHAR
    TO_VARCHAR TRIM UPPER
"""
_TIME_NAMES = """
    DATE DATE_FROM_PARTS TO_DATE TO_TIMESTAMP TO_TIMESTAMP_LTZ TO_TIMESTAMP_NTZ TO_TIMESTAMP_TZ
"""
_CONSTANT_CALLS = dict.fromkeys(_TEXT_NAMES.split(), Family.TEXT) | dict.fromkeys(
    _TIME_NAMES.split(), Family.TIME
)
# A text of a hundred thousand characters is no error yet.
_HUGE_DIGITS = 5


def check_common(state: State, values: Sequence[Value]) -> None:
    """Values that are compared, or branches of one value: text becomes what the others are."""
    if any(value.family in _STRICT for value in values):
        fail_if(
            state,
            [value for value in values if value.family in LOOSE],
            "compares or mixes a tagged column with values of another type",
        )


def check_arithmetic(state: State, values: Sequence[Value]) -> None:
    """Text in arithmetic is converted to numbers."""
    loose = [value for value in values if value.family in LOOSE]
    fail_if(state, loose, "calculates with a tagged column that is not a number")


def check_boolean(state: State, values: Sequence[Value]) -> None:
    """Text as a condition is converted to a truth value."""
    loose = [value for value in values if value.family in (Family.TEXT, Family.VARIANT)]
    fail_if(state, loose, "uses a tagged column that is no truth value as a condition")


def check_index(state: State, values: Sequence[Value]) -> None:
    """Text that looks up an element of an array is converted to a number."""
    loose = [value for value in values if value.family in LOOSE]
    fail_if(state, loose, "looks up an element by a tagged text, which need not be a number")


def check_division(state: State, divisor: exp.Expr, values: Sequence[Value]) -> None:
    """A divisor can be zero."""
    if not _never_zero(divisor):
        fail_if(
            state,
            values,
            "divides on account of a tagged column, and the divisor may be zero",
            always=True,
        )


def check_cast(state: State, node: exp.Cast, operand: Value) -> None:
    """An explicit conversion, `CAST(x AS t)` or `x::t`."""
    target = target_family(node)
    source = operand.family
    if Family.NULL in (source, target):
        return
    # NUMBER(3, 0), VARCHAR(3): what does not fit is an error.
    name = str(node.args["to"].this.value).upper()
    narrowing = name in ONE_CHARACTER or (
        target in _NARROWED and bool(node.args["to"].args.get("expressions"))
    )
    # A binary need not be UTF-8, which a session may ask for.
    if target is Family.TEXT and not narrowing and source is not Family.BINARY:
        return
    # Not every moment has a time of day.
    if (source, target) in _SAFE and not narrowing and name != "TIME":
        return
    if target is Family.VARIANT and name in ("VARIANT", "ARRAY"):
        return
    if _plain_constant(node.this, target):
        return
    fail_if(state, [operand], "converts a tagged column, which can fail", always=True)


def check_arguments(
    state: State, name: str, values: Sequence[Value], nodes: Sequence[exp.Expr]
) -> None:
    """The arguments of a builtin, by its `fallible` flag."""
    risky = [*_by_place(name, values)]
    fail_if(state, risky, _CALLS.format(name))
    fallible = builtins()[name].fallible
    match fallible:
        case Fallible.NEVER:
            return
        case Fallible.ALWAYS:
            risky = list(values)
        case Fallible.TEXT:
            risky = [value for value in values if value.family in LOOSE]
        case Fallible.TEXT_LATER:
            risky = [value for value in values if value.family in LOOSE]
            risky += [value for value in values[1:] if value.touched]
        case Fallible.NUMBER_LATER:
            # The second argument of SPLIT_PART and its kin is text: a tagged one is rare.
            risky = [value for value in values[1:] if value.family in LOOSE and value.touched]
        case Fallible.LATER:
            later = zip(nodes[1:], values[1:], strict=False)
            risky = [value for node, value in later if value.touched or not _harmless(node)]
        case Fallible.PATTERN:
            risky = list(values[1:])
        case Fallible.COMPUTED:
            # Of columns, and of objects of columns, it is taken that all of them fit.
            pairs = zip_longest(nodes, values)
            risky = [v for n, v in pairs if v and not (v.comparable or (n and _is_plain(n)))]
        case Fallible.KEYS:
            # The keys of a star are the names of its columns.
            constant = all(
                isinstance(node, (exp.Literal, exp.Star)) or node.find(exp.Star) is not None
                for node in nodes[::2]
            )
            risky = [] if constant else list(values[::2])
    always = fallible in (Fallible.ALWAYS, Fallible.PATTERN, Fallible.COMPUTED)
    fail_if(state, risky, _CALLS.format(name), always)


_CALLS = "calls `{}`, which can fail on account of a tagged column"


def _by_place(name: str, values: Sequence[Value]) -> Iterator[Value]:
    """Arguments that are risky where they stand, whatever the function's flag says."""
    for at in _CONTAINERS.get(name, ()):
        # A column that is a variant holds what it is declared to hold.
        for value in values[at : at + 1]:
            if value.family in LOOSE and not value.comparable and not value.container:
                yield value
    if name in ("TO_CHAR", "TO_VARCHAR") and values[1:]:
        # Not every binary is UTF-8, and a text with a format is converted to what has formats.
        yield from (v for v in values[:1] if v.family in LOOSE or v.family is Family.BINARY)
    if name.startswith("BIT"):
        # Binaries must be of one length.
        yield from (value for value in values if value.family is Family.BINARY)
    if name == "GET":
        # An array's elements have numbers.
        yield from (value for value in values[1:] if value.family in LOOSE)
    if name in ("LIKE", "ILIKE") and values[2:]:
        # A pattern that ends with the escape is invalid.
        yield from values[1:]
    if name in ("AS_DECIMAL", "AS_NUMBER"):
        # Of a precision that need not be enough.
        yield from values[: len(values) > 1]
    if name in _DATES:
        yield from (value for value in values[:1] if value.family is Family.NUMBER)


def _is_plain(node: exp.Expr) -> bool:
    """Whether it is columns and constants, or an array or object of such."""
    match node:
        case exp.Column() | exp.Literal() | exp.Null() | exp.Star():
            return True
        case exp.PropertyEQ() | exp.Kwarg():
            return _is_plain(node.expression)
        case exp.Array() | exp.Struct():
            return all(map(_is_plain, node.expressions))
        case exp.Anonymous() if str(node.this).upper() in _CONSTRUCTORS:
            return all(map(_is_plain, node.expressions))
        case _:
            return False


def fail_if(state: State, values: Sequence[Value], reason: str, always: bool = False) -> None:
    """A violation if one of the values, or what decides whether they are evaluated, is tagged.

    Args:
        state: Where it is recorded.
        values: Operands that can make it fail.
        reason: What is wrong.
        always: It can fail even without such an operand, so the condition alone is enough.
    """
    control = state.control
    if any(value.touched for value in values) or (control.touched and (values or always)):
        state.violate(Knob.ERROR, reason, *values, control)


def target_family(node: exp.Cast) -> Family:
    """The family of a cast's target."""
    return family_of_type(str(node.args["to"].this.value).upper())


def bind_family(state: State, node: exp.Expr) -> Family:
    """The family of a placeholder: a slot's own; text where all binds are, or where nobody said."""
    slot = slots.slot_of(node, state.binds)
    if slot is not None:
        return slot.family
    kinds = slots.own_binds(state.binds or ())
    return Family.TEXT if all(kind.upper() in ("TEXT", "ANY") for kind in kinds) else Family.ANY


def constant_family(node: exp.Expr, state: State) -> Family | None:
    """The family of a constant; None for anything else.

    Constants are literals, binds, and casts, concatenations and certain calls of such.
    """
    match node:
        case exp.RawString():
            return Family.TEXT
        case exp.Literal():
            return Family.TEXT if node.args.get("is_string") else Family.NUMBER
        case exp.Null():
            return Family.NULL
        case exp.Boolean():
            return Family.BOOL
        case exp.HexString():
            return Family.BINARY
        case exp.Placeholder():
            return bind_family(state, node)
        case exp.Parameter() if isinstance(node.this, exp.Var):
            return Family.ANY
        case exp.Neg() | exp.Paren():
            return constant_family(node.this, state)
        # One with a collation is equal to more than itself.
        case exp.Cast() if not node.args["to"].args.get("collate"):
            known = constant_family(node.this, state)
            return None if known is None else target_family(node)
        case exp.DPipe():
            sides = [constant_family(side, state) for side in (node.this, node.expression)]
            return None if None in sides else Family.TEXT
        case exp.Anonymous() if isinstance(node.this, str):
            arguments = [constant_family(argument, state) for argument in node.expressions]
            return None if None in arguments else _CONSTANT_CALLS.get(node.this.upper())
        case _:
            return None


def is_fold(node: exp.Expr) -> bool:
    """LOWER, UPPER or TRIM of one argument, which equality counts as its argument (F1)."""
    return (
        isinstance(node, exp.Anonymous)
        and str(node.this).upper() in ("LOWER", "UPPER", "TRIM")
        and len(node.expressions) == 1
    )


def fits_column(column: Value, constant: Family) -> bool:
    """Whether comparing a column with a constant converts the constant, not the column."""
    if constant in (Family.NULL, column.family):
        return True
    if column.family in LOOSE:
        return constant is Family.TEXT
    return constant in (Family.TEXT, Family.NUMBER)


def same_family(left: Value, right: Value) -> bool:
    """Whether comparing two columns converts neither."""
    return left.family is right.family


def _plain_constant(node: exp.Expr, target: Family) -> bool:
    """A literal that is seen to be of the target's form, such as DATE '2026-01-31'."""
    form = _CONSTANT_CASTS.get(target)
    return (
        isinstance(node, exp.Literal)
        and form is not None
        and form.fullmatch(str(node.this)) is not None
    )


def _harmless(node: exp.Expr) -> bool:
    """A constant that no function fails on: a text, or a number that is not huge."""
    if not isinstance(node, exp.Literal):
        return False
    return node.is_string or len(str(node.this)) <= _HUGE_DIGITS


def _never_zero(node: exp.Expr) -> bool:
    while isinstance(node, (exp.Paren, exp.Neg)):
        node = node.this
    if isinstance(node, exp.Anonymous) and str(node.this).upper() == "NULLIF":
        return len(node.expressions) == 2 and _is_zero(node.expressions[1])
    return isinstance(node, exp.Literal) and not node.is_string and not _is_zero(node)


def _is_zero(node: exp.Expr) -> bool:
    text = str(node.this).partition("E")[0].partition("e")[0]
    return isinstance(node, exp.Literal) and not node.is_string and not text.strip("0.")
