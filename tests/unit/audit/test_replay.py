import io
import json
import re
from typing import Any

import pytest

from snowgate.audit import load_session, write_replay, write_replay_json
from snowgate.audit.replay import Statement
from snowgate.errors import LedgerError

from .conftest import SESSION, Book, write_session
from .test_render import HOSTILE


def timeline(book: Book, *, keys: bool = True) -> list[str]:
    out = io.StringIO()
    replay = load_session(book.directory, SESSION, keys=book.keys if keys else None)
    write_replay(replay, out)
    return out.getvalue().splitlines()


def untimed(lines: list[str]) -> list[str]:
    return [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", "T", line) for line in lines]


def test_a_session_is_told_from_login_to_end(book: Book) -> None:
    write_session(book)
    book.close()

    lines = [re.sub(r"\s+", " ", line).strip() for line in untimed(timeline(book))]

    assert lines == [
        f"session {SESSION}, times in UTC",
        "T login etl as ETL, subject 42 of https://idp.example.com, groups etl-writers, "
        "PythonConnector 4.1.0 from 127.0.0.1",
        "T select allowed by reads as ETL",
        "SELECT email",
        "FROM crm.public.customers",
        'binds: {"1":"x"}',
        "masked EMAIL partial [1,2] of pii",
        "T outcome ok, 120 rows, 35 ms, upstream query 01b2",
        "T requested held by ddl, needs 1 of data-platform",
        'T vote for, by Dana "reviewed"',
        "T approved approval a1",
        "T consumed approval a1",
        "T drop approved by ddl",
        "DROP TABLE crm.public.scratch",
        "outcome not recorded",
        "T denial unload by no-exfiltration: data leaves only through the export job",
        "COPY INTO @x FROM t",
        "T session_end logout",
    ]


def test_other_sessions_stay_out(book: Book) -> None:
    write_session(book)
    book.close()

    assert "theirs" not in "\n".join(timeline(book))


def test_without_keys_only_the_length_of_a_text_is_known(book: Book) -> None:
    write_session(book)
    book.close()

    lines = "\n".join(timeline(book, keys=False))

    assert "SELECT email" not in lines
    assert "(sql: encrypted, 38 bytes)" in lines


def test_a_destroyed_text_is_told_as_such(book: Book) -> None:
    write_session(book)
    book.close()
    for key in (book.root / "text-keys").rglob("*.key"):
        key.unlink()

    assert "(sql: its key has been destroyed)" in "\n".join(timeline(book))


def test_another_root_key_is_an_error(book: Book) -> None:
    write_session(book)
    book.close()
    (book.root / "store.key").write_bytes(bytes(32))

    with pytest.raises(LedgerError, match="does not fit its text"):
        timeline(book)


def test_an_unknown_session_is_an_error(book: Book) -> None:
    write_session(book)
    book.close()

    with pytest.raises(LedgerError, match="no session `absent`"):
        load_session(book.directory, "absent")


def test_a_statement_holds_all_its_entries(book: Book) -> None:
    write_session(book)
    book.close()

    replay = load_session(book.directory, SESSION)

    statements = [event for event in replay.events if isinstance(event, Statement)]
    assert [len(statement.approvals) for statement in statements] == [0, 4]
    assert all(statement.intent is not None for statement in statements)
    assert [statement.outcome is None for statement in statements] == [False, True]
    assert replay.login is not None


def test_a_later_outcome_settles_an_unknown_one(book: Book) -> None:
    seq = book.write("intent", {"sql": "SELECT 1"}, session=SESSION, query_id="q1")
    book.write("outcome", intent=seq, status="unknown")
    book.write("outcome", intent=seq, status="ok")
    book.close()

    (statement,) = load_session(book.directory, SESSION).events

    assert isinstance(statement, Statement)
    assert statement.outcome is not None
    assert statement.outcome.fields["status"] == "ok"


def test_json_holds_the_same_events(book: Book) -> None:
    write_session(book)
    book.close()
    out = io.StringIO()

    write_replay_json(load_session(book.directory, SESSION, keys=book.keys), out)

    told: dict[str, Any] = json.loads(out.getvalue())
    assert told["session"] == SESSION
    kinds = [event["kind"] for event in told["events"]]
    assert kinds == ["login", "statement", "statement", "denial", "session_end"]
    assert told["events"][1]["intent"]["sql"]["text"].startswith("SELECT email")
    assert [entry["event"] for entry in told["events"][2]["approvals"]] == [
        "requested",
        "vote",
        "approved",
        "consumed",
    ]


def test_hostile_text_cannot_act_or_pass_for_a_line(book: Book) -> None:
    forged = "2026-11-24 08:00:00.000  denial        forged"
    for text in (*HOSTILE.values(), f"SELECT 1\n{forged}\r{forged}"):
        safe = text.encode("utf-8", "replace").decode()
        names = dict.fromkeys(("session_note", "principal", "role", "client", "source"), safe)
        book.write("login", session=SESSION, verdict="allow", groups=[safe], **names)
        query = {"session": SESSION, "decision": "allow", "rules": [safe], "class": safe}
        seq = book.write("intent", {"sql": safe, "binds": safe}, **query)
        columns = [{"name": safe, "mask": "redact", "tags": [safe]}]
        book.write("outcome", intent=seq, status=safe, code=safe, columns=columns)
        approval = {"approval": safe, "session": SESSION, "reason": safe, "voter": {"name": safe}}
        book.write("approval", event="requested", rules=[safe], approvers=[safe], **approval)
        book.write("approval", event="vote", accepted=True, approve=True, **approval)
        book.write("approval", event=safe, why=safe, **approval)
        book.write("denial", session=SESSION, rules=[safe], reason=safe, path=safe)
        book.write("session_end", session=SESSION, why=safe)
        book.write("alert", session=SESSION, what={safe: safe})
    book.close()

    lines = timeline(book)

    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith(forged) for line in lines)


