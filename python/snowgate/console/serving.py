"""Serves ASGI applications with Hypercorn on trio: the one module that knows Hypercorn."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from starlette.types import ASGIApp

from snowgate.errors import StartError

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

# Requests are small and answered in milliseconds; whoever is slower than this is not a client.
READ_LIMIT_S = 20
KEEP_ALIVE_S = 15
STOP_LIMIT_S = 2
MAX_HEADER_BYTES = 64 * 1024  # a token of 32 KiB, and room


class TlsFiles(Protocol):
    """Certificate chain and private key, PEM files; `config` has such a value."""

    @property
    def certificate(self) -> Path:
        """Chain, leaf first."""

    @property
    def private_key(self) -> Path:
        """Key of the leaf."""


class Listener(Protocol):
    """Where to listen; `config` has such a value."""

    @property
    def address(self) -> str:
        """IP address to bind."""

    @property
    def port(self) -> int:
        """Port to bind; 0 lets the system choose."""

    @property
    def tls(self) -> TlsFiles | None:
        """None serves plain HTTP."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names that a `Host` header may carry, without port (F30)."""


async def serve_asgi(
    app: ASGIApp,
    listener: Listener,
    *,
    stop: Callable[[], Awaitable[None]] | None = None,
    task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an application until cancelled, or until `stop` returns.

    Cancel-safe: requests under way get two seconds. `task_status` is started with address and port
    once requests are answered.

    Raises:
        StartError: The address cannot be had, or a TLS file cannot be read.
    """
    config = _config(listener)
    try:
        config.create_ssl_context()
    except OSError as error:  # ssl.SSLError is one
        raise StartError(
            f"TLS files of {listener.address}:{listener.port} cannot be used:"
            f" {type(error).__name__}; what to do: check certificate and private_key"
        ) from error
    address, descriptor = _bind(listener)
    config.bind = [f"fd://{descriptor}"]
    async with trio.open_nursery() as nursery:

        async def run(*, task_status: trio.TaskStatus[list[str]]) -> None:
            framework = cast("ASGIFramework", app)  # one protocol, two names for its messages
            await serve(
                framework, config, shutdown_trigger=stop, task_status=task_status, mode="asgi"
            )

        await nursery.start(run)
        task_status.started(address)


def _bind(listener: Listener) -> tuple[tuple[str, int], int]:
    """Bind before Hypercorn starts, so that a failure has a plain cause."""
    family = socket.AF_INET6 if ":" in listener.address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.bind((listener.address, listener.port))
    except OSError as error:
        bound.close()
        raise StartError(
            f"cannot listen on {listener.address}:{listener.port}: {error.strerror};"
            " what to do: choose another port, or stop what has it"
        ) from error
    host, port = bound.getsockname()[:2]
    return (str(host), int(port)), bound.detach()


def _config(listener: Listener) -> Config:
    config = Config()
    if listener.tls is not None:
        config.certfile = str(listener.tls.certificate)
        config.keyfile = str(listener.tls.private_key)
    # One protocol less to attack; nothing here streams.
    config.alpn_protocols = ["http/1.1"]
    config.h11_max_incomplete_size = MAX_HEADER_BYTES
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.read_timeout = READ_LIMIT_S
    config.ssl_handshake_timeout = READ_LIMIT_S
    config.graceful_timeout = STOP_LIMIT_S
    config.include_server_header = False
    config.accesslog = None  # what is decided is in the ledger; a second log would only differ
    config.errorlog = logging.getLogger("snowgate.console")
    config.loglevel = "WARNING"
    return config
