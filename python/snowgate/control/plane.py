"""Takes questions off the bridge, runs one task for each, and answers in batches.

The loop never waits for an answer: a question that must wait (a login that fetches keys, an
analysis in a worker thread) is a task in the nursery, bounded per kind, and withdrawn questions
cancel their task.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

import orjson
import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    Answerer = Callable[[dict[str, Any]], Awaitable[Mapping[str, Any] | None]]

log = logging.getLogger(__name__)

# Questions taken at once; a flood is taken in several rounds so that withdrawals are seen between.
BATCH = 256
# Questions of one kind that may be under way at once; more wait their turn in order.
DEFAULT_LIMIT = 64


class BridgeLike(Protocol):
    """What the plane needs of `_core.Bridge`."""

    def wake_fd(self) -> int:
        """Descriptor that is readable while questions wait."""

    def take(self, limit: int) -> list[tuple[int, str, bytes]]:
        """Waiting questions, oldest first."""

    def answer(self, answers: Sequence[tuple[int, bytes]]) -> None:
        """Answer a batch."""


class ControlPlane:
    """The loop between the bridge and the rooms that answer.

    Args:
        bridge: Where questions come from.
        answerers: One for each kind. An unknown kind gets no answer.
        limits: Tasks at once by kind; `DEFAULT_LIMIT` where absent. Separate by kind, so that
            statements to judge never starve logins and polls (F27).
    """

    def __init__(
        self,
        bridge: BridgeLike,
        answerers: Mapping[str, Answerer],
        limits: Mapping[str, int] | None = None,
    ) -> None:
        self._bridge = bridge
        self._answerers = answerers
        wanted = limits or {}
        self._limits = {
            kind: trio.CapacityLimiter(wanted.get(kind, DEFAULT_LIMIT)) for kind in answerers
        }
        self._running: dict[int, trio.CancelScope] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answer until cancelled.

        Cancel-safe: questions under way are dropped, and their askers denied when the bridge stops.
        """
        descriptor = self._bridge.wake_fd()
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                await trio.lowlevel.wait_readable(descriptor)
                for number, kind, payload in self._bridge.take(BATCH):
                    if kind == "cancel":
                        self._withdraw(int.from_bytes(payload, "little"))
                    else:
                        nursery.start_soon(self._serve, number, kind, payload)

    def _withdraw(self, number: int) -> None:
        scope = self._running.get(number)
        if scope is not None:
            scope.cancel()

    async def _serve(self, number: int, kind: str, payload: bytes) -> None:
        answerer = self._answerers.get(kind)
        if answerer is None:
            log.error("question of an unknown kind", extra={"kind": kind})
            return
        with trio.CancelScope() as scope:
            if number:
                self._running[number] = scope
            try:
                async with self._limits[kind]:
                    answer = await answerer(orjson.loads(payload))
                if number:
                    self._bridge.answer([(number, orjson.dumps(answer or {}))])
            except Exception as error:  # noqa: BLE001 - a bug in one answer must not end the others
                # Only the type: a message or a traceback may hold what the question held.
                log.error(  # noqa: TRY400
                    "a question could not be answered",
                    extra={"kind": kind, "error": type(error).__name__, "where": _where(error)},
                )
                if number:
                    # An unusable answer is a denial at once; silence is one after the time limit.
                    self._bridge.answer([(number, b"{}")])
            finally:
                self._running.pop(number, None)


def _where(error: BaseException) -> str:
    """The innermost place in our own code, for the log."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if "snowgate" in code.co_filename:
            place = f"{code.co_name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