def test_what_an_approval_showed_in_clear_is_told_with_who_agreed(book: Book) -> None:
    held = {"approval": "a1", "query_id": "q1", "session": SESSION, "unmask": ["pii", "cards"]}
    requested = {"event": "requested", "rules": ["glass"], "quorum": 1, "approvers": ["people"]}
    book.write("approval", {"sql": "SELECT email FROM t"}, **requested, **held)
    voter = {"name": "Dana"}
    book.write("approval", event="vote", accepted=True, approve=True, voter=voter, **held)
    book.write(
        "intent", session=SESSION, query_id="q1", decision="hold", rules=["glass"], unmask=["pii"]
    )
    book.close()

    told = [*timeline(book)]

    assert any("needs 1 of people, pii, cards in clear" in line for line in told), told
    assert any("for, by Dana, pii, cards in clear" in line for line in told)
    assert any("approved by glass, pii in clear" in line for line in told)


def test_a_held_statement_is_shown_when_it_is_asked_for_and_not_again_if_it_runs_unchanged(
    book: Book,
) -> None:
    held = {"approval": "a1", "query_id": "q1", "session": SESSION}
    requested = {"event": "requested", "rules": ["ddl"], "quorum": 1, "approvers": ["people"]}
    book.write("approval", {"sql": "DROP TABLE t"}, **requested, **held)
    book.write("intent", {"sql": "DROP TABLE t"}, session=SESSION, query_id="q1", decision="hold")
    other = held | {"approval": "a2", "query_id": "q2"}
    book.write("approval", {"sql": "DROP TABLE u"}, **requested, **other)
    book.write("intent", {"sql": "DROP TABLE w"}, session=SESSION, query_id="q2", decision="hold")
    book.close()

    told = "\n".join(timeline(book))

    assert told.count("DROP TABLE t") == 1
    assert told.index("requested") < told.index("DROP TABLE t") < told.index("approved")
    assert (told.count("DROP TABLE u"), told.count("DROP TABLE w")) == (1, 1)
