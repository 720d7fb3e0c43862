"""Make a parsed statement one that fakesnow and DuckDB can run, and name its columns.

Done here: functions about the session become their values, `$n` becomes the column it counts,
division by zero becomes an error, unnamed result columns get Snowflake's names (their own text in
upper case), and plain columns of the outermost SELECT are traced to their table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlglot
from fakesnow.transforms.transforms import SQL_DESCRIBE_TABLE
from sqlglot import exp
from sqlglot.dialects.snowflake import Snowflake
from sqlglot.tokens import TokenType

from snowgate_standin.catalog import Catalog, resolve
from snowgate_standin.columns import Column
from snowgate_standin.errors import SnowflakeError
from snowgate_standin.functions import TABLE_FUNCTIONS
from snowgate_standin.roles import USAGE_VIEW, Name
from snowgate_standin.routines import Routines

if TYPE_CHECKING:
    from snowgate_standin.session import Session

_END = frozenset(
    {
        TokenType.FROM,
        TokenType.WHERE,
        TokenType.GROUP_BY,
        TokenType.HAVING,
        TokenType.QUALIFY,
        TokenType.ORDER_BY,
        TokenType.LIMIT,
        TokenType.FETCH,
        TokenType.OFFSET,
        TokenType.UNION,
        TokenType.INTERSECT,
        TokenType.EXCEPT,
        TokenType.WINDOW,
        TokenType.SEMICOLON,
    }
)
_CLOCKS = {
    exp.CurrentDate: "today",
    exp.CurrentTime: "get_current_time",
    exp.CurrentTimestamp: "now",
}
"""Calls instead of keywords: DuckDB takes a keyword for a column of that name."""

_OPEN = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE})
_CLOSE = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE})


def projection_texts(sql: str) -> list[str]:
    """The text of each result column of the outermost SELECT, in upper case."""
    tokens = Snowflake().tokenize(sql)
    start = 0
    while start < len(tokens) and tokens[start].token_type is TokenType.L_PAREN:
        start += 1
    depth, index = 0, start
    while index < len(tokens):
        kind = tokens[index].token_type
        if kind is TokenType.SELECT and depth == 0:
            break
        depth += (kind in _OPEN) - (kind in _CLOSE)
        index += 1
    texts: list[str] = []
    first: int | None = None
    last = 0
    for token in tokens[index + 1 :]:
        kind = token.token_type
        depth += (kind in _OPEN) - (kind in _CLOSE)
        if depth < 0 or (depth == 0 and kind in _END):
            break
        if depth == 0 and kind is TokenType.COMMA:
            if first is not None:
                texts.append(sql[first : last + 1].upper())
            first = None
            continue
        if first is None:
            if kind in (TokenType.DISTINCT, TokenType.ALL):
                continue
            first = token.start
        last = token.end
    if first is not None:
        texts.append(sql[first : last + 1].upper())
    return texts


def literal_names(expression: exp.Expression) -> exp.Expression:
    """Tables named by text become tables; there is no history, so AT and BEFORE read the present.

    Done before privileges are checked: IDENTIFIER('T') and TABLE('T') are T.
    """

    def plain(node: exp.Expression) -> exp.Expression:
        name = node.this if isinstance(node, exp.TableFromRows) else None
        if isinstance(node, exp.Table):
            node.set("when", None)
            node.set("changes", None)
            if isinstance(node.this, exp.DynamicIdentifier):
                name = node.this.this
        if not isinstance(name, exp.Literal) or not name.is_string:
            return node
        table = exp.to_table(name.this, dialect="snowflake")
        if node.args.get("alias"):
            table.set("alias", node.args["alias"])
        return table

    return expression.transform(plain, copy=False)


@dataclass(slots=True)
class Preparation:
    """Changes an expression in place; collects what must happen before it runs."""

    session: Session
    catalog: Catalog
    values: Mapping[str, Callable[[list[exp.Expression]], str | None]]
    scan: Callable[[str], str]
    routines: Routines
    history: Callable[[], str]
    usage: Callable[[], str]
    effective: Callable[[Name], str]
    waits: list[float] = field(default_factory=list)

    def run(self, expression: exp.Expression, sql: str) -> exp.Expression:
        """Prepare any statement; queries also get their column names."""
        if isinstance(expression, exp.Query):
            self._name(expression, projection_texts(sql))
        self._positional(expression)
        if (described := self._described(expression)) is not None:
            return described
        self._temporary(expression)
        return expression.transform(self._replace, copy=False)

    def _temporary(self, expression: exp.Expression) -> None:
        """DuckDB keeps temporary objects in one schema of their own, whatever schema they name."""
        properties = expression.args.get("properties")
        if properties is not None and properties.find(exp.TemporaryProperty):
            made = expression.find(exp.Table)
            if made is not None:
                made.set("db", None)
                made.set("catalog", None)
        if not self.session.temporary:
            return
        for table in expression.find_all(exp.Table):
            found = table.args.get("db") and self.catalog.find(
                self.session, resolve(table, self.session)
            )
            if found and found.temporary:
                table.set("db", None)
                table.set("catalog", None)

    def _described(self, expression: exp.Expression) -> exp.Expression | None:
        """DESCRIBE of a temporary object: fakesnow looks for it in the database it names."""
        table = expression.find(exp.Table) if isinstance(expression, exp.Describe) else None
        if table is None or not self.session.temporary:
            return None
        found = self.catalog.find(self.session, resolve(table, self.session))
        if found is None or not found.temporary:
            return None
        sql = SQL_DESCRIBE_TABLE.substitute(catalog="temp", schema="main", table=found.name[2])
        return sqlglot.parse_one(sql.replace("FROM _fs_", "FROM _fs_global._fs_"), read="duckdb")

    def _name(self, query: exp.Expression, texts: list[str]) -> None:
        outer = leftmost(query)
        for select in list(query.find_all(exp.Select)):
            named = texts if select is outer else []
            self._name_select(select, named if len(named) == len(select.expressions) else [])

    def _name_select(self, select: exp.Select, texts: list[str]) -> None:
        for number, item in enumerate(list(select.expressions)):
            if isinstance(item, exp.Alias | exp.Aliases | exp.Star) or item.is_star:
                continue
            if isinstance(item, exp.Column) and not isinstance(item.this, exp.Parameter):
                continue
            text = texts[number] if texts else item.sql(dialect="snowflake").upper()
            select.expressions[number].replace(exp.alias_(item.copy(), text, quoted=True))

    def _positional(self, expression: exp.Expression) -> None:
        for parameter in list(expression.find_all(exp.Parameter)):
            literal = parameter.this
            select = parameter.find_ancestor(exp.Select)
            if select is None or not isinstance(literal, exp.Literal) or literal.is_string:
                continue
            column = parameter.parent if isinstance(parameter.parent, exp.Column) else None
            names = self._source_columns(select, column.table if column is not None else None)
            place = int(literal.this)
            if not 1 <= place <= len(names):
                raise SnowflakeError(
                    "000904",
                    "42000",
                    f"SQL compilation error:\ninvalid identifier '${place}'",
                )
            name = exp.column(
                exp.to_identifier(names[place - 1], quoted=True),
                table=column.args.get("table") if column is not None else None,
            )
            (column or parameter).replace(name)

    def _source_columns(self, select: exp.Select, table: str | None) -> list[str]:
        names: list[str] = []
        for source in sources(select):
            if table and source.alias_or_name.upper() != table.upper():
                continue
            if isinstance(source, exp.Table):
                found = self.catalog.find(self.session, resolve(source, self.session))
                names += [column.name for column in found.columns] if found else []
            elif isinstance(source, exp.Subquery):
                names += [item.alias_or_name for item in leftmost(source.this).expressions]
        return names

    def _replace(self, node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.TableFromRows):
            return self._rows_of(node)
        if isinstance(node, exp.Table) and resolve(node, self.session) == USAGE_VIEW:
            return exp.to_table(self.usage())
        if isinstance(node, exp.Table):
            return self.routines.table(node)
        if type(node) in _CLOCKS:
            return exp.Anonymous(this=_CLOCKS[type(node)])
        if isinstance(node, exp.Struct) and len(node.expressions) == 1:
            star = node.expressions[0]
            if star.is_star:
                text = f"OBJECT_CONSTRUCT({star.sql(dialect='snowflake')})"
                return sqlglot.parse_one(text, read="snowflake")
        if isinstance(node, exp.Div) and not _harmless(node.expression):
            return self._division(node)
        if isinstance(node, exp.Anonymous) and isinstance(node.this, exp.Identifier):
            node.set("this", node.this.name)
        name = function_name(node)
        if name == "SYSTEM$WAIT":
            return exp.Literal.string(self._wait(node.expressions))
        if name in self.values:
            value = self.values[name](node.expressions)
            return exp.Null() if value is None else exp.Literal.string(value)
        return node

    def _rows_of(self, node: exp.TableFromRows) -> exp.Expression:
        """RESULT_SCAN and QUERY_HISTORY become tables; fakesnow does the others."""
        call = node.this.expression if isinstance(node.this, exp.Dot) else node.this
        name = function_name(call)
        if name == "RESULT_SCAN":
            given = call.expressions
            query_id = self._value(given[0]) if given else self.session.last_query_id
            table = exp.to_table(self.scan(query_id or ""))
        elif name.startswith("QUERY_HISTORY"):
            table = exp.to_table(self.history())
        elif name == "TAG_REFERENCES_ALL_COLUMNS":
            of = exp.to_table(call.expressions[0].name, dialect="snowflake")
            table = exp.to_table(self.effective(resolve(of, self.session)))
        elif name in TABLE_FUNCTIONS:
            return node
        else:
            # One of a user: DuckDB takes its macro without the word TABLE.
            table = exp.Table(this=node.this)
        if node.args.get("alias"):
            table.set("alias", node.args["alias"])
        return table

    def _value(self, node: exp.Expression) -> str | None:
        if function_name(node) == "LAST_QUERY_ID":
            return self.session.last_query_id
        return node.name

    def _wait(self, arguments: list[exp.Expression]) -> str:
        amount = float(arguments[0].name) if arguments else 0.0
        unit = arguments[1].name.upper() if len(arguments) > 1 else "SECONDS"
        factor = {"MILLISECONDS": 0.001, "MINUTES": 60.0}.get(unit, 1.0)
        self.waits.append(amount * factor)
        return f"waited {amount:g} {unit.lower()}"

    @staticmethod
    def _division(node: exp.Div) -> exp.Expression:
        divisor = node.expression
        guarded = exp.Case(
            ifs=[
                exp.If(
                    this=exp.EQ(this=exp.paren(divisor.copy()), expression=exp.Literal.number(0)),
                    true=exp.Anonymous(
                        this="error", expressions=[exp.Literal.string("Division by zero")]
                    ),
                )
            ],
            default=divisor.copy(),
        )
        node.set("expression", guarded)
        return node


def _harmless(divisor: exp.Expression) -> bool:
    if isinstance(divisor, exp.Case):
        return True
    return isinstance(divisor, exp.Literal) and not divisor.is_string and float(divisor.this) != 0


def function_name(node: exp.Expression | None) -> str:
    """The name of a function call in upper case, or nothing."""
    if isinstance(node, exp.Anonymous):
        return str(node.this).upper()
    return node.sql_name() if isinstance(node, exp.Func) and type(node) is not exp.Func else ""


def leftmost(query: exp.Expression) -> exp.Select:
    """The SELECT that names the columns of a query."""
    while not isinstance(query, exp.Select):
        if isinstance(query, exp.SetOperation | exp.Subquery):
            query = query.this
        else:
            return exp.Select()
    return query


def sources(select: exp.Select) -> list[exp.Expression]:
    """Tables and subqueries of FROM and its joins, in order."""
    found: list[exp.Expression] = []
    if start := select.args.get("from_"):
        found.append(start.this)
    found += [join.this for join in select.args.get("joins") or []]
    return found


def origins(
    query: exp.Expression, session: Session, catalog: Catalog
) -> list[Column | None] | None:
    """The stored column behind each result column, or None where it cannot be said.

    Only plain columns of tables and views named directly by the outermost SELECT have one.
    """
    if not isinstance(query, exp.Select):
        return None
    ctes = {cte.alias_or_name.upper() for cte in query.find_all(exp.CTE)}
    known: dict[str, list[Column]] = {}
    for source in sources(query):
        plain = isinstance(source, exp.Table) and not source.args.get("pivots")
        if not plain or (source.name.upper() in ctes and not source.db):
            return None
        found = catalog.find(session, resolve(source, session))
        if found is None:
            return None
        places = range(len(found.columns))
        known[source.alias_or_name.upper()] = [found.column(place) for place in places]
    result: list[Column | None] = []
    for item in query.expressions:
        if item.is_star:
            table = item.args.get("table") if isinstance(item, exp.Column) else None
            star = item.this if isinstance(item, exp.Column) else item
            using = any(
                join.args.get("using") or join.method == "NATURAL"
                for join in query.args.get("joins") or []
            )
            if using or any(
                star.args.get(key) for key in ("except_", "replace", "rename", "ilike")
            ):
                return None
            chosen = [table.name.upper()] if table is not None else list(known)
            for name in chosen:
                result += known.get(name, [])
            continue
        bare = item.this if isinstance(item, exp.Alias) else item
        result.append(_origin(bare, known))
    return result


def _origin(node: exp.Expression, known: dict[str, list[Column]]) -> Column | None:
    if not isinstance(node, exp.Column) or not isinstance(node.this, exp.Identifier):
        return None
    name = node.name if node.this.quoted else node.name.upper()
    candidates = [known.get(node.table.upper(), [])] if node.table else list(known.values())
    matches = [column for columns in candidates for column in columns if column.name == name]
    return matches[0] if len(matches) == 1 else None
