"""The admin listener, on loopback: faults, what was executed, which sessions are open."""

from __future__ import annotations

import orjson

from snowgate_standin.faults import KINDS, Faults
from snowgate_standin.http import Request, Response, json_response
from snowgate_standin.queries import Queries
from snowgate_standin.session import Sessions


class Admin:
    """`POST /standin/fault`, `DELETE /standin/fault`, `GET /standin/{fault,executed,sessions}`."""

    def __init__(self, faults: Faults, queries: Queries, sessions: Sessions) -> None:
        self._faults = faults
        self._queries = queries
        self._sessions = sessions

    async def handle(self, request: Request) -> Response:
        route = (request.method, request.path)
        if route == ("POST", "/standin/fault"):
            return self._fault(request)
        if route == ("DELETE", "/standin/fault"):
            self._faults.waiting.clear()
            return json_response({"ok": True})
        if route == ("GET", "/standin/fault"):
            waiting = [
                {"kind": f.kind, "count": f.count, "path": f.path, "sql": f.sql, **f.given}
                for f in self._faults.waiting
            ]
            return json_response({"kinds": KINDS, "waiting": waiting})
        if route == ("GET", "/standin/executed"):
            return json_response(
                {
                    "by_request": dict(self._queries.by_request),
                    "by_sql": dict(self._queries.by_sql),
                    "executions": self._queries.executions,
                }
            )
        if route == ("GET", "/standin/sessions"):
            return json_response(
                {
                    "sessions": [
                        {
                            "id": session.id,
                            "client_app": session.client_app,
                            "role": session.role,
                            "secondary": session.secondary,
                            "database": session.database,
                            "schema": session.schema,
                            "warehouse": session.warehouse,
                        }
                        for session in self._sessions.open.values()
                    ]
                }
            )
        return json_response({"error": "not found"}, 404)

    def _fault(self, request: Request) -> Response:
        given = request.json()
        session = given.get("session")
        if given.get("kind") == "expire":
            count = self._sessions.expire(session, master=bool(given.get("master")))
            return json_response({"ok": True, "count": count})
        if given.get("kind") == "end":
            ended = [s for s in self._sessions.open.values() if session in (None, s.id)]
            for one in ended:
                self._queries.cancel_session(one.id)
                self._sessions.close(one)
            return json_response({"ok": True, "count": len(ended)})
        try:
            self._faults.add(given)
        except (ValueError, TypeError, orjson.JSONDecodeError) as error:
            return json_response({"error": str(error)}, 400)
        return json_response({"ok": True})
