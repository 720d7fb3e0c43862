"""Object tags: how they are set, what they reach, and who may read where they are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Standin, running
from snowflake.connector.errors import ProgrammingError


@pytest.fixture(scope="module")
def tagged(standin: Standin) -> Iterator[Any]:
    """A cursor of the role that owns things, in a schema with a tag."""
    with standin.connect(role="ETL") as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE SCHEMA CRM.TAGGED")
        cursor.execute("USE SCHEMA CRM.TAGGED")
        cursor.execute("CREATE TAG PII ALLOWED_VALUES 'yes', 'no' COMMENT = 'personal'")
        cursor.execute("CREATE TAG LEVEL")
        yield cursor


@pytest.fixture
def table(tagged: Any) -> Iterator[str]:
    tagged.execute("CREATE TABLE T (ID INT, MAIL VARCHAR)")
    yield "T"
    tagged.execute("DROP TABLE IF EXISTS T")
    tagged.execute("ALTER SCHEMA CRM.TAGGED UNSET TAG PII")


def effective(cursor: Any, name: str = "T") -> set[tuple[str, ...]]:
    """Column, tag, value and level, of one object."""
    return set(
        cursor.execute(
            "SELECT COLUMN_NAME, TAG_NAME, TAG_VALUE, LEVEL FROM TABLE(CRM.INFORMATION_SCHEMA."
            f"TAG_REFERENCES_ALL_COLUMNS('CRM.TAGGED.{name}', 'table'))"
        ).fetchall()
    )


def assigned(cursor: Any) -> set[tuple[str, ...]]:
    """Domain, object, column, tag and value, in the account."""
    return set(
        cursor.execute(
            "SELECT DOMAIN, OBJECT_NAME, COLUMN_NAME, TAG_NAME, TAG_VALUE FROM"
            " SNOWFLAKE.ACCOUNT_USAGE.TAG_REFERENCES WHERE OBJECT_DELETED IS NULL"
        ).fetchall()
    )


@pytest.mark.usefixtures("table")
def test_a_tag_on_a_column_is_only_there(tagged: Any) -> None:
    tagged.execute("ALTER TABLE T MODIFY COLUMN MAIL SET TAG PII = 'yes'")

    assert effective(tagged) == {("MAIL", "PII", "yes", "COLUMN")}
    assert ("COLUMN", "T", "MAIL", "PII", "yes") in assigned(tagged)

    tagged.execute("ALTER TABLE T ALTER COLUMN MAIL UNSET TAG CRM.TAGGED.PII")
    assert effective(tagged) == set()


@pytest.mark.usefixtures("table")
def test_a_tag_on_a_schema_reaches_all_and_the_nearest_value_counts(tagged: Any) -> None:
    tagged.execute("ALTER SCHEMA CRM.TAGGED SET TAG PII = 'no', LEVEL = 'it''s low'")
    tagged.execute("ALTER TABLE T SET TAG PII = 'yes'")
    tagged.execute("ALTER TABLE T MODIFY ID SET TAG \"PII\" = 'no'")

    assert {one for one in effective(tagged) if one[1] == "PII"} == {
        ("ID", "PII", "no", "COLUMN"),
        ("MAIL", "PII", "yes", "TABLE"),
    }
    assert ("MAIL", "LEVEL", "it's low", "SCHEMA") in effective(tagged)
    assert ("SCHEMA", "TAGGED", None, "LEVEL", "it's low") in assigned(tagged)
    tagged.execute("ALTER SCHEMA CRM.TAGGED UNSET TAG PII, LEVEL")


def test_create_table_gives_tags(tagged: Any) -> None:
    tagged.execute(
        "CREATE OR REPLACE TABLE MADE (ID INT, MAIL VARCHAR WITH TAG (PII = 'yes', LEVEL = '1'),"
        " NOTE VARCHAR TAG (LEVEL = '2')) WITH TAG (CRM.TAGGED.PII = 'no')"
    )
    assert effective(tagged, "MADE") == {
        ("ID", "PII", "no", "TABLE"),
        ("MAIL", "PII", "yes", "COLUMN"),
        ("MAIL", "LEVEL", "1", "COLUMN"),
        ("NOTE", "PII", "no", "TABLE"),
        ("NOTE", "LEVEL", "2", "COLUMN"),
    }
    tagged.execute("CREATE TABLE COPIED CLONE MADE")
    assert len(effective(tagged, "COPIED")) == 5
    tagged.execute("CREATE OR REPLACE TABLE MADE (ID INT)")
    assert effective(tagged, "MADE") == set()
    tagged.execute("ALTER TABLE COPIED RENAME TO MOVED")
    assert len(effective(tagged, "MOVED")) == 5
    tagged.execute("ALTER TABLE MOVED SWAP WITH MADE")
    assert len(effective(tagged, "MADE")) == 5
    assert effective(tagged, "MOVED") == set()
    tagged.execute("DROP TABLE MADE")
    assert "MADE" not in {one[1] for one in assigned(tagged)}


@pytest.mark.usefixtures("table")
def test_a_view_has_tags_of_its_own(tagged: Any) -> None:
    tagged.execute("CREATE OR REPLACE VIEW SHOWN AS SELECT * FROM T")
    tagged.execute("ALTER VIEW SHOWN MODIFY COLUMN MAIL SET TAG PII = 'yes'")

    assert effective(tagged, "SHOWN") == {("MAIL", "PII", "yes", "COLUMN")}
    tagged.execute("DROP VIEW SHOWN")


@pytest.mark.usefixtures("table")
def test_a_dropped_tag_is_nowhere(tagged: Any) -> None:
    tagged.execute("CREATE TAG SHORT")
    tagged.execute("ALTER TABLE T SET TAG SHORT = 'x'")
    tagged.execute("DROP TAG SHORT")

    assert effective(tagged) == set()


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("sql", "errno"),
    [
        ("ALTER TABLE T SET TAG NOWHERE = 'x'", 2003),
        ("ALTER TABLE NOWHERE SET TAG PII = 'x'", 2003),
        ("ALTER TABLE T MODIFY COLUMN NOWHERE SET TAG PII = 'x'", 904),
        ("DROP TAG NOWHERE", 2003),
        ("CREATE TAG CRM.NOWHERE.PII", 2003),
        ("CREATE TABLE NEW (A INT WITH TAG (NOWHERE = 'x'))", 2003),
    ],
)
def test_what_is_not_there_is_refused(tagged: Any, sql: str, errno: int) -> None:
    with pytest.raises(ProgrammingError) as caught:
        tagged.execute(sql)
    assert caught.value.errno == errno


@pytest.mark.usefixtures("tagged", "table")
def test_only_owners_tag(standin: Standin) -> None:
    with standin.connect(role="ANALYST") as connection:
        cursor = connection.cursor()
        cursor.execute("USE SECONDARY ROLES NONE")
        for sql in ("ALTER TABLE CRM.TAGGED.T SET TAG CRM.TAGGED.PII = 'x'", "CREATE TAG X"):
            with pytest.raises(ProgrammingError) as caught:
                cursor.execute(sql)
            assert caught.value.errno == 3001


@pytest.mark.usefixtures("tagged")
def test_the_accounts_view_takes_a_database_role(standin: Standin) -> None:
    def reads(role: str) -> bool:
        connect = standin.connect_catalog if role == "SNOWGATE" else standin.connect
        with connect(role=role) as connection:
            cursor = connection.cursor()
            cursor.execute("USE SECONDARY ROLES NONE")
            try:
                assigned(cursor)
            except ProgrammingError as error:
                return error.errno != 2003
            return True

    assert (reads("ANALYST"), reads("SNOWGATE")) == (False, True)
    with standin.connect(role="SYSADMIN") as connection:
        cursor = connection.cursor()
        word = "DATABASE ROLE SNOWFLAKE.GOVERNANCE_VIEWER"
        cursor.execute(f"REVOKE {word} FROM ROLE SNOWGATE")
        assert not reads("SNOWGATE")
        cursor.execute(f"GRANT {word} TO ROLE SNOWGATE")
        assert reads("SNOWGATE")


def test_an_object_that_is_not_seen_has_no_references(standin: Standin) -> None:
    with standin.connect(role="ETL") as connection, pytest.raises(ProgrammingError) as caught:
        effective(connection.cursor(), "NOWHERE")
    assert caught.value.errno == 2003


@pytest.mark.usefixtures("table")
def test_classification_is_shown_to_who_imports_the_snowflake_database(
    standin: Standin, tagged: Any
) -> None:
    tagged.execute(
        "ALTER TABLE T MODIFY COLUMN MAIL SET TAG SNOWFLAKE.CORE.PRIVACY_CATEGORY = 'IDENTIFIER'"
    )
    with standin.connect_catalog() as connection:
        cursor = connection.cursor()
        cursor.execute("USE SECONDARY ROLES NONE")
        assert effective(cursor) == {("MAIL", "PRIVACY_CATEGORY", "IDENTIFIER", "COLUMN")}
    with standin.connect(role="ANALYST") as connection:
        cursor = connection.cursor()
        cursor.execute("USE SECONDARY ROLES NONE")
        assert effective(cursor) == set()


def test_the_accounts_view_can_be_late(tmp_path: Path) -> None:
    with (
        running(tmp_path, "--usage-latency-s", "1.5", "--big-rows", "10") as late,
        late.connect(role="ETL") as connection,
    ):
        cursor = connection.cursor()
        cursor.execute("CREATE TAG PII")
        cursor.execute("ALTER TABLE ORDERS SET TAG PII = 'no'")
        assert assigned(cursor) == set()
        time.sleep(1.6)
        assert assigned(cursor) == {("TABLE", "ORDERS", None, "PII", "no")}
