"""Start the three listeners on one event loop, say when they are ready, end at SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from fakesnow.transforms.stage import LOCAL_BUCKET_PATH

from snowgate_standin.admin import Admin
from snowgate_standin.api import Api
from snowgate_standin.engine import Engine
from snowgate_standin.faults import Faults
from snowgate_standin.http import Handler, application
from snowgate_standin.queries import Queries
from snowgate_standin.requestlog import RequestLog
from snowgate_standin.result import ChunkStore
from snowgate_standin.session import Sessions
from snowgate_standin.settings import Settings
from snowgate_standin.storage import Storage


class _Server(uvicorn.Server):
    """A server that leaves signals to the process: there are three of them in it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # the protocol is named because asyncio switches Nagle off only where it sees it
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(512)
    return listener


def _server(handler: Handler, settings: Settings, *, tls: bool) -> _Server:
    certificate, key = settings.tls_certificate, settings.tls_key
    return _Server(
        uvicorn.Config(
            application(handler),
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            ssl_certfile=str(certificate) if tls and certificate else None,
            ssl_keyfile=str(key) if tls and key else None,
        )
    )


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    sockets = [
        _listen(settings.host, settings.port),
        _listen(settings.host, settings.storage_port),
        _listen("127.0.0.1", settings.admin_port),
    ]
    ports = [listener.getsockname()[1] for listener in sockets]
    settings = dataclasses.replace(
        settings, port=ports[0], storage_port=ports[1], admin_port=ports[2]
    )
    engine = await asyncio.to_thread(Engine, settings)
    chunks, faults, log = ChunkStore(vary=settings.vary_widths), Faults(), RequestLog(settings.log)
    sessions = Sessions(settings.token_s, settings.master_s)
    queries = Queries(engine)
    servers = [
        _server(Api(settings, engine, sessions, queries, faults, log).handle, settings, tls=True),
        _server(Storage(queries, chunks, faults, log).handle, settings, tls=True),
        _server(Admin(faults, queries, sessions).handle, settings, tls=False),
    ]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tasks = [
        loop.create_task(server.serve(sockets=[listener]))
        for server, listener in zip(servers, sockets, strict=True)
    ]
    for server in servers:
        await server.ready.wait()
    _announce(settings)
    await asyncio.wait([loop.create_task(stop.wait()), *tasks], return_when="FIRST_COMPLETED")
    # fakesnow makes a folder for staged files when it is imported, and leaves it behind
    shutil.rmtree(LOCAL_BUCKET_PATH, ignore_errors=True)
    # threads may still run statements; nothing here outlives the process, so end it at once
    os._exit(0)


def _announce(settings: Settings) -> None:
    ready: dict[str, Any] = {
        "standin": True,
        "pid": os.getpid(),
        "host": settings.host,
        "port": settings.port,
        "storage_port": settings.storage_port,
        "admin_port": settings.admin_port,
        "protocol": settings.scheme,
        "account": settings.account,
        "user": settings.user,
    }
    text = json.dumps(ready)
    if settings.ready_file is not None:
        partial = settings.ready_file.with_name(settings.ready_file.name + ".part")
        partial.write_text(text + "\n")
        partial.replace(settings.ready_file)
    print(text, flush=True)
