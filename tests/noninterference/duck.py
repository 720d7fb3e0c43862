"""Snowflake's text to DuckDB's: enough of it to run what the generator and the corpus write.

The tree is the one that the analysis sees, in which every call keeps the name of the text. Calls
become DuckDB's by the templates here; what can fail in Snowflake fails (division by zero, LN of
zero), and what has no order in Snowflake gets one that depends on the values alone.

What is not translated fails in DuckDB's binder, and is counted as not run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from sqlglot import ErrorLevel, exp

from snowgate.sql.parser import parse

# Snowflake's functions that DuckDB lacks, or has with another meaning.
MACROS = """
sg_div(a, b) AS CASE WHEN b = 0 THEN error('division by zero') ELSE a / b END
sg_mod(a, b) AS CASE WHEN b = 0 THEN error('division by zero') ELSE a % b END
sg_ln(a) AS CASE WHEN a <= 0 THEN error('invalid argument') ELSE ln(a) END
sg_log(a, b) AS CASE WHEN a <= 0 OR a = 1 OR b <= 0 THEN error('invalid argument')
  ELSE ln(b) / ln(a) END
sg_sqrt(a) AS CASE WHEN a < 0 THEN error('invalid argument') ELSE sqrt(a) END
sg_text(a) AS (to_json(a) ->> '$')
iff(a, b, c) AS CASE WHEN a THEN b ELSE c END
nvl2(a, b, c) AS CASE WHEN a IS NOT NULL THEN b ELSE c END
zeroifnull(a) AS coalesce(a, 0)
nullifzero(a) AS nullif(a, 0)
div0(a, b) AS CASE WHEN b = 0 THEN 0 ELSE a / b END
equal_null(a, b) AS (a IS NOT DISTINCT FROM b)
startswith(a, b) AS starts_with(a, b)
endswith(a, b) AS ends_with(a, b)
charindex(a, b) AS strpos(b, a)
editdistance(a, b) AS levenshtein(a, b)
len(a) AS length(sg_text(a))
base64_encode(a) AS to_base64(encode(a))
hex_encode(a) AS hex(a)
initcap(a) AS upper(left(a, 1)) || lower(substr(a, 2))
strtok(a, b, n) AS nullif(split_part(a, b, n), '')
regexp_substr(a, b) AS nullif(regexp_extract(a, b), '')
regexp_count(a, b) AS len(regexp_extract_all(a, b))
rlike(a, b) AS regexp_full_match(a, b)
regexp_like(a, b) AS regexp_full_match(a, b)
sg_insert(a, n, m, b) AS substr(a, 1, n - 1) || b || substr(a, n + m)
to_variant(a) AS to_json(a)
try_parse_json(a) AS TRY_CAST(a AS JSON)
array_size(a) AS json_array_length(a)
object_keys(a) AS to_json(list_sort(json_keys(a)))
sg_get(a, k) AS json_extract(a, k)
sg_array(a) AS CASE WHEN json_type(a) = 'ARRAY' THEN TRY_CAST(a AS JSON[]) ELSE [a] END
array_append(a, b) AS to_json(list_append(sg_array(a), to_json(b)))
array_cat(a, b) AS to_json(list_concat(sg_array(a), sg_array(b)))
array_compact(a) AS to_json(list_filter(sg_array(a), lambda x: json_type(x) <> 'NULL'))
array_distinct(a) AS to_json(list_sort(list_distinct(sg_array(a))))
array_to_string(a, b) AS list_aggregate(list_transform(sg_array(a), lambda x: x ->> '$'),
  'string_agg', b)
