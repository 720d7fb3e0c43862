"""Results on the wire: formats, chunks, storage, descriptions of columns."""

from __future__ import annotations

import base64
import datetime
import gzip
import json
import urllib.error
import urllib.request
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from harness import Standin, key_pair, signed
from snowflake.connector.errors import Error

from snowgate_standin.columns import of_arrow
from snowgate_standin.result import ChunkStore, Result

JSON = {"session_parameters": {"PYTHON_CONNECTOR_QUERY_RESULT_FORMAT": "JSON"}}

TYPES = (
    "SELECT ID, ID * 1000000000 AS WIDE, AMOUNT, ORDER_DATE, STATUS, ID % 2 = 0 AS EVEN,"
    " IFF(ID % 3 = 0, NULL, AMOUNT::FLOAT) AS REAL, '2024-05-06 07:08:09.123456'::TIMESTAMP_NTZ"
    " AS NTZ, '1950-05-06 07:08:09.5'::TIMESTAMP_NTZ AS OLD, '12:34:56'::TIME AS T,"
    " IFF(ID % 2 = 0, NULL, 'quote \" and \\\\ and\ttab') AS TEXTS FROM ORDERS ORDER BY ID"
)


def test_json_and_arrow_say_the_same(standin: Standin) -> None:
    with standin.connect() as arrow, standin.connect(**JSON) as plain:
        one, two = arrow.cursor().execute(TYPES), plain.cursor().execute(TYPES)
        assert (one._query_result_format, two._query_result_format) == ("arrow", "json")
        rows = one.fetchall()
        assert rows == two.fetchall()
    assert len(rows) == 5000
    assert rows[0][:4] == (1, 1_000_000_000, Decimal("79.19"), datetime.date(2025, 1, 2))
    assert rows[0][7] == datetime.datetime(2024, 5, 6, 7, 8, 9, 123456)
    assert rows[0][8] == datetime.datetime(1950, 5, 6, 7, 8, 9, 500000)


@pytest.mark.parametrize("options", [{}, JSON])
def test_a_big_result_comes_complete_in_chunks(standin: Standin, options: dict[str, Any]) -> None:
    with standin.connect(**options) as connection:
        cursor = connection.cursor().execute("SELECT ID FROM BIG LIMIT 100000")
        assert len(cursor.get_result_batches()) >= 4
        assert sorted(row[0] for row in cursor) == list(range(1, 100_001))


def _head(standin: Standin, sql: str) -> dict[str, Any]:
    with standin.connect() as connection:
        request = f"/queries/v1/query-request?requestId={uuid.uuid4()}"
        reply = standin.post(request, {"sqlText": sql}, connection.rest.token)
        assert reply["success"] is True, reply
        return reply["data"]


def _get(url: str, headers: dict[str, str]) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_storage_wants_signature_and_headers(standin: Standin) -> None:
    data = _head(standin, "SELECT * FROM BIG")
    assert data["total"] == data["returned"] == 200_000
    chunk, headers = data["chunks"][0], data["chunkHeaders"]
    assert f":{standin.ready['storage_port']}/" in chunk["url"]
    assert "STANDIN-SECRET" in chunk["url"]
    assert all("STANDIN-SECRET" in value for value in (data["qrmk"], *list(headers.values())[1:]))
    assert sum(c["rowCount"] for c in data["chunks"]) + 50 == 200_000
    assert _get(chunk["url"], headers)[0] == 200
    assert _get(chunk["url"], {})[0] == 403
    assert _get(chunk["url"], {**headers, list(headers)[1]: "other"})[0] == 403
    assert _get(chunk["url"] + "0", headers)[0] == 403
    assert _get(chunk["url"].replace("Expires=", "Expires=9"), headers)[0] == 403
    assert _get(chunk["url"].split("?")[0], headers)[0] == 403


def test_columns_are_described_in_full(standin: Standin) -> None:
    data = _head(standin, "SELECT ID, EMAIL AS MAIL, UPPER(CITY) FROM CUSTOMERS")
    first, second, third = data["rowtype"]
    assert (first["name"], first["type"], first["nullable"]) == ("ID", "fixed", False)
    assert (first["database"], first["schema"], first["table"]) == ("CRM", "PUBLIC", "CUSTOMERS")
    assert (second["name"], second["table"], second["byteLength"]) == (
        "MAIL",
        "CUSTOMERS",
        16777216,
    )
    assert (third["name"], third["table"], third["type"]) == ("UPPER(CITY)", "", "text")
    assert data["finalRoleName"] == "ANALYST"
    assert data["statementTypeId"] == 4096


