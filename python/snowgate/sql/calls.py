"""Calls of builtin functions.

The parser is told to know no function, so a call arrives under the name in the text; what the
function may do is in `functions.txt`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from snowgate.sql import columns, conversions, magnitude, parts, routines, sizes
from snowgate.sql.functions import Effect, Function, Role, builtins
from snowgate.sql.names import dynamic_name, fold
from snowgate.sql.relations import Scope
from snowgate.sql.state import Refused, State
from snowgate.sql.values import Family, Shape, Value, clean, derived, family_of, one_of

if TYPE_CHECKING:
    from snowgate.sql.walk import Walk

# They show how many raw values there are, which is let go (F2).
COUNTS = frozenset({"COUNT", "APPROX_COUNT_DISTINCT", "HLL"})
# What they evaluate depends on what they evaluated before.
_LAZY = frozenset({"IFF", "COALESCE", "NVL", "IFNULL", "NVL2", "DECODE"})
# Arguments that are date parts when they are bare words: DATEADD(day, …).
_DATE_PART_AT = {
    "DATEADD": 0,
    "TIMEADD": 0,
    "TIMESTAMPADD": 0,
    "DATEDIFF": 0,
    "TIMEDIFF": 0,
    "TIMESTAMPDIFF": 0,
    "DATE_PART": 0,
    "DATE_TRUNC": 0,
    "TRUNC": 1,
    "LAST_DAY": 1,
}
_DATE_PART_WORDS = """
    YEAR Y YY YYY YYYY YR YEARS YRS QUARTER Q QTR QTRS QUARTERS MONTH MM MON MONS MONTHS WEEK W
    WK WEEKOFYEAR WOY WY WEEKS DAY D DD DAYS DAYOFMONTH HOUR H HH HR HOURS HRS MINUTE M MI MIN
    MINUTES MINS SECOND S SEC SECONDS SECS MILLISECOND MS MSEC MILLISECONDS MICROSECOND US USEC
    MICROSECONDS NANOSECOND NS NSEC NANOSEC NANOSECONDS DAYOFWEEK WEEKDAY DOW DW DAYOFWEEKISO
    WEEKDAY_ISO DOW_ISO DW_ISO DAYOFYEAR YEARDAY DOY DY WEEKISO WEEK_ISO WEEKOFYEARISO
    YEAROFWEEK YEAROFWEEKISO EPOCH_SECOND EPOCH EPOCH_SECONDS EPOCH_MILLISECOND
    EPOCH_MILLISECONDS EPOCH_MICROSECOND EPOCH_NANOSECOND TIMEZONE_HOUR TZH TIMEZONE_MINUTE TZM
"""
_DATE_PARTS = frozenset(_DATE_PART_WORDS.split())
# What makes nothing but arrays or objects.
_MAKER_NAMES = """
    ARRAYAGG ARRAYS_TO_OBJECT ARRAYS_ZIP ARRAY_AGG ARRAY_APPEND ARRAY_CAT ARRAY_COMPACT
    ARRAY_CONSTRUCT ARRAY_CONSTRUCT_COMPACT ARRAY_DISTINCT ARRAY_EXCEPT ARRAY_FLATTEN
    ARRAY_GENERATE_RANGE ARRAY_INSERT ARRAY_INTERSECTION ARRAY_PREPEND ARRAY_REMOVE ARRAY_REMOVE_AT
    ARRAY_REVERSE ARRAY_SLICE ARRAY_SORT ARRAY_UNION_AGG ARRAY_UNIQUE_AGG AS_ARRAY AS_OBJECT FILTER
    OBJECT_AGG OBJECT_CONSTRUCT OBJECT_CONSTRUCT_KEEP_NULL OBJECT_DELETE OBJECT_INSERT OBJECT_KEYS
    OBJECT_PICK REGEXP_SUBSTR_ALL SPLIT STRTOK_TO_ARRAY TO_ARRAY TO_OBJECT TRANSFORM
