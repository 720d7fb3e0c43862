"""Held statements: asked for, voted on, released once (F7, F13, F15, F27)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest
import trio
import trio.testing

from snowgate.approval import ApprovalDesk, Ended, Released, Waiting
from snowgate.errors import (
    ApprovalClosed,
    ApprovalError,
    ApprovalNotFound,
    HoldRefused,
    LedgerError,
    NotAnApprover,
    StoreError,
)
from snowgate.model.approval import Approval, ApprovalState, HeldStatement, Vote
from snowgate.model.identity import Identified, Principal
from snowgate.model.ports import EntryText

T = TypeVar("T")
Voters = Callable[..., Identified]
Clock = trio.testing.MockClock  # pytest-trio installs it only where the test itself asks for it

START_S = 1_700_000_000.0


@dataclass
class MemoryStore:
    """An `ApprovalStore` that remembers what it held before, as an attacker would."""

    rows: dict[str, Approval] = field(default_factory=dict)

    def insert(self, approval: Approval) -> None:
        self.rows[approval.id] = approval

    def get(self, approval_id: str) -> Approval | None:
        return self.rows.get(approval_id)

    def find_by_query(self, query_id: str) -> Approval | None:
        return next((a for a in self.rows.values() if a.held.query_id == query_id), None)

    def list_all(self) -> list[Approval]:
        return [*self.rows.values()][::-1]

    def replace(self, old: Approval, new: Approval) -> bool:
        if self.rows[old.id] != old:
            return False
        self.rows[old.id] = new
        return True


@dataclass
class MemoryLedger:
    """A `Recorder` whose entries can be read back, and whose disk can fail."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    texts: list[Sequence[EntryText]] = field(default_factory=list)
    broken: bool = False
    delay_s: float = 0
    on_record: Callable[[dict[str, Any]], None] = lambda _: None

    async def record(
        self, kind: str, fields: dict[str, Any], texts: Sequence[EntryText] = ()
    ) -> int:
        assert kind == "approval"
        await trio.sleep(self.delay_s)
        if self.broken:
            raise LedgerError("disk full")
        self.on_record(fields)
        self.entries.append(fields)
        self.texts.append(texts)
        return len(self.entries) - 1

    def events(self) -> list[str]:
        return [entry["event"] for entry in self.entries]


async def inline(call: Callable[[], T], /) -> T:
    """In place of a thread: the clock that jumps would jump while one works."""
    await trio.lowlevel.checkpoint()
    return call()


@dataclass
class World:
    """Everything around the desk, and the desk."""

    store: MemoryStore
    ledger: MemoryLedger
    desk: ApprovalDesk
    changed: list[str] = field(default_factory=list)

    def clock(self) -> float:
        return START_S + trio.current_time()

    async def restart(self, *, witness: bool = True) -> None:
        """Another process over the same store and ledger."""
        ids = itertools.count(100)
        self.desk = await ApprovalDesk.open(
            self.store,
            self.ledger,
            self.changed.append,
            clock=self.clock,
            new_id=lambda: f"a{next(ids)}",
            offload=inline,
        )
        if witness:
            for seq, entry in enumerate(self.ledger.entries):
                self.desk.witness(seq, entry)


@pytest.fixture
async def world() -> World:
    store, ledger = MemoryStore(), MemoryLedger()
    ids = itertools.count(1)
    changed: list[str] = []
    desk = ApprovalDesk(
        store,
        ledger,
        changed.append,
        clock=lambda: START_S + trio.current_time(),
        new_id=lambda: f"a{next(ids)}",
        offload=inline,
    )
    return World(store, ledger, desk, changed)


@pytest.fixture
def person() -> Voters:
    """Makes a verified approver; arguments change the principal, `groups` the groups."""

    def make(name: str, groups: tuple[str, ...] = ("data-platform",), **other: Any) -> Identified:
        principal = Principal("CRM", "https://people", f"id-{name}", name.title(), True, name)
        return Identified(replace(principal, **other), groups, (), START_S + 3600, 3600, "digest")

    return make


