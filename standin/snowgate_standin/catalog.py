"""What exists, as Snowflake's catalog would tell it: objects, columns, view texts, GET_DDL.

The truth is DuckDB's; only the texts of views are kept beside it, because Snowflake shows a view
as it was written and DuckDB as it was translated.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from snowgate_standin import columns
from snowgate_standin.errors import missing
from snowgate_standin.roles import Name

if TYPE_CHECKING:
    import duckdb

    from snowgate_standin.session import Session

HIDDEN_SCHEMAS = "('main', 'pg_catalog', 'information_schema', '_fs_information_schema')"
# What INFORMATION_SCHEMA lists of itself: its views that the stand-in answers.
_OWN_VIEWS = "('_fs_columns', '_fs_tables', '_fs_views', '_fs_schemata', 'databases')"

_TEXTS = """
CREATE SCHEMA IF NOT EXISTS _fs_global._standin;
CREATE TABLE IF NOT EXISTS _fs_global._standin.view_text (
    catalog VARCHAR, schema VARCHAR, name VARCHAR, text VARCHAR,
    PRIMARY KEY (catalog, schema, name));
"""

_DATA_TYPE = """
CASE WHEN data_type LIKE 'DECIMAL%' OR data_type LIKE '%INT' OR data_type = 'INTEGER' THEN 'NUMBER'
     WHEN data_type = 'VARCHAR' THEN 'TEXT'
     WHEN data_type IN ('DOUBLE', 'FLOAT') THEN 'FLOAT'
     WHEN data_type = 'BLOB' THEN 'BINARY'
     WHEN data_type LIKE 'TIMESTAMP WITH%' THEN 'TIMESTAMP_TZ'
     WHEN data_type LIKE 'TIMESTAMP%' THEN 'TIMESTAMP_NTZ'
     WHEN data_type = 'JSON' THEN 'VARIANT'
     WHEN data_type LIKE '%[]' THEN 'ARRAY'
     WHEN data_type LIKE 'STRUCT%' OR data_type LIKE 'MAP%' THEN 'OBJECT'
     ELSE data_type END"""

_SCHEMA = (
    "CASE schema_name WHEN '_fs_information_schema' THEN 'INFORMATION_SCHEMA' ELSE schema_name END"
)
_TABLE = (
    "CASE schema_name WHEN '_fs_information_schema' THEN upper(replace(table_name, '_fs_', ''))"
    " ELSE table_name END"
)

_VIEWS = f"""
CREATE OR REPLACE VIEW {{db}}._fs_information_schema._fs_columns AS
SELECT database_name AS TABLE_CATALOG, {_SCHEMA} AS TABLE_SCHEMA, {_TABLE} AS TABLE_NAME,
    column_name AS COLUMN_NAME, column_index::BIGINT AS ORDINAL_POSITION,
    column_default AS COLUMN_DEFAULT, CASE WHEN is_nullable THEN 'YES' ELSE 'NO' END AS IS_NULLABLE,
    {_DATA_TYPE} AS DATA_TYPE,
    CASE WHEN data_type = 'VARCHAR'
        THEN coalesce(ext_character_maximum_length, {columns.TEXT_LENGTH})::BIGINT END
        AS CHARACTER_MAXIMUM_LENGTH,
    CASE WHEN data_type = 'VARCHAR'
        THEN coalesce(ext_character_octet_length, {columns.TEXT_LENGTH})::BIGINT END
        AS CHARACTER_OCTET_LENGTH,
    CASE WHEN {_DATA_TYPE} = 'NUMBER' THEN CASE WHEN data_type LIKE 'DECIMAL%'
        THEN numeric_precision ELSE 38 END END::BIGINT AS NUMERIC_PRECISION,
    CASE WHEN {_DATA_TYPE} = 'NUMBER' THEN 10 END::BIGINT AS NUMERIC_PRECISION_RADIX,
    CASE WHEN {_DATA_TYPE} = 'NUMBER' THEN coalesce(numeric_scale, 0) END::BIGINT AS NUMERIC_SCALE,
    CASE WHEN data_type LIKE 'TIME%' THEN 9 END::BIGINT AS DATETIME_PRECISION,
    NULL::VARCHAR AS COLLATION_NAME, 'NO' AS IS_IDENTITY, comment::VARCHAR AS COMMENT
