"""What verdicts are made from now: the policy, the catalog, and their epoch.

A verdict carries the epoch it was asked under. The gate uses none of another epoch, so whatever
changes the policy or the catalog first raises the epoch here and in the gate (F4, F8).
"""

from __future__ import annotations

from typing import Protocol

from snowgate.policy.rules import Policy
from snowgate.sql.catalog import Catalog


class EpochTaker(Protocol):
    """What is told of a new epoch: `_core.Gate`."""

    def set_epoch(self, epoch: int) -> None:
        """Verdicts of other epochs end."""


class Current:
    """The policy and catalog in force. Changed on the trio thread only.

    Attributes:
        policy: Compiled policy.
        catalog: Catalog with the policy's tags, or None until it could be read: nothing that needs
            it is allowed before.
        epoch: Number of the present pair; grows with every change.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.catalog: Catalog | None = None
        self.epoch = 1
        self._gate: EpochTaker | None = None

    def attach(self, gate: EpochTaker) -> None:
        """Join the gate and tell it the epoch."""
        self._gate = gate
        gate.set_epoch(self.epoch)

    def replace_catalog(self, catalog: Catalog | None) -> None:
        """Put another catalog in force, or none while it is not known."""
        self.catalog = catalog
        self.epoch += 1
        if self._gate is not None:
            self._gate.set_epoch(self.epoch)