sg_split(a, b) AS to_json(string_split(a, b))
typeof(a) AS json_type(to_json(a))
is_null_value(a) AS json_type(a) = 'NULL'
monthname(a) AS strftime(a, '%b')
dayname(a) AS strftime(a, '%a')
add_months(a, b) AS CAST(a + to_months(CAST(b AS INTEGER)) AS DATE)
square(a) AS a * a
translate(a, b, c) AS replace(a, b, c)
hll(a) AS count(DISTINCT a)
booland_agg(a) AS bool_and(a)
boolor_agg(a) AS bool_or(a)
skew(a) AS skewness(a)
"""

# Calls under other names or in another form; `{0}`, `{1}` are arguments, `{*}` all of them.
TEMPLATES: dict[str, str] = {
    "MOD": "sg_mod({0}, {1})",
    "LN": "sg_ln({0})",
    "LOG": "sg_log({0}, {1})",
    "SQRT": "sg_sqrt({0})",
    "NVL": "coalesce({0}, {1})",
    "IFNULL": "coalesce({0}, {1})",
    "LENGTH": "length(sg_text({0}))",
    "TO_VARCHAR": "sg_text({0})",
    "TO_CHAR": "sg_text({0})",
    "TO_NUMBER": "CAST({0} AS DECIMAL(38, 0))",
    "TO_DOUBLE": "CAST({0} AS DOUBLE)",
    "TRY_TO_NUMBER": "TRY_CAST({0} AS DECIMAL(38, 0))",
    "TRY_TO_DOUBLE": "TRY_CAST({0} AS DOUBLE)",
    "TO_DATE": "CAST({0} AS DATE)",
    "DATE": "CAST({0} AS DATE)",
    "TRY_TO_DATE": "TRY_CAST({0} AS DATE)",
    "TO_TIMESTAMP": "CAST({0} AS TIMESTAMP)",
    "TRY_TO_TIMESTAMP": "TRY_CAST({0} AS TIMESTAMP)",
    "TO_BOOLEAN": "CAST({0} AS BOOLEAN)",
    "TRY_TO_BOOLEAN": "TRY_CAST({0} AS BOOLEAN)",
    "PARSE_JSON": "CAST({0} AS JSON)",
    "TO_JSON": "CAST({0} AS VARCHAR)",
    "COLLATE": "{0}",
    "CONCAT": "({|| })",
    "INSERT": "sg_insert({*})",
    "SPLIT": "sg_split({*})",
    "REGEXP_REPLACE": "regexp_replace({0}, {1}, {2}, 'g')",
    "OBJECT_CONSTRUCT": "json_merge_patch('{{}}', json_object({*}))",
    "OBJECT_CONSTRUCT_KEEP_NULL": "json_object({*})",
    "OBJECT_INSERT": "json_merge_patch({0}, json_object({1}, {2}))",
    "OBJECT_PICK": "json_merge_patch('{{}}', json_object({1}, sg_get({0}, {1})))",
    "OBJECT_DELETE": "json_merge_patch({0}, json_object({1}, NULL))",
    "ARRAY_CONSTRUCT": "json_array({*})",
    "ARRAY_CONSTRUCT_COMPACT": "array_compact(json_array({*}))",
    "ARRAY_CONTAINS": "list_contains(sg_array({1}), to_json({0}))",
    "ARRAY_POSITION": "list_position(sg_array({1}), to_json({0})) - 1",
    "GET": "sg_get({0}, {1})",
    "GET_PATH": "sg_get({0}, '$.' || {1})",
    "SEQ4": "(row_number() OVER () - 1)",
    "SEQ8": "(row_number() OVER () - 1)",
    "APPROX_COUNT_DISTINCT": "count(DISTINCT {0})",
    "ANY_VALUE": "min({0})",
    "MODE": "min({0})",
    "MAX_BY": "arg_max({0}, {1})",
    "MIN_BY": "arg_min({0}, {1})",
    "ARRAY_UNIQUE_AGG": "to_json(list_sort(list(DISTINCT {0})))",
    "OBJECT_AGG": "json_group_object({0}, {1})",
    "COUNT_IF": "count_if({0})",
    "CURRENT_DATE": "DATE '2026-01-01'",
    "CURRENT_TIMESTAMP": "TIMESTAMP '2026-01-01 00:00:00'",
    "CURRENT_USER": "'ANALYST'",
    "CURRENT_ROLE": "'ANALYST'",
    "YEAR": "year({0})",
    "HASH": "hash({*})",
    "SHA2": "sha256({0})",
    "MD5_HEX": "md5({0})",
    "LCASE": "lower({0})",
    "UCASE": "upper({0})",
    "POW": "power({0}, {1})",
    "TRUNC": "trunc({0})",
    "SUBSTRING": "substr({*})",
    "RATIO_TO_REPORT": "sum({0})",
}
_TIMES = {"DATEADD": "to_{0}s(CAST({1} AS INTEGER))", "TIMESTAMPADD": "", "TIMEADD": ""}
_FLATTENED = (
    '(SELECT 1 AS "SEQ", j.key AS "KEY", j.fullkey AS "PATH",'
    ' TRY_CAST(j.key AS INTEGER) AS "INDEX", j.value AS "VALUE", {0} AS "THIS"'
    " FROM json_each({0}) AS j)"
)
_SPLIT = '(SELECT 1 AS "SEQ", x.i AS "INDEX", string_split({0}, {1})[x.i] AS "VALUE" FROM' + (
    " (SELECT unnest(generate_series(1, len(string_split({0}, {1})))) AS i) AS x)"
)


class Gap(Exception):
    """A construct that is not translated."""


def translate(text: str) -> str:
    """A statement that Snowflake understands, for DuckDB.

    Raises:
        Gap: It holds what is not translated.
    """
    return translate_tree(parse(text))


def translate_tree(tree: exp.Expr) -> str:
    """As `translate`; the tree is used up."""
    root = exp.Paren(this=tree)
    for node in reversed(list(root.bfs())):
        change = _CHANGES.get(type(node))
        if change is not None:
            changed = change(node)
            if changed is not node:
                node.replace(changed)
    return _sql(root.this)


def macros() -> Iterable[str]:
    """The statements that define `MACROS`."""
    for line in re.sub(r"\n  ", " ", MACROS).strip().splitlines():
        yield f"CREATE OR REPLACE MACRO {line}"


def _sql(node: exp.Expr) -> str:
    try:
        return str(node.sql("duckdb", unsupported_level=ErrorLevel.IGNORE, comments=False))
    except (ValueError, AttributeError) as error:
        raise Gap("a node that DuckDB has no words for") from error


def _raw(text: str) -> exp.Expr:
    """A piece of finished text."""
    return exp.Var(this=text)


def _named(node: exp.Expr) -> exp.Expr:
    return node.expression if isinstance(node, exp.Kwarg) else node


def _call(node: exp.Anonymous) -> exp.Expr:
    name = str(node.this).upper()
    arguments = list(node.expressions)
    if name in ("OBJECT_CONSTRUCT", "OBJECT_CONSTRUCT_KEEP_NULL", "HASH") and any(
        isinstance(argument, exp.Star) for argument in arguments
    ):
        return _raw(_row(node, name))
    if name in _TABLE_FUNCTIONS or name in ("IDENTIFIER", "TABLE", "COUNT"):
        return node
    if name == "LISTAGG":
        return _listagg(arguments, None)
    if name == "ARRAY_AGG":
        return _array_agg(arguments, None)
    if name == "DECODE":
        return _decode(arguments)
    if name in ("GREATEST", "LEAST"):
        nulls = " OR ".join(f"{_sql(argument)} IS NULL" for argument in arguments)
        listed = ", ".join(map(_sql, arguments))
        return _raw(f"(CASE WHEN {nulls} THEN NULL ELSE {name}({listed}) END)")
    if name in ("DATEADD", "TIMESTAMPADD"):
        unit = _sql(arguments[0]).strip("'").rstrip("sS").lower()
        return _raw(f"({_sql(arguments[2])} + to_{unit}s(CAST({_sql(arguments[1])} AS INTEGER)))")
    if name == "DATEDIFF":
        unit = _sql(arguments[0]).strip("'").lower()
        return _raw(f"date_diff('{unit}', {_sql(arguments[1])}, {_sql(arguments[2])})")
    if name in ("DATE_TRUNC", "DATE_PART"):
        unit = _sql(arguments[0]).strip("'").lower()
        return _raw(f"{name}('{unit}', {_sql(arguments[1])})")
    if name == "CONCAT_WS":
        nulls = " OR ".join(f"{_sql(argument)} IS NULL" for argument in arguments)
        return _raw(
            f"(CASE WHEN {nulls} THEN NULL ELSE concat_ws({', '.join(map(_sql, arguments))}) END)"
        )
    if name == "IDENTIFIER":
        return node
    template = TEMPLATES.get(name)
    if template is None:
        return node
    return _raw(_filled(template, [_sql(_named(argument)) for argument in arguments]))


def _filled(template: str, arguments: list[str]) -> str:
    text = template.replace("{|| }", " || ".join(arguments)).replace("{*}", ", ".join(arguments))
    try:
        return text.format(*arguments)
    except (IndexError, KeyError, ValueError) as error:
        raise Gap("a call with fewer arguments") from error


def _row(node: exp.Expr, name: str) -> str:
    """`f(*)` over the sources of its query."""
    select = node.find_ancestor(exp.Select)
    from_ = None if select is None else select.args.get("from_")
    if from_ is None or select is None:
        raise Gap("a star without sources")
    rows = []
    for item in [from_.this, *(join.this for join in select.args.get("joins") or ())]:
        if not item.alias_or_name:
            raise Gap("a star of a source without a name")
        rows.append(f'"{item.alias_or_name}"')
    if name == "HASH":
        return f"hash({', '.join(rows)})"
    merged = f"to_json({rows[0]})"
    for row in rows[1:]:
        merged = f"json_merge_patch({merged}, to_json({row}))"
    return f"json_merge_patch('{{}}', {merged})" if name == "OBJECT_CONSTRUCT" else merged


def _listagg(arguments: list[exp.Expr], order: exp.Order | None) -> exp.Expr:
    first, distinct = arguments[0], ""
    rest = arguments[1:]
    if isinstance(first, exp.Distinct):
        distinct = "DISTINCT "
        first, *more = first.expressions
        rest = [*more, *rest]
    value = f"sg_text({_sql(first)})"
    delimiter = _sql(rest[0]) if rest else "''"
    by = f"ORDER BY {value}" if order is None or distinct else _sql(order)
    return _raw(f"string_agg({distinct}{value}, {delimiter} {by})")


def _array_agg(arguments: list[exp.Expr], order: exp.Order | None) -> exp.Expr:
    first, distinct = arguments[0], ""
    if isinstance(first, exp.Distinct):
        distinct, first = "DISTINCT ", first.expressions[0]
    value = _sql(first)
    by = f"ORDER BY {value}" if order is None or distinct else _sql(order)
    return _raw(f"to_json(list({distinct}{value} {by}) FILTER ({value} IS NOT NULL))")


def _within(node: exp.WithinGroup) -> exp.Expr:
    """The call inside is finished already, in an order of its own; it is made again."""
    made = node.meta.get("call")
    if made is None or not isinstance(node.expression, exp.Order):
        return node
    name, arguments = made
    if name == "LISTAGG":
        return _listagg(arguments, node.expression)
    if name == "ARRAY_AGG":
        return _array_agg(arguments, node.expression)
    return node


def _decode(arguments: list[exp.Expr]) -> exp.Expr:
    subject, *rest = map(_sql, arguments)
    pairs = [
        f"WHEN {subject} IS NOT DISTINCT FROM {a} THEN {b}"
        for a, b in zip(rest[::2], rest[1::2], strict=False)
    ]
    default = f" ELSE {rest[-1]}" if len(rest) % 2 else ""
    return _raw(f"(CASE {' '.join(pairs)}{default} END)")


def _quotient(node: exp.Expr) -> exp.Expr:
    name = "sg_div" if isinstance(node, exp.Div) else "sg_mod"
    return _raw(f"{name}({_sql(node.this)}, {_sql(node.expression)})")


def _cast(node: exp.Cast) -> exp.Expr:
    name = str(node.args["to"].this.value).upper()
    verb = "TRY_CAST" if isinstance(node, exp.TryCast) else "CAST"
    inner = _sql(node.this)
    if name in ("VARCHAR", "TEXT", "CHAR", "NVARCHAR"):
        size = node.args["to"].expressions
        text = f"sg_text({inner})"
        return _raw(f"left({text}, {_sql(size[0])})" if size else text)
    if name in ("VARIANT", "OBJECT", "ARRAY"):
        return _raw(f"to_json({inner})")
    if name in ("INT", "BIGINT", "SMALLINT", "TINYINT", "DECIMAL"):
        size = ", ".join(_sql(part) for part in node.args["to"].expressions) or "38, 0"
        return _raw(f"{verb}({inner} AS DECIMAL({size}))")
    return node


def _table(node: exp.Table) -> exp.Expr:
    if node.args.get("when") is not None or node.args.get("changes") is not None:
        # There is one state of the data only.
        node.set("when", None)
        node.set("changes", None)
    call = node.this
    if not isinstance(call, exp.Anonymous):
        return node
    name = str(call.this).upper()
    if name in ("IDENTIFIER", "TABLE") and isinstance(call.expressions[0], exp.Literal):
        node.set("this", _raw(str(call.expressions[0].this)))
        return node
    if name == "TABLE":
        call = call.expressions[0]
    node.set("this", _raw(_rows(call, node.find_ancestor(exp.Join) is not None)))
    return node


def _lateral(node: exp.Lateral) -> exp.Expr:
    if isinstance(node.this, exp.Anonymous):
        alias = node.args.get("alias")
        shown = f" AS {_sql(alias)}" if alias is not None else ""
        return _raw(f"{_rows(node.this, True)}{shown}")
    return node


_TABLE_FUNCTIONS = ("FLATTEN", "GENERATOR", "SPLIT_TO_TABLE")


def _rows(call: exp.Expr, lateral: bool) -> str:
    if not isinstance(call, exp.Anonymous):
        raise Gap("a table function")
    name = str(call.this).upper()
    named = {
        str(argument.this.name).upper(): _sql(argument.expression)
        for argument in call.expressions
        if isinstance(argument, exp.Kwarg)
    }
    plain = [_sql(argument) for argument in call.expressions if not isinstance(argument, exp.Kwarg)]
    prefix = "LATERAL " if lateral else ""
    if name == "GENERATOR":
        return f"range({named.get('ROWCOUNT', '1')})"
    if name == "FLATTEN":
        given = named.get("INPUT") or plain[0]
        if "PATH" in named:
            given = f"json_extract({given}, '$.' || {named['PATH']})"
        return prefix + _FLATTENED.format(given)
    if name == "SPLIT_TO_TABLE":
        return prefix + _SPLIT.format(*plain)
    raise Gap("a table function")


def _values(node: exp.Values) -> exp.Expr:
    """Snowflake names the columns COLUMN1, COLUMN2 …"""
    if isinstance(node.parent, exp.Insert):
        return node
    first = node.expressions[0]
    width = len(first.expressions) if isinstance(first, exp.Tuple) else 1
    rows = ", ".join(
        _sql(row) if isinstance(row, exp.Tuple) else f"({_sql(row)})" for row in node.expressions
    )
    alias = node.args.get("alias")
    columns = [_sql(column) for column in (alias.args.get("columns") or ())] if alias else []
    columns += [f"COLUMN{at + 1}" for at in range(len(columns), width)]
    if isinstance(node.parent, (exp.From, exp.Join)):
        name = _sql(alias.this) if alias and alias.this else "sg_values"
        return _raw(f"(VALUES {rows}) AS {name}({', '.join(columns)})")
    return _raw(f"SELECT * FROM (VALUES {rows}) AS sg_values({', '.join(columns)})")


def _with(node: exp.With) -> exp.Expr:
    for cte in node.expressions:
        name = cte.alias.upper()
        body = cte.this
        if isinstance(body, exp.SetOperation) and any(
            table.name.upper() == name and not table.args.get("db")
            for table in body.find_all(exp.Table)
        ):
            node.set("recursive", True)
    return node


def _join(node: exp.Join) -> exp.Expr:
    matched = node.args.get("match_condition")
    if matched is not None:
        on = node.args.get("on")
        node.set("on", matched if on is None else exp.And(this=matched, expression=on))
        node.set("match_condition", None)
    return node


def _like(node: exp.Expr) -> exp.Expr:
    if not isinstance(node.expression, (exp.Any, exp.All)):
        return node
    word = "LIKE" if isinstance(node, exp.Like) else "ILIKE"
    glue = " OR " if isinstance(node.expression, exp.Any) else " AND "
    inner = node.expression.this
    patterns = inner.expressions if isinstance(inner, exp.Tuple) else [inner]
    subject = _sql(node.this)
    return _raw("(" + glue.join(f"{subject} {word} {_sql(item)}" for item in patterns) + ")")


def _object(node: exp.Struct) -> exp.Expr:
    parts: list[str] = []
    for item in node.expressions:
        if not isinstance(item, (exp.PropertyEQ, exp.Kwarg)):
            raise Gap("an object of a star")
        key = item.this
        parts.append(_sql(key) if isinstance(key, exp.Literal) else f"'{key.name}'")
        parts.append(_sql(item.expression))
    return _raw(f"json_object({', '.join(parts)})")


def _array(node: exp.Array) -> exp.Expr:
    return _raw(f"json_array({', '.join(map(_sql, node.expressions))})")


def _bracket(node: exp.Bracket) -> exp.Expr:
    key = node.expressions[0]
    if isinstance(key, exp.Slice):
        raise Gap("a slice")
    return _raw(f"sg_get({_sql(node.this)}, {_sql(key)})")


def _parameter(node: exp.Parameter) -> exp.Expr:
    if isinstance(node.this, exp.Literal):
        return _raw(f"#{node.this.this}")
    raise Gap("a session variable")


def _window(node: exp.Window) -> exp.Expr:
    """`FIRST_VALUE(x) IGNORE NULLS OVER (…)`, and ARRAY_AGG, which DuckDB's makes a list."""
    inner = node.this
    if isinstance(inner, (exp.IgnoreNulls, exp.RespectNulls)):
        word = "IGNORE" if isinstance(inner, exp.IgnoreNulls) else "RESPECT"
        call = inner.this
        if isinstance(call, exp.Anonymous):
            listed = ", ".join(map(_sql, call.expressions))
            node.set("this", _raw(f"{call.this}({listed} {word} NULLS)"))
    elif isinstance(inner, exp.Var) and inner.this.startswith("to_json("):
        text = inner.this[len("to_json(") : -1]
        node.set("this", _raw(text))
        return _raw(f"to_json({_sql(node)})")
    return node


