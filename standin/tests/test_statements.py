"""What statements do: really executed DDL and DML, and refusals in Snowflake's words."""

from __future__ import annotations

from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

from snowgate_standin.binds import parse
from snowgate_standin.errors import SnowflakeError


@pytest.mark.parametrize(
    ("sql", "code", "state", "text"),
    [
        ("SELEC 1", 1003, "42000", "syntax error line 1 at position"),
        ("SELECT * FROM NOPE", 2003, "02000", "'CRM.PUBLIC.NOPE' does not exist or not authorized"),
        ("SELECT NOPE FROM ORDERS", 904, "42000", "invalid identifier 'NOPE'"),
        ("SELECT NOPE(1)", 2140, "42601", "Unknown function NOPE"),
        ("SELECT ID/0 FROM ORDERS", 100051, "22012", "Division by zero"),
        ("SELECT STATUS::INT FROM ORDERS", 100038, "22018", "is not recognized"),
        ("SELECT 1; SELECT 2", 8, "0A000", "Actual statement count 2"),
        ("CALL P()", 2140, "42601", "Unknown function P"),
        ("COPY INTO ORDERS FROM @S", 2, "0A000", "in the stand-in"),
    ],
)
def test_a_refusal_has_code_state_and_words(
    etl: Any, sql: str, code: int, state: str, text: str
) -> None:
    with pytest.raises(ProgrammingError) as caught:
        etl.execute(sql)
    assert (caught.value.errno, caught.value.sqlstate) == (code, state)
    assert text in caught.value.raw_msg


def test_ddl_and_dml_are_really_executed(etl: Any) -> None:
    etl.execute("CREATE SCHEMA CRM.WORK")
    etl.execute("CREATE TABLE T (ID INT NOT NULL, NAME VARCHAR(20))")
    assert etl.execute("INSERT INTO T VALUES (1, 'a'), (2, 'b')").rowcount == 2
    assert etl.execute("UPDATE T SET NAME = 'c' WHERE ID = 2").rowcount == 1
    etl.execute(
        "MERGE INTO T USING (SELECT 2 ID, 'd' NAME UNION ALL SELECT 3, 'e') S ON T.ID = S.ID"
        " WHEN MATCHED THEN UPDATE SET NAME = S.NAME"
        " WHEN NOT MATCHED THEN INSERT (ID, NAME) VALUES (S.ID, S.NAME)"
    )
    assert etl.execute("DELETE FROM T WHERE ID = 1").rowcount == 1
    etl.execute("CREATE TABLE U AS SELECT * FROM T")
    etl.execute("ALTER TABLE U RENAME TO W")
    etl.execute("ALTER TABLE W ADD COLUMN MORE INT")
    etl.execute("CREATE VIEW V AS SELECT NAME FROM W")
    assert etl.execute("SELECT * FROM V ORDER BY 1").fetchall() == [("d",), ("e",)]
    etl.execute("SELECT view_definition FROM CRM.INFORMATION_SCHEMA.VIEWS WHERE table_name = 'V'")
    assert etl.fetchone() == ("CREATE VIEW V AS SELECT NAME FROM W;",)
    etl.execute("DROP SCHEMA CRM.WORK")


def test_a_merge_counts_what_it_did_and_runs_in_a_transaction(etl: Any) -> None:
    """As dbt writes it: columns of the source without its name, which the target has too."""
    etl.execute("CREATE TABLE MINE (ID INT, AMOUNT INT)")
    etl.execute("INSERT INTO MINE VALUES (1, 1), (2, 2), (4, 4)")
    etl.execute("BEGIN")
    etl.execute(
        "merge into mine as D using (select 2 as id, 20 as amount union all select 3, 30"
        " union all select 4, null) as S on ((S.id = D.id))"
        " when matched and S.amount is null then delete"
        ' when matched then update set "AMOUNT" = S."AMOUNT"'
        ' when not matched then insert ("ID", "AMOUNT") values ("ID", "AMOUNT")'
    )
    names = [each.name for each in etl.description]
    assert names == [f"number of rows {done}" for done in ("inserted", "updated", "deleted")]
    assert etl.fetchall() == [(1, 1, 1)]
    etl.execute("COMMIT")
    assert etl.execute("SELECT * FROM MINE ORDER BY 1").fetchall() == [(1, 1), (2, 20), (3, 30)]
    etl.execute("DROP TABLE MINE")


def test_temporary_objects_are_described(etl: Any) -> None:
    etl.execute("CREATE TEMPORARY TABLE CRM.PUBLIC.\"T__tmp\" AS SELECT 1 AS ID, 'a' AS NAME")
    etl.execute('CREATE TEMPORARY VIEW CRM.PUBLIC.V__TMP AS SELECT ID FROM CRM.PUBLIC."T__tmp"')
    named = [row[0] for row in etl.execute('DESCRIBE TABLE "CRM"."PUBLIC"."T__tmp"').fetchall()]
    assert named == ["ID", "NAME"]
    assert [row[0] for row in etl.execute("DESCRIBE TABLE V__TMP").fetchall()] == ["ID"]
    etl.execute("DROP VIEW CRM.PUBLIC.V__TMP")
    etl.execute('DROP TABLE CRM.PUBLIC."T__tmp"')


