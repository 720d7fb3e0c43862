"""Keys over time: rotation, an issuer that is down, and one that is slow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import trio
from starlette.responses import Response
from trio.testing import MockClock, wait_all_tasks_blocked

from snowgate.errors import IssuerUnavailable, TokenInvalid
from snowgate.identity import IssuerSettings, OidcVerifier, open_verifier
from snowgate.testing.issuer import IssuerServer, generate_keys, open_issuers
from snowgate.testing.tokens import Flaw, Issuer

KEYS = generate_keys()
CLAIMS = {"sub": "etl"}


@pytest.fixture
def clock() -> MockClock:
    """Runs like a real one, and jumps when told."""
    return MockClock(rate=1)


@dataclass
class World:
    """Two issuers and the verifier that trusts them."""

    server: IssuerServer
    machines: Issuer
    people: Issuer
    verifier: OidcVerifier

    async def login(self, **changes: object) -> None:
        await self.verifier.identify(self.machines.mint({**CLAIMS, **changes}), "CRM")

    def break_down(self, status: int = 503) -> None:
        async def broken(path: str) -> Response:
            return Response(status_code=status)

        self.server.reply = broken


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    server = await open_issuers(nursery, keys={name: [*keys] for name, keys in KEYS.items()})
    machines = server.issuer("machines", "snowgate")
    people = server.issuer("people", "snowgate")
    settings = [IssuerSettings(issuer.url, "snowgate", ()) for issuer in (machines, people)]
    async with open_verifier(settings, nursery) as verifier:
        yield World(server, machines, people, verifier)


async def test_a_rotated_key_works_after_half_a_minute(clock: MockClock, world: World) -> None:
    await world.login()
    world.machines.rotate()
    clock.jump(31)

    await world.login()

    assert len(world.server.requests) == 4


async def test_invented_key_ids_cost_one_fetch_in_half_a_minute(
    clock: MockClock, world: World
) -> None:
    await world.login()
    clock.jump(31)

    for _ in range(5):
        with pytest.raises(TokenInvalid, match="no key"):
            await world.verifier.identify(world.machines.mint(CLAIMS, flaw=Flaw.UNKNOWN_KID), "CRM")

    assert len(world.server.requests) == 4


async def test_a_withdrawn_key_stops_working_at_the_next_refresh(
    clock: MockClock, world: World
) -> None:
    old = world.machines.mint(CLAIMS)
    await world.verifier.identify(old, "CRM")
    world.machines.rotate()
    del world.machines.keys[1:]
    clock.jump(301)
    await world.verifier.identify(old, "CRM")  # starts the refresh behind its back
    await answered(world, 4)

    with pytest.raises(TokenInvalid, match="no key"):
        await world.verifier.identify(old, "CRM")


async def test_old_keys_serve_while_the_issuer_is_down_but_not_for_ever(
    clock: MockClock, world: World
) -> None:
    await world.login()
    world.break_down()

    clock.jump(3000)
    await world.login()
    await answered(world, 3)
    clock.jump(601)

    with pytest.raises(IssuerUnavailable, match="status 503"):
        await world.login()


async def test_an_unknown_key_of_an_issuer_that_is_down_is_not_called_a_forgery(
    clock: MockClock, world: World
) -> None:
    await world.login()
    world.break_down()
    world.machines.rotate()
    clock.jump(31)

    with pytest.raises(IssuerUnavailable):
        await world.login()


async def test_an_issuer_that_is_down_is_not_asked_by_every_login(
    clock: MockClock, world: World
) -> None:
    world.break_down()
    for _ in range(5):
        with pytest.raises(IssuerUnavailable):
            await world.login()
    assert len(world.server.requests) == 1

    world.server.reply = None
    clock.jump(6)

    await world.login()


async def test_a_slow_issuer_delays_only_its_own(clock: MockClock, world: World) -> None:
    asked = trio.Event()

    async def slow(path: str) -> Response | None:
        if path.startswith("/machines"):
            asked.set()
            await trio.sleep_forever()
        return None

    world.server.reply = slow

    async with trio.open_nursery() as nursery:

        async def waiting() -> None:
            with pytest.raises(IssuerUnavailable, match="within 5 s"):
                await world.login()

        nursery.start_soon(waiting)
        await asked.wait()
        with trio.fail_after(2):
            await world.verifier.identify(world.people.mint(CLAIMS), "CRM")
        clock.jump(6)


async def test_a_login_that_gives_up_does_not_end_the_fetch_for_others(
    clock: MockClock, world: World
) -> None:
    gate = trio.Event()

    async def held_back(path: str) -> None:
        await gate.wait()

    world.server.reply = held_back
    async with trio.open_nursery() as nursery:
        first = trio.CancelScope()

        async def impatient() -> None:
            with first:
                await world.login()

        nursery.start_soon(impatient)
        await wait_all_tasks_blocked(0.02)
        nursery.start_soon(world.login)
        await wait_all_tasks_blocked(0.02)
        first.cancel()
        gate.set()

    assert len(world.server.requests) == 2


async def answered(world: World, count: int) -> None:
    """Wait until the issuer has had that many requests and nothing moves any more."""
    with trio.fail_after(2):
        while len(world.server.requests) < count:
            await wait_all_tasks_blocked(0.01)
        await wait_all_tasks_blocked(0.05)
