"""Statements that take their time, requests that repeat, and faults on demand."""

from __future__ import annotations

import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from harness import Standin, running
from snowflake.connector.errors import Error, ProgrammingError


def test_the_driver_waits_for_a_long_statement(standin: Standin) -> None:
    with standin.connect() as connection:
        cursor = connection.cursor()
        start = time.monotonic()
        assert cursor.execute("SELECT SYSTEM$WAIT(3)").fetchone() == ("waited 3 seconds",)
        assert 3 <= time.monotonic() - start < 6


def test_a_running_statement_answers_with_a_result_url(standin: Standin) -> None:
    with standin.connect() as connection:
        token = connection.rest.token
        body = {"sqlText": "SELECT 5 /* standin:wait=1.5 */"}
        reply = standin.post("/queries/v1/query-request?requestId=long", body, token)
        assert (reply["success"], reply["code"]) == (True, "333333")
        url = reply["data"]["getResultUrl"]
        assert url == f"/queries/{reply['data']['queryId']}/result"
        again = standin.post(url, {}, token)
        assert (again["success"], again["code"], again["data"]["total"]) == (True, None, 1)
        with standin.connect() as other:
            assert standin.post(url, {}, other.rest.token)["data"]["total"] == 1
        assert standin.admin("GET", "executed")["by_request"]["long"] == 1


def test_a_timeout_of_the_driver_cancels_the_statement(standin: Standin) -> None:
    with standin.connect(role="ETL") as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE CANCELLED (A INT)")
        start = time.monotonic()
        with pytest.raises(ProgrammingError) as caught:
            cursor.execute("INSERT INTO CANCELLED SELECT 1 /* standin:wait=20 */", timeout=1)
        assert (caught.value.errno, caught.value.sqlstate) == (604, "57014")
        assert time.monotonic() - start < 10
        assert cursor.execute("SELECT COUNT(*) FROM CANCELLED").fetchone() == (0,)
        cursor.execute("DROP TABLE CANCELLED")


def test_an_abort_stops_duckdb_itself(standin: Standin) -> None:
    with standin.connect() as connection:
        cursor = connection.cursor()
        cursor.execute_async("SELECT COUNT(*) FROM BIG A, BIG B WHERE SQRT(A.ID + B.ID) < 3.5")
        query = cursor.sfqid
        time.sleep(0.3)
        assert connection.get_query_status(query).name == "RUNNING"
        reply = standin.post(f"/queries/{query}/abort-request", {}, connection.rest.token)
        assert reply["success"] is True
        result = standin.post(f"/queries/{query}/result", {}, connection.rest.token)
        assert (result["code"], result["data"]["sqlState"]) == ("000604", "57014")
        assert connection.get_query_status(query).name == "ABORTED"
        assert connection.cursor().execute("SELECT 1").fetchone() == (1,)
        gone = standin.post(f"/queries/{query}/abort-request", {}, connection.rest.token)
        assert gone["code"] == "000605"


def test_an_asynchronous_statement_is_fetched_by_another_session(standin: Standin) -> None:
    with standin.connect() as first, standin.connect() as second:
        cursor = first.cursor()
        cursor.execute_async("SELECT COUNT(*) FROM CUSTOMERS")
        other = second.cursor()
        other.get_results_from_sfqid(cursor.sfqid)
        assert other.fetchone() == (2000,)


