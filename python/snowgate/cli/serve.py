"""`snowgate serve`."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import trio

from snowgate.app import Gateway
from snowgate.config import load_config
from snowgate.errors import StartError
from snowgate.telemetry import log_to_stderr

log = logging.getLogger(__name__)


def serve(*, config: Path, pid_file: Path | None = None, ready_file: Path | None = None) -> int:
    """Run the gateway until SIGTERM or SIGINT. SIGHUP reads the certificate again.

    Args:
        config: Configuration file.
        pid_file: Where to write the process id, once it serves.
        ready_file: Where to write the bound addresses as JSON, once it serves.
    """
    settings = load_config(config)
    log_to_stderr(logging.INFO)

    async def run() -> None:
        stop = trio.Event()

        async def watch(signals: AsyncIterator[int], gateway: Gateway) -> None:
            # A second SIGTERM during the drain changes nothing: it must not kill what drains.
            async for number in signals:
                if number == signal.SIGHUP:
                    await _reload(gateway)
                else:
                    stop.set()

        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                async with Gateway(settings) as gateway:
                    nursery.start_soon(watch, signals, gateway)
                    if pid_file is not None:
                        _write(pid_file, f"{os.getpid()}\n")
                    if ready_file is not None:
                        addresses = {"gateway": gateway.address, "api": gateway.api_address}
                        _write(ready_file, json.dumps(addresses))
                    await stop.wait()
                nursery.cancel_scope.cancel()

    # A SIGTERM that comes before the receiver is open, or after the drain, must not kill either.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    trio.run(run)
    return 0


async def _reload(gateway: Gateway) -> None:
    try:
        await gateway.reload_certificate()
        log.info("the certificate was read again")
    except StartError as error:
        log.warning("the certificate in use stays: %s", error)


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    temporary.replace(path)
