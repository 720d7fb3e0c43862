"""The store survives restarts, and believes only what it wrote itself (F7)."""

from __future__ import annotations

import dataclasses
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from snowgate.errors import StoreError
from snowgate.model.approval import Approval, ApprovalState, HeldStatement, Vote
from snowgate.model.identity import Principal
from snowgate.store import LedgerHead, Store
from snowgate.store.codec import decode, encode

KEY = bytes(range(32))


def approval(number: int) -> Approval:
    held = HeldStatement(
        session="s1",
        query_id=f"q{number}",
        principal=Principal("CRM", "https://idp", "etl", "etl", triggered_by=("alice",)),
        groups=("etl-writers",),
        role="ETL",
        database="CRM",
        schema="PUBLIC",
        sql="DROP TABLE t -- ünï",
        binds='{"1":{"type":"TEXT","value":"x"}}',
        parameters="",
        context_digest="c0",
        statement_digest="d0",
        reference="r0",
        rules=("ddl",),
        approvers=("data-platform",),
        quorum=1,
        expires_s=60,
    )
    return Approval(f"a{number}", held, ApprovalState.PENDING, 100.5 + number, 160.5)


def voted(before: Approval) -> Approval:
    vote = Vote("alice", "Alice", True, "fine", 101.0, "https://idp", "a", ("data-platform",), 7)
    return dataclasses.replace(before, state=ApprovalState.APPROVED, votes=(vote,))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def rewrite(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as file:
        for statement in statements:
            file.execute(statement)
        file.commit()


def filled(path: Path) -> None:
    """A store with two approvals, the first of which has moved on once."""
    with Store.open(path, KEY) as store:
        store.approvals.insert(approval(1))
        store.approvals.insert(approval(2))
        rewrite(path, "CREATE TABLE spare AS SELECT * FROM approvals")
        assert store.approvals.replace(approval(1), voted(approval(1)))


def test_an_approval_comes_back_as_it_was(path: Path) -> None:
    filled(path)

    with Store.open(path, KEY) as store:
        assert store.approvals.get("a1") == voted(approval(1))
        assert store.approvals.find_by_query("q2") == approval(2)
        assert [a.id for a in store.approvals.list_all()] == ["a2", "a1"]
        assert store.approvals.get("nobody") is None
        assert store.approvals.find_by_query("nobody") is None


def test_what_an_approval_unmasks_comes_back(path: Path) -> None:
    plain = approval(1)
    clear = dataclasses.replace(
        plain, held=dataclasses.replace(plain.held, unmask=("cards", "pii"), definitions="d")
    )
    with Store.open(path, KEY) as store:
        store.approvals.insert(clear)

    with Store.open(path, KEY) as store:
        assert store.approvals.get("a1") == clear
        assert store.approvals.replace(clear, voted(clear))


def test_a_row_of_before_there_was_unmask_is_written_as_it_was() -> None:
    """An approval that waits while the program is replaced can still be decided."""
    body = encode(approval(1))

    held = body["held"]
    assert isinstance(held, dict)
    assert not {"unmask", "definitions"} & held.keys()
    assert decode(orjson.loads(orjson.dumps(body))) == approval(1)


def test_a_stale_swap_changes_nothing(path: Path) -> None:
    filled(path)

    with Store.open(path, KEY) as store:
        denied = dataclasses.replace(approval(1), state=ApprovalState.DENIED)

        assert not store.approvals.replace(approval(1), denied)

        assert store.approvals.get("a1") == voted(approval(1))


def test_an_approval_never_changes_its_text(path: Path) -> None:
    filled(path)
    other = dataclasses.replace(approval(2).held, sql="DROP DATABASE crm")

    with Store.open(path, KEY) as store, pytest.raises(StoreError, match="what it is for"):
        store.approvals.replace(approval(2), dataclasses.replace(approval(2), held=other))


def test_one_query_has_one_approval(path: Path) -> None:
    filled(path)
    second = dataclasses.replace(approval(1), id="a9")

    with Store.open(path, KEY) as store, pytest.raises(StoreError, match="for this query"):
        store.approvals.insert(second)


def test_only_what_has_ended_long_ago_is_forgotten(path: Path) -> None:
    denied = dataclasses.replace(approval(3), state=ApprovalState.DENIED)
    recent = dataclasses.replace(approval(4), state=ApprovalState.DENIED, expires_at_s=900.0)
    filled(path)
    with Store.open(path, KEY) as store:
        store.approvals.insert(denied)
        store.approvals.insert(recent)

        assert store.approvals.prune(500.0) == 1

    with Store.open(path, KEY) as store:
        assert {a.id for a in store.approvals.list_all()} == {"a1", "a2", "a4"}
        assert store.approvals.find_by_query("q3") is None


def test_sessions_are_written_changed_and_forgotten(path: Path) -> None:
    with Store.open(path, KEY) as store:
        store.sessions.put({"id": "s1", "sealed": "AAAA", "expires_at_s": 5.25})
        store.sessions.put({"id": "s2"})
        assert store.sessions.change({"id": "s1", "sealed": "BBBB", "expires_at_s": 6.25})
        store.sessions.delete("s2")
        store.sessions.delete("s3")
        assert not store.sessions.change({"id": "s2"})

    with Store.open(path, KEY) as store:
        assert store.sessions.load_all() == [{"id": "s1", "sealed": "BBBB", "expires_at_s": 6.25}]


def test_the_last_ledger_head_is_remembered(path: Path) -> None:
    head = LedgerHead("snowgate/gw-1", 42, "ab" * 32)
    with Store.open(path, KEY) as store:
        assert store.ledger_head(head.origin) is None
        store.set_ledger_head(dataclasses.replace(head, size=7))
        store.set_ledger_head(head)

    with Store.open(path, KEY) as store:
        assert store.ledger_head(head.origin) == head


def test_rows_of_objects_are_written_together(path: Path) -> None:
    with Store.open(path, KEY) as store:
        store.catalog.put_all({("A", "B", "C"): {"n": 1}, ("A", "B", "D"): {"n": 2}})
        store.catalog.put_all({("A", "B", "C"): None, ("A", "B", "D"): {"n": 3}})
        store.catalog.put_all({("A", "B", "gone"): None})
        store.references.put(("A", "B", "C"), {"n": 4})

    with Store.open(path, KEY) as store:
        assert store.catalog.load_all() == [{"n": 3, "name": ["A", "B", "D"]}]
        assert store.references.load_all() == [{"n": 4, "name": ["A", "B", "C"]}]
        assert store.labels.load_all() == []


def test_of_rows_that_cannot_all_be_written_none_is(path: Path) -> None:
    with Store.open(path, KEY) as store:
        store.catalog.put(("A", "B", "C"), {"n": 1})
        with pytest.raises(StoreError, match="JSON"):
            store.catalog.put_all({("A", "B", "C"): {"n": 2}, ("A", "B", "D"): {"n": object()}})
        store.catalog.put(("A", "B", "E"), {"n": 3})

    with Store.open(path, KEY) as store:
        assert sorted(str(row["n"]) for row in store.catalog.load_all()) == ["1", "3"]


def test_changes_under_way_outlive_the_process_and_are_forgotten(path: Path) -> None:
    with Store.open(path, KEY) as store:
        for reference in ("r-1", "r-2", "r-3"):
            store.changes.put(reference, [("CRM", "PUBLIC", "T"), ("CRM", "PUBLIC", "")])
        store.changes.delete_all(["r-1", "r-3", "r-9"])

    with Store.open(path, KEY) as store:
        assert store.changes.load_all() == [
            {"reference": "r-2", "names": [["CRM", "PUBLIC", "T"], ["CRM", "PUBLIC", ""]]}
        ]


@pytest.mark.parametrize(
    "attack",
    [
        "DELETE FROM changes",
        "DELETE FROM tag_references",
        "DELETE FROM catalog",
        "UPDATE tag_references SET body = replace(body, 'PII', 'XXX')",
        "UPDATE changes SET body = replace(body, 'CRM', 'CRX')",
    ],
)
def test_what_keeps_tags_and_quarantine_cannot_be_taken_away_by_hand(
    path: Path, attack: str
) -> None:
    with Store.open(path, KEY) as store:
        store.changes.put("r-1", [("CRM", "PUBLIC", "T")])
        store.references.put(("CRM", "PUBLIC", "T"), {"columns": {"C": [["G", "T", "PII", "x"]]}})
        store.catalog.put(("CRM", "PUBLIC", "T"), {"columns": []})
    rewrite(path, attack)

    with pytest.raises(StoreError, match="store table"):
        Store.open(path, KEY)


ATTACKS: dict[str, list[str]] = {
    "edit a field": ["UPDATE approvals SET body = replace(body, 'ETL', 'ACCOUNTADMIN')"],
    "edit a version": ["UPDATE approvals SET version = version + 1 WHERE id = 'a1'"],
    "copy a row": ["INSERT INTO approvals SELECT 'a3', version, body, mac FROM approvals LIMIT 1"],
    "swap two rows": [
        "UPDATE approvals SET id = 'x' WHERE id = 'a1'",
        "UPDATE approvals SET id = 'a1' WHERE id = 'a2'",
        "UPDATE approvals SET id = 'a2' WHERE id = 'x'",
    ],
    "roll a row back": [
        "DELETE FROM approvals WHERE id = 'a1'",
        "INSERT INTO approvals SELECT * FROM spare WHERE id = 'a1'",
    ],
    "delete a row": ["DELETE FROM approvals WHERE id = 'a1'"],
    "delete all rows": ["DELETE FROM approvals"],
    "wrong type": ["UPDATE approvals SET mac = 'text' WHERE id = 'a1'"],
    "move to another table": ["INSERT INTO sessions SELECT * FROM approvals WHERE id = 'a1'"],
}
START_ATTACKS = {
    "delete the anchor": ["DELETE FROM anchors WHERE id = 'approvals'"],
    "delete table and anchor": ["DELETE FROM approvals", "DELETE FROM anchors"],
    "old anchor number": ["UPDATE anchors SET generation = 0 WHERE id = 'approvals'"],
}


@pytest.mark.parametrize("attack", [*ATTACKS, *START_ATTACKS])
def test_a_file_changed_by_hand_does_not_start(path: Path, attack: str) -> None:
    filled(path)
    rewrite(path, *{**ATTACKS, **START_ATTACKS}[attack])

    with pytest.raises(StoreError, match="store table"):
        Store.open(path, KEY)


@pytest.fixture
def running(path: Path) -> Iterator[Store]:
    filled(path)
    with Store.open(path, KEY) as store:
        yield store


READS: list[Callable[[Store], object]] = [
    lambda store: (store.approvals.get("a1"), store.sessions.load_all()),
    lambda store: (store.approvals.list_all(), store.sessions.load_all()),
    lambda store: (
        store.approvals.replace(approval(1), voted(approval(1))),
        store.sessions.load_all(),
    ),
]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_row_changed_under_a_running_gateway_is_refused(
    running: Store, path: Path, attack: str, read: Callable[[Store], object]
) -> None:
    if attack == "copy a row" and read is not READS[1]:
        assert running.approvals.get("a1") == voted(approval(1))  # the copy is nobody's answer
        return
    rewrite(path, *ATTACKS[attack])

    with pytest.raises(StoreError, match="store table"):
        read(running)


def test_another_key_opens_nothing(path: Path) -> None:
    filled(path)

    with pytest.raises(StoreError, match="another key"):
        Store.open(path, bytes(32))


def test_two_gateways_do_not_share_a_store(path: Path) -> None:
    with Store.open(path, KEY), pytest.raises(StoreError, match="in use"):
        Store.open(path, KEY)

    Store.open(path, KEY).close()


def test_a_newer_file_is_left_alone(path: Path) -> None:
    filled(path)
    rewrite(path, "UPDATE schema_version SET version = 99")

    with pytest.raises(StoreError, match="schema version 99"):
        Store.open(path, KEY)


def test_a_file_that_is_no_store_is_an_error(path: Path) -> None:
    path.write_text("these are not the rows you are looking for" * 100)

    with pytest.raises(StoreError):
        Store.open(path, KEY)


def test_only_the_owner_can_read_the_file(path: Path) -> None:
    filled(path)

    assert path.stat().st_mode & 0o077 == 0


def test_the_key_stays_out_of_the_file(path: Path) -> None:
    filled(path)

    assert KEY not in path.read_bytes()
    assert KEY.hex().encode() not in path.read_bytes()


def test_the_file_is_synced_at_each_commit(path: Path) -> None:
    with Store.open(path, KEY) as store, store._begin() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"


def test_a_file_that_may_not_grow_is_named_as_the_reason_and_changes_nothing(path: Path) -> None:
    with Store.open(path, KEY) as store:
        store.set_ledger_head(LedgerHead("log", 1, "aa"))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            with pytest.raises(StoreError, match=r"cannot be used: SQLITE_(IOERR|FULL)"):
                store.set_ledger_head(LedgerHead("log", 2, "b" * 10_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert store.ledger_head("log") == LedgerHead("log", 1, "aa")
        store.set_ledger_head(LedgerHead("log", 3, "cc"))
    with Store.open(path, KEY) as store:
        assert store.ledger_head("log") == LedgerHead("log", 3, "cc")