def _identifier_call(node: exp.Anonymous) -> exp.Expr:
    if str(node.this).upper() == "IDENTIFIER" and isinstance(node.expressions[0], exp.Literal):
        if not isinstance(node.parent, exp.Table):
            return _raw(str(node.expressions[0].this))
        return node
    parent = node.parent
    if isinstance(parent, exp.WithinGroup):
        parent.meta["call"] = (str(node.this).upper(), list(node.expressions))
    return _call(node)


def _update(node: exp.Update) -> exp.Expr:
    """DuckDB takes no prefix for the columns that are set."""
    for assignment in node.expressions:
        if isinstance(assignment, exp.EQ) and isinstance(assignment.this, exp.Column):
            assignment.this.set("table", None)
    return node


_CHANGES: dict[type, Callable[..., exp.Expr]] = {
    exp.Anonymous: _identifier_call,
    exp.WithinGroup: _within,
    exp.Div: _quotient,
    exp.Mod: _quotient,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Table: _table,
    exp.Lateral: _lateral,
    exp.Values: _values,
    exp.With: _with,
    exp.Join: _join,
    exp.Like: _like,
    exp.ILike: _like,
    exp.Struct: _object,
    exp.Array: _array,
    exp.Bracket: _bracket,
    exp.Parameter: _parameter,
    exp.Window: _window,
    exp.Update: _update,
}
