"""The routes of the approvals API.

    GET  /api/v1/approvals[?state=pending][&limit=20]
                                               what the reader may decide on, newest first;
                                               `left_off` counts what the reply has no room for
    GET  /api/v1/approvals/{id}
    POST /api/v1/approvals/{id}/approve        {"reason": "…", "statement_digest": "…"}
    POST /api/v1/approvals/{id}/deny           both members are optional
    GET  /healthz

Each request carries `Authorization: Bearer <OIDC access token>` of an issuer declared for people.
An error is `{"error": "<word>", "message": "<sentence>"}`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import aclosing

import orjson
import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from snowgate.approval.desk import ApprovalDesk
from snowgate.console.guard import BodyTooLarge, Guard, refusal
from snowgate.console.serving import Listener, serve_asgi
from snowgate.console.view import view, visible
from snowgate.errors import (
    ApprovalClosed,
    ApprovalError,
    ApprovalNotFound,
    IssuerUnavailable,
    LedgerError,
    LoginRefused,
    NotAnApprover,
    NotAuthorized,
    StoreError,
    TokenInvalid,
)
from snowgate.model.approval import ApprovalState
from snowgate.model.identity import Identified
from snowgate.model.ports import TokenVerifier

_LOG = logging.getLogger(__name__)

MAX_LISTED = 500
# Each has its exact text, up to 1 MiB: a list of the longest is cut, and says so.
MAX_LISTED_BYTES = 8 * 1024**2
BODY_LIMIT_S = 10.0

# The word of each error: what tells two that share a status apart.
_WORDS: dict[type[Exception], str] = {
    ApprovalNotFound: "not_found",
    NotAnApprover: "not_an_approver",
    ApprovalClosed: "closed",
}


class BadRequest(Exception):
    """The request is not what the API takes; the message says why."""


async def serve_api(
    listener: Listener,
    desk: ApprovalDesk,
    verifier: TokenVerifier,
    account: str,
    *,
    stop: Callable[[], Awaitable[None]] | None = None,
    task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the approvals API; see `serve_asgi` for `stop`, `task_status` and errors."""
    app = api_app(desk, verifier, account, listener.hosts, tls=listener.tls is not None)
    await serve_asgi(app, listener, stop=stop, task_status=task_status)


def api_app(
    desk: ApprovalDesk,
    verifier: TokenVerifier,
    account: str,
    hosts: Collection[str],
    *,
    tls: bool,
) -> ASGIApp:
    """The application, guarded.

    Args:
        desk: Decides who may vote.
        verifier: Says who somebody is.
        account: The gateway's account name.
        hosts: Names that a `Host` header may carry, without port.
        tls: Whether the listener has TLS.
    """
    api = _Api(desk, verifier, account)
    app = Starlette(
        routes=[
            Route("/healthz", _health, methods=["GET"]),
            Route("/api/v1/approvals", api.list_all, methods=["GET"]),
            Route("/api/v1/approvals/{id}", api.show, methods=["GET"]),
            Route("/api/v1/approvals/{id}/approve", api.approve, methods=["POST"]),
            Route("/api/v1/approvals/{id}/deny", api.deny, methods=["POST"]),
        ],
        exception_handlers={
            LoginRefused: _login_refused,
            ApprovalError: _approval_error,
            StoreError: _out_of_order,
            LedgerError: _out_of_order,
            BodyTooLarge: _too_large,
            BadRequest: _bad_request,
            HTTPException: _http_error,
            Exception: _bug,
        },
    )
    return Guard(app, hosts, tls=tls)


