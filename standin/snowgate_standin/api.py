"""The driver API: login, tokens, statements, results, aborts, as Snowflake answers them.

Every answer is HTTP 200 with the envelope; what is unknown is 404.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import Any

from snowgate_standin import binds, replies
from snowgate_standin.engine import Engine
from snowgate_standin.errors import SnowflakeError
from snowgate_standin.faults import Faults
from snowgate_standin.http import Request, Response, compressed, json_response
from snowgate_standin.identity import KeyPair, bad_credentials, invalid_jwt
from snowgate_standin.queries import Queries, Query
from snowgate_standin.replies import Reply
from snowgate_standin.requestlog import RequestLog
from snowgate_standin.roles import DEFAULT_ROLE
from snowgate_standin.session import Session, Sessions
from snowgate_standin.settings import Settings

_TOKEN = re.compile(r'Snowflake Token="([^"]*)"')
_ID = r"([0-9a-fA-F-]{36})"
_RESULT = re.compile(rf"/queries/{_ID}/result")
_ABORT = re.compile(rf"/queries/{_ID}/abort-request")
_MONITOR = re.compile(rf"/monitoring/queries/{_ID}")


def _token(request: Request) -> str | None:
    match = _TOKEN.fullmatch(request.headers.get("authorization", ""))
    return match[1] if match else None


def _name(value: Any) -> str | None:
    """An identifier as a driver names it: upper case unless it is quoted."""
    text = str(value or "").strip()
    if not text:
        return None
    return text[1:-1] if text.startswith('"') and text.endswith('"') else text.upper()


class Api:
    """Answers requests of drivers."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        sessions: Sessions,
        queries: Queries,
        faults: Faults,
        log: RequestLog,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._sessions = sessions
        self._queries = queries
        self._faults = faults
        self._log = log
        keys = {settings.user: settings.public_key, settings.catalog_user: settings.catalog_key}
        self._keys = {
            user: KeyPair(key, settings.account, user) for user, key in keys.items() if key
        }

    async def handle(self, request: Request) -> Response:
        body = request.json()
        sql = body.get("sqlText") if isinstance(body.get("sqlText"), str) else None
        known = self._sessions.peek(_token(request))
        request_id = request.query.get("requestId")
        self._log.received(request.path, request_id, sql, known.id if known else None)
        if (response := await self._faults.before(request.path, sql)) is not None:
            return response
        try:
            reply = await self._route(request, body)
        except SnowflakeError as error:
            reply = replies.failure(error)
        if reply is None:
            return json_response(replies.failure(_not_found(request.path)), 404)
        self._faults.after(request.path, sql, reply)
        return compressed(request, json_response(reply))

    async def _route(self, request: Request, body: dict[str, Any]) -> Reply | None:
        route = (request.method, request.path)
        if route == ("POST", "/session/v1/login-request"):
            return await self._login(request, body.get("data") or {})
        if route == ("POST", "/session/token-request"):
            return self._renew(request, body)
        if route == ("POST", "/telemetry/send"):
            return replies.success("Log Received")
        if route == ("POST", "/session") and request.query.get("delete") == "true":
            return self._logout(request)
        if route == ("POST", "/session/heartbeat"):
            self._sessions.find(_token(request))
            return replies.success()
        if route == ("POST", "/queries/v1/query-request"):
            return await self._query(request, body)
        if route == ("POST", "/queries/v1/abort-request"):
            session = self._sessions.find(_token(request))
            return self._abort(self._queries.of_request(session, str(body.get("requestId"))))
        if match := _RESULT.fullmatch(request.path):
            return await self._result(request, match[1])
        if match := _ABORT.fullmatch(request.path):
            self._sessions.find(_token(request))
            return self._abort(self._queries.find(match[1]))
        if match := _MONITOR.fullmatch(request.path):
            self._sessions.find(_token(request))
            return replies.monitored(self._queries.find(match[1]))
        return None

    # -- sessions --------------------------------------------------------------------------

    async def _login(self, request: Request, data: dict[str, Any]) -> Reply:
        try:
            session = await self._open(request, data, self._authenticate(data))
        except SnowflakeError as error:
            return replies.refused_login(error, data.get("LOGIN_NAME"))
        token, master = self._sessions.add(session)
        return replies.login(session, token, master, self._sessions.validity())

    def _authenticate(self, data: dict[str, Any]) -> str:
        """The name of the user that proved itself.

        Raises:
            SnowflakeError: 390100 or 390144.
        """
        method = str(data.get("AUTHENTICATOR") or "").upper()
        user = str(data.get("LOGIN_NAME") or self._settings.user).upper()
        account = str(data.get("ACCOUNT_NAME") or "").upper()
        if method == "OAUTH" and self._settings.allow_oauth and data.get("TOKEN"):
            return self._settings.user
        if method != "SNOWFLAKE_JWT":
            raise bad_credentials()
        if account and account != self._settings.account:
            raise bad_credentials()
        if user not in self._keys:
            raise invalid_jwt()
        self._keys[user].check(str(data.get("TOKEN") or ""))
        return user

    async def _open(self, request: Request, data: dict[str, Any], user: str) -> Session:
        role = _name(request.query.get("roleName")) or DEFAULT_ROLE
        if role not in self._engine.roles.of_user[user]:
            raise SnowflakeError(
                "390189",
                "08001",
                f"Role '{role}' specified in the connect string is not granted to this user. "
                "Contact your local system administrator, or attempt to login with another role, "
                "e.g. PUBLIC.",
            )
        connection = await asyncio.to_thread(self._engine.connect)
        session = Session(
            user=user,
            client_app=str(data.get("CLIENT_APP_ID") or ""),
            role=role,
            warehouse=_name(request.query.get("warehouse")),
            connection=connection,
            parameters={
                str(name).upper(): value
                for name, value in (data.get("SESSION_PARAMETERS") or {}).items()
                if value is None or isinstance(value, str | int | float | bool)
            },
        )
        if str(data.get("SECONDARY_ROLES") or "").upper() == "NONE":
            session.secondary = "NONE"
        database, schema = (_name(request.query.get(key)) for key in ("databaseName", "schemaName"))
        catalog, local = self._engine.catalog, self._engine.local
        # a name that does not exist leaves nothing current, as on Snowflake
        if database and catalog.schema_exists(session, database):
            local.use_database(session, database)
            if schema and catalog.schema_exists(session, database, schema):
                local.use_schema(session, database, schema)
        return session

    def _renew(self, request: Request, body: dict[str, Any]) -> Reply:
        if body.get("requestType") != "RENEW":
            raise SnowflakeError("390400", "08001", "Bad request: only RENEW is known.")
        session, token, master = self._sessions.renew(_token(request), body.get("oldSessionToken"))
        return replies.renewed(session, token, master, self._sessions.validity())

    def _logout(self, request: Request) -> Reply:
        session = self._sessions.find(_token(request))
        self._queries.cancel_session(session.id)
        self._sessions.close(session)
        asyncio.get_running_loop().run_in_executor(None, session.dispose)
        return replies.success()

    # -- statements ------------------------------------------------------------------------

    async def _query(self, request: Request, body: dict[str, Any]) -> Reply:
        session = self._sessions.find(_token(request))
        request_id = request.query.get("requestId") or str(uuid.uuid4())
        query = self._queries.of_request(session, request_id) if self._settings.dedup else None
        if query is None:
            values, batch = binds.parse(body.get("bindings"))
            query = Query(
                session,
                request_id,
                str(body.get("sqlText") or ""),
                {str(k).upper(): v for k, v in (body.get("parameters") or {}).items()},
                values,
                batch,
                describe_only=bool(body.get("describeOnly")),
                detached=bool(body.get("asyncExec")),
            )
            self._queries.start(query)
            if query.detached:
                return replies.in_progress(query, "333334")
        return await self._wait(request, session, query)

    async def _result(self, request: Request, query_id: str) -> Reply:
        session = self._sessions.find(_token(request))
        query = self._queries.find(query_id)
        if query is None:
            raise SnowflakeError("000612", "02000", f"Result for query {query_id} not found")
        return await self._wait(request, session, query)

    async def _wait(self, request: Request, session: Session, query: Query) -> Reply:
        try:
            await asyncio.wait_for(query.done.wait(), self._settings.hold_s)
        except TimeoutError:
            return replies.in_progress(query, "333334" if query.detached else "333333")
        if query.error is not None:
            return replies.failure(query.error, query.id)
        app = session.client_app
        assert query.result is not None
        return await asyncio.to_thread(replies.result, query, self._settings, request.host, app)

    def _abort(self, query: Query | None) -> Reply:
        if query is None or query.ended is not None:
            raise SnowflakeError(
                "000605", "02000", "Identified SQL statement is not currently executing."
            )
        self._queries.cancel(query)
        return replies.success()


def _not_found(path: str) -> SnowflakeError:
    return SnowflakeError("000404", "02000", f"The stand-in has no {path}")
