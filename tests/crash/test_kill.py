"""`kill -9` of the gateway during load: nothing upstream without its record, and nothing twice."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from snowgate.audit.entries import StoredEntry, open_keys, read_entries, with_texts
from snowgate.audit.verify import read_vkey, verify_ledger
from snowgate.demo.layout import Layout
from snowgate.demo.script import Driver
from snowgate.demo.tokens import mint_token
from snowgate.demo.world import World

ROOT = Path(__file__).parents[2]
CLIENT = Path(__file__).with_name("insert_client.py")
SEED = 20261124
THREADS = 3
LOAD_S = (0.2, 1.0)


@dataclass(frozen=True)
class Aftermath:
    """What is left when the rounds are over."""

    told: dict[int, str]
    rows: Counter[int]
    entries: list[StoredEntry]
    received: list[dict[str, object]]
    executed: dict[str, int]
    rounds: int


def crash_rounds(world: World, rounds: int) -> Aftermath:
    folder = world.layout.path("told")
    folder.mkdir()
    stop = world.layout.path("stop")
    target = {
        **world.connection(),
        "stop": str(stop),
        "folder": str(folder),
        "threads": THREADS,
        "first": 10_000_000,
    }
    client = subprocess.Popen(
        [str(world.standin_python), str(CLIENT), json.dumps(target)],
        env={
            **os.environ,
            "DEMO_TOKEN": mint_token(world.layout, "etl"),
            "REQUESTS_CA_BUNDLE": str(world.layout.ca_file),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    chance = random.Random(SEED)
    data = world.layout.data_dir
    try:
        for _ in range(rounds):
            time.sleep(chance.uniform(*LOAD_S))
            world.kill_gateway()
            # A crashed ledger verifies as it lies: what was acknowledged is signed.
            verify_ledger(data / "ledger", read_vkey(data / "keys" / "ledger.pub"))
            world.start_gateway()
        time.sleep(1.0)
        stop.touch()
        assert client.wait(120) == 0
    finally:
        client.kill()
        client.wait()
    [answer] = Driver(world).run(
        "fraud", ["SELECT id FROM products WHERE name = 'crash'"], ("--rows", "1000000")
    )
    ready = json.loads(world.layout.path("standin.ready.json").read_text())
    with urlopen(f"http://127.0.0.1:{ready['admin_port']}/standin/executed") as reply:
        executed = json.load(reply)["by_request"]
    world.stop_gateway()
    keys = open_keys(data / "text-keys", data / "keys" / "store.key")
    lines = world.layout.upstream_log.read_text().splitlines()
    return Aftermath(
        told={
            line["id"]: line["told"]
            for file in folder.iterdir()
            for line in map(json.loads, file.read_text().splitlines())
        },
        rows=Counter(int(row[0]) for row in answer["rows"]),
        entries=[with_texts(entry, keys) for entry in read_entries(data / "ledger")],
        received=[line for line in map(json.loads, lines) if line["sql"] is not None],
        executed=executed,
        rounds=rounds,
    )


def check(after: Aftermath) -> None:
    intents = {
        entry.fields["upstream_request_id"]: entry
        for entry in after.entries
        if entry.kind == "intent"
    }
    for line in after.received:
        intent = intents[line["request_id"]]
        sql = str(line["sql"])
        assert intent.fields["upstream_sql_sha256"] == hashlib.sha256(sql.encode()).hexdigest()
        assert intent.texts["sql"] == sql

    assert max(after.rows.values()) == 1
    inserts = {
        str(identity) for identity, entry in intents.items() if entry.fields["class"] == "insert"
    }
    assert all(count == 1 for identity, count in after.executed.items() if identity in inserts)

    told = Counter(after.told.values())
    assert told["ok"] > after.rounds, told
    assert {number for number, what in after.told.items() if what == "ok"} <= after.rows.keys()
    refused = {number for number, what in after.told.items() if what == "refused"}
    assert not refused & after.rows.keys()

    outcomes = Counter(entry.fields["intent"] for entry in after.entries if entry.kind == "outcome")
    assert outcomes.keys() == {entry.seq for entry in after.entries if entry.kind == "intent"}
    assert set(outcomes.values()) == {1}
    starts = [entry for entry in after.entries if entry.kind == "start"]
    assert len(starts) == after.rounds + 1


@contextmanager
def world(folder: Path, *options: str) -> Iterator[World]:
    running = World(Layout(ROOT, folder), upstream_options=("--big-rows", "1000", *options))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.mark.parametrize("options", [(), ("--no-dedup",)], ids=["dedup", "no-dedup"])
def test_a_few_crashes_lose_and_repeat_nothing(tmp_path: Path, options: tuple[str, ...]) -> None:
    with world(tmp_path, *options) as running:
        check(crash_rounds(running, 3))


@pytest.mark.long
@pytest.mark.parametrize("options", [(), ("--no-dedup",)], ids=["dedup", "no-dedup"])
def test_fifty_crashes_lose_and_repeat_nothing(tmp_path: Path, options: tuple[str, ...]) -> None:
    with world(tmp_path, *options) as running:
        check(crash_rounds(running, 50))