class _Api:
    def __init__(self, desk: ApprovalDesk, verifier: TokenVerifier, account: str) -> None:
        self._desk = desk
        self._verifier = verifier
        self._account = account

    async def list_all(self, request: Request) -> Response:
        reader = await self._reader(request)
        wanted = _state(request)
        limit = _limit(request)
        wanted_ones = [
            approval
            for approval in await self._desk.list_all()
            if visible(approval, reader) and wanted in (None, approval.state)
        ]
        listed: list[bytes] = []
        left_bytes = MAX_LISTED_BYTES
        for approval in wanted_ones[:limit]:
            item = orjson.dumps(view(approval))
            left_bytes -= len(item)
            if listed and left_bytes < 0:
                break
            listed.append(item)
        left_off = len(wanted_ones) - len(listed)
        body = b'{"approvals":[%b],"left_off":%d}' % (b",".join(listed), left_off)
        return Response(body, media_type="application/json")

    async def show(self, request: Request) -> Response:
        reader = await self._reader(request)
        approval = await self._desk.get(request.path_params["id"])
        if not visible(approval, reader):
            raise ApprovalNotFound("no approval has this id")
        return JSONResponse(view(approval))

    async def approve(self, request: Request) -> Response:
        return await self._vote(request, approve=True)

    async def deny(self, request: Request) -> Response:
        return await self._vote(request, approve=False)

    async def _vote(self, request: Request, *, approve: bool) -> Response:
        voter = await self._reader(request)
        body = await _body(request)
        approval_id = request.path_params["id"]
        seen = body.get("statement_digest")
        if seen is not None:
            approval = await self._desk.get(approval_id)
            if seen != approval.held.statement_digest:
                raise ApprovalClosed("the approval is for another statement than the one shown")
        reason = body.get("reason", "")
        return JSONResponse(
            view(await self._desk.vote(approval_id, voter, approve=approve, reason=reason))
        )

    async def _reader(self, request: Request) -> Identified:
        """Who asks: a person, by a token that is verified anew."""
        headers = request.headers.getlist("authorization")
        scheme, _, token = (headers[0] if len(headers) == 1 else "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenInvalid("missing", "a bearer token is needed (header `authorization`)")
        reader = await self._verifier.identify(token.strip(), self._account)
        if not reader.principal.people:
            raise NotAuthorized(
                "not_people", "only people see and decide approvals", reader.principal.name
            )
        return reader


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _state(request: Request) -> ApprovalState | None:
    name = request.query_params.get("state")
    if name is None:
        return None
    try:
        return ApprovalState(name)
    except ValueError:
        states = ", ".join(state.value for state in ApprovalState)
        raise BadRequest(f"`state` is one of {states}") from None


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(MAX_LISTED))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MAX_LISTED:
        raise BadRequest(f"`limit` is a number from 1 to {MAX_LISTED}")
    return int(text)


async def _body(request: Request) -> dict[str, str]:
    raw = bytearray()
    with trio.move_on_after(BODY_LIMIT_S) as limit:
        async with aclosing(request.stream()) as chunks:
            async for chunk in chunks:
                raw += chunk
    if limit.cancelled_caught:
        raise BadRequest("the body did not come in time")
    if not raw:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/json":
        raise BadRequest("the body must be application/json")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise BadRequest("the body is not JSON") from None
    if not isinstance(body, dict) or not body.keys() <= {"reason", "statement_digest"}:
        raise BadRequest("the body is an object with `reason` and `statement_digest` at most")
    if not all(isinstance(value, str) for value in body.values()):
        raise BadRequest("`reason` and `statement_digest` are text")
    return body


async def _login_refused(_: Request, error: Exception) -> Response:
    status = 401
    if isinstance(error, IssuerUnavailable):
        status = 503
    elif isinstance(error, NotAuthorized):
        status = 403
    return refusal(status, "login_refused", str(error))


async def _approval_error(_: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, ApprovalError) else 409
    return refusal(status, _WORDS.get(type(error), "refused"), str(error))


async def _out_of_order(_: Request, error: Exception) -> Response:
    # What broke is for the operator: its text may name files.
    _LOG.error("approvals cannot be kept: %s", error)
    return refusal(503, "unavailable", "approvals cannot be kept at the moment; nothing changed")


async def _too_large(_: Request, _error: Exception) -> Response:
    return refusal(413, "too_large", "the body is too large")


async def _bad_request(_: Request, error: Exception) -> Response:
    return refusal(400, "bad_request", str(error))


async def _http_error(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    word = {404: "not_found", 405: "method"}.get(status, "bad_request")
    return refusal(status, word, "nothing is served here")


async def _bug(_: Request, _error: Exception) -> Response:
    return refusal(500, "internal", "the request failed; the gateway's log has the cause")