"""
_MAKERS = frozenset(_MAKER_NAMES.split())


def call(walk: Walk, node: exp.Anonymous, scope: Scope) -> Value:
    """A call in an expression."""
    overloads = routines.called(walk.state, node)
    if overloads:
        return routines.call(walk, node, scope, overloads)
    name = name_of(node)
    if name == "IDENTIFIER":
        return columns.by_name(walk, constant_argument(node), scope)
    function = lookup(walk.state, name)
    if function.role is Role.TABLE:
        raise Refused("unparsed", f"calls table function `{name}` as a value", "call it in FROM")
    nodes = [_argument(argument) for argument in node.expressions]
    if conversions.is_fold(node):
        return _fold(name, walk.value(nodes[0], scope))
    values = _evaluate(walk, name, nodes, scope)
    if name in COUNTS and all(_counted(value) for value in values):
        return clean(Family.NUMBER)
    if name in ("IFF", "COUNT_IF"):
        conversions.check_boolean(walk.state, values[:1])
    conversions.check_arguments(walk.state, name, values, nodes)
    conversions.check_common(walk.state, _compared(name, values))
    if function.returns is None:
        results = _results(name, values)
        conversions.check_common(walk.state, results)
        magnitude.alternatives(walk.state, results, values)
        return one_of(derived(values, family_of(results)), results)
    result = magnitude.called(walk.state, name, nodes, values, derived(values, function.returns))
    result = sizes.called(name, nodes, values, result)
    return replace(result, container=True) if name in _MAKERS else result


def name_of(node: exp.Anonymous) -> str:
    """The called name, upper-case. Quoted names are never builtins."""
    if not isinstance(node.this, str):
        raise unreviewed(fold(node.this))
    return node.this.upper()


def lookup(state: State, name: str) -> Function:
    """The builtin of that name, if a statement may call it.

    Raises:
        Refused: It is no reviewed builtin, does more than compute, or shares its name here.
    """
    function = builtins().get(name)
    if function is None:
        raise unreviewed(name)
    routines.check_builtin(state, name)
    if not function.trusted:
        raise Refused(
            f"function-{function.effect.value}",
            f"calls `{name}`, which {_DOES[function.effect]}",
            "leave the call out",
        )
    return function


_DOES = {
    Effect.READS_BY_NAME: "reads what its arguments name",
    Effect.EXTERNAL: "sends its arguments out or gives access to files",
    Effect.DELAY: "makes time tell what a value is",
}


def unreviewed(name: str) -> Refused:
    """A function nobody has reviewed."""
    return Refused(
        "unknown-function",
        f"calls `{name}`, which is no builtin function that was reviewed",
        "use builtin functions, unquoted and without a prefix, or ask the policy's owner to vet the"
        " function: docs/policy/registry.md",
    )


def constant_argument(node: exp.Anonymous) -> str:
    """The one constant argument of IDENTIFIER or TABLE."""
    match node.expressions:
        case [exp.Literal() as literal] if literal.is_string:
            return str(literal.this)
        case _:
            raise dynamic_name()


def _argument(node: exp.Expr) -> exp.Expr:
    """A named argument counts as its value."""
    return node.args["expression"] if isinstance(node, exp.Kwarg) else node


def _evaluate(walk: Walk, name: str, nodes: list[exp.Expr], scope: Scope) -> list[Value]:
    if name in _LAZY:
        return _evaluate_lazily(walk, nodes, scope)
    part = _DATE_PART_AT.get(name)
    values: list[Value] = []
    lambdas: list[exp.Lambda] = []
    for at, node in enumerate(nodes):
        if isinstance(node, exp.Lambda):
            lambdas.append(node)
        elif at == part and _is_date_part(node):
            values.append(clean(Family.NULL))
        elif isinstance(node, exp.Star) and name == "COUNT":
            continue
        elif isinstance(node, exp.Distinct):
            values += [walk.value(item, scope) for item in node.expressions]
        else:
            values.append(walk.value(node, scope))
    # A lambda sees the elements of the other arguments.
    elements = derived(values)
    for node in lambdas:
        parts.check(node)
        inner = Scope(parent=scope)
        inner.parameters = {fold(parameter): elements for parameter in node.expressions}
        values.append(walk.value(node.this, inner))
    return values


def _evaluate_lazily(walk: Walk, nodes: list[exp.Expr], scope: Scope) -> list[Value]:
    values: list[Value] = []
    for node in nodes:
        with walk.state.under(*values):
            values.append(walk.value(node, scope))
    return values


def _is_date_part(node: exp.Expr) -> bool:
    return (
        isinstance(node, exp.Column)
        and node.args.get("table") is None
        and isinstance(node.this, exp.Identifier)
        and fold(node) in _DATE_PARTS
    )


def _fold(name: str, value: Value) -> Value:
    """LOWER, UPPER and TRIM of a raw column stay comparable with it."""
    if value.comparable:
        folds = (*value.folds, name)
        return replace(value, shape=Shape.FOLDED, family=Family.TEXT, folds=folds)
    return derived([value], Family.TEXT)


def _counted(value: Value) -> bool:
    """Whether counting it lets go of its tags."""
    return not value.unknown and not value.grouping and value.shape in (Shape.CLEAN, Shape.RAW)


def _compared(name: str, values: list[Value]) -> list[Value]:
    """The arguments that are compared with one another, and so converted."""
    match name:
        case "NULLIF" | "EQUAL_NULL":
            return values
        case "DECODE":
            return [*values[:1], *values[1:-1:2]]
        case _:
            return []


def _results(name: str, values: list[Value]) -> list[Value]:
    """The arguments that can be the result."""
    match name:
        case "IFF" | "NVL2":
            return values[1:]
        case "NULLIF" | "LAG" | "LEAD" | "NTH_VALUE" | "MAX_BY" | "MIN_BY":
            return values[:1]
        case "DECODE":
            return [*values[2::2], *(values[-1:] if len(values) % 2 == 0 else ())]
        case _:
            return values