async def ask(world: World, query_id: str = "q1") -> Waiting | Released | Ended:
    return await world.desk.consume(query_id, "statement", "context")


def state_of(world: World) -> ApprovalState:
    return world.store.rows["a1"].state


async def approve(world: World, voter: Identified, approval_id: str = "a1") -> None:
    await world.desk.vote(approval_id, voter, approve=True, reason="checked")


async def test_an_approved_statement_is_released_once(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    await world.desk.request(statement)
    assert isinstance(await ask(world), Waiting)
    await approve(world, person("bob"))

    first, second = await ask(world), await ask(world)

    assert isinstance(first, Released)
    assert first.approval.held.sql == "DROP TABLE staging"
    assert isinstance(second, Ended)
    assert "used already" in second.message
    assert world.ledger.events() == ["requested", "vote", "approved", "consumed"]
    assert world.changed == ["q1", "q1"]


async def test_two_waiters_share_one_release(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    await world.desk.request(statement)
    await approve(world, person("bob"))
    world.ledger.delay_s = 1
    answers: list[Waiting | Released | Ended] = []

    async def wait() -> None:
        answers.append(await ask(world))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(wait)

    assert sorted(type(answer).__name__ for answer in answers) == ["Ended"] * 4 + ["Released"]


async def test_a_denial_is_final_and_reaches_the_client(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    await world.desk.request(replace(statement, quorum=2))
    await approve(world, person("bob"))
    await world.desk.vote("a1", person("carol"), approve=False, reason="not\ntoday")

    answer = await ask(world)

    assert isinstance(answer, Ended)
    assert (answer.code, answer.sqlstate) == ("003001", "42501")
    assert "denied by rule ddl" in answer.message
    assert "by Carol, saying: not�today; reference ref-1; what to do:" in answer.message
    with pytest.raises(ApprovalClosed, match="denied"):
        await approve(world, person("dave"))


async def test_a_quorum_needs_distinct_people(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    await world.desk.request(replace(statement, quorum=2))
    await approve(world, person("bob"))

    with pytest.raises(NotAnApprover, match="voted already"):
        await approve(world, person("bob", issuer="https://other-people", subject="other"))
    assert isinstance(await ask(world), Waiting)

    await approve(world, person("carol"))
    assert isinstance(await ask(world), Released)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"people": False}, "only people decide"),
        ({"person": ""}, "only people decide"),
        ({"groups": ("etl-writers",)}, "only members of data-platform"),
        ({"groups": ()}, "only members of data-platform"),
        ({"issuer": "https://ci", "subject": "repo-1"}, "of their own"),
        ({"issuer": "https://ci", "subject": "repo-1", "account": "X"}, "of their own"),
        ({"person": "alice"}, "asked for or triggered"),
        ({"person": "ALICE"}, "asked for or triggered"),
        ({"triggered_by": ("alice",)}, "asked for or triggered"),
    ],
)
async def test_who_may_not_vote_is_refused_and_recorded(
    autojump_clock: Clock,
    world: World,
    statement: HeldStatement,
    person: Voters,
    change: dict[str, object],
    reason: str,
) -> None:
    await world.desk.request(statement)

    with pytest.raises(NotAnApprover, match=reason):
        await approve(world, person("bob", **change))

    assert isinstance(await ask(world), Waiting)
    assert world.ledger.entries[-1]["accepted"] is False
    assert world.ledger.events() == ["requested", "vote"]


