"""What verdicts are made from now: the policy, the catalog, and their epoch.

A verdict carries the epoch it was asked under. The gate uses none of another epoch, so whatever
changes the policy or the catalog first raises the epoch here and in the gate (F4, F8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import trio

from snowgate.policy.rules import Policy
from snowgate.sql.catalog import Catalog


class EpochTaker(Protocol):
    """What is told of a new epoch: `_core.Gate`."""

    def set_epoch(self, epoch: int) -> None:
        """Verdicts of other epochs end."""


@dataclass(frozen=True, slots=True)
class Present:
    """What is in force at one moment.

    Attributes:
        policy: Compiled policy.
        catalog: Catalog with the policy's tags, or None while it cannot be read: nothing that needs
            it is allowed.
        epoch: Number of this pair; a later one has a larger number.
    """

    policy: Policy
    catalog: Catalog | None
    epoch: int


class Current:
    """The policy and catalog in force. Changed on the trio thread only.

    Attributes:
        now: What is in force.
        tried: Set once the first reading of the catalog has come to an end, good or bad.
    """

    def __init__(self, policy: Policy) -> None:
        self.now = Present(policy, None, 1)
        self.tried = trio.Event()
        self._gate: EpochTaker | None = None

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.now.policy

    @property
    def catalog(self) -> Catalog | None:
        """The catalog in force."""
        return self.now.catalog

    @property
    def epoch(self) -> int:
        """Their epoch."""
        return self.now.epoch

    def attach(self, gate: EpochTaker) -> None:
        """Join the gate and tell it the epoch."""
        self._gate = gate
        gate.set_epoch(self.epoch)

    def replace_catalog(self, catalog: Catalog | None) -> None:
        """Put another catalog in force, or none while it is not known; every verdict ends."""
        self.now = Present(self.policy, catalog, self.epoch + 1)
        if self._gate is not None:
            self._gate.set_epoch(self.epoch)