def test_two_statements_of_one_session_wait_side_by_side(standin: Standin) -> None:
    with standin.connect() as connection:
        start = time.monotonic()
        cursors = [connection.cursor() for _ in range(3)]
        threads = [
            threading.Thread(target=cursor.execute, args=("SELECT SYSTEM$WAIT(1)",))
            for cursor in cursors
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - start < 2.5


def test_a_repeated_request_is_not_run_again(standin: Standin) -> None:
    with standin.connect(role="ETL") as connection:
        cursor, token = connection.cursor(), connection.rest.token
        cursor.execute("CREATE TABLE ONCE (A INT)")
        request = f"/queries/v1/query-request?requestId={uuid.uuid4()}"
        insert = {"sqlText": "INSERT INTO ONCE VALUES (1)"}
        first = standin.post(request, insert, token)
        second = standin.post(request, insert, token)
        assert first["data"]["queryId"] == second["data"]["queryId"]
        assert cursor.execute("SELECT COUNT(*) FROM ONCE").fetchone() == (1,)
        cursor.execute("DROP TABLE ONCE")


def test_without_deduplication_it_is_run_again(tmp_path: Any) -> None:
    with running(tmp_path, "--no-dedup", "--big-rows", "10") as standin:
        with standin.connect(role="ETL") as connection:
            cursor, token = connection.cursor(), connection.rest.token
            cursor.execute("CREATE TABLE TWICE (A INT)")
            for _ in range(2):
                standin.post(
                    "/queries/v1/query-request?requestId=same",
                    {"sqlText": "INSERT INTO TWICE VALUES (1)"},
                    token,
                )
            assert cursor.execute("SELECT COUNT(*) FROM TWICE").fetchone() == (2,)
        start = time.monotonic()
        standin.process.terminate()
        standin.process.wait(5)
        assert time.monotonic() - start < 2


def test_it_leaves_nothing_in_the_folder_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with running(tmp_path) as standin:
        assert standin.process.poll() is None
        assert list(temporary.iterdir())
    assert not list(temporary.iterdir())


def test_every_request_is_logged_before_it_is_served(standin: Standin) -> None:
    with standin.connect() as connection:
        marker = f"SELECT 1 /* {uuid.uuid4()} */"
        connection.cursor().execute(marker)
        session = connection.cursor().execute("SELECT CURRENT_SESSION()").fetchone()[0]
        connection.cursor().execute("SELECT * FROM BIG LIMIT 1000").fetchall()
    lines = standin.lines()
    assert all(set(line) == {"time", "path", "request_id", "sql", "session"} for line in lines)
    mine = next(line for line in lines if line["sql"] == marker)
    assert mine["path"] == "/queries/v1/query-request"
    assert mine["session"] == int(session)
    assert len(mine["request_id"]) == 36
    assert lines[0]["path"] == "/session/v1/login-request"
    chunks = [line for line in lines if line["path"].startswith("/results/")]
    assert chunks
    assert all(line["session"] is None and line["sql"] is None for line in chunks)
    assert "STANDIN-SECRET" not in standin.log.read_text()


def test_faults_strike_the_next_request_only(standin: Standin) -> None:
    with standin.connect() as connection:
        token = connection.rest.token

        def run(name: str) -> dict[str, Any]:
            body = {"sqlText": "SELECT 1 AS A, 2 AS B"}
            return standin.post(f"/queries/v1/query-request?requestId={name}", body, token)

        standin.fault(kind="final_role", value="ACCOUNTADMIN")
        standin.fault(kind="set", key="data.surprise", value=[["secret"]])
        standin.fault(kind="rowtype", op="rename", index=1, name="X")
        reply = run("f1")["data"]
        assert reply["finalRoleName"] == "ACCOUNTADMIN"
        assert reply["surprise"] == [["secret"]]
        assert [column["name"] for column in reply["rowtype"]] == ["A", "X"]
        standin.fault(kind="rowtype", op="drop", index=0)
        assert [column["name"] for column in run("f2")["data"]["rowtype"]] == ["B"]
        standin.fault(kind="http", status=503)
        assert connection.cursor().execute("SELECT 3").fetchone() == (3,)
        assert "surprise" not in run("f3")["data"]


def test_an_unknown_fault_is_refused(standin: Standin) -> None:
    with pytest.raises(OSError, match="400"):
        standin.fault(kind="nonsense")


def test_put_and_get_have_their_true_shape_and_lead_nowhere(standin: Standin) -> None:
    with standin.connect(role="ETL") as connection:
        body = {"sqlText": "PUT file:///tmp/x @~"}
        reply = standin.post(
            "/queries/v1/query-request?requestId=put", body, connection.rest.token
        )["data"]
        assert reply["command"] == "UPLOAD"
        assert "STANDIN-SECRET" in reply["stageInfo"]["creds"]["AWS_TOKEN"]
        with pytest.raises(Error):
            connection.cursor().execute("PUT file:///nowhere/x @~")


def test_a_statement_that_outlasts_its_timeout_is_cancelled(standin: Standin) -> None:
    with standin.connect() as connection:
        cursor = connection.cursor()
        cursor.execute("ALTER SESSION SET STATEMENT_TIMEOUT_IN_SECONDS = 1")
        with pytest.raises(ProgrammingError) as caught:
            cursor.execute("SELECT SYSTEM$WAIT(20)")
        assert (caught.value.errno, caught.value.sqlstate) == (630, "57014")


def test_the_history_names_every_statement_with_its_tag(standin: Standin) -> None:
    with standin.connect() as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT 4711", _statement_params={"QUERY_TAG": "mine"})
        query = cursor.sfqid
        cursor.execute(
            "SELECT QUERY_TEXT, QUERY_TAG, EXECUTION_STATUS, ROWS_PRODUCED"
            f" FROM TABLE(CRM.INFORMATION_SCHEMA.QUERY_HISTORY()) WHERE QUERY_ID = '{query}'"
        )
        assert cursor.fetchall() == [("SELECT 4711", "mine", "SUCCESS", 1)]


def test_a_kept_result_is_not_used_after_a_change(standin: Standin) -> None:
    with standin.connect(role="ETL") as one, standin.connect(role="ETL") as two:
        first, second = one.cursor(), two.cursor()
        first.execute("CREATE TABLE KEPT AS SELECT 1 A")
        count = "SELECT COUNT(*) FROM KEPT"
        assert first.execute(count).fetchone() == second.execute(count).fetchone() == (1,)
        second.execute("INSERT INTO KEPT VALUES (2)")
        assert first.execute(count).fetchone() == (2,)
        second.execute("BEGIN")
        second.execute("INSERT INTO KEPT VALUES (3)")
        assert first.execute(count).fetchone() == (2,)
        assert second.execute(count).fetchone() == (3,)
        second.execute("COMMIT")
        assert first.execute(count).fetchone() == (3,)
        second.execute("DROP TABLE KEPT")


def test_without_autocommit_changes_wait_for_a_commit(standin: Standin) -> None:
    with standin.connect(role="ETL") as one, standin.connect(role="ETL", autocommit=False) as two:
        reader, writer = one.cursor(), two.cursor()
        reader.execute("CREATE TABLE WAITING (A INT)")
        writer.execute("INSERT INTO WAITING VALUES (1)")
        assert reader.execute("SELECT COUNT(*) FROM WAITING").fetchone() == (0,)
        two.commit()
        assert reader.execute("SELECT COUNT(*) FROM WAITING").fetchone() == (1,)
        reader.execute("DROP TABLE WAITING")