FROM duckdb_columns() LEFT JOIN _fs_global._fs_information_schema._fs_columns_ext
    ON ext_table_catalog = database_name AND ext_table_schema = schema_name
    AND ext_table_name = table_name AND ext_column_name = column_name
WHERE database_name = '{{db}}' AND (schema_name NOT IN {HIDDEN_SCHEMAS}
    OR (schema_name = '_fs_information_schema' AND table_name IN {_OWN_VIEWS}));

CREATE OR REPLACE VIEW {{db}}._fs_information_schema._fs_tables AS
SELECT database_name AS TABLE_CATALOG, schema_name AS TABLE_SCHEMA, table_name AS TABLE_NAME,
    'SYSADMIN' AS TABLE_OWNER, 'BASE TABLE' AS TABLE_TYPE, 'NO' AS IS_TRANSIENT,
    NULL::VARCHAR AS CLUSTERING_KEY, estimated_size::BIGINT AS ROW_COUNT, 0::BIGINT AS BYTES,
    1::BIGINT AS RETENTION_TIME, to_timestamp(0) AS CREATED, to_timestamp(0) AS LAST_ALTERED,
    'NO' AS IS_TEMPORARY, 'NO' AS IS_DYNAMIC, 'NO' AS IS_ICEBERG, 'NO' AS IS_HYBRID,
    comment::VARCHAR AS COMMENT
FROM duckdb_tables() WHERE database_name = '{{db}}' AND schema_name NOT IN {HIDDEN_SCHEMAS}
UNION ALL
SELECT database_name, schema_name, view_name, 'SYSADMIN', 'VIEW', NULL, NULL, NULL, NULL, NULL,
    to_timestamp(0), to_timestamp(0), 'NO', 'NO', 'NO', 'NO', comment::VARCHAR
FROM duckdb_views() WHERE database_name = '{{db}}' AND schema_name NOT IN {HIDDEN_SCHEMAS};

CREATE OR REPLACE VIEW {{db}}._fs_information_schema._fs_views AS
SELECT database_name AS TABLE_CATALOG, schema_name AS TABLE_SCHEMA, view_name AS TABLE_NAME,
    'SYSADMIN' AS TABLE_OWNER, coalesce(text, sql) AS VIEW_DEFINITION, 'NONE' AS CHECK_OPTION,
    'NO' AS IS_UPDATABLE, 'NO' AS INSERTABLE_INTO, 'NO' AS IS_SECURE,
    to_timestamp(0) AS CREATED, to_timestamp(0) AS LAST_ALTERED, to_timestamp(0) AS LAST_DDL,
    'SYSADMIN' AS LAST_DDL_BY, comment::VARCHAR AS COMMENT
FROM duckdb_views() LEFT JOIN _fs_global._standin.view_text
    ON catalog = database_name AND schema = schema_name AND name = view_name
