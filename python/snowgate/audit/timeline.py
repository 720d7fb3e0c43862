"""Writes the replay of a session: a timeline for people, or JSON.

    session 3c1f…, times in UTC
    2026-11-24 08:00:00.123  login         etl as ETL, groups etl-writers, PythonConnector 4.1.0 …
    2026-11-24 08:00:01.240  select        allowed by reads as ETL
                               SELECT email FROM crm.public.customers
                             masked        EMAIL redact of pii
    2026-11-24 08:00:01.275  outcome       ok, 120 rows, 35 ms, upstream query 01b2…
    2026-11-24 08:00:02.118  requested     held by ddl, needs 1 of data-platform
    2026-11-24 08:00:09.700  vote          for, by Dana "reviewed"
    …

Each line begins with a time or with spaces, and foreign text is indented and made visible (F29), so
that no statement can pass for a line of the timeline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TextIO

from snowgate.audit.cat import entry_object
from snowgate.audit.entries import StoredEntry
from snowgate.audit.render import visible, visible_json, visible_lines
from snowgate.audit.replay import Replay, Statement

_TIME_CHARS = len("2026-11-24 08:00:00.123")
_WORD_CHARS = 12
_TEXT_INDENT = " " * (_TIME_CHARS + 4)


def write_replay(replay: Replay, out: TextIO) -> None:
    """Write a session as a timeline. Times are UTC."""
    out.write(f"session {visible(replay.session)}, times in UTC\n")
    for event in replay.events:
        out.writelines(line + "\n" for line in _event(event))


def write_replay_json(replay: Replay, out: TextIO) -> None:
    """Write a session as one JSON object: `session`, and `events` as in the timeline."""
    events = [_event_object(event) for event in replay.events]
    out.write(visible_json({"session": replay.session, "events": events}) + "\n")


def _event_object(event: StoredEntry | Statement) -> dict[str, object]:
    if isinstance(event, StoredEntry):
        return entry_object(event)
    return {
        "seq": event.first.seq,
        "time": event.first.time,
        "kind": "statement",
        "approvals": [entry_object(entry) for entry in event.approvals],
        "intent": None if event.intent is None else entry_object(event.intent),
        "outcome": None if event.outcome is None else entry_object(event.outcome),
    }


def _event(event: StoredEntry | Statement) -> Iterator[str]:
    if isinstance(event, Statement):
        yield from _statement(event)
        return
    words = _SINGLE.get(event.kind, _other)(event)
    yield _line(event, event.kind, words)
    yield from _texts(event)


def _statement(statement: Statement) -> Iterator[str]:
    for approval in statement.approvals:
        yield _line(approval, _said(approval.fields, "event"), _approval(approval))
        yield from _texts(approval)
    intent = statement.intent
    if intent is not None:
        decision = "allowed" if _said(intent.fields, "decision") == "allow" else "approved"
        # Held statements ran by way of the approval above; the rules are those that held them.
        rules = _some("by", _names(intent.fields, "rules"))
        role = _some("as", _said(intent.fields, "role"))
        via = _some("of the gateway:", _said(intent.fields, "purpose"))
        words = _join(decision, rules, role, via)
        yield _line(intent, _said(intent.fields, "class"), words + _clear(intent.fields))
        # What was approved is what ran: its text stands above.
        if not intent.texts or not any(_covers(a, intent) for a in statement.approvals):
            yield from _texts(intent)
        masks = _columns(statement)
        if masks:
            yield _more("masked", masks)
    if statement.outcome is not None:
        yield _line(statement.outcome, "outcome", _outcome(statement.outcome.fields))
    elif intent is not None:
        yield _more("outcome", "not recorded")


def _covers(approval: StoredEntry, intent: StoredEntry) -> bool:
    """Whether an approval shows every text of an intent."""
    return intent.texts.items() <= approval.texts.items() and not intent.lost


def _columns(statement: Statement) -> str:
    """The columns that were shown masked, as the outcome knows, or as the intent planned."""
    outcome = statement.outcome.fields.get("columns") if statement.outcome else None
    planned = statement.intent.fields.get("masks") if statement.intent else None
    columns = outcome if isinstance(outcome, list) else planned
    words = []
    for column in columns if isinstance(columns, list) else []:
        if isinstance(column, Mapping) and column.get("mask") != "pass":
            name = _said(column, "name") or "unnamed"
            words.append(
                _join(name, _mask(column.get("mask")), _some("of", _names(column, "tags")))
            )
    return ", ".join(words)


def _mask(mask: object) -> str:
    if isinstance(mask, Mapping):
        return " ".join(
            f"{visible(str(name))} {visible_json(value)}" for name, value in mask.items()
        )
    return visible(str(mask))


def _outcome(fields: Mapping[str, object]) -> str:
    status = _said(fields, "status")
    code = _some("code", _said(fields, "code"))
    fault = _some("by", _said(fields, "fault"))
    rows = _counted(fields, "rows", "rows")
    took = _counted(fields, "duration_ms", "ms")
    query = _some("upstream query", _said(fields, "upstream_query_id"))
    return ", ".join(part for part in (_join(status, code, fault), rows, took, query) if part)


def _approval(entry: StoredEntry) -> str:
    fields = entry.fields
    event = fields.get("event")
    if event == "requested":
        held = _some("held by", _names(fields, "rules"))
        quorum = _counted(fields, "quorum", "of")
        words = _join(held + ",", "needs", quorum, _names(fields, "approvers"))
        return words + _clear(fields)
    if event == "vote":
        voter = fields.get("voter")
        name = _said(voter, "name") if isinstance(voter, Mapping) else ""
        if fields.get("accepted") is not True:
            return _join("refused, by", name + ":", _said(fields, "refusal"))
        side = "for, by" if fields.get("approve") is True else "against, by"
        return _join(side, name, _quoted(fields, "reason")) + _clear(fields)
    return _join(_some("approval", _said(fields, "approval")), _some(":", _said(fields, "why")))


def _clear(fields: Mapping[str, object]) -> str:
    """The tags that an approval shows in clear."""
    tags = _names(fields, "unmask")
    return f", {tags} in clear" if tags else ""


def _login(entry: StoredEntry) -> str:
    fields = entry.fields
    if fields.get("verdict") != "allow":
        return _join("refused:", _said(fields, "reason"), _some("code", _said(fields, "code")))
    parts = (
        _join(_said(fields, "principal"), _some("as", _said(fields, "role"))),
        _identity(fields.get("identity")),
        _some("groups", _names(fields, "groups")),
        _some("dropped groups", _names(fields, "dropped_groups")),
        _join(_said(fields, "client"), _some("from", _said(fields, "source"))),
    )
    return ", ".join(part for part in parts if part)


def _identity(identity: object) -> str:
    if not isinstance(identity, Mapping):
        return ""
    return _join("subject", _said(identity, "subject"), _some("of", _said(identity, "issuer")))


def _denial(entry: StoredEntry) -> str:
    fields = entry.fields
    kind = _said(fields, "class") or _said(fields, "path")
    return _join(kind, _some("by", _names(fields, "rules")) + ":", _said(fields, "reason"))


def _end(entry: StoredEntry) -> str:
    return _said(entry.fields, "why")


def _other(entry: StoredEntry) -> str:
    told = {name: entry.fields[name] for name in sorted(entry.fields) if name != "session"}
    return visible_json(told)


_SINGLE: dict[str, Callable[[StoredEntry], str]] = {
    "login": _login,
    "denial": _denial,
    "session_end": _end,
}


def _line(entry: StoredEntry, word: str, rest: str) -> str:
    time = visible(entry.time).replace("T", " ")[:_TIME_CHARS]
    return f"{time}  {word:<{_WORD_CHARS}}  {rest}".rstrip()


def _more(word: str, rest: str) -> str:
    return f"{'':{_TIME_CHARS}}  {word:<{_WORD_CHARS}}  {rest}"


def _texts(entry: StoredEntry) -> Iterator[str]:
    """Its texts, the statement first, each line indented."""
    for name in sorted({*entry.texts, *entry.lost}, key=lambda name: (name != "sql", name)):
        if name in entry.lost:
            lines = [f"({name}: {entry.lost[name]})"]
        else:
            lines = visible_lines(entry.texts[name])
        for at, line in enumerate(lines):
            head = f"{visible(name)}: " if at == 0 and name != "sql" else ""
            yield f"{_TEXT_INDENT}{head}{line}".rstrip()


def _said(fields: Mapping[str, object], name: str) -> str:
    """A member as safe text; empty where there is none."""
    value = fields.get(name)
    if value is None:
        return ""
    return visible(value) if isinstance(value, str) else visible_json(value)


def _names(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    return ", ".join(visible(str(item)) for item in value) if isinstance(value, list) else ""


def _quoted(fields: Mapping[str, object], name: str) -> str:
    said = _said(fields, name)
    return f'"{said}"' if said else ""


def _some(before: str, value: str) -> str:
    """Both words, or nothing where there is no value."""
    return f"{before} {value}" if value else ""


def _counted(fields: Mapping[str, object], name: str, unit: str) -> str:
    said = _said(fields, name)
    return f"{said} {unit}" if said else ""


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)
