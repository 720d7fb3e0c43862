"""Bodies of the driver API, in Snowflake's shapes."""

from __future__ import annotations

import base64
import time
import uuid
from typing import TYPE_CHECKING, Any

from snowgate_standin import SERVER_VERSION, encode, tokens
from snowgate_standin.errors import SnowflakeError
from snowgate_standin.result import Result, chunks
from snowgate_standin.session import PARAMETERS

if TYPE_CHECKING:
    from snowgate_standin.queries import Query
    from snowgate_standin.session import Session
    from snowgate_standin.settings import Settings

Reply = dict[str, Any]


def success(data: Any = None) -> Reply:
    return {"data": data, "code": None, "message": None, "success": True}


def failure(error: SnowflakeError, query_id: str | None = None) -> Reply:
    return {
        "data": {
            "internalError": False,
            "errorCode": error.code,
            "age": 0,
            "sqlState": error.sqlstate,
            "queryId": query_id or str(uuid.uuid4()),
            "line": -1,
            "pos": -1,
            "type": "COMPILATION",
        },
        "code": error.code,
        "message": error.message,
        "success": False,
        "headers": None,
    }


def refused_login(error: SnowflakeError, user: str | None) -> Reply:
    data = {
        "nextAction": "RETRY_LOGIN",
        "authnMethod": "KEYPAIR",
        "signInOptions": {},
        "loginName": user,
    }
    return {"data": data, "code": error.code, "message": error.message, "success": False}


def parameters(session: Session) -> list[dict[str, Any]]:
    both = PARAMETERS | session.parameters
    return [
        {"name": name, "value": value} for name, value in sorted(both.items()) if value is not None
    ]


def login(session: Session, token: str, master: str, valid: tuple[int, int]) -> Reply:
    return success(
        {
            "token": token,
            "validityInSeconds": valid[0],
            "masterToken": master,
            "masterValidityInSeconds": valid[1],
            "displayUserName": session.user,
            "serverVersion": SERVER_VERSION,
            "firstLogin": False,
            "remMeToken": None,
            "remMeValidityInSeconds": 0,
            "healthCheckInterval": 45,
            "newClientForUpgrade": None,
            "sessionId": session.id,
            "parameters": parameters(session),
            "sessionInfo": {
                "databaseName": session.database,
                "schemaName": session.schema,
                "warehouseName": session.warehouse,
                "roleName": session.role,
            },
            "idToken": None,
            "idTokenValidityInSeconds": 0,
            "responseData": None,
            "mfaToken": None,
            "mfaTokenValidityInSeconds": 0,
        }
    )


def renewed(session: Session, token: str, master: str, valid: tuple[int, int]) -> Reply:
    return success(
        {
            "sessionToken": token,
            "validityInSecondsST": valid[0],
            "masterToken": master,
            "validityInSecondsMT": valid[1],
            "sessionId": session.id,
        }
    )


def in_progress(query: Query, code: str) -> Reply:
    return {
        "data": {
            "queryId": query.id,
            "getResultUrl": f"/queries/{query.id}/result",
            "queryAbortsAfterSecs": 604_800,
            "progressDesc": None,
        },
        "code": code,
        "message": "Query execution in progress. Use the getResultUrl to fetch the result.",
        "success": True,
    }


def monitored(query: Query | None) -> Reply:
    if query is None:
        return success({"queries": []})
    ended = query.ended or time.time()
    return success(
        {
            "queries": [
                {
                    "id": query.id,
                    "status": query.status,
                    "state": query.status,
                    "errorCode": query.error.code if query.error else None,
                    "errorMessage": query.error.message if query.error else None,
                    "startTime": int(query.started * 1000),
                    "endTime": int(query.ended * 1000) if query.ended else 0,
                    "totalDuration": int((ended - query.started) * 1000),
                    "sessionId": query.session.id,
                    "sqlText": query.sql,
                    "warehouseName": query.session.warehouse,
                    "stats": {"producedRows": query.result.rows if query.result else 0},
                }
            ]
        }
    )


def format_of(query: Query, result: Result, app: str) -> str:
    """`arrow` for drivers that read it, unless a parameter asks for JSON.

    `app` is the driver that asks, which need not be the one that ran the query.
    """
    if not result.arrow or app == "JavaScript":
        return "json"
    both = query.session.parameters | query.parameters
    asked = {
        str(value).upper()
        for name, value in both.items()
        if name.upper().endswith("QUERY_RESULT_FORMAT")
    }
    return "json" if "JSON" in asked else "arrow"


def result(query: Query, settings: Settings, host: str, app: str) -> Reply:
    """The head of a finished query: its columns, the inline rows and where the chunks are.

    `host` is the host name the client used; the chunk URLs carry it with the storage port.
    """
    done = query.result
    assert done is not None
    session = query.session
    fmt = format_of(query, done, app)
    inline = done.table.slice(0, settings.inline_rows)
    data: dict[str, Any] = {
        "parameters": parameters(session),
        "rowtype": [column.wire() for column in done.columns],
    }
    if fmt == "arrow":
        stream = encode.arrow_stream(done.columns, inline, done.widths)
        data["rowsetBase64"] = base64.b64encode(stream).decode()
    else:
        data["rowset"] = encode.json_rowset(done.columns, inline)
    data |= {
        "total": done.rows,
        "returned": done.rows,
        "queryId": query.id,
        "databaseProvider": None,
        "finalDatabaseName": session.database,
        "finalSchemaName": session.schema,
        "finalWarehouseName": session.warehouse,
        "finalRoleName": session.role,
        "numberOfBinds": done.binds,
        "arrayBindSupported": done.type_id == 0x3100,
        "statementTypeId": done.type_id,
        "version": 1,
        "sendResultTime": int(time.time() * 1000),
        "queryResultFormat": fmt,
        "queryContext": {
            "entries": [{"id": 0, "timestamp": int(time.time() * 1e6), "priority": 0}]
        },
    }
    if done.stats is not None:
        data["stats"] = done.stats
    rest = chunks(done, settings.inline_rows, settings.chunk_rows)
    if rest:
        data["qrmk"] = done.key
        data["chunkHeaders"] = {
            "x-amz-server-side-encryption-customer-algorithm": "AES256",
            "x-amz-server-side-encryption-customer-key": done.key,
        }
        expires = int(time.time() + settings.chunk_url_s)
        data["chunks"] = [
            {
                "url": chunk_url(settings, host, query.id, fmt, chunk.first, chunk.rows, expires),
                "rowCount": chunk.rows,
                "uncompressedSize": chunk.size,
                "compressedSize": chunk.size // 4 + 1,
            }
            for chunk in rest
        ]
    if done.extra:
        data |= done.extra
    return success(data)


def chunk_url(
    settings: Settings, host: str, query_id: str, fmt: str, first: int, rows: int, expires: int
) -> str:
    path = f"/results/{query_id}/{fmt}/{first}-{rows}"
    signature = tokens.sign(f"{path}?{expires}")
    return (
        f"{settings.scheme}://{host}:{settings.storage_port}{path}"
        f"?Expires={expires}&Signature={signature}"
    )
