"""The desk: holds statements, takes votes, and releases each approved statement once.

Every change is three steps in this order: the ledger entry is durable, the store has the new state,
the waiter is woken. The ledger is asked again at consumption (`evidence`).

Time: expiry follows the wall clock, since it must survive a restart; everything else trio's clock.
"""

from __future__ import annotations

import dataclasses
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeVar

import trio

from snowgate.approval import state
from snowgate.approval.evidence import Evidence, unmask_fields, vote_fields
from snowgate.approval.outcome import Ended, Released, Waiting, ended
from snowgate.approval.quota import Quota
from snowgate.approval.rules import objection, unsound
from snowgate.errors import (
    ApprovalClosed,
    ApprovalError,
    ApprovalNotFound,
    LedgerError,
    NotAnApprover,
    SnowgateError,
    StoreError,
)
from snowgate.model.approval import Approval, ApprovalState, HeldStatement, Vote
from snowgate.model.identity import Identified, Principal
from snowgate.model.ports import ApprovalStore, EntryText, Recorder

_T = TypeVar("_T")

_LOG = logging.getLogger(__name__)

# An approval that nobody answers for a week is standing access.
MAX_EXPIRES_S = 7 * 24 * 3600.0
# F13: the gate polls for each live waiter at least every 45 s.
WAITER_LIMIT_S = 60.0
MAX_REASON_CHARS = 500
# Longer than the ledger's and the store's own limits; after it the change counts as failed.
CHANGE_LIMIT_S = 10.0
# The wall clock may jump: it is looked at this often even when nothing is due.
LOOK_S = 30.0
# The two clocks do not tick together: what is due in an instant is looked at again after this.
SHORTEST_S = 0.01
RETRY_S = 1.0


class Offload(Protocol):
    """Runs a blocking call without blocking the loop."""

    async def __call__(self, call: Callable[[], _T], /) -> _T:
        """Run it, one at a time, to its end."""


@dataclass(slots=True)
class _Open:
    """An approval that can still change. Only the holder of `lock` changes it."""

    approval: Approval
    seen_s: float
    evidence: Evidence = field(default_factory=Evidence)
    lock: trio.Lock = field(default_factory=trio.Lock)


