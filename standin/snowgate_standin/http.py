"""The little of HTTP that the listeners share: read a request, send a reply or drop it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import orjson

_LARGEST_BODY = 64 * 1024 * 1024
_WORTH_COMPRESSING = 4096


@dataclass(slots=True)
class Request:
    """A request with its whole body, decompressed."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as an object; anything else counts as empty."""
        try:
            value = orjson.loads(self.body) if self.body else {}
        except orjson.JSONDecodeError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def host(self) -> str:
        """The name the client connected to, without the port."""
        host = self.headers.get("host", "127.0.0.1")
        return host if host.endswith("]") else host.rsplit(":", 1)[0]


@dataclass(slots=True)
class Response:
    """What to send. `cut` bytes are sent and the connection is closed, if it is given."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


class Drop(Exception):
    """Close the connection without a reply."""


def json_response(value: Any, status: int = 200) -> Response:
    return Response(status, orjson.dumps(value), {"content-type": "application/json"})


def compressed(request: Request, response: Response) -> Response:
    """The response gzip-encoded, as Snowflake does, where that is worth it and allowed."""
    allowed = "gzip" in request.headers.get("accept-encoding", "")
    if not allowed or len(response.body) < _WORTH_COMPRESSING:
        return response
    headers = {**response.headers, "content-encoding": "gzip"}
    return Response(response.status, gzip.compress(response.body, 1), headers)


Handler = Callable[[Request], Awaitable[Response]]


def application(handler: Handler) -> Any:
    """The ASGI application that answers every request with `handler`."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False) and len(body) <= _LARGEST_BODY
        headers = {key.decode("latin1"): value.decode("latin1") for key, value in scope["headers"]}
        raw = bytes(body)
        # by its magic: some drivers send the header with a body that is not compressed
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        query = {
            key: values[-1]
            for key, values in parse_qs(
                scope["query_string"].decode("latin1"), keep_blank_values=True
            ).items()
        }
        request = Request(scope["method"], scope["path"], query, headers, raw)
        try:
            response = await handler(request)
        except Drop:
            _abort(send)
            return
        await _reply(response, send)

    return app


async def _reply(response: Response, send: Any) -> None:
    headers = {"content-length": str(len(response.body)), **response.headers}
    await send(
        {
            "type": "http.response.start",
            "status": response.status,
            "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
        }
    )
    if response.cut is None:
        await send({"type": "http.response.body", "body": response.body})
        return
    await send(
        {"type": "http.response.body", "body": response.body[: response.cut], "more_body": True}
    )
    await asyncio.sleep(0.05)
    _abort(send)


def _abort(send: Any) -> None:
    """Reset the connection; ASGI has no word for it, uvicorn's cycle holds the transport."""
    send.__self__.transport.abort()
