"""The pool of analysis workers: deadlines, losses, turns (F27)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from snowgate.control.analysts import WORKERS, Analysts, Question
from snowgate.control.current import Current
from snowgate.control.refusals import (
    ANALYSIS_LIMIT_S,
    CATALOG_UNAVAILABLE,
    MAX_WAITING,
    NO_ANSWER,
    NO_WORKER,
    TOO_LARGE,
    TOO_MANY,
    TOO_SLOW,
)
from snowgate.control.workers import WorkerLost
from snowgate.errors import StartError
from snowgate.model.statement import Refusal, Statement, StatementClass
from snowgate.sql.codec import Change, Findings, Job, Reply

from .doubles import HERE, Workers, catalog, current, table


@asynccontextmanager
async def running(now: Current, workers: Workers, size: int = 1) -> AsyncGenerator[Analysts]:
    analysts = Analysts(now, workers.start, size)
    async with trio.open_nursery() as nursery:
        await nursery.start(analysts.run)
        yield analysts
        nursery.cancel_scope.cancel()


def ask(sql: str) -> Question:
    return Question(sql, HERE, "ANALYST")


@pytest.fixture
def now() -> Current:
    return current(catalog(T=table("A")))


async def test_an_answer_names_what_was_in_force_when_its_worker_began(now: Current) -> None:
    async def work(_: Job) -> None:
        now.replace_catalog(catalog(U=table("A")))

    before = now.now
    async with running(now, Workers(work)) as analysts:
        analysed = await analysts.analyse("p", ask("select 1"))

    assert analysed.present is before
    assert isinstance(analysed.result, Findings)


async def test_a_catalog_is_sent_once_and_then_only_what_changed(now: Current) -> None:
    workers = Workers()
    async with running(now, workers) as analysts:
        for _ in range(3):
            await analysts.analyse("p", ask("select 1"))
        now.replace_catalog(catalog(T=table("A"), U=table("B")))
        await analysts.analyse("p", ask("select 1"))
        await analysts.analyse("p", ask("select 1"))

    (first, from_nothing), (second, base) = workers.loads
    assert from_nothing == 0
    assert base == first
    assert [job.catalog for job in workers.jobs] == [first] * 3 + [second] * 2


async def test_a_text_that_takes_too_long_costs_its_worker_and_is_denied(
    now: Current, autojump_clock: MockClock
) -> None:
    async def work(job: Job) -> None:
        if job.sql == "slow":
            await trio.sleep_forever()

    workers = Workers(work)
    async with running(now, workers) as analysts:
        began_s = trio.current_time()
        slow = await analysts.analyse("p", ask("slow"))
        took_s = trio.current_time() - began_s
        quick = await analysts.analyse("p", ask("quick"))

        assert slow.result is TOO_SLOW
        assert took_s == pytest.approx(ANALYSIS_LIMIT_S)
        assert isinstance(quick.result, Findings)
        assert (workers.started, workers.ended) == (2, 1)


async def test_a_text_that_cost_a_worker_is_refused_at_once_until_the_catalog_changes(
    now: Current, autojump_clock: MockClock
) -> None:
    async def work(_: Job) -> None:
        await trio.sleep_forever()

    workers = Workers(work)
    async with running(now, workers) as analysts:
        await analysts.analyse("p", ask("slow"))
        again = await analysts.analyse("other", ask("slow"))
        assert again.result is TOO_SLOW
        assert len(workers.jobs) == 1

        now.replace_catalog(catalog())
        await analysts.analyse("p", ask("slow"))
        assert len(workers.jobs) == 2


async def test_the_same_bomb_of_many_principals_costs_one_worker(
    now: Current, autojump_clock: MockClock
) -> None:
    async def work(_: Job) -> None:
        await trio.sleep_forever()

    workers = Workers(work)
    answers: list[object] = []

    async def bomb(analysts: Analysts, principal: str) -> None:
        answers.append((await analysts.analyse(principal, ask("bomb"))).result)

    async with running(now, workers) as analysts, trio.open_nursery() as nursery:
        for at in range(10):
            nursery.start_soon(bomb, analysts, f"p{at}")

    assert answers == [TOO_SLOW] * 10
    assert len(workers.jobs) == 1


@pytest.mark.parametrize(
    ("reply", "refusal"),
    [
        (lambda _: Reply(exhausted=True, leaving=True), TOO_LARGE),
        (lambda _: Reply(ready=True), NO_ANSWER),
        (lambda job: Reply(findings=_findings(job.number + 1)), NO_ANSWER),
        (lambda _: None, NO_ANSWER),
    ],
    ids=["memory", "another message", "another job", "gone"],
)
async def test_a_worker_that_fails_a_text_is_replaced(
    now: Current, reply: Callable[[Job], Reply | None], refusal: Refusal
) -> None:
    async def work(job: Job) -> Reply | None:
        if job.sql != "bad":
            return None
        answer = reply(job)
        if answer is None:
            raise WorkerLost("ended")
        return answer

    workers = Workers(work)
    async with running(now, workers) as analysts:
        bad = await analysts.analyse("p", ask("bad"))
        good = await analysts.analyse("p", ask("good"))

        assert bad.result is refusal
        assert isinstance(good.result, Findings)
        assert workers.started == 2


async def test_a_worker_that_leaves_after_its_answer_is_replaced_and_nobody_is_blamed(
    now: Current,
) -> None:
    async def work(job: Job) -> Reply:
        return Reply(findings=_findings(job.number), leaving=True)

    workers = Workers(work)
    async with running(now, workers) as analysts:
        answers = [(await analysts.analyse("p", ask("big"))).result for _ in range(3)]
        await wait_all_tasks_blocked()

        assert all(isinstance(answer, Findings) for answer in answers)
        assert workers.started == 4


async def test_without_a_catalog_nothing_is_analysed() -> None:
    workers = Workers()
    async with running(current(None), workers) as analysts:
        analysed = await analysts.analyse("p", ask("select 1"))

    assert analysed.result is CATALOG_UNAVAILABLE
    assert workers.jobs == []


async def test_one_principal_has_one_text_under_way_and_a_few_that_wait(now: Current) -> None:
    release = trio.Event()

    async def work(_: Job) -> None:
        await release.wait()

    workers = Workers(work)
    answers: list[object] = []

    async def flood(analysts: Analysts, at: int) -> None:
        answers.append((await analysts.analyse("flood", ask(f"select {at}"))).result)

    async with running(now, workers, size=WORKERS) as analysts, trio.open_nursery() as nursery:
        for at in range(100):
            nursery.start_soon(flood, analysts, at)
        await wait_all_tasks_blocked()
        refused = list(answers)
        under_way = len(workers.jobs)
        release.set()

    assert under_way == 1
    assert refused == [TOO_MANY] * (100 - MAX_WAITING - 1)
    assert sum(isinstance(answer, Findings) for answer in answers) == MAX_WAITING + 1


async def test_a_flood_of_one_principal_leaves_the_others_their_place(
    now: Current, autojump_clock: MockClock
) -> None:
    """With one worker: behind what is under way, and never behind the flood."""

    async def work(_: Job) -> None:
        await trio.sleep(0.01)

    workers = Workers(work)
    waits: list[float] = []

    async def flood(analysts: Analysts, at: int) -> None:
        await analysts.analyse("flood", ask(f"flood {at}"))

    async def calm(analysts: Analysts) -> None:
        for at in range(10):
            began_s = trio.current_time()
            await analysts.analyse("calm", ask(f"calm {at}"))
            waits.append(trio.current_time() - began_s)

    async with running(now, workers) as analysts, trio.open_nursery() as nursery:
        for at in range(200):
            nursery.start_soon(flood, analysts, at)
        await wait_all_tasks_blocked(0.001)
        nursery.start_soon(calm, analysts)

    order = [job.sql.split()[0] for job in workers.jobs]
    last = max(at for at, who in enumerate(order) if who == "calm")
    assert order[:last].count("flood") <= 11
    # Idle it takes 10 ms: at most one text of somebody else goes before.
    assert max(waits) <= 2 * 0.01 + 1e-6


async def test_a_text_whose_asker_is_gone_is_not_analysed(now: Current) -> None:
    release = trio.Event()

    async def work(_: Job) -> None:
        await release.wait()

    workers = Workers(work)
    async with running(now, workers) as analysts:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(analysts.analyse, "a", ask("first"))
            await wait_all_tasks_blocked()
            with trio.CancelScope() as scope:
                nursery.start_soon(_cancel_when_blocked, scope)
                await analysts.analyse("b", ask("withdrawn"))
            release.set()
        await analysts.analyse("b", ask("next"))

    assert [job.sql for job in workers.jobs] == ["first", "next"]


async def test_a_text_that_gets_no_worker_in_time_is_refused(
    now: Current, autojump_clock: MockClock
) -> None:
    workers = Workers()
    async with running(now, workers) as analysts:
        workers.refuse_to_start = True
        workers.work = _lose
        await analysts.analyse("p", ask("bad"))

        waiting = await analysts.analyse("p", ask("select 1"))

        assert waiting.result is NO_WORKER
        # Once one starts again, everything goes on.
        workers.refuse_to_start, workers.work = False, None
        assert isinstance((await analysts.analyse("p", ask("select 1"))).result, Findings)


async def test_a_worker_that_ended_while_idle_costs_nobody_a_denial_for_good(now: Current) -> None:
    workers = Workers()
    async with running(now, workers) as analysts:
        await analysts.analyse("p", ask("select 1"))
        workers.deaf = True
        lost = await analysts.analyse("p", ask("select 2"))
        workers.deaf = False
        again = await analysts.analyse("p", ask("select 2"))

    assert lost.result is NO_WORKER
    assert isinstance(again.result, Findings)


async def test_a_gateway_whose_workers_do_not_start_does_not_start(now: Current) -> None:
    workers = Workers()
    workers.refuse_to_start = True

    with pytest.RaisesGroup(StartError, flatten_subgroups=True, allow_unwrapped=True):
        async with running(now, workers):
            pass


async def _cancel_when_blocked(scope: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    scope.cancel()


async def _lose(_: Job) -> Any:
    raise WorkerLost("ended")


def _findings(number: int) -> Findings:
    return Findings(number, Statement(StatementClass.SELECT), Change())
