"""What every request must pass before the application sees it (F30).

    Host on the list ─► no foreign Origin or Sec-Fetch-Site ─► body of bounded size ─► app

A page of another site can make a browser send requests here, or resolve its own name to this
address; both are refused by what the browser itself must say. Pure ASGI: no buffering.

Sources: RFC 9110 section 7.2 (Host); W3C Fetch Metadata; OWASP REST security headers.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 16 * 1024

_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
_HSTS = (b"strict-transport-security", b"max-age=31536000")


def refusal(status: int, error: str, message: str) -> JSONResponse:
    """An error as the API tells it: a word for programs, a sentence for people."""
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"error": error, "message": message}, status, headers)


class BodyTooLarge(Exception):
    """The body is larger than anything this API takes."""


class Guard:
    """Refuses requests that no honest client sends.

    Args:
        app: What to guard.
        hosts: Names that a `Host` header may carry, without port.
        tls: Whether the listener has TLS.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], *, tls: bool) -> None:
        self._app = app
        self._hosts = {host.casefold().strip("[]") for host in hosts}
        self._scheme = "https" if tls else "http"
        self._headers = (*_HEADERS, _HSTS) if tls else _HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; a WebSocket is closed."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *self._headers]}
            await send(message)

        answer = self._objection(Headers(scope=scope))
        if answer is not None:
            await answer(scope, receive, send_guarded)
            return
        await self._app(scope, _bounded(receive), send_guarded)

    def _objection(self, headers: Headers) -> JSONResponse | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _name(hosts[0]) not in self._hosts:
            return refusal(421, "host", "this host name is not served here (listen.hosts)")
        origins = headers.getlist("origin")
        if origins and origins != [f"{self._scheme}://{hosts[0]}"]:
            return refusal(403, "origin", "requests from pages of other sites are refused")
        sites = headers.getlist("sec-fetch-site")
        if sites and sites not in (["same-origin"], ["none"]):
            return refusal(403, "origin", "requests from pages of other sites are refused")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            return refusal(413, "too_large", f"a body has at most {MAX_BODY_BYTES} bytes")
        return None


def _name(host: str) -> str:
    """The name in a `Host` header, without port and brackets."""
    name, _, port = host.rpartition(":")
    if not name or not port.isdecimal():
        name = host
    return name.strip("[]").casefold()


def _bounded(receive: Receive) -> Receive:
    """Count what a body without a length brings."""
    taken_bytes = 0

    async def bounded() -> Message:
        nonlocal taken_bytes
        message = await receive()
        taken_bytes += len(message.get("body", b""))
        if taken_bytes > MAX_BODY_BYTES:
            raise BodyTooLarge
        return message

    return bounded