async def test_a_person_does_not_approve_their_own_statement_by_another_login(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    requester = person("bob", issuer="https://laptop", subject="x").principal
    await world.desk.request(replace(statement, principal=requester))

    with pytest.raises(NotAnApprover, match="asked for or triggered"):
        await approve(world, person("bob"))


async def test_nothing_changes_before_the_ledger_has_it(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    await world.desk.request(statement)

    def before(entry: dict[str, object]) -> None:
        assert world.store.rows["a1"].state is ApprovalState.PENDING, entry["event"]
        assert world.changed == []

    world.ledger.on_record = before
    await approve(world, person("bob"))

    world.ledger.broken = True
    with pytest.raises(LedgerError):
        await ask(world)
    assert world.store.rows["a1"].state is ApprovalState.APPROVED


async def test_a_full_disk_holds_nothing_and_counts_no_vote(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    world.ledger.broken = True
    with pytest.raises(LedgerError):
        await world.desk.request(statement)
    assert world.store.rows == {}

    world.ledger.broken = False
    await world.desk.request(statement)
    world.ledger.broken = True
    with pytest.raises(LedgerError):
        await approve(world, person("bob"), "a2")
    assert isinstance(await ask(world), Waiting)


async def test_an_approver_who_hangs_up_has_voted_whole_or_not_at_all(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    await world.desk.request(statement)
    world.ledger.delay_s = 1

    with trio.move_on_after(0.5):
        await approve(world, person("bob"))

    assert world.store.rows["a1"].state is ApprovalState.APPROVED
    assert world.ledger.events() == ["requested", "vote", "approved"]


async def test_a_ledger_that_never_answers_does_not_hold_a_voter_for_ever(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    await world.desk.request(statement)
    world.ledger.delay_s = 1000

    with pytest.raises(LedgerError, match="10 s"):
        await approve(world, person("bob"))

    assert world.store.rows["a1"].state is ApprovalState.PENDING


async def test_asking_twice_for_one_query_is_one_approval(
    autojump_clock: Clock, world: World, statement: HeldStatement
) -> None:
    first = await world.desk.request(statement)

    assert await world.desk.request(replace(statement, reference="ref-2")) == first

    assert world.ledger.events() == ["requested"]
    with pytest.raises(ApprovalError, match="another statement"):
        await world.desk.request(replace(statement, statement_digest="other"))


async def test_one_principal_cannot_flood_the_desk(
    autojump_clock: Clock, world: World, statement: HeldStatement
) -> None:
    for number in range(50):
        await world.desk.request(replace(statement, query_id=f"q{number}", expires_s=9000))
        await trio.sleep(6)

    with pytest.raises(HoldRefused, match="50 statements") as refused:
        await world.desk.request(replace(statement, query_id="q50"))
    assert refused.value.rule == "approval-limit"

    other = replace(statement.principal, issuer="https://other-ci")
    await world.desk.request(replace(statement, query_id="q51", principal=other))


async def test_new_approvals_are_limited_by_the_minute(
    autojump_clock: Clock, world: World, statement: HeldStatement
) -> None:
    for number in range(10):
        await world.desk.request(replace(statement, query_id=f"q{number}"))
        await world.desk.cancel(f"q{number}", "cancelled")

    with pytest.raises(HoldRefused, match="within a minute"):
        await world.desk.request(replace(statement, query_id="q10"))

    await trio.sleep(60)
    await world.desk.request(replace(statement, query_id="q10"))


@pytest.mark.parametrize("terms", [{"quorum": 0}, {"approvers": ()}, {"expires_s": 0.0}])
async def test_a_hold_that_nobody_could_end_is_refused(
    autojump_clock: Clock, world: World, statement: HeldStatement, terms: dict[str, object]
) -> None:
    with pytest.raises(HoldRefused, match="approvers, quorum or time"):
        await world.desk.request(replace(statement, **terms))  # type: ignore[arg-type]


async def test_silence_expires_after_the_limit(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.desk.run)
        await trio.testing.wait_all_tasks_blocked()
        await world.desk.request(statement)

        await trio.sleep(3599)
        assert isinstance(await ask(world), Waiting)
        await trio.sleep(2)

        assert world.store.rows["a1"].state is ApprovalState.EXPIRED
        answer = await ask(world)
        assert isinstance(answer, Ended)
        assert (answer.code, answer.sqlstate) == ("000604", "57014")
        assert "expired after 3600 s" in answer.message
        with pytest.raises(ApprovalClosed):
            await approve(world, person("bob"))
        nursery.cancel_scope.cancel()


async def test_a_vote_after_the_limit_comes_too_late_even_if_nothing_else_noticed(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    await world.desk.request(statement)
    await trio.sleep(3600)

    with pytest.raises(ApprovalClosed, match="expired"):
        await approve(world, person("bob"))


async def test_no_approval_is_open_for_more_than_a_week(
    autojump_clock: Clock, world: World, statement: HeldStatement
) -> None:
    approval = await world.desk.request(replace(statement, expires_s=1e9))

    assert approval.expires_at_s - approval.requested_at_s == 7 * 24 * 3600


async def test_an_approved_statement_without_a_waiter_is_abandoned(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.desk.run)
        await world.desk.request(statement)
        await trio.sleep(600)
        await approve(world, person("bob"))
        await trio.sleep(59)
        world.desk.seen("q1")
        await trio.sleep(59)
        assert state_of(world) is ApprovalState.APPROVED

        await trio.sleep(2)

        assert state_of(world) is ApprovalState.ABANDONED
        assert isinstance(await ask(world), Ended)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("digests", "reason"),
    [(("other", "context"), "not the one"), (("statement", "other"), "session has changed")],
)
async def test_what_differs_from_what_was_approved_never_runs(
    autojump_clock: Clock,
    world: World,
    statement: HeldStatement,
    person: Voters,
    digests: tuple[str, str],
    reason: str,
) -> None:
    await world.desk.request(statement)
    await approve(world, person("bob"))

    answer = await world.desk.consume("q1", *digests)

    assert isinstance(answer, Ended)
    assert answer.state is ApprovalState.ABANDONED
    assert reason in answer.message
    assert isinstance(await ask(world), Ended)


@pytest.mark.parametrize("why", ["cancelled", "logout", "killed"])
async def test_a_cancelled_hold_cannot_be_approved(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters, why: str
) -> None:
    await world.desk.request(statement)

    await world.desk.cancel("q1", why)

    assert world.ledger.entries[-1]["why"] == why
    with pytest.raises(ApprovalClosed, match="cancelled"):
        await approve(world, person("bob"))
    await world.desk.cancel("q1", why)
    await world.desk.cancel("unknown", why)
    assert world.ledger.events() == ["requested", "cancelled", "vote"]


async def test_cancelling_an_approved_statement_abandons_it(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    await world.desk.request(statement)
    await approve(world, person("bob"))

    await world.desk.cancel("q1", "logout")

    answer = await ask(world)
    assert isinstance(answer, Ended)
    assert answer.state is ApprovalState.ABANDONED


async def test_nothing_is_held_under_an_unknown_id(
    autojump_clock: Clock, world: World, person: Voters
) -> None:
    with pytest.raises(ApprovalNotFound):
        await ask(world)
    with pytest.raises(ApprovalNotFound):
        await approve(world, person("bob"))


async def test_an_approval_survives_a_restart(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    await world.desk.request(replace(statement, quorum=2))
    await approve(world, person("bob"))
    await world.restart()
    await approve(world, person("carol"))
    await world.restart()

    assert isinstance(await ask(world), Released)


async def test_expiry_goes_on_after_a_restart(
    autojump_clock: Clock, world: World, statement: HeldStatement
) -> None:
    await world.desk.request(statement)
    await trio.sleep(3000)
    await world.restart()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.desk.run)
        await trio.sleep(601)
        nursery.cancel_scope.cancel()

    assert world.store.rows["a1"].state is ApprovalState.EXPIRED


async def test_a_vote_that_only_the_store_knows_releases_nothing(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    # F7: whoever has the store key, or puts back an old file, still needs the ledger.
    await world.desk.request(statement)
    forged = Vote(
        "bob", "Bob", True, "", START_S, "https://people", "id-bob", ("data-platform",), 0
    )
    row = world.store.rows["a1"]
    world.store.rows["a1"] = replace(row, state=ApprovalState.APPROVED, votes=(forged,))
    await world.restart()

    answer = await ask(world)

    assert isinstance(answer, Ended)
    assert "not in the ledger" in answer.message


async def test_a_vote_changed_in_the_store_releases_nothing(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    await world.desk.request(statement)
    await approve(world, person("mallory", groups=("data-platform",)))
    row = world.store.rows["a1"]
    world.store.rows["a1"] = replace(row, votes=(replace(row.votes[0], person="bob"),))
    await world.restart()

    assert isinstance(await ask(world), Ended)


async def test_a_store_put_back_whole_does_not_run_a_statement_twice(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    await world.desk.request(statement)
    await approve(world, person("bob"))
    copy = dict(world.store.rows)
    assert isinstance(await ask(world), Released)
    world.store.rows = copy
    await world.restart()

    answer = await ask(world)

    assert isinstance(answer, Ended)
    assert answer.state is ApprovalState.CONSUMED


async def test_a_crash_between_ledger_and_store_never_releases_again(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    await world.desk.request(statement)
    await approve(world, person("bob"))
    row = world.store.rows["a1"]

    def crash(entry: dict[str, object]) -> None:
        world.store.rows["a1"] = replace(row, votes=())  # the swap that follows fails

    world.ledger.on_record = crash
    with pytest.raises(StoreError, match="behind the gateway"):
        await ask(world)
    world.store.rows["a1"] = row
    await world.restart()

    assert isinstance(await ask(world), Ended)


async def test_votes_are_not_believed_without_the_ledger(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    await world.desk.request(statement)
    await approve(world, person("bob"))
    await world.restart(witness=False)

    assert isinstance(await ask(world), Ended)


async def test_what_would_be_shown_in_clear_is_in_the_ledger_with_each_vote(
    world: World, statement: HeldStatement, person: Voters
) -> None:
    await world.desk.request(replace(statement, unmask=("pii",), definitions="d"))
    await approve(world, person("bob"))
    await world.desk.request(replace(statement, query_id="q2"))
    await approve(world, person("bob"), "a2")

    told = [
        (entry["approval"], entry["event"], entry.get("unmask"), entry.get("definitions"))
        for entry in world.ledger.entries
        if entry["event"] in ("requested", "vote")
    ]
    assert told == [
        ("a1", "requested", ["pii"], "d"),
        ("a1", "vote", ["pii"], "d"),
        ("a2", "requested", None, None),
        ("a2", "vote", None, None),
    ]


@pytest.mark.parametrize(
    "change", [{"unmask": ("cards", "pii")}, {"unmask": ()}, {"definitions": "other"}]
)
async def test_f7_a_vote_is_for_what_it_was_asked_to_show(
    autojump_clock: Clock,
    world: World,
    statement: HeldStatement,
    person: Voters,
    change: dict[str, Any],
) -> None:
    await world.desk.request(replace(statement, unmask=("pii",), definitions="d"))
    await approve(world, person("bob"))
    row = world.store.rows["a1"]
    world.store.rows["a1"] = replace(row, held=replace(row.held, **change))
    await world.restart()

    answer = await ask(world)

    assert isinstance(answer, Ended)
    assert state_of(world) is ApprovalState.ABANDONED


async def test_an_approval_that_shows_tags_survives_a_restart(
    autojump_clock: Clock, world: World, statement: HeldStatement, person: Voters
) -> None:
    await world.desk.request(replace(statement, unmask=("pii",), definitions="d"))
    await approve(world, person("bob"))
    await world.restart()

    answer = await ask(world)

    assert isinstance(answer, Released)
    assert answer.approval.held.unmask == ("pii",)


async def test_the_request_in_the_ledger_has_the_exact_text_under_its_owner_s_key(
    world: World, statement: HeldStatement
) -> None:
    bound = replace(statement, binds='{"1":"x"}')
    await world.desk.request(bound)

    assert world.ledger.texts[0] == [
        EntryText("sql", "3:CRM,10:https://ci,6:repo-1", "DROP TABLE staging"),
        EntryText("binds", "3:CRM,10:https://ci,6:repo-1", '{"1":"x"}'),
    ]
    # A text is not in the clear fields of its entry, nor in what a log would show of it.
    assert "staging" not in repr(world.ledger.entries)
    assert "staging" not in repr(world.ledger.texts)
