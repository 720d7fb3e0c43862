"""Roles, secondary roles and privileges: the danger a gateway has to pin away."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import Standin
from snowflake.connector.errors import ProgrammingError


def _refusal(cursor: Any, sql: str) -> tuple[int, str, str]:
    with pytest.raises(ProgrammingError) as caught:
        cursor.execute(sql)
    return caught.value.errno, caught.value.sqlstate, caught.value.raw_msg


def test_all_roles_are_active_until_they_are_switched_off(standin: Standin) -> None:
    with standin.connect(role="ANALYST") as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT CURRENT_ROLE(), CURRENT_SECONDARY_ROLES()")
        role, secondary = cursor.fetchone()
        assert role == "ANALYST"
        assert json.loads(secondary)["value"] == "ALL"
        assert "ETL" in json.loads(secondary)["roles"].split(",")
        cursor.execute("CREATE TABLE DANGER (A INT)")
        cursor.execute("DROP TABLE DANGER")
        cursor.execute("USE SECONDARY ROLES NONE")
        cursor.execute("SELECT CURRENT_SECONDARY_ROLES()")
        assert cursor.fetchone() == ('{"roles":"","value":""}',)
        assert _refusal(cursor, "CREATE TABLE DANGER (A INT)") == (
            3001,
            "42501",
            "SQL access control error:\nInsufficient privileges to operate on schema 'PUBLIC'",
        )


def test_a_granted_role_can_be_used_and_others_cannot(analyst: Any) -> None:
    analyst.execute("USE ROLE ETL")
    assert analyst.execute("SELECT CURRENT_ROLE()").fetchone() == ("ETL",)
    assert _refusal(analyst, "USE ROLE ACCOUNTADMIN")[:2] == (3013, "42501")


def test_comments_before_a_statement_do_not_change_it(standin: Standin) -> None:
    with standin.connect(role="SYSADMIN") as connection:
        cursor = connection.cursor()
        cursor.execute("/* a */ -- b\n CREATE ROLE COMMENTED;")
        cursor.execute("-- c\nGRANT ROLE COMMENTED TO USER SVC_SNOWGATE;")
        cursor.execute("/* d */ USE ROLE COMMENTED;")
        assert cursor.execute("SELECT CURRENT_ROLE();").fetchone() == ("COMMENTED",)
        cursor.execute("USE ROLE SYSADMIN")
        cursor.execute("DROP ROLE COMMENTED")
        assert cursor.execute("/* e */ EXPLAIN SELECT 1").fetchone()[3] == "GlobalStats"


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO ORDERS SELECT * FROM ORDERS",
        "UPDATE ORDERS SET AMOUNT = 0",
        "DELETE FROM ORDERS",
        "TRUNCATE TABLE ORDERS",
        "DROP TABLE ORDERS",
        "ALTER TABLE ORDERS ADD COLUMN X INT",
        "CREATE OR REPLACE TABLE ORDERS (A INT)",
        "CREATE SCHEMA CRM.OTHER",
        "CREATE ROLE R",
        "GRANT ROLE ETL TO ROLE ANALYST",
        "MERGE INTO ORDERS USING (SELECT 1 A) S ON ID = A WHEN MATCHED THEN UPDATE SET AMOUNT = 0",
    ],
)
def test_a_reader_may_not_change_anything(analyst: Any, sql: str) -> None:
    assert _refusal(analyst, sql)[:2] == (3001, "42501")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM CUSTOMERS",
        "SELECT * FROM IDENTIFIER('CRM.PUBLIC.CUSTOMERS')",
        "SELECT * FROM TABLE('CUSTOMERS')",
        "WITH ORDERS AS (SELECT * FROM ORDERS) SELECT * FROM ORDERS",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM CUSTOMERS)",
        "SELECT * FROM V_CUSTOMERS",
    ],
)
def test_the_catalog_role_sees_objects_but_reads_no_rows(standin: Standin, sql: str) -> None:
    with standin.connect_catalog() as connection:
        cursor = connection.cursor()
        cursor.execute("USE SECONDARY ROLES NONE")
        code, _, message = _refusal(cursor, sql)
        assert code == 2003
        assert "does not exist or not authorized" in message
        cursor.execute("SELECT COUNT(*) FROM BIG")
        assert cursor.fetchone() == (200_000,)


def test_the_catalog_role_reads_the_information_schema(standin: Standin) -> None:
    with standin.connect_catalog(database=None, schema=None) as connection:
        cursor = connection.cursor()
        cursor.execute("USE SECONDARY ROLES NONE")
        cursor.execute(
            "SELECT table_catalog, table_schema, table_name, column_name, ordinal_position,"
            " data_type FROM CRM.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'EVENTS'"
            " ORDER BY ordinal_position"
        )
        assert cursor.fetchall() == [
            ("CRM", "PUBLIC", "EVENTS", "ID", 1, "NUMBER"),
            ("CRM", "PUBLIC", "EVENTS", "USER_ID", 2, "NUMBER"),
            ("CRM", "PUBLIC", "EVENTS", "TS", 3, "TIMESTAMP_NTZ"),
            ("CRM", "PUBLIC", "EVENTS", "KIND", 4, "TEXT"),
            ("CRM", "PUBLIC", "EVENTS", "V", 5, "VARIANT"),
        ]
        cursor.execute("SELECT table_name, view_definition FROM CRM.INFORMATION_SCHEMA.VIEWS")
        assert cursor.fetchall() == [
            ("V_CUSTOMERS", "CREATE VIEW V_CUSTOMERS AS SELECT * FROM CUSTOMERS;")
        ]
        cursor.execute("SELECT GET_DDL('VIEW', 'CRM.PUBLIC.V_CUSTOMERS')")
        assert "SELECT * FROM CUSTOMERS" in cursor.fetchone()[0]
        cursor.execute("SELECT GET_DDL('TABLE', 'CRM.PUBLIC.PRODUCTS')")
        assert "PRICE NUMBER(12,2)" in cursor.fetchone()[0]
        cursor.execute("SHOW FUNCTIONS")
        place = [column.name for column in cursor.description].index("is_builtin")
        rows = cursor.fetchall()
        assert len(rows) > 200
        assert {row[place] for row in rows} == {"Y"}


def test_an_owner_keeps_its_object_and_a_grant_opens_it(standin: Standin, etl: Any) -> None:
    with standin.connect(role="SYSADMIN") as connection:
        admin = connection.cursor()
        admin.execute("CREATE DATABASE OTHER")
        admin.execute("USE SCHEMA CRM.PUBLIC")
        admin.execute("CREATE SCHEMA OTHER.S")
        admin.execute("CREATE TABLE OTHER.S.T (A INT)")
        assert _refusal(etl, "SELECT * FROM OTHER.S.T")[0] == 2003
        admin.execute("GRANT SELECT ON TABLE OTHER.S.T TO ROLE ETL")
        etl.execute("SELECT * FROM OTHER.S.T")
        assert _refusal(etl, "DROP TABLE OTHER.S.T")[0] == 3001
        admin.execute("DROP DATABASE OTHER")