def test_a_transaction_rolls_back(etl: Any) -> None:
    etl.execute("CREATE TABLE TX (A INT)")
    etl.execute("BEGIN")
    etl.execute("INSERT INTO TX VALUES (1)")
    etl.execute("ROLLBACK")
    assert etl.execute("SELECT COUNT(*) FROM TX").fetchone() == (0,)
    etl.execute("DROP TABLE TX")


def test_swapped_tables_change_places(etl: Any) -> None:
    etl.execute("CREATE TABLE S1 AS SELECT 1 A")
    etl.execute("CREATE TABLE S2 AS SELECT 2 A")
    etl.execute("ALTER TABLE S1 SWAP WITH S2")
    assert etl.execute("SELECT A FROM S1").fetchone() == (2,)
    etl.execute("DROP TABLE S1")
    etl.execute("DROP TABLE S2")


def test_a_temporary_table_belongs_to_its_session(etl: Any, analyst: Any) -> None:
    etl.execute("CREATE TEMPORARY TABLE CUSTOMERS AS SELECT 1 AS ONLY_MINE")
    assert etl.execute("SELECT * FROM CUSTOMERS").fetchall() == [(1,)]
    assert len(analyst.execute("SELECT * FROM CUSTOMERS").description) == 10


def test_values_can_be_bound(etl: Any) -> None:
    etl.connection._paramstyle = "qmark"
    etl.execute("SELECT ? + 1, ?, ?", (41, "x", None))
    assert etl.fetchone() == (42, "x", None)
    etl.execute("CREATE TABLE B (A INT, C VARCHAR)")
    etl.executemany("INSERT INTO B VALUES (?, ?)", [(1, "a"), (2, "b")])
    assert etl.rowcount == 2
    assert etl.execute("SELECT * FROM B ORDER BY 1").fetchall() == [(1, "a"), (2, "b")]
    etl.execute("DROP TABLE B")


@pytest.mark.parametrize(
    ("kind", "value", "code", "state"),
    [
        ("FIXED", "abc", "100038", "22018"),
        ("FIXED", "NaN", "100038", "22018"),
        ("FIXED", "1e999999999", "100038", "22018"),
        ("REAL", "1,5", "100038", "22018"),
        ("BOOLEAN", "maybe", "100037", "22018"),
        ("BINARY", "0g", "100115", "22000"),
        ("DATE", "2026-01-01", "100040", "22007"),
        ("DATE", "9" * 30, "100040", "22007"),
        ("TIME", "noon", "100108", "22007"),
        ("TIMESTAMP_TZ", "", "100035", "22007"),
        ("FIXED", ["1", "two"], "100038", "22018"),
    ],
)
def test_a_bind_that_is_no_value_of_its_type_is_an_error(
    kind: str, value: object, code: str, state: str
) -> None:
    with pytest.raises(SnowflakeError) as caught:
        parse({"1": {"type": kind, "value": value}})
    assert (caught.value.code, caught.value.sqlstate) == (code, state)
    assert "is not recognized" in caught.value.message


@pytest.mark.parametrize("other", ["1", ["1"], [], None])
def test_binds_of_a_batch_have_one_length(other: object) -> None:
    with pytest.raises(SnowflakeError):
        parse({"1": {"type": "FIXED", "value": ["1", "2"]}, "2": {"type": "FIXED", "value": other}})


def test_the_session_tells_its_context(etl: Any) -> None:
    etl.execute("SELECT CURRENT_WAREHOUSE(), CURRENT_DATABASE(), CURRENT_SCHEMA(), CURRENT_USER()")
    assert etl.fetchone() == ("WH", "CRM", "PUBLIC", "SVC_SNOWGATE")
    names = [column.name for column in etl.description]
    assert names == [
        "CURRENT_WAREHOUSE()",
        "CURRENT_DATABASE()",
        "CURRENT_SCHEMA()",
        "CURRENT_USER()",
    ]
    etl.execute("ALTER SESSION SET QUERY_TAG = 'x'")
    etl.execute("ALTER SESSION UNSET QUERY_TAG")


def test_describe_runs_nothing(etl: Any) -> None:
    columns = etl.describe("SELECT ID, EMAIL, 1 + 1 FROM CUSTOMERS")
    assert [column.name for column in columns] == ["ID", "EMAIL", "1 + 1"]


def test_an_earlier_result_can_be_scanned(analyst: Any) -> None:
    analyst.execute("SELECT COUNT(*) AS N FROM ORDERS")
    analyst.execute("SELECT N + 1 FROM TABLE(RESULT_SCAN(LAST_QUERY_ID()))")
    assert analyst.fetchone() == (5001,)


def test_a_column_can_be_named_by_its_place(analyst: Any) -> None:
    analyst.execute("SELECT T.$3, $1 FROM CUSTOMERS T WHERE ID = 1")
    assert analyst.fetchone()[1] == 1
    assert "@mail.example" in analyst.execute("SELECT $3 FROM CUSTOMERS").fetchone()[0]
