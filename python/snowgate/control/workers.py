"""One analysis worker as the control plane sees it: a process behind two pipes.

The process has no secret in its environment and inherits no descriptor (F27). It is killed whenever
its context ends, and whatever it sends is read by `snowgate.sql.codec`, which trusts nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import trio

from snowgate.sql.codec import (
    HEAD_BYTES,
    MAX_REPLY_BYTES,
    CodecError,
    Reply,
    decode,
)

COMMAND = (sys.executable, "-I", "-m", "snowgate.sql.worker")
# What the interpreter may need to start; nothing else of the gateway's environment goes along.
_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_READ_BYTES = 64 * 1024


class WorkerLost(Exception):
    """The worker ended, or sent what it must not. It is of no use any more."""


class Worker(Protocol):
    """A worker that is running."""

    async def reply(self) -> Reply:
        """The next message it sends.

        Raises:
            WorkerLost: There is none that could be read.
        """

    async def send(self, frame: bytes) -> None:
        """Send it a frame.

        Raises:
            WorkerLost: It takes none.
        """


@asynccontextmanager
async def open_worker(command: Sequence[str] = COMMAND) -> AsyncGenerator[Worker]:
    """Start a worker; it is killed on leaving.

    Args:
        command: The program, which speaks `snowgate.sql.codec` on its standard streams.

    Raises:
        WorkerLost: It could not be started.
    """
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    try:
        process = await trio.lowlevel.open_process(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            # A terminal's interrupt is for the gateway, which then ends its workers itself.
            start_new_session=True,
        )
    except OSError as error:
        raise WorkerLost(f"cannot be started: {error.strerror}") from error
    try:
        yield _Process(process)
    finally:
        process.kill()
        # A killed process is gone in an instant.
        with trio.CancelScope(shield=True):
            await process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    await stream.aclose()


class _Process:
    """Its pipes, used without the stream layer: a pass of the loop less for each step counts here.

    Both are in non-blocking mode, as trio opens them.
    """

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._read = bytearray()

    async def send(self, frame: bytes) -> None:
        rest, pipe = memoryview(frame), _descriptor(self._process.stdin)
        try:
            while rest:
                try:
                    rest = rest[os.write(pipe, rest) :]
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(pipe)
        except (OSError, trio.ClosedResourceError) as error:
            raise WorkerLost("takes no message") from error

    async def reply(self) -> Reply:
        head = await self._take(HEAD_BYTES)
        length = int.from_bytes(head, "big")
        if length > MAX_REPLY_BYTES:
            raise WorkerLost("sent a message that is too long")
        body = await self._take(length)
        if self._read:
            raise WorkerLost("sent more than was asked for")
        try:
            return decode(Reply, body)
        except CodecError as error:
            raise WorkerLost(f"sent what cannot be read: {error}") from error

    async def _take(self, count: int) -> bytes:
        pipe = _descriptor(self._process.stdout)
        while len(self._read) < count:
            try:
                await trio.lowlevel.wait_readable(pipe)
                piece = os.read(pipe, _READ_BYTES)
            except (OSError, trio.ClosedResourceError):
                piece = b""
            if not piece:
                raise WorkerLost("ended")
            self._read += piece
        taken = bytes(self._read[:count])
        del self._read[:count]
        return taken


def _descriptor(stream: object) -> int:
    if isinstance(stream, trio.lowlevel.FdStream):
        return stream.fileno()
    raise WorkerLost("has no pipe")
