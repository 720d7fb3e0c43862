"""Functions and procedures in SQL: what is listed of them, GET_DDL, and how they run.

A function is a macro of DuckDB; of several with as many arguments the last one created runs, since
DuckDB does not tell them apart by type. A procedure is a list of statements, which run one after
another as its owner; its result is that of the last one.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp

from snowgate_standin.catalog import resolve
from snowgate_standin.errors import SnowflakeError, unsupported
from snowgate_standin.roles import Name

if TYPE_CHECKING:
    import duckdb

    from snowgate_standin.session import Session

FUNCTION, PROCEDURE = "FUNCTION", "PROCEDURE"
KINDS = (FUNCTION, PROCEDURE)
VIEWS = ("FUNCTIONS", "PROCEDURES")

_TABLE = """
CREATE SCHEMA IF NOT EXISTS _fs_global._standin;
CREATE TABLE IF NOT EXISTS _fs_global._standin.routine (
    kind VARCHAR, catalog VARCHAR, schema VARCHAR, name VARCHAR, arguments VARCHAR,
    signature VARCHAR, returns VARCHAR, ddl VARCHAR, owner VARCHAR,
    PRIMARY KEY (kind, catalog, schema, name, arguments));
"""
_LISTED = """
SELECT catalog AS {kind}_CATALOG, schema AS {kind}_SCHEMA, name AS {kind}_NAME,
    owner AS {kind}_OWNER, signature AS ARGUMENT_SIGNATURE, returns AS DATA_TYPE,
    'SQL' AS {kind}_LANGUAGE, NULL::VARCHAR AS {kind}_DEFINITION