def test_arrow_carries_the_metadata_drivers_read(standin: Standin) -> None:
    data = _head(standin, "SELECT ID, AMOUNT, ORDER_DATE FROM ORDERS WHERE ID < 10")
    table = pa.ipc.open_stream(base64.b64decode(data["rowsetBase64"])).read_all()
    assert [str(kind) for kind in table.schema.types] == ["int8", "int32", "date32[day]"]
    metadata = table.schema.field(1).metadata
    assert metadata[b"logicalType"] == b"FIXED"
    assert (metadata[b"scale"], metadata[b"precision"]) == (b"2", b"12")
    assert metadata[b"finalType"] == b"T"


def test_widths_follow_the_result_or_on_demand_each_chunk() -> None:
    table = pa.table({"N": [1, 2, 300, 70_000]})
    columns = tuple(of_arrow(field) for field in table.schema)

    def types(*, vary: bool) -> list[str]:
        result, store = Result(columns, table, 4096, arrow=True), ChunkStore(vary=vary)
        bodies = [gzip.decompress(store.body(result, "arrow", first, 1)) for first in range(4)]
        return [str(pa.ipc.open_stream(body).schema.field(0).type) for body in bodies]

    assert types(vary=False) == ["int32"] * 4
    assert types(vary=True) == ["int8", "int8", "int16", "int32"]


def test_javascript_gets_json_and_others_arrow(standin: Standin) -> None:
    for app, expected in (("JavaScript", "json"), ("JDBC", "arrow"), ("Go", "arrow")):
        login = standin.post(
            "/session/v1/login-request?databaseName=CRM&schemaName=PUBLIC&roleName=ANALYST",
            {"data": {**key_pair(signed(standin)), "CLIENT_APP_ID": app}},
        )
        data = standin.post(
            f"/queries/v1/query-request?requestId={app}",
            {"sqlText": "SELECT 1 AS A, 'x' AS B"},
            login["data"]["token"],
        )["data"]
        assert data["queryResultFormat"] == expected
        if expected == "json":
            assert data["rowset"] == [["1", "x"]]


def test_an_empty_result_keeps_its_columns(standin: Standin) -> None:
    with standin.connect() as connection:
        cursor = connection.cursor().execute("SELECT * FROM CUSTOMERS WHERE FALSE")
        assert cursor.fetchall() == []
        assert len(cursor.description) == 10


def test_a_cut_or_refused_chunk_is_an_error_or_a_retry(standin: Standin) -> None:
    with standin.connect() as connection:
        cursor = connection.cursor()
        standin.fault(kind="storage", status=503, count=1)
        standin.fault(kind="storage", cut=1000, count=1)
        cursor.execute("SELECT ID FROM BIG LIMIT 30000")
        assert len(cursor.fetchall()) == 30_000
        assert standin.admin("GET", "fault")["waiting"] == []


def test_personal_values_are_unique_long_and_nowhere_else(analyst: Any) -> None:
    analyst.execute("SELECT * FROM CUSTOMERS")
    names = [column.name for column in analyst.description]
    rows = analyst.fetchall()
    everything = {str(value) for row in rows for value in row}
    assert len(rows) == 2000
    for name in ("FULL_NAME", "EMAIL", "PHONE", "SSN", "CARD_NUMBER"):
        values = [row[names.index(name)] for row in rows]
        assert len(set(values)) == 2000
        assert min(map(len, values)) >= 10
    personal = {value for row in rows for value in row[1:6]}
    others = json.dumps([[str(v) for v in (row[0], *row[6:])] for row in rows])
    assert len(personal) == 10_000
    assert not any(value in others for value in personal)
    assert len(everything) > 10_000


def test_a_closed_connection_before_the_reply_is_seen_as_such(standin: Standin) -> None:
    with standin.connect() as connection:
        token = connection.rest.token
        standin.fault(kind="close", when="after", sql="77")
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            standin.post("/queries/v1/query-request?requestId=r77", {"sqlText": "SELECT 77"}, token)
        assert standin.admin("GET", "executed")["by_request"]["r77"] == 1
        with pytest.raises(Error):
            connection.cursor().execute("SELECT broken")
