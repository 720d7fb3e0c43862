"""What one room needs of another, as Protocols joined in `app`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from snowgate.model.approval import Approval
from snowgate.model.identity import Identified


@dataclass(frozen=True, slots=True)
class EntryText:
    """A text of an entry, which the ledger encrypts so that it can be destroyed alone (F23).

    Attributes:
        field: Member of the entry that stands for it.
        subject: Whose it is: `Principal.text`.
        text: The text itself.
    """

    field: str
    subject: str
    text: str = dataclasses.field(repr=False)


class Recorder(Protocol):
    """Appends ledger entries on behalf of the control plane."""

    async def record(
        self, kind: str, fields: dict[str, Any], texts: Sequence[EntryText] = ()
    ) -> int:
        """Append one entry and return its sequence number once it is durable.

        Raises:
            LedgerError: The ledger takes no entries (disk full, failed sync): the caller must not
            go on.
        """


class UpstreamReader(Protocol):
    """Runs the gateway's own statements upstream, each an intent of class `gateway`."""

    async def query(self, sql: str, purpose: str) -> Sequence[Sequence[str | None]]:
        """Run one statement and return its rows as text cells.

        Raises:
            UpstreamError: Snowflake refused it or did not answer.
        """


class ClientsReader(Protocol):
    """Runs statements of the gateway as the user that logs in for clients, each an intent, too."""

    async def query_as_clients(self, sql: str, purpose: str) -> Sequence[Sequence[str | None]]:
        """Run one statement with no role but PUBLIC and return its rows as text cells.

        Raises:
            UpstreamError: Snowflake refused it or did not answer.
        """


class TokenVerifier(Protocol):
    """Turns a bearer token into an identity."""

    async def identify(self, token: str, account: str) -> Identified:
        """Verify a token.

        Raises:
            LoginRefused: It is not good; the subclass says why.
        """


class ApprovalStore(Protocol):
    """Keeps approvals across restarts. Synchronous: callers run it in a worker thread."""

    def insert(self, approval: Approval) -> None:
        """Add a new approval, durably."""

    def get(self, approval_id: str) -> Approval | None:
        """The approval with this id."""

    def find_by_query(self, query_id: str) -> Approval | None:
        """The approval that holds this query."""

    def list_all(self) -> list[Approval]:
        """All approvals, newest first."""

    def replace(self, old: Approval, new: Approval) -> bool:
        """Swap `old` for `new` in one transaction; False if the row is no longer `old`."""