FROM _fs_global._standin.routine WHERE kind = '{kind}' AND catalog = '{db}'
"""
_PART = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_SIGNATURE = re.compile(rf"\s*({_PART}(?:\.{_PART}){{0,2}})\s*\((.*)\)\s*", re.DOTALL)
_CALL = re.compile(r"\s*CALL\s+", re.IGNORECASE)
_BLOCK = re.compile(r"\s*BEGIN\b(.*)\bEND\s*;?\s*", re.IGNORECASE | re.DOTALL)
# Snowflake's name of a type in a signature.
_TYPES = {
    "TEXT": "VARCHAR",
    "STRING": "VARCHAR",
    "CHAR": "VARCHAR",
    "DECIMAL": "NUMBER",
    "NUMERIC": "NUMBER",
    "INT": "NUMBER",
    "INTEGER": "NUMBER",
    "BIGINT": "NUMBER",
    "DOUBLE": "FLOAT",
    "REAL": "FLOAT",
    "TIMESTAMP": "TIMESTAMP_NTZ",
}


@dataclass(frozen=True, slots=True)
class Procedure:
    """A procedure to run: its statements, arguments filled in, and its owner."""

    statements: tuple[str, ...]
    owner: str


def created(expression: exp.Expression) -> bool:
    """Whether a statement creates or drops a function or procedure."""
    kind = str(expression.args.get("kind") or "").upper()
    return isinstance(expression, exp.Create | exp.Drop) and kind in KINDS


class Routines:
    """All functions and procedures of the process."""

    def __init__(self, root: duckdb.DuckDBPyConnection) -> None:
        self._root = root.cursor()
        self._lock = threading.Lock()
        self._bodies: dict[tuple[str, Name, str], tuple[list[str], str, bool]] = {}
        self._root.execute(_TABLE)

    def _run(self, sql: str, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._root.execute(sql, values).fetchall()

    def table(self, table: exp.Table) -> exp.Expression:
        """INFORMATION_SCHEMA.FUNCTIONS or PROCEDURES, as a query; any other table itself."""
        if table.db.upper() != "INFORMATION_SCHEMA" or table.name.upper() not in VIEWS:
            return table
        kind = table.name.upper().removesuffix("S")
        query = sqlglot.parse_one(_LISTED.format(kind=kind, db=table.catalog), read="duckdb")
        return exp.Subquery(this=query, alias=table.args.get("alias"))

    def change(self, session: Session, statement: exp.Expression) -> str:
        """Run a CREATE or DROP of a function or procedure; what Snowflake says of it."""
        if isinstance(statement, exp.Create):
            return self._create(session, statement)
        kind = str(statement.args["kind"]).upper()
        types = ", ".join(map(_type, statement.expressions))
        table = statement.args["tables"][0]
        name = resolve(table, session)
        where = "WHERE kind = ? AND catalog = ? AND schema = ? AND name = ? AND arguments = ?"
        key = [kind, *name, types]
        if not self._run(f"SELECT 1 FROM _fs_global._standin.routine {where}", key):
            if statement.args.get("exists"):
                return "Drop statement executed successfully."
            raise _unknown(kind, name, types)
        self._run(f"DELETE FROM _fs_global._standin.routine {where}", key)
        self._bodies.pop((kind, name, types), None)
        if kind == FUNCTION:
            self._define(name)
        return f"{name[2]} successfully dropped."

    def _create(self, session: Session, create: exp.Create) -> str:
        kind = str(create.args["kind"]).upper()
        made = create.this
        if not isinstance(made, exp.UserDefinedFunction) or create.expression is None:
            raise unsupported(f"this form of CREATE {kind}")
        properties = create.args.get("properties")
        found = list(properties.expressions) if properties else []
        language = next((p.name.upper() for p in found if isinstance(p, exp.LanguageProperty)), "")
        if language not in ("", "SQL"):
            raise unsupported(f"CREATE {kind} in {language}")
        returns = next((p for p in found if isinstance(p, exp.ReturnsProperty)), None)
        if returns is None:
            raise unsupported(f"CREATE {kind} without RETURNS")
        name = resolve(made.this, session)
        named = [(_stored(column.this), _type(column.args["kind"])) for column in made.expressions]
        types = ", ".join(kind for _, kind in named)
        key = (kind, name, types)
        if key in self._bodies and not create.args.get("replace"):
            raise SnowflakeError(
                "002002", "42710", f"SQL compilation error:\nObject '{name[2]}' already exists."
            )
        body = create.expression.name
        result = _returned(returns)
        rows = bool(returns.args.get("is_table"))
        before = self._bodies.get(key)
        # The last one is what runs.
        self._bodies.pop(key, None)
        self._bodies[key] = ([parameter for parameter, _ in named], body, rows)
        if kind == FUNCTION:
            try:
                self._define(name)
            except Exception:
                if before is None:
                    del self._bodies[key]
                else:
                    self._bodies[key] = before
                raise
        signature = ", ".join(f"{parameter} {kind}" for parameter, kind in named)
        quoted = ", ".join(f'"{parameter}" {kind}' for parameter, kind in named)
        text = body.replace("'", "''")
        ddl = (
            f'CREATE OR REPLACE {kind} "{name[2]}"({quoted})\nRETURNS {result}\nLANGUAGE SQL\n'
            f"{'EXECUTE AS OWNER' + chr(10) if kind == PROCEDURE else ''}AS '{text}';"
        )
        self._run(
            "INSERT OR REPLACE INTO _fs_global._standin.routine VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [kind, *name, types, f"({signature})", result, ddl, session.role],
        )
        return f"{kind.capitalize()} {name[2]} successfully created."

    def _define(self, name: Name) -> None:
        """The macro of a name, with one form for each number of arguments."""
        forms: dict[int, str] = {}
        for (kind, other, _), (parameters, body, rows) in self._bodies.items():
            if kind == FUNCTION and other == name:
                text = body if rows else f"SELECT {body}"
                query = sqlglot.parse_one(text, read="snowflake")
                inner = query.sql(dialect="duckdb")
                if not rows:
                    inner = f"({query.expressions[0].sql(dialect='duckdb')})"
                listed = ", ".join(f'"{parameter}"' for parameter in parameters)
                forms[len(parameters)] = f"({listed}) AS {'TABLE ' if rows else ''}{inner}"
        full = ".".join(f'"{part}"' for part in name)
        self._run(f"DROP MACRO IF EXISTS {full}")
        self._run(f"DROP MACRO TABLE IF EXISTS {full}")
        if forms:
            self._run(f"CREATE MACRO {full} {', '.join(forms.values())}")

    def ddl(self, session: Session, kind: str, text: str) -> str:
        """GET_DDL of `NAME(TYPE, …)`.

        Raises:
            SnowflakeError: there is no such function or procedure.
        """
        match = _SIGNATURE.fullmatch(text)
        if match is None:
            raise unsupported("GET_DDL of this name")
        name = resolve(exp.to_table(match[1], dialect="snowflake"), session)
        types = ", ".join(_plain(one) for one in match[2].split(",") if one.strip())
        rows = self._run(
            "SELECT ddl FROM _fs_global._standin.routine WHERE kind = ? AND catalog = ?"
            " AND schema = ? AND name = ? AND arguments = ?",
            [kind, *name, types],
        )
        if not rows:
            raise _unknown(kind, name, types)
        return str(rows[0][0])

    def procedure(self, session: Session, sql: str, binds: Sequence[Any] | None) -> Procedure:
        """What a CALL runs.

        Raises:
            SnowflakeError: there is no such procedure, or its body is more than statements.
        """
        call = sqlglot.parse_one("SELECT " + sql[_called(sql) :], read="snowflake").expressions[0]
        parts: list[str] = []
        while isinstance(call, exp.Dot):
            parts += [_stored(part) for part in call.this.flatten()]
            call = call.expression
        if not isinstance(call, exp.Anonymous | exp.Func):
            raise unsupported("this form of CALL")
        last = call.this if isinstance(call, exp.Anonymous) else call.sql_name()
        parts.append(last.upper() if isinstance(last, str) else _stored(last))
        here = [session.database or "", session.schema or ""]
        full = [*here[: 3 - len(parts)], *parts]
        name = (full[0], full[1], full[2])
        given = list(call.expressions)
        values = iter(binds or ())
        for (kind, other, types), (parameters, body, _) in self._bodies.items():
            if (kind, other) == (PROCEDURE, name) and len(parameters) == len(given):
                filled = {}
                for at, each in enumerate(given):
                    key = _stored(each.this) if isinstance(each, exp.Kwarg) else parameters[at]
                    filled[key] = _value(each, values)
                owner = self._run(
                    "SELECT owner FROM _fs_global._standin.routine WHERE kind = ? AND catalog = ?"
                    " AND schema = ? AND name = ? AND arguments = ?",
                    [PROCEDURE, *name, types],
                )
                return Procedure(_statements(body, filled), str(owner[0][0]))
        raise _unknown(PROCEDURE, name, "")

    def rows(self, kind: str) -> list[list[str | None]]:
        """Name, schema, database, arguments and result of each, for SHOW."""
        found = self._run(
            "SELECT name, schema, catalog, arguments, returns FROM _fs_global._standin.routine"
            " WHERE kind = ? ORDER BY ALL",
            [kind],
        )
        return [
            [name, schema, catalog, f"{name}({arguments}) RETURN {returns}"]
            for name, schema, catalog, arguments, returns in found
        ]


def is_call(sql: str) -> bool:
    """Whether a statement is a CALL."""
    return _CALL.match(sql) is not None


def _called(sql: str) -> int:
    match = _CALL.match(sql)
    return match.end() if match else 0


def _statements(body: str, values: dict[str, str]) -> tuple[str, ...]:
    """The statements of a body, with `:name` replaced by the argument."""
    block = _BLOCK.fullmatch(body)
    text = block[1] if block else body
    for parameter, value in values.items():
        named = re.compile(rf":{re.escape(parameter)}\b", re.IGNORECASE)
        text = named.sub(lambda _, v=value: v, text)
    parsed = sqlglot.parse(text, read="snowflake")
    found = [each for each in parsed if each is not None and not isinstance(each, exp.Semicolon)]
    if not found or any(isinstance(each, exp.Command) for each in found):
        raise unsupported("a procedure that is more than SQL statements")
    return tuple(each.sql(dialect="snowflake") for each in found)


def _value(node: exp.Expression, binds: Any) -> str:
    if isinstance(node, exp.Kwarg):
        node = node.expression
    if isinstance(node, exp.Placeholder):
        bound = next(binds, None)
        return "NULL" if bound is None else exp.Literal.string(str(bound)).sql(dialect="snowflake")
    return node.sql(dialect="snowflake")


def _returned(returns: exp.ReturnsProperty) -> str:
    if not returns.args.get("is_table"):
        return _type(returns.this)
    columns = [f"{_stored(c.this)} {_type(c.args['kind'])}" for c in returns.this.expressions]
    return f"TABLE ({', '.join(columns)})"


def _type(kind: exp.Expression) -> str:
    return _plain(kind.sql(dialect="snowflake"))


def _plain(text: str) -> str:
    word = text.partition("(")[0].strip().upper()
    return _TYPES.get(word, word)


def _stored(node: exp.Expression) -> str:
    quoted = bool(node.args.get("quoted"))
    return node.name if quoted else node.name.upper()


def _unknown(kind: str, name: Name, types: str) -> SnowflakeError:
    if kind == PROCEDURE and not types:
        return SnowflakeError(
            "002140", "42601", f"SQL compilation error:\nUnknown function {name[2]}"
        )
    return SnowflakeError(
        "002003",
        "02000",
        f"SQL compilation error:\n{kind.capitalize()} '{'.'.join(name)}({types})' does not exist or"
        " not authorized.",
    )
