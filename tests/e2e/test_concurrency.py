"""Sessions beside sessions: no verdict crosses, none starves (F4, F9, F27)."""

from __future__ import annotations

import itertools
import ssl
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

import httpx2
import pytest

from .canary import Canaries
from .connector import rows_of
from .rig import Rig, soon
from .wire import Reply, Wire

THREADS = 50
ELSEWHERE = "127.0.0.2"
MASKED = "    match: {tag: pii, not: {group: fraud-team}}\n"
# Each of these alone lets a reader see tagged values.
SEES = """\
    match:
      tag: pii
      not:
        - {group: fraud-team}
        - {role: ETL}
        - {client: Go}
        - {source: 127.0.0.2}
        - {principal: {issuer: "%s", subject: twin}}
"""
# Writers change objects without asking.
HOLDS = (
    "hold: {approvers: data-platform, expires: 20s}",
    "hold: {approvers: data-platform, expires: 4h}",
)
DATABASE = "databaseName=CRM&warehouse=DEMO_WH"
TWIN_ROWS = 3


def _config(text: str) -> str:
    people = next(line.split("oidc: ")[1] for line in text.splitlines() if line.endswith("/people"))
    for old, new in (
        (MASKED, SEES % people),
        ("may_give: [data-platform, security]", "may_give: [data-platform, security, analysts]"),
        *((hold, "allow: true") for hold in HOLDS),
    ):
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A world where CRM.PLAIN has a table of the same name as CRM.PUBLIC, without a tag."""
    rig = Rig.start(tmp_path_factory.mktemp("crowd"), "--big-rows", "1000", config_edit=_config)
    try:
        with rig.wire("etl") as etl:
            rows = ", ".join(f"({at}, 'nobody-{at}@plain.example')" for at in range(TWIN_ROWS))
            for sql in (
                "create schema crm.plain",
                "create table crm.plain.customers (id int, email varchar)",
                f"insert into crm.plain.customers values {rows}",
            ):
                reply = etl.query(sql)
                assert reply.ok, reply.message
        yield rig
    finally:
        rig.stop()


# -- one input apart (F4) ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reader:
    """How somebody logs in, as far as a policy may ask."""

    groups: tuple[str, ...] = ("analysts", "etl-writers")
    role: str = "ANALYST"
    app: str = "JavaScript"
    schema: str = "PUBLIC"
    source: str = "127.0.0.1"
    people: bool = False

    def token(self, rig: Rig) -> str:
        issuer = rig.issuer(people=self.people)
        return issuer.mint({"sub": "twin", "groups": [*self.groups]})

    def log_in(self, rig: Rig) -> Wire:
        wire = rig.wire(app=self.app)
        _bind(wire, self.source, rig)
        query = f"{DATABASE}&schemaName={self.schema}&roleName={self.role}"
        reply = wire.log_in(self.token(rig), query=query)
        assert reply.ok, reply.message
        return wire


def _bind(wire: Wire, source: str, rig: Rig) -> None:
    """Let a client connect from an address of this machine."""
    trusted = ssl.create_default_context(cafile=rig.layout.ca_file)
    wire.http.close()
    transport = httpx2.HTTPTransport(verify=trusted, local_address=source)
    wire.http = httpx2.Client(transport=transport, trust_env=False, timeout=60)


ONE_APART = {
    "group": (Reader(), Reader(groups=("analysts", "etl-writers", "fraud-team"))),
    "role": (Reader(), Reader(role="ETL")),
    "client": (Reader(), Reader(app="Go")),
    "source": (Reader(), Reader(source=ELSEWHERE)),
    "issuer": (Reader(groups=("analysts",)), Reader(groups=("analysts",), people=True)),
    "schema": (Reader(), Reader(schema="PLAIN")),
}


@pytest.mark.parametrize("name", ONE_APART)
def test_sessions_that_differ_in_one_input_share_no_verdict(
    world: Rig, canaries: Canaries, name: str
) -> None:
    masked, other = ONE_APART[name]
    plain = name == "schema"

    def check(wire: Wire, reader: Reader, sql: str, **more: object) -> None:
        reply = wire.query(sql, **more)
        assert reply.ok, reply.message
        found = canaries.found_in(reply.raw)
        if reader is masked:
            assert not found
            assert b"***" in reply.body
        elif plain:
            assert b"nobody-1@plain.example" in reply.body
        else:
            assert found, "the other one sees values in clear"

    with masked.log_in(world) as one, other.log_in(world) as two:
        readers = [(one, masked), (two, other)]
        # The first warms what the second must not be answered from, and the other way round.
        for at, (first, second) in enumerate((readers, readers[::-1])):
            for wire, reader in (first, second, first):
                check(wire, reader, f"select email as a{at} from customers where id < 20")
            # One template, then one text with two binds.
            for number, (wire, reader) in enumerate((first, second, first)):
                check(wire, reader, f"select email as b{at} from customers where id < 2{number}")
            for number, (wire, reader) in enumerate((first, second, first)):
                binds = {"1": {"type": "FIXED", "value": f"2{number}"}}
                text = f"select email as c{at} from customers where id < ?"
                check(wire, reader, text, bindings=binds)


# -- one session, many threads (F9) ------------------------------------------------------------

SCHEMAS = ("PUBLIC", "PLAIN")
TURNS = 2
# A session may have so many statements under way; each cursor has two.
CURSORS = 24
BOTH = "select email from customers where id < 20"


def _turns(at: int) -> list[str]:
    """What one thread does: it goes to a schema, and reads what is there."""
    return [
        sql
        for turn in range(TURNS)
        for sql in (f"use schema crm.{SCHEMAS[(at + turn) % 2]}", f"{BOTH} -- {at} {turn}")
    ]


def _together(work: Callable[[int], list[Reply]]) -> list[Reply]:
    with ThreadPoolExecutor(THREADS) as pool:
        return [reply for replies in pool.map(work, range(THREADS)) for reply in replies]


@pytest.mark.parametrize("app", ["JavaScript", "PythonConnector"])
def test_threads_that_move_one_session_about_are_shown_no_tagged_value(
    world: Rig, canaries: Canaries, app: str
) -> None:
    with Reader(app=app).log_in(world) as wire:
        replies = _together(lambda at: [wire.query(sql) for sql in _turns(at)])

    assert len(replies) == THREADS * TURNS * 2
    for reply in [*replies, *wire.seen]:
        assert not canaries.found_in(reply.raw)
    assert not {reply.message for reply in replies if not reply.ok}
    if app == "JavaScript":
        # Both were read, or there was no race.
        seen = {row[0] for reply in replies[1::2] for row in reply.data["rowset"]}
        assert seen == {"***", *(f"nobody-{at}@plain.example" for at in range(TWIN_ROWS))}


def test_sessions_that_move_about_beside_each_other_read_where_each_of_them_is(
    world: Rig, canaries: Canaries
) -> None:
    def work(at: int) -> list[Reply]:
        with Reader().log_in(world) as wire:
            return [wire.query(sql) for sql in _turns(at)]

    replies = _together(work)

    for at in range(THREADS):
        for turn in range(TURNS):
            reply = replies[(at * TURNS + turn) * 2 + 1]
            assert not canaries.found_in(reply.raw)
            shown = {row[0] for row in reply.data["rowset"]}
            tagged = SCHEMAS[(at + turn) % 2] == "PUBLIC"
            assert shown == {"***"} if tagged else "***" not in shown


def test_cursors_of_one_connection_are_shown_no_tagged_value(
    world: Rig, canaries: Canaries, version: str
) -> None:
    with world.driver(Reader().token(world), version, role="ANALYST") as session:
        started = [session.start(sql) for at in range(CURSORS) for sql in _turns(at)[:2]]
        found = [rows_of(each) for each in started]

    shown = {str(row[0]) for rows in found[1::2] for row in rows.rows}
    assert not canaries.found_in("\n".join(shown).encode())
    assert "***" in shown


# -- one principal that floods (F27) -----------------------------------------------------------

# As many of its statements wait at a time, none so long that it is refused for it.
FLOODERS = 18
CALM = 100
# One line for all would make everybody wait as long as who floods.
OF_THE_FLOODERS_WAIT = 1 / 3
# Medians beside each other: the machine has more to do, and only so many cores.
OF_AN_IDLE_GATEWAY = 8


def _unlike(name: str, steps: int) -> str:
    """A text of a new form, and one that is denied, so that it costs upstream nothing."""
    parts = ", ".join(
        f"s{at} as (select id, amount + {at} as amount from {f's{at - 1}' if at else 'orders'}"
        " where amount > 1)"
        for at in range(steps)
    )
    return (
        f"with {parts} select s.id as {name} from s{steps - 1} s, customers c where c.email > 'a'"
    )


def _first_verdict_s(wire: Wire, sql: str) -> float:
    started = time.monotonic()
    reply = wire.submit(sql)
    took_s = time.monotonic() - started
    assert "pii_pattern_predicate" in reply.message, reply.message
    return took_s


def _calm(world: Rig, name: str) -> list[float]:
    """How long a principal waits that sends one text after another."""
    token = world.issuer().mint({"sub": name, "groups": ["analysts"]})
    with world.wire(token) as wire:
        return [_first_verdict_s(wire, _unlike(f"{name}_{at}", 2)) for at in range(CALM)]


def test_who_floods_waits_and_nobody_else(world: Rig) -> None:
    token = world.issuer().mint({"sub": "flood", "groups": ["analysts"]})
    stop = Event()
    waits: list[float] = []

    def flood(at: int) -> None:
        with world.wire(token) as wire:
            for number in itertools.count():
                if stop.is_set():
                    return
                waits.append(_first_verdict_s(wire, _unlike(f"flood_{at}_{number}", 60)))

    idle = _calm(world, "idle")
    with ThreadPoolExecutor(FLOODERS) as pool:
        flooding = [pool.submit(flood, at) for at in range(FLOODERS)]
        try:
            assert soon(lambda: len(waits) >= FLOODERS, limit_s=30)
            del waits[:]
            beside = _calm(world, "beside")
            # Some whose wait began and ended beside them.
            assert soon(lambda: len(waits) >= FLOODERS // 2, limit_s=30)
        finally:
            stop.set()
        for each in flooding:
            each.result()

    slowest = statistics.quantiles(beside, n=100)[98]
    assert slowest < statistics.median(waits) * OF_THE_FLOODERS_WAIT
    assert statistics.median(beside) < statistics.median(idle) * OF_AN_IDLE_GATEWAY
