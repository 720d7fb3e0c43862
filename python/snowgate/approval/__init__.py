"""Decides whether a held statement runs: people vote, and it is released once or never.

                       ┌─► denied
    request ─► pending ┼─► approved ─► consumed      (released to one waiter, once)
                       │       ├─► expired
                       │       └─► abandoned         (no waiter, or not what was approved)
                       └─► expired, cancelled, abandoned

Rule at the door: nothing changes before it is in the ledger. A crash between the two leaves a
statement that does not run, never one that runs twice or without its votes.

This room knows no HTTP and no database: it takes an `ApprovalStore` and a `Recorder`.
"""

from snowgate.approval.desk import ApprovalDesk
from snowgate.approval.outcome import Ended, Released, Waiting
from snowgate.approval.quota import Quota

__all__ = ["ApprovalDesk", "Ended", "Quota", "Released", "Waiting"]