WHERE database_name = '{{db}}' AND schema_name NOT IN {HIDDEN_SCHEMAS};
"""


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """A stored column; `length` in characters, where one was declared."""

    name: str
    duck_type: str
    nullable: bool
    length: int | None


@dataclass(frozen=True, slots=True)
class Object:
    """A table or view and its columns in order; `temporary` ones belong to one session."""

    name: Name
    kind: str
    temporary: bool
    columns: tuple[CatalogColumn, ...]

    def column(self, number: int) -> columns.Column:
        """The column as a result describes it, its origin filled."""
        stored = self.columns[number]
        made = columns.column(stored.name, stored.duck_type)
        if stored.length is not None and made.type == "text":
            made = columns.text(stored.name, stored.length)
        database, schema, table = self.name
        return columns.Column(
            made.name,
            made.type,
            stored.nullable,
            made.precision,
            made.scale,
            made.length,
            made.byte_length,
            database,
            schema,
            table,
        )


def _part(node: exp.Expression | None) -> str | None:
    if not isinstance(node, exp.Identifier):
        return None
    return node.name if node.quoted else node.name.upper()


def resolve(table: exp.Table, session: Session) -> Name:
    """The full name an identifier stands for in this session; `` where nothing is current."""
    name = _part(table.this) or table.name.upper()
    schema = _part(table.args.get("db")) or session.schema or ""
    database = _part(table.args.get("catalog")) or session.database or ""
    return database, schema, name


def resolve_schema(table: exp.Table, session: Session) -> tuple[str, str]:
    """Database and schema of a name that stands for a schema."""
    if table.args.get("this"):
        schema, database = _part(table.this), _part(table.args.get("db"))
    else:
        schema, database = _part(table.args.get("db")), _part(table.args.get("catalog"))
    return database or session.database or "", schema or ""


class Catalog:
    """Look-ups for one process; reads run on the connection of the asking session."""

    def __init__(self, root: duckdb.DuckDBPyConnection) -> None:
        self._root = root.cursor()
        self._lock = threading.Lock()
        self._root.execute(_TEXTS)

    def _run(self, sql: str, values: list[str] | None = None) -> list[tuple[Any, ...]]:
        """A statement on the catalog's own connection, which all threads share."""
        with self._lock:
            return self._root.execute(sql, values).fetchall()

    def add_database(self, name: str) -> None:
        """Give a fresh database the INFORMATION_SCHEMA the stand-in answers from."""
        self._run(_VIEWS.format(db=name))

    def keep_view(self, name: Name, text: str) -> None:
        self._run(
            "INSERT OR REPLACE INTO _fs_global._standin.view_text VALUES (?, ?, ?, ?)",
            [*name, text],
        )

    def schema_exists(self, session: Session, database: str, schema: str | None = None) -> bool:
        sql = "SELECT 1 FROM duckdb_schemas() WHERE upper(database_name) = ?"
        values = [database.upper()]
        if schema is not None:
            sql += f" AND upper(schema_name) = ? AND schema_name NOT IN {HIDDEN_SCHEMAS}"
            values.append(schema.upper())
        if database.startswith("_") or database in ("SYSTEM", "TEMP", "MEMORY"):
            return False
        return bool(session.connection._duck_conn.execute(sql, values).fetchall())

    def find(self, session: Session, name: Name) -> Object | None:
        """The table or view, a temporary one of the session first."""
        duck = session.connection._duck_conn
        rows = duck.execute(
            """SELECT database_name, schema_name, table_name, column_name, data_type, is_nullable,
                ext_character_maximum_length
            FROM duckdb_columns() LEFT JOIN _fs_global._fs_information_schema._fs_columns_ext
                ON ext_table_catalog = database_name AND ext_table_schema = schema_name
                AND ext_table_name = table_name AND ext_column_name = column_name
            WHERE upper(table_name) = ? AND (database_name = 'temp'
                OR (upper(database_name) = ? AND upper(schema_name) = ?))
            ORDER BY database_name = 'temp' DESC, column_index""",
            [name[2].upper(), name[0].upper(), name[1].upper()],
        ).fetchall()
        if not rows:
            return None
        first = rows[0]
        temporary = first[0] == "temp"
        stored = tuple(
            CatalogColumn(row[3], row[4], row[5], row[6]) for row in rows if row[0] == first[0]
        )
        view = duck.execute(
            "SELECT 1 FROM duckdb_views() WHERE view_name = ? AND database_name = ?"
            " AND schema_name = ?",
            [first[2], first[0], first[1]],
        ).fetchall()
        full = (name[0], name[1], first[2]) if temporary else (first[0], first[1], first[2])
        return Object(full, "VIEW" if view else "TABLE", temporary, stored)

    def ddl(self, session: Session, kind: str, name: Name) -> str:
        """GET_DDL of a table or view.

        Raises:
            SnowflakeError: there is no such object.
        """
        found = self.find(session, name)
        if found is None or kind.upper() not in (found.kind, "TABLE"):
            raise missing("Object", ".".join(name))
        if found.kind == "VIEW":
            rows = self._run(
                "SELECT text FROM _fs_global._standin.view_text"
                " WHERE catalog = ? AND schema = ? AND name = ?",
                list(found.name),
            )
            if not rows:
                raise missing("View", ".".join(name))
            return str(rows[0][0])
        lines = [
            f"\t{column.name} {sql_type(column)}" + ("" if column.nullable else " NOT NULL")
            for column in found.columns
        ]
        return f"create or replace TABLE {found.name[2]} (\n" + ",\n".join(lines) + "\n);"


def sql_type(stored: CatalogColumn) -> str:
    """The type of a stored column as DDL writes it."""
    made = columns.column(stored.name, stored.duck_type)
    if made.type == "fixed":
        return f"NUMBER({made.precision},{made.scale})"
    if made.type == "text":
        return f"VARCHAR({stored.length or columns.TEXT_LENGTH})"
    if made.type.startswith("time"):
        return f"{made.type.upper()}({made.scale})"
    return {"real": "FLOAT"}.get(made.type, made.type.upper())
