"""What must be true once the crashes are over, whatever they interrupted."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from urllib.request import urlopen

from snowgate.audit.entries import StoredEntry, open_keys, read_entries, with_texts
from snowgate.audit.verify import LedgerReport, read_vkey, verify_ledger
from snowgate.demo.script import Driver
from snowgate.demo.world import World

from .load import Told

_ID = re.compile(r"INSERT INTO products \(id, name\) (?:VALUES \(|SELECT )(\d+)")
READING = ("select", "show", "describe", "session", "gateway")


def verified(world: World, extends: str | None = None) -> LedgerReport:
    """Verify the ledger as it lies now, as the continuation of an older checkpoint."""
    data = world.layout.data_dir
    earlier = None if extends is None else extends.encode()
    return verify_ledger(data / "ledger", read_vkey(data / "keys" / "ledger.pub"), earlier)


def open_intents(world: World) -> set[int]:
    """Intents whose outcome is not in the ledger."""
    opened: set[int] = set()
    for entry in read_entries(world.layout.data_dir / "ledger"):
        if entry.kind == "intent":
            opened.add(entry.seq)
        elif entry.kind == "outcome":
            opened.discard(int(str(entry.fields["intent"])))
    return opened


@dataclass(frozen=True, slots=True)
class Received:
    """A statement that the stand-in received; written down before anything is done for it."""

    request_id: str
    sql: str


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What is left when the clients have ended.

    Attributes:
        told: What clients were told.
        rows: How often each id is in the table.
        entries: The ledger, its texts decrypted.
        received: Statements that the stand-in received.
        executed: How often it ran each request.
    """

    told: list[Told]
    rows: Counter[int]
    entries: list[StoredEntry]
    received: list[Received]
    executed: Counter[str]

    @classmethod
    def of(cls, world: World, told: list[Told]) -> Aftermath:
        """Collect it; the gateway is stopped."""
        sql = "SELECT id FROM products WHERE name = 'crash'"
        [answer] = Driver(world).run("fraud", [sql], ("--rows", "10000000"))
        ready = json.loads(world.layout.path("standin.ready.json").read_text())
        with urlopen(f"http://127.0.0.1:{ready['admin_port']}/standin/executed") as reply:
            executed = json.load(reply)["by_request"]
        assert world.stop_gateway() == 0
        data = world.layout.data_dir
        keys = open_keys(data / "text-keys", data / "keys" / "store.key")
        lines = map(json.loads, world.layout.upstream_log.read_text().splitlines())
        return cls(
            told=told,
            rows=Counter(int(row[0]) for row in answer["rows"]),
            entries=[with_texts(entry, keys) for entry in read_entries(data / "ledger")],
            received=[
                Received(line["request_id"], line["sql"])
                for line in lines
                if line["sql"] is not None
            ],
            executed=Counter(executed),
        )

    def kind(self, kind: str) -> list[StoredEntry]:
        """Entries of a kind."""
        return [entry for entry in self.entries if entry.kind == kind]

    def inserts(self, told: str) -> set[int]:
        """Ids whose client was told this."""
        return {line.id for line in self.told if (line.kind, line.told) == ("insert", told)}

    # -- the invariants --------------------------------------------------------------------

    def check(self, cut_short: Collection[int]) -> None:
        """Check all of them.

        Args:
            cut_short: Intents that had no outcome when the gateway died.
        """
        self.check_received()
        self.check_once()
        self.check_told()
        self.check_outcomes(cut_short)
        self.check_ledger_tells_the_truth()

    def check_received(self) -> None:
        """What reached upstream is in the ledger, with exactly its text (F11, F23)."""
        intents = defaultdict(list)
        for entry in self.kind("intent"):
            intents[entry.fields["upstream_request_id"]].append(entry)
        assert self.received
        for statement in self.received:
            assert intents[statement.request_id], f"no intent of {statement.request_id}"
            for intent in intents[statement.request_id]:
                digest = hashlib.sha256(statement.sql.encode()).hexdigest()
                assert intent.fields["upstream_sql_sha256"] == digest
                assert intent.texts["sql"] == statement.sql
                assert not intent.lost

    def check_once(self) -> None:
        """Nothing that changes anything was sent twice, or ran twice."""
        may_repeat = {
            str(entry.fields["upstream_request_id"])
            for entry in self.kind("intent")
            if entry.fields["class"] in READING
        }
        sent = Counter(statement.request_id for statement in self.received)
        for counts in (sent, self.executed):
            twice = {each for each, count in counts.items() if count > 1}
            assert twice <= may_repeat
        assert max(self.rows.values()) == 1

    def check_told(self) -> None:
        """What clients were told is so."""
        assert self.inserts("ok") <= self.rows.keys()
        assert not self.inserts("denied") & self.rows.keys()
        # Whoever was told that a row is there finds it, also after a crash.
        assert not [line for line in self.told if line.told == "lost"]
        reads = [line for line in self.told if line.kind == "read"]
        assert {line.told for line in reads} <= {"ok", "gone", "denied"}
        # Ids are never sent in two statements.
        assert len(self.told) - len(reads) == len({line.id for line in self.told})

    def check_outcomes(self, cut_short: Collection[int]) -> None:
        """Every intent has one outcome; those a crash cut short are unknown."""
        outcomes = self.kind("outcome")
        intents = [entry.seq for entry in self.kind("intent")]
        assert sorted(int(str(entry.fields["intent"])) for entry in outcomes) == intents
        closed = {
            int(str(entry.fields["intent"])): entry.fields["status"]
            for entry in outcomes
            if entry.fields.get("code") == "restart"
        }
        assert closed == dict.fromkeys(cut_short, "unknown")

    def check_ledger_tells_the_truth(self) -> None:
        """An outcome `ok` is a row in the table, and a row is an outcome `ok` or `unknown`."""
        status = {
            entry.fields["intent"]: str(entry.fields["status"]) for entry in self.kind("outcome")
        }
        said: defaultdict[int, set[str]] = defaultdict(set)
        for entry in self.kind("intent"):
            if found := _ID.match(entry.texts.get("sql", "")):
                said[int(found[1])].add(status[entry.seq])
        assert {number for number, words in said.items() if "ok" in words} <= self.rows.keys()
        for number in self.rows:
            assert said[number] & {"ok", "unknown"}, (
                f"{number} is there, the ledger: {said[number]}"
            )
