"""Functions and procedures: created, listed, described, called."""

from __future__ import annotations

from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError


def test_a_function_computes_and_is_listed(etl: Any) -> None:
    etl.execute("CREATE FUNCTION CRM.PUBLIC.SHOUT(X VARCHAR) RETURNS VARCHAR AS 'UPPER(X)'")
    etl.execute("CREATE FUNCTION SHOUT(X INT) RETURNS VARCHAR LANGUAGE SQL AS $$ X || '!' $$")
    etl.execute("SELECT CRM.PUBLIC.SHOUT('a'), ID FROM ORDERS ORDER BY ID LIMIT 1")
    assert etl.fetchone()[0] in ("A", "a!")
    rows = etl.execute(
        "SELECT FUNCTION_SCHEMA, FUNCTION_NAME, ARGUMENT_SIGNATURE, DATA_TYPE"
        " FROM CRM.INFORMATION_SCHEMA.FUNCTIONS ORDER BY 3"
    ).fetchall()
    assert rows == [
        ("PUBLIC", "SHOUT", "(X NUMBER)", "VARCHAR"),
        ("PUBLIC", "SHOUT", "(X VARCHAR)", "VARCHAR"),
    ]
    text = 'CREATE OR REPLACE FUNCTION "SHOUT"("X" VARCHAR)\nRETURNS VARCHAR\nLANGUAGE SQL\n'
    asked = """SELECT GET_DDL('FUNCTION', '"CRM"."PUBLIC"."SHOUT"(VARCHAR)')"""
    assert etl.execute(asked).fetchone() == (text + "AS 'UPPER(X)';",)
    etl.execute("DROP FUNCTION SHOUT(INT)")
    assert etl.execute("SELECT SHOUT('a')").fetchone() == ("A",)
    etl.execute("DROP FUNCTION SHOUT(VARCHAR)")
    with pytest.raises(ProgrammingError, match="SHOUT"):
        etl.execute("SELECT SHOUT('a')")


def test_a_table_function_makes_rows(etl: Any) -> None:
    etl.execute(
        "CREATE FUNCTION TWICE(X VARCHAR) RETURNS TABLE (W VARCHAR)"
        " AS 'SELECT X AS W UNION ALL SELECT X'"
    )
    assert etl.execute("SELECT * FROM TABLE(TWICE('a'))").fetchall() == [("a",), ("a",)]
    etl.execute("SELECT T.W FROM TABLE(CRM.PUBLIC.TWICE('b')) T")
    assert etl.fetchall() == [("b",), ("b",)]
    etl.execute("DROP FUNCTION TWICE(VARCHAR)")


def test_a_procedure_runs_its_statements_as_its_owner(etl: Any, analyst: Any) -> None:
    etl.execute("CREATE TABLE DAILY (DAY VARCHAR, N INT)")
    etl.execute(
        "CREATE PROCEDURE REFRESH(DAY VARCHAR) RETURNS VARCHAR LANGUAGE SQL AS"
        " 'BEGIN INSERT INTO DAILY SELECT :DAY, COUNT(*) FROM PRODUCTS; SELECT N FROM DAILY; END'"
    )
    assert analyst.execute("CALL CRM.PUBLIC.REFRESH('x')").fetchall() == [(200,)]
    assert etl.execute("CALL REFRESH(DAY => %s)", ("y",)).fetchall() == [(200,), (200,)]
    assert etl.execute("SELECT DAY FROM DAILY ORDER BY 1").fetchall() == [("x",), ("y",)]
    with pytest.raises(ProgrammingError):
        analyst.execute("INSERT INTO DAILY VALUES ('z', 1)")
    etl.execute("SELECT PROCEDURE_NAME, ARGUMENT_SIGNATURE FROM CRM.INFORMATION_SCHEMA.PROCEDURES")
    assert etl.fetchall() == [("REFRESH", "(DAY VARCHAR)")]
    ddl = etl.execute("SELECT GET_DDL('PROCEDURE', 'CRM.PUBLIC.REFRESH(VARCHAR)')").fetchone()[0]
    assert "EXECUTE AS OWNER" in ddl
    etl.execute("DROP PROCEDURE REFRESH(VARCHAR)")
    etl.execute("DROP TABLE DAILY")


def test_what_is_not_there_has_no_ddl(etl: Any) -> None:
    with pytest.raises(ProgrammingError) as caught:
        etl.execute("SELECT GET_DDL('FUNCTION', 'CRM.PUBLIC.NOPE(VARCHAR)')")
    assert caught.value.errno == 2003
