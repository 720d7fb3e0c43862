"""INFORMATION_SCHEMA: the views whose columns are shipped, and what is metadata of the account.

Structure that a role sees anyway is a table like others. Texts of views and functions carry the
built-in tag `sql-text`. Histories, ACCOUNT_USAGE and the rest of the SNOWFLAKE database are account
metadata: everybody's statements (F17).

Snowflake adds columns to these views over time. Which there are, in which order, says the account
itself, as it does of tables; a column that is not shipped could be a text, and counts as one.

Source of the columns: <https://docs.snowflake.com/en/sql-reference/info-schema>
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from snowgate.model.statement import ObjectName
from snowgate.sql.catalog import CatalogColumn, Table

METADATA_SCHEMA = "INFORMATION_SCHEMA"
SQL_TEXT = frozenset({"sql-text"})

# NAME: columns; `#` numbers, `@` times, `!` texts of statements, otherwise text.
_VIEWS = """
APPLICABLE_ROLES: GRANTEE ROLE_NAME ROLE_OWNER IS_GRANTABLE
COLUMNS: TABLE_CATALOG TABLE_SCHEMA TABLE_NAME COLUMN_NAME #ORDINAL_POSITION COLUMN_DEFAULT
 IS_NULLABLE DATA_TYPE #CHARACTER_MAXIMUM_LENGTH #CHARACTER_OCTET_LENGTH #NUMERIC_PRECISION
 #NUMERIC_PRECISION_RADIX #NUMERIC_SCALE #DATETIME_PRECISION INTERVAL_TYPE #INTERVAL_PRECISION
 CHARACTER_SET_CATALOG CHARACTER_SET_SCHEMA CHARACTER_SET_NAME COLLATION_CATALOG COLLATION_SCHEMA
 COLLATION_NAME DOMAIN_CATALOG DOMAIN_SCHEMA DOMAIN_NAME UDT_CATALOG UDT_SCHEMA UDT_NAME
 SCOPE_CATALOG SCOPE_SCHEMA SCOPE_NAME #MAXIMUM_CARDINALITY DTD_IDENTIFIER IS_SELF_REFERENCING
 IS_IDENTITY IDENTITY_GENERATION IDENTITY_START IDENTITY_INCREMENT IDENTITY_MAXIMUM
 IDENTITY_MINIMUM IDENTITY_CYCLE IDENTITY_ORDERED SCHEMA_EVOLUTION_RECORD COMMENT DATA_TYPE_ALIAS
DATABASES: DATABASE_NAME DATABASE_OWNER IS_TRANSIENT COMMENT @CREATED @LAST_ALTERED #RETENTION_TIME
 TYPE REPLICABLE_WITH_FAILOVER_GROUPS OWNER_ROLE_TYPE
ENABLED_ROLES: ROLE_NAME ROLE_OWNER
FUNCTIONS: FUNCTION_CATALOG FUNCTION_SCHEMA FUNCTION_NAME FUNCTION_OWNER ARGUMENT_SIGNATURE
 DATA_TYPE FUNCTION_LANGUAGE !FUNCTION_DEFINITION @CREATED @LAST_ALTERED COMMENT IS_EXTERNAL
INFORMATION_SCHEMA_CATALOG_NAME: CATALOG_NAME
PROCEDURES: PROCEDURE_CATALOG PROCEDURE_SCHEMA PROCEDURE_NAME PROCEDURE_OWNER ARGUMENT_SIGNATURE
 DATA_TYPE PROCEDURE_LANGUAGE !PROCEDURE_DEFINITION @CREATED @LAST_ALTERED COMMENT
REFERENTIAL_CONSTRAINTS: CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME
 UNIQUE_CONSTRAINT_CATALOG UNIQUE_CONSTRAINT_SCHEMA UNIQUE_CONSTRAINT_NAME MATCH_OPTION UPDATE_RULE
 DELETE_RULE COMMENT @CREATED @LAST_ALTERED