class ApprovalDesk:
    """All approvals of a gateway. Made by `open`; `run` must run while it is used.

    Args:
        store: Where approvals survive a restart.
        recorder: The ledger.
        on_change: Called with the query id after an approval stopped being pending, or ended.
        clock: Unix time.
        new_id: Makes approval ids.
        offload: How the store is called; a worker thread of its own unless given.
        quota: How many statements one principal may hold.
    """

    def __init__(
        self,
        store: ApprovalStore,
        recorder: Recorder,
        on_change: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        offload: Offload | None = None,
        quota: Quota | None = None,
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._on_change = on_change
        self._clock = clock
        self._new_id = new_id
        self._open: dict[str, _Open] = {}
        self._query_of: dict[str, str] = {}
        self._quota = quota or Quota()
        self._requests = trio.Lock()
        self._in_store = offload or _one_thread()
        self._new_deadline = trio.Event()

    @classmethod
    async def open(
        cls,
        store: ApprovalStore,
        recorder: Recorder,
        on_change: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        offload: Offload | None = None,
        quota: Quota | None = None,
    ) -> Self:
        """A desk with the approvals of the store. Next come `witness` for the ledger, and `run`.

        Raises:
            StoreError: The store is not as it was written.
        """
        desk = cls(
            store, recorder, on_change, clock=clock, new_id=new_id, offload=offload, quota=quota
        )
        for approval in await desk._in_store(store.list_all):
            if not state.ended(approval):
                desk._add(approval)
        return desk

    def witness(self, seq: int, fields: Mapping[str, object]) -> None:
        """Take in one ledger entry of kind `approval`, at start, in the order of the ledger.

        A vote from before the start whose entry was not shown here releases nothing.
        """
        query_id = self._query_of.get(str(fields.get("approval")))
        if query_id is not None:
            self._open[query_id].evidence.add(seq, fields)

    async def run(self) -> None:
        """Expire and abandon approvals when their time comes, until cancelled. Cancel-safe."""
        while True:
            delay_s = min((self._due_in_s(held) for held in self._open.values()), default=LOOK_S)
            with trio.move_on_after(min(max(delay_s, SHORTEST_S), LOOK_S)):
                await self._new_deadline.wait()
            self._new_deadline = trio.Event()
            failed = False
            for held in [*self._open.values()]:
                try:
                    async with held.lock:
                        await self._settle(held)
                except SnowgateError as error:
                    failed = True
                    _LOG.warning("approval %s stays open: %s", held.approval.id, error)
            if failed:
                await trio.sleep(RETRY_S)

    async def request(self, statement: HeldStatement) -> Approval:
        """Hold a statement; asked again for the same query, answer with the same approval.

        Cancel-safe: once the ledger has the request, it is kept.

        Raises:
            HoldRefused: The principal has too many, or the terms cannot be met.
            ApprovalError: The query id belongs to another statement.
            LedgerError, StoreError: Nothing is held.
        """
        async with self._requests:
            known = await self.find(statement.query_id)
            if known is not None:
                if known.held.statement_digest != statement.statement_digest:
                    raise ApprovalError("this query id belongs to another statement")
                return known
            key = statement.principal.key
            pending = sum(held.approval.held.principal.key == key for held in self._open.values())
            self._quota.take(statement, pending, trio.current_time())
            now_s = self._now_s()
            approval = Approval(
                id=self._new_id(),
                held=statement,
                state=ApprovalState.PENDING,
                requested_at_s=now_s,
                expires_at_s=now_s + min(statement.expires_s, MAX_EXPIRES_S),
            )
            with _change():
                await self._record(
                    approval, "requested", _request_fields(approval), _request_texts(approval)
                )
                await self._in_store(lambda: self._store.insert(approval))
                self._add(approval)
                self._new_deadline.set()
            return approval

    async def vote(
        self, approval_id: str, voter: Identified, *, approve: bool, reason: str
    ) -> Approval:
        """Take one person's vote. Cancel-safe: once the ledger has the vote, it counts.

        Returns:
            The approval after it.

        Raises:
            ApprovalNotFound: No approval has this id.
            NotAnApprover: This person may not vote on it; recorded.
            ApprovalClosed: It is not pending any more; recorded.
            LedgerError, StoreError: The vote does not count.
        """
        held = self._open.get(self._query_of.get(approval_id, ""))
        if held is None:
            approval = await self.get(approval_id)
            raise await self._refuse(approval, voter, ApprovalClosed(_closed(approval)))
        async with held.lock:
            await self._settle(held)
            approval = held.approval
            if approval.state is not ApprovalState.PENDING:
                raise await self._refuse(approval, voter, ApprovalClosed(_closed(approval)))
            why = objection(approval, voter)
            if why is not None:
                raise await self._refuse(approval, voter, NotAnApprover(why))
            with _change():
                vote = await self._record_vote(held, voter, approve, reason)
                await self._move(held, state.cast(approval, vote))
            return held.approval

    async def consume(
        self, query_id: str, statement_digest: str, context_digest: str
    ) -> Waiting | Released | Ended:
        """Ask for a held statement on behalf of a waiter, who counts as seen.

        Cancel-safe: a release that nobody is there to take is lost, and the statement never runs.

        Args:
            query_id: The gateway's query id.
            statement_digest: Of what would run now.
            context_digest: Of the session as it is now.

        Returns:
            `Released` exactly once, and only when approved, unchanged, and sound.

        Raises:
            ApprovalNotFound: Nothing is held under this query id.
            LedgerError, StoreError: Not now; nothing was released.
        """
        held = self._open.get(query_id)
        if held is None:
            approval = await self.find(query_id)
            if approval is None:
                raise ApprovalNotFound("no statement is held under this query id")
            return ended(approval)
        held.seen_s = trio.current_time()
        async with held.lock:
            await self._settle(held)
            approval = held.approval
            if approval.state is ApprovalState.PENDING:
                return Waiting(approval)
            if state.ended(approval):
                return ended(approval)
            why = _mismatch(approval, statement_digest, context_digest) or unsound(approval)
            if why is None and not held.evidence.covers(approval):
                why = "a vote is not in the ledger"
            if why is not None:
                await self._end(held, ApprovalState.ABANDONED, why)
                return ended(held.approval, why)
            await self._end(held, ApprovalState.CONSUMED)
            return Released(held.approval)

    async def cancel(self, query_id: str, why: str) -> None:
        """End a held statement because its requester or session is gone. Cancel-safe.

        Args:
            query_id: The gateway's query id; unknown and ended ones are ignored.
            why: `cancelled`, `logout`, `killed`, or another word for the ledger.

        Raises:
            LedgerError, StoreError: It is still held.
        """
        await self._withdraw(query_id, ApprovalState.CANCELLED, why)

    async def abandon(self, query_id: str, why: str) -> None:
        """End a held statement because it may not run any more, whoever approves it.

        For a verdict that turned to deny before the release. Otherwise as `cancel`.
        """
        await self._withdraw(query_id, ApprovalState.ABANDONED, why)

    @property
    def open_count(self) -> int:
        """Approvals that can still change."""
        return len(self._open)

    def seen(self, query_id: str) -> None:
        """Note that somebody waits for a held statement."""
        held = self._open.get(query_id)
        if held is not None:
            held.seen_s = trio.current_time()

    async def get(self, approval_id: str) -> Approval:
        """The approval with this id.

        Raises:
            ApprovalNotFound: There is none.
        """
        held = self._open.get(self._query_of.get(approval_id, ""))
        if held is not None:
            return held.approval
        approval = await self._in_store(lambda: self._store.get(approval_id))
        if approval is None:
            raise ApprovalNotFound("no approval has this id")
        return approval

    async def find(self, query_id: str) -> Approval | None:
        """The approval that holds a query, in whatever state."""
        held = self._open.get(query_id)
        if held is not None:
            return held.approval
        return await self._in_store(lambda: self._store.find_by_query(query_id))

    async def list_all(self) -> list[Approval]:
        """All approvals, newest first."""
        return await self._in_store(self._store.list_all)

    def _now_s(self) -> float:
        return round(self._clock(), 3)

    def _add(self, approval: Approval) -> None:
        self._open[approval.held.query_id] = _Open(approval, trio.current_time())
        self._query_of[approval.id] = approval.held.query_id

    def _due_in_s(self, held: _Open) -> float:
        due_s = held.approval.expires_at_s - self._clock()
        if held.approval.state is ApprovalState.APPROVED:
            due_s = min(due_s, held.seen_s + WAITER_LIMIT_S - trio.current_time())
        return due_s

    async def _settle(self, held: _Open) -> None:
        """Do what time, or the ledger, has done to an approval already. Needs its lock."""
        if state.ended(held.approval):
            return
        if held.evidence.end is not None:
            # The ledger knows an end that the store missed, in a crash or by an older copy of it.
            await self._move_to(held, held.evidence.end)
        elif self._clock() >= held.approval.expires_at_s:
            await self._end(held, ApprovalState.EXPIRED)
        elif self._due_in_s(held) <= 0:
            await self._end(held, ApprovalState.ABANDONED, "nobody waited for it")

    async def _withdraw(self, query_id: str, target: ApprovalState, why: str) -> None:
        held = self._open.get(query_id)
        if held is None:
            return
        async with held.lock:
            await self._settle(held)
            if state.ended(held.approval):
                return
            if held.approval.state is ApprovalState.APPROVED:
                target = ApprovalState.ABANDONED
            await self._end(held, target, why)

    async def _end(self, held: _Open, target: ApprovalState, why: str = "") -> None:
        with _change():
            seq, fields = await self._record(held.approval, target.value, {"why": why})
            held.evidence.add(seq, fields)
            await self._move_to(held, target)

    async def _move_to(self, held: _Open, target: ApprovalState) -> None:
        if not state.possible(held.approval, target):
            # The store is older than the ledger: whatever ended it, it does not run.
            target = ApprovalState.ABANDONED
        await self._move(held, state.move(held.approval, target))

    async def _move(self, held: _Open, new: Approval) -> None:
        """Make a recorded change: store, memory, waiter."""
        if not await self._in_store(lambda: self._store.replace(held.approval, new)):
            raise StoreError("an approval changed in the store behind the gateway's back")
        held.approval = new
        if state.ended(new):
            del self._open[new.held.query_id]
            del self._query_of[new.id]
        elif new.state is ApprovalState.APPROVED:
            held.seen_s = trio.current_time()
            self._new_deadline.set()
        if new.state is not ApprovalState.PENDING:
            self._on_change(new.held.query_id)

    async def _record_vote(
        self, held: _Open, voter: Identified, approve: bool, reason: str
    ) -> Vote:
        approval, principal = held.approval, voter.principal
        unrecorded = Vote(
            person=principal.person,
            name=principal.name,
            approve=approve,
            reason=reason[:MAX_REASON_CHARS],
            at_s=self._now_s(),
            issuer=principal.issuer,
            subject=principal.subject,
            groups=tuple(sorted(set(voter.groups) & set(approval.held.approvers))),
        )
        counted = {**vote_fields(approval, unrecorded), "accepted": True}
        seq, recorded = await self._record(approval, "vote", counted)
        held.evidence.add(seq, recorded)
        vote = dataclasses.replace(unrecorded, entry=seq)
        new = state.cast(approval, vote)
        if new.state is not ApprovalState.PENDING:
            seq, recorded = await self._record(approval, new.state.value, {})
            held.evidence.add(seq, recorded)
        return vote

    async def _refuse(
        self, approval: Approval, voter: Identified, error: ApprovalError
    ) -> ApprovalError:
        """Record a vote that does not count, and give its error back to be raised."""
        await self._record(
            approval,
            "vote",
            {
                "accepted": False,
                "voter": _who(voter.principal),
                "person": voter.principal.person,
                "refusal": str(error),
            },
        )
        return error

    async def _record(
        self,
        approval: Approval,
        event: str,
        fields: Mapping[str, object],
        texts: Sequence[EntryText] = (),
    ) -> tuple[int, dict[str, Any]]:
        entry: dict[str, Any] = {
            **fields,
            "event": event,
            "approval": approval.id,
            "query_id": approval.held.query_id,
            "principal": approval.held.principal.name,
            "reference": approval.held.reference,
        }
        return await self._recorder.record("approval", entry, texts), entry


def _one_thread() -> Offload:
    limiter = trio.CapacityLimiter(1)

    async def run(call: Callable[[], _T], /) -> _T:
        return await trio.to_thread.run_sync(call, limiter=limiter)

    return run


@contextmanager
def _change() -> Iterator[None]:
    """A change once begun is carried to its end, even when whoever asked for it hangs up."""
    try:
        with trio.fail_after(CHANGE_LIMIT_S, shield=True):
            yield
    except trio.TooSlowError:
        raise LedgerError(f"no answer from the ledger within {CHANGE_LIMIT_S:g} s") from None


def _mismatch(approval: Approval, statement_digest: str, context_digest: str) -> str | None:
    if approval.held.statement_digest != statement_digest:
        return "the statement is not the one that was approved"
    if approval.held.context_digest != context_digest:
        return "the session has changed since the statement was approved"
    return None


def _closed(approval: Approval) -> str:
    return f"approval is {approval.state.value}, not pending"


def _who(principal: Principal) -> dict[str, str]:
    return {"issuer": principal.issuer, "subject": principal.subject, "name": principal.name}


def _request_fields(approval: Approval) -> dict[str, object]:
    held = approval.held
    return {
        "identity": {"account": held.principal.account, **_who(held.principal)},
        "session": held.session,
        "role": held.role,
        "database": held.database,
        "schema": held.schema,
        "statement_digest": held.statement_digest,
        "context_digest": held.context_digest,
        "rules": list(held.rules),
        "approvers": list(held.approvers),
        "quorum": held.quorum,
        "expires_at_ms": round(approval.expires_at_s * 1000),
        **unmask_fields(held),
    }


def _request_texts(approval: Approval) -> list[EntryText]:
    """What approvers are shown and what would run, to the byte (F14)."""
    held = approval.held
    texts = {"sql": held.sql, "binds": held.binds, "parameters": held.parameters}
    return [EntryText(name, held.principal.text, text) for name, text in texts.items() if text]
