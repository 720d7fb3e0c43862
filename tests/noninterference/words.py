"""What the generator writes with: columns, constants, and forms of expressions.

In a form `{T}`, `{N}`, `{D}`, `{B}`, `{V}` stand for an expression of that type, `{k}` for a small
number, `{s}` for a text, `{g}` for a text that some twin holds, `{p}` for a pattern, `{c}` for a
constant that all twins hold, `{d}` for a date, `{q}` for a quoted date part.
"""

from __future__ import annotations

from dataclasses import dataclass

from .twins import FIXED, MOVING, TAGGED


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a query can name.

    Attributes:
        ref: How it is written there.
        name: Its own name.
        type: T, N, D, B or V.
        hot: Its values come from tagged ones.
        raw: It is exactly a tagged column.
    """

    ref: str
    name: str
    type: str
    hot: bool = False
    raw: bool = False


def columns(text: str, tagged_names: tuple[str, ...] = TAGGED) -> tuple[Column, ...]:
    """Columns of `NAME:TYPE NAME …`; text without a type."""
    found = []
    for word in text.split():
        name, _, kind = word.partition(":")
        tagged = name in tagged_names
        found.append(Column(name, name, kind or "T", tagged, tagged))
    return tuple(found)


CUSTOMERS = "ID:N FULL_NAME EMAIL PHONE SSN CARD_NUMBER COUNTRY CITY SEGMENT SIGNUP_DATE:D"
TABLES = {
    "CUSTOMERS": columns(CUSTOMERS),
    "V_CUSTOMERS": columns(CUSTOMERS),
    "ORDERS": columns("ID:N CUSTOMER_ID:N ORDER_DATE:D AMOUNT:N STATUS REGION"),
    "PRODUCTS": columns("ID:N NAME PRICE:N CATEGORY"),
    "EVENTS": columns("ID:N USER_ID:N KIND V:V"),
}
# Names for outputs, CTEs and tables' columns: some hide a column of a table.
NAMES = (
    *("A", "B", "K", "X", "Y", "N", "W", "RESULT"),
    *("EMAIL", "SSN", "ID", "CITY", "STATUS", "NAME", "COUNTRY", "PHONE"),
)
CTE_NAMES = ("Q", "BASE", "R", "ORDERS", "PRODUCTS", "CUSTOMERS", "GUESSES")
GUESSES = MOVING
CONSTANTS = FIXED
TEXTS = ("x", "DE", "US", "std", "vip", "open", "EU", "Ulm", "kim", "a", "", *FIXED[:3])
PATTERNS = ("a%", "5%", "%@%", "1%", "_", "%e%", "%0%", "z%", "%.%")
DATES = ("2024-01-05", "2024-03-01", "2024-07-01")
PARTS = ("day", "month", "year")

TEXT_FORMS = """
UPPER({T})
LOWER({T})
TRIM({T})
LEFT({T}, {k})
RIGHT({T}, {k})
SUBSTR({T}, {k}, {k})
SUBSTR({T}, {k})
REVERSE({T})
REPLACE({T}, {s}, {s})
SPLIT_PART({T}, '@', {k})
MD5({T})
BASE64_ENCODE({T})
HEX_ENCODE({T})
INITCAP({T})
{T} || {T}
{T} || {s}
CONCAT({T}, {T})
CONCAT_WS('-', {T}, {T})
TRANSLATE({T}, 'a', 'b')
INSERT({T}, 1, 1, {s})
REGEXP_REPLACE({T}, '[0-9]', 'd')
REGEXP_SUBSTR({T}, '[a-z]')
LPAD({T}, 6, '0')
STRTOK({T}, '-', 1)
COALESCE({T}, {T})
COALESCE({T}, {s})
NVL({T}, {T})
NULLIF({T}, {g})
NULLIF(LEFT({T}, 1), '1')
IFF({B}, {T}, {T})
IFF({B}, {s}, {s})
NVL2({T}, {s}, {T})
CASE WHEN {B} THEN {T} ELSE {T} END
CASE WHEN {B} THEN {s} WHEN {B} THEN {T} END
CASE {T} WHEN {g} THEN {s} ELSE {s} END
DECODE({T}, {g}, {s}, {s})
GREATEST({T}, {T})
LEAST({T}, {s})
{N}::VARCHAR
TO_VARCHAR({N})
TO_VARCHAR({D})
{V}:a::VARCHAR
{V}:a.b::VARCHAR
{V}['a']::VARCHAR
{V}[0]::VARCHAR
TO_JSON({V})
ARRAY_TO_STRING(SPLIT({T}, '-'), ',')
TYPEOF({V})
GET({V}, 'a')::VARCHAR
COLLATE({T}, 'en')
"""
NUMBER_FORMS = """
LENGTH({T})
LENGTH({T})
ASCII({T})
CHARINDEX({s}, {T})
POSITION({s} IN {T})
EDITDISTANCE({T}, {s})
HASH({T})
TRY_TO_NUMBER({T})
TRY_CAST({T} AS INT)
{N} + {N}
{N} - {k}
{N} * {k}
{N} / 2
-{N}
ABS({N})
ROUND({N}, 1)
FLOOR({N})
CEIL({N})
SIGN({N})
ZEROIFNULL({N})
NULLIFZERO({N})
COALESCE({N}, {k})
NULLIF({N}, {k})
IFF({B}, {N}, {N})
IFF({B}, {k}, {k})
CASE WHEN {B} THEN {k} ELSE {N} END
DECODE({T}, {g}, {k}, {N})
DIV0({N}, {k})
YEAR({D})
DATEDIFF(day, {D}, {D})
ARRAY_SIZE({V})
REGEXP_COUNT({T}, '[0-9]')
{V}:n::INT
GREATEST({N}, {N})
{N} / NULLIF({N}, 0)
SQUARE({N})
"""
# What can fail at run time.
FALLIBLE_FORMS = """
LENGTH(CAST({T} AS VARCHAR(3)))
ARRAY_SIZE(OBJECT_KEYS(TRY_PARSE_JSON({T})))
TO_NUMBER({T})
TO_NUMBER(LEFT({T}, 1))
{T}::INT
{k} / REGEXP_COUNT({T}, '[0-9]')
{k} / CHARINDEX('e', {T})
{k} / IFF(CONTAINS({T}, 'e'), 0, 1)
{k} / (LENGTH({T}) % 3)
LN(LENGTH({T}) - 6)
SQRT(LENGTH({T}) - 7)
CAST({T} AS NUMBER(10, 2))
{N} / {N}
{k} / {N}
{N} % {N}
MOD({N}, {N})
{k} / IFF({B}, 0, 1)
IFF({B}, 1 / 0, {k})
LN({N})
SQRT({N})
CASE WHEN {B} THEN {k} / {N} END
YEAR(TO_DATE({T}))
COALESCE({N}, 1 / {N})
LENGTH(PARSE_JSON({T})::VARCHAR)
"""
BOOL_FORMS = """
{T} = {T}
{T} = {s}
{T} = {g}
{T} <> {T}
{T} LIKE {p}
{T} NOT LIKE {p}
{T} ILIKE {p}
{T} LIKE ANY ({p}, {p})
{T} RLIKE '[a-m].*'
REGEXP_LIKE({T}, '.*[5-9]')
CONTAINS({T}, {s})
STARTSWITH({T}, {s})
{T} IN ({s}, {s}, {s})
{T} IN ({T}, {s})
{T} IS NULL
{T} IS NOT NULL
{T} > {s}
{T} < {T}
{T} BETWEEN {s} AND {s}
{T} IS DISTINCT FROM {T}
EQUAL_NULL({T}, {T})
{N} = {N}
{N} > {N}
{N} > {k}
{N} <= {k}
{N} IN ({k}, {k}, {k})
{N} BETWEEN {k} AND {k}
{N} IS NULL
{D} > {d}
{D} = {D}
{D} IS NULL
NOT ({B})
({B} AND {B})
({B} OR {B})
IFF({B}, TRUE, FALSE)
COALESCE({B}, FALSE)
({B}) IS TRUE
({B}) IS NULL
CASE WHEN {B} THEN TRUE ELSE FALSE END
ARRAY_CONTAINS({T}::VARIANT, {V})
"""
DATE_FORMS = """
DATEADD(day, {k}, {D})
DATE_TRUNC({q}, {D})::DATE
TRY_TO_DATE({T})
COALESCE({D}, {d})
IFF({B}, {D}, {d})
ADD_MONTHS({D}, {k})
LAST_DAY({D})
NULLIF({D}, {d})
"""
VARIANT_FORMS = """
OBJECT_CONSTRUCT('a', {T}, 'b', {N})
OBJECT_CONSTRUCT_KEEP_NULL('a', {T})
{{'a': {T}, 'n': {N}}}
ARRAY_CONSTRUCT({T}, {N})
ARRAY_CONSTRUCT_COMPACT({T}, {T})
ARRAY_CONSTRUCT_COMPACT(IFF({B}, 1, NULL), {N})
[{T}, {T}]
SPLIT({T}, '-')
{T}::VARIANT
TO_VARIANT({T})
TRY_PARSE_JSON({T})
{V}:a
GET({V}, 'a')
OBJECT_INSERT(OBJECT_CONSTRUCT('b', {N}), 'a', {T})
OBJECT_KEYS(OBJECT_CONSTRUCT('a', {T}))
ARRAY_APPEND(ARRAY_CONSTRUCT({T}), {N})
ARRAY_CAT(ARRAY_CONSTRUCT({T}), ARRAY_CONSTRUCT({N}))
"""
FORMS = {
    "T": TEXT_FORMS.strip().splitlines(),
    "N": NUMBER_FORMS.strip().splitlines(),
    "B": BOOL_FORMS.strip().splitlines(),
    "D": DATE_FORMS.strip().splitlines(),
    "V": VARIANT_FORMS.strip().splitlines(),
}
FALLIBLE = FALLIBLE_FORMS.strip().splitlines()
# Aggregates by the type they return.
AGGREGATES = {
    "T": (
        "MAX({T})",
        "MIN({T})",
        "ANY_VALUE({T})",
        "LISTAGG({T}, ',')",
        "LISTAGG(DISTINCT {T}, ',')",
        "LISTAGG({T}, ',') WITHIN GROUP (ORDER BY {N})",
        "MAX_BY({T}, {N})",
    ),
    "N": (
        "COUNT(*)",
        "COUNT({T})",
        "COUNT({N})",
        "COUNT(DISTINCT {T})",
        "COUNT(DISTINCT {T}, {N})",
        "APPROX_COUNT_DISTINCT({T})",
        "COUNT_IF({B})",
        "SUM({N})",
        "AVG({N})",
        "MAX({N})",
        "MIN({N})",
        "SUM(IFF({B}, 1, 0))",
        "COUNT(IFF({B}, 1, NULL))",
        "COUNT(NULLIF({T}, {g}))",
        "MAX_BY({N}, {T})",
        "MIN_BY({N}, {N})",
        "MEDIAN({N})",
        "MAX(LENGTH({T}))",
    ),
    "D": ("MAX({D})", "MIN({D})"),
    "V": (
        "ARRAY_AGG({T})",
        "ARRAY_AGG({N})",
        "ARRAY_AGG(DISTINCT {T})",
        "ARRAY_AGG({N}) WITHIN GROUP (ORDER BY {T})",
        "ARRAY_UNIQUE_AGG({T})",
    ),
}
# Window functions; `{w}` is the window, which has an order, `{f}` one without.
WINDOWS = {
    "T": (
        "LAG({T}) OVER ({w})",
        "LEAD({T}, 1, {s}) OVER ({w})",
        "FIRST_VALUE({T}) OVER ({w})",
        "LAST_VALUE({T}) IGNORE NULLS OVER ({w})",
        "MAX({T}) OVER ({f})",
        "LISTAGG({T}, ',') OVER ({f})",
        "MAX({T}) OVER ({w} ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING)",
        "FIRST_VALUE({T}) OVER ({w} ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING)",
        "MIN({T}) OVER ({w} RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)",
    ),
    "N": (
        "ROW_NUMBER() OVER ({w})",
        "RANK() OVER ({w})",
        "DENSE_RANK() OVER ({w})",
        "NTILE(2) OVER ({w})",
        "COUNT(*) OVER ({f})",
        "COUNT(*) OVER ({f})",
        "COUNT({N}) OVER ({f})",
        "COUNT({T}) OVER ({f})",
        "COUNT(*) OVER ({w})",
        "SUM({N}) OVER ({w})",
        "SUM({N}) OVER ({f})",
        "LAG({N}) OVER ({w})",
        "COUNT_IF({B}) OVER ({f})",
        "FIRST_VALUE({N}) OVER ({w})",
        "SUM({N}) OVER ({w} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
        "COUNT(*) OVER ({w} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)",
        "COUNT({T}) OVER ({w} RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)",
        "SUM({N}) OVER ({w} ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)",
    ),
    "D": ("MAX({D}) OVER ({f})", "LAG({D}) OVER ({w})"),
}
# Equality forms that do not pass.
ASKED = (
    "{R} = {k}",
    "{R} IN ({k}, {k})",
    "{R} <> {k}",
    "LEFT({R}, 1) = {s}",
    "LEFT({R}, 1) IN ('a', 'z', '5', '7')",
    "{R} = ANY (SELECT LEFT({r}, 1) FROM CUSTOMERS)",
    "{T} IN (SELECT {r} FROM CUSTOMERS)",
    "{g} IN (SELECT {r} FROM CUSTOMERS)",
    "EXISTS (SELECT 1 FROM CUSTOMERS Z WHERE Z.{r} = {T})",
    "EXISTS (SELECT 1 FROM CUSTOMERS Z WHERE Z.{r} LIKE {p} AND Z.ID = {N})",
    "(SELECT MAX({r}) FROM CUSTOMERS) > {s}",
    "(SELECT COUNT(*) FROM CUSTOMERS WHERE {r} > {s}) > {k}",
    "(SELECT COUNT(DISTINCT LEFT({r}, 1)) FROM CUSTOMERS) > {k}",
    "{N} IN (SELECT LENGTH({r}) FROM CUSTOMERS)",
    "({N}, {R}) IN ((1, {c}), (2, {T}))",
    "({R} = {c}) = ({R} > {s})",
)
# Equality forms that pass: `{R}` is a raw tagged column.
LET_GO = (
    "{R} = {c}",
    "{R} = {c}",
    "{R} <> {c}",
    "{R} IN ({c}, {c}, 'nobody')",
    "{R} NOT IN ({c}, 'nobody')",
    "{R} IS NULL",
    "{R} IS NOT NULL",
    "EQUAL_NULL({R}, {c})",
    "{R} IS NOT DISTINCT FROM {c}",
    "LOWER({R}) = {c}",
    "UPPER(TRIM({R})) = UPPER({c})",
    "TRIM({R}) IN ({c}, {c})",
    "{R} = {R}",
    "{R} <> {R}",
    "LOWER({R}) = LOWER({R})",
    "({N}, {R}) IN (({k}, {c}), ({k}, {c}))",
    "{R} = ANY (SELECT {r} FROM CUSTOMERS)",
    "{R} IN (SELECT {r} FROM CUSTOMERS WHERE {r} IS NOT NULL)",
    "{R} NOT IN (SELECT {r} FROM CUSTOMERS WHERE ID > 3 AND {r} IS NOT NULL)",
    "EXISTS (SELECT 1 FROM CUSTOMERS Z WHERE Z.{r} = {R} AND Z.ID > {k})",
    "NOT EXISTS (SELECT 1 FROM V_CUSTOMERS Z WHERE Z.{r} = {c} AND Z.ID = {N})",
    "{N} IN (SELECT ID FROM CUSTOMERS WHERE {r} = {c})",
    "(SELECT COUNT(*) FROM CUSTOMERS WHERE {r} = {c}) > {k}",
    "(SELECT COUNT(DISTINCT {r}) FROM CUSTOMERS) > {k}",
)