SCHEMATA: CATALOG_NAME SCHEMA_NAME SCHEMA_OWNER IS_TRANSIENT IS_MANAGED_ACCESS #RETENTION_TIME
 DEFAULT_CHARACTER_SET_CATALOG DEFAULT_CHARACTER_SET_SCHEMA DEFAULT_CHARACTER_SET_NAME SQL_PATH
 @CREATED @LAST_ALTERED COMMENT REPLICABLE_WITH_FAILOVER_GROUPS OWNER_ROLE_TYPE
SEQUENCES: SEQUENCE_CATALOG SEQUENCE_SCHEMA SEQUENCE_NAME SEQUENCE_OWNER DATA_TYPE
 #NUMERIC_PRECISION #NUMERIC_PRECISION_RADIX #NUMERIC_SCALE START_VALUE MINIMUM_VALUE MAXIMUM_VALUE
 NEXT_VALUE INCREMENT CYCLE_OPTION @CREATED @LAST_ALTERED ORDERED COMMENT
TABLES: TABLE_CATALOG TABLE_SCHEMA TABLE_NAME TABLE_OWNER TABLE_TYPE IS_TRANSIENT CLUSTERING_KEY
 #ROW_COUNT #BYTES #RETENTION_TIME SELF_REFERENCING_COLUMN_NAME REFERENCE_GENERATION
 USER_DEFINED_TYPE_CATALOG USER_DEFINED_TYPE_SCHEMA USER_DEFINED_TYPE_NAME IS_INSERTABLE_INTO
 IS_TYPED COMMIT_ACTION @CREATED @LAST_ALTERED @LAST_DDL LAST_DDL_BY AUTO_CLUSTERING_ON COMMENT
 IS_TEMPORARY IS_ICEBERG IS_DYNAMIC IS_IMMUTABLE IS_HYBRID
TABLE_CONSTRAINTS: CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME TABLE_CATALOG TABLE_SCHEMA
 TABLE_NAME CONSTRAINT_TYPE IS_DEFERRABLE INITIALLY_DEFERRED ENFORCED COMMENT @CREATED @LAST_ALTERED
 RELY
VIEWS: TABLE_CATALOG TABLE_SCHEMA TABLE_NAME TABLE_OWNER !VIEW_DEFINITION CHECK_OPTION IS_UPDATABLE
 INSERTABLE_INTO IS_SECURE @CREATED @LAST_ALTERED @LAST_DDL LAST_DDL_BY COMMENT
"""
_TYPES = {"#": "NUMBER", "@": "TIMESTAMP_LTZ", "!": "VARCHAR"}
_ACCOUNT_DATABASE = "SNOWFLAKE"
_ACCOUNT_SCHEMAS = frozenset({"ACCOUNT_USAGE", "ORGANIZATION_USAGE", "READER_ACCOUNT_USAGE"})


@cache
def _views() -> dict[str, Table]:
    views: dict[str, list[CatalogColumn]] = {}
    columns: list[CatalogColumn] = []
    for word in _VIEWS.split():
        if word.endswith(":"):
            columns = views.setdefault(word[:-1], [])
            continue
        name = word.lstrip("#@!")
        mark = word[0] if name != word else ""
        tags = SQL_TEXT if mark == "!" else frozenset()
        columns.append(CatalogColumn(name, _TYPES.get(mark, "VARCHAR"), tags))
    return {name: Table(tuple(listed)) for name, listed in views.items()}


def metadata_table(name: str, read: Table | None = None) -> Table | None:
    """A view of INFORMATION_SCHEMA that shows structure; None: it shows more, or is not known.

    Args:
        name: Of the view.
        read: Its columns as the account lists them; the shipped ones without.
    """
    shipped = _views().get(name)
    if shipped is None or read is None or not read.columns:
        return shipped
    tags = {column.name: column.tags for column in shipped.columns}
    return Table(
        tuple(
            replace(column, tags=column.tags | tags.get(column.name, SQL_TEXT))
            for column in read.columns
        )
    )


def is_account_metadata(name: ObjectName) -> bool:
    """Whether an object shows what everybody in the account does."""
    return (
        name.database == _ACCOUNT_DATABASE
        or name.schema in _ACCOUNT_SCHEMAS
        or (name.schema == METADATA_SCHEMA and metadata_table(name.name) is None)
    )
