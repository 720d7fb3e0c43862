"""The Rust half of the gateway. `make lint` checks this stub against the compiled module."""

from collections.abc import Sequence
from typing import final

__all__ = ["Bridge"]

@final
class Bridge:
    """Questions from the gate to the control plane, and the answers back.

    Args:
        capacity: Questions that may be open at once; beyond it the gate refuses instead of queueing.

    Raises:
        OSError: No descriptor is left for the wake-up.
    """

    def __new__(cls, capacity: int = 16384) -> Bridge: ...
    def wake_fd(self) -> int:
        """Descriptor that is readable while questions wait. It stays owned by the bridge."""

    def take(self, limit: int) -> list[tuple[int, str, bytes]]:
        """Take at most `limit` waiting questions, oldest first, as (id, kind, payload).

        Id 0 is a notice and takes no answer. Kind `cancel` holds the id of a withdrawn question as
        eight little-endian bytes; every other payload is JSON.
        """

    def answer(self, answers: Sequence[tuple[int, bytes]]) -> None:
        """Answer a batch of (id, payload). Withdrawn and unknown ids are dropped."""

    def stop(self) -> None:
        """Refuse every question from now on and wake all askers with an error."""

    def open_questions(self) -> int:
        """Questions that wait for an answer."""

    def measure(self, total: int, in_flight: int, size_bytes: int) -> tuple[float, list[float]]:
        """Ask `total` questions of `size_bytes`, `in_flight` at a time, from a runtime of its own.

        The interpreter is released; somebody else must `take` and `answer` meanwhile.

        Returns:
            Wall time in seconds, and the sorted latencies in microseconds of the answered questions.
        """
