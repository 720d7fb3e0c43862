"""Puts together what happened in one session, from the ledger alone.

    login ─ denial ─ statement ─────────────────────────── session end
                       ├ approval: requested, votes, end
                       ├ intent: text, decision, masks
                       └ outcome: status, rows, duration

An entry belongs to a session if it names it, or is about a statement or approval that does. Causes
come before their effects in a ledger, so one reading is enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from snowgate.audit.entries import StoredEntry, TextKeys, read_entries, with_texts
from snowgate.audit.render import visible
from snowgate.errors import LedgerError


@dataclass(frozen=True, slots=True)
class Statement:
    """All entries about one statement.

    Attributes:
        approvals: Request, votes and end of its hold, in order.
        intent: It was allowed, and was then sent upstream; None while held, or where it never ran.
        outcome: How it ended; None where that is not recorded.
    """

    approvals: tuple[StoredEntry, ...]
    intent: StoredEntry | None
    outcome: StoredEntry | None

    @property
    def first(self) -> StoredEntry:
        """The entry with which it begins."""
        entries = [*self.approvals, *(entry for entry in (self.intent, self.outcome) if entry)]
        return min(entries, key=lambda entry: entry.seq)


@dataclass(frozen=True, slots=True)
class Replay:
    """One session.

    Attributes:
        session: Its id.
        events: Single entries and statements, by the time each began.
    """

    session: str
    events: tuple[StoredEntry | Statement, ...]

    @property
    def login(self) -> StoredEntry | None:
        """The entry of its login."""
        entries = (event for event in self.events if isinstance(event, StoredEntry))
        return next((entry for entry in entries if entry.kind == "login"), None)


@dataclass(slots=True)
class _Growing:
    """A statement whose entries are being collected."""

    approvals: list[StoredEntry] = field(default_factory=list)
    intent: StoredEntry | None = None
    outcome: StoredEntry | None = None


def load_session(directory: Path, session: str, *, keys: TextKeys | None = None) -> Replay:
    """Collect the entries of one session.

    Args:
        directory: The ledger.
        session: Id of the session, as its login entry has it.
        keys: Decrypts the statements; without it only their lengths are known.

    Raises:
        LedgerError: The ledger cannot be read, or knows no such session.
    """
    collected = _Collected(session, keys)
    for entry in read_entries(directory):
        collected.take(entry)
    replay = collected.replay()
    if not replay.events:
        raise LedgerError(f"no session `{visible(session)}` in this ledger")
    return replay


class _Collected:
    def __init__(self, session: str, keys: TextKeys | None) -> None:
        self._session = session
        self._keys = keys
        self._single: list[StoredEntry] = []
        self._statements: list[_Growing] = []
        self._by_query: dict[object, _Growing] = {}
        self._by_approval: dict[object, _Growing] = {}
        self._by_intent: dict[object, _Growing] = {}

    def take(self, entry: StoredEntry) -> None:
        """Keep an entry if it belongs to the session."""
        ours = entry.fields.get("session") == self._session
        growing = self._known(entry)
        if not ours and growing is None:
            return
        # Texts of other sessions are left encrypted.
        entry = entry if self._keys is None else with_texts(entry, self._keys)
        if entry.kind == "outcome" and growing is not None:
            # A second one settles what the first left unknown.
            growing.outcome = entry
        elif entry.kind == "approval":
            growing = growing or self._statement(entry)
            self._by_approval[entry.fields.get("approval")] = growing
            growing.approvals.append(entry)
        elif entry.kind == "intent":
            growing = self._statement(entry)
            growing.intent = entry
            self._by_intent[entry.seq] = growing
        else:
            self._single.append(entry)

    def _known(self, entry: StoredEntry) -> _Growing | None:
        """The statement that an outcome or approval is about."""
        if entry.kind == "outcome":
            return self._by_intent.get(entry.fields.get("intent"))
        if entry.kind == "approval":
            return self._by_approval.get(entry.fields.get("approval"))
        return None

    def _statement(self, entry: StoredEntry) -> _Growing:
        """The statement that is held or sent under a query id; a new one if it was sent already."""
        query_id = entry.fields.get("query_id")
        growing = self._by_query.get(query_id)
        if query_id is None or growing is None or growing.intent is not None:
            growing = self._by_query[query_id] = _Growing()
            self._statements.append(growing)
        return growing

    def replay(self) -> Replay:
        """What was collected."""
        events: list[StoredEntry | Statement] = [*self._single]
        events += [
            Statement(tuple(growing.approvals), growing.intent, growing.outcome)
            for growing in self._statements
        ]
        return Replay(self._session, tuple(sorted(events, key=_began)))


def _began(event: StoredEntry | Statement) -> int:
    return event.seq if isinstance(event, StoredEntry) else event.first.seq
