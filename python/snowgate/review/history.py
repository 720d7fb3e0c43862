"""Reads the statements of the past from a ledger: who asked what, where, and what came of it.

    login ──► groups, client, source of a session
    intent, denial, approval requested ──► one Past each, in the order of the ledger
    outcome ──► whether an intent succeeded

Streams: memory is bounded by sessions and statements that are open at one time, not by the ledger.
What the gateway ran on its own behalf, and what it refused before any policy, is left out.
"""

from __future__ import annotations

import datetime
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from snowgate.audit.entries import StoredEntry, TextKeys, read_entries, with_texts
from snowgate.model.identity import Principal
from snowgate.model.statement import Namespace
from snowgate.policy import Subject
from snowgate.review.report import mask_name

# Sessions whose login is remembered; those that ended go first.
MAX_SESSIONS = 50_000
# Statements whose outcome is waited for.
MAX_OPEN = 50_000

# Refusals that are none of the policy: the gateway's state, or a limit, and not the statement.
_PASSING = frozenset(
    {
        "analysis-limit",
        "busy",
        "catalog-unavailable",
        "control-plane",
        "hold-quota",
        "ledger-unavailable",
        "quarantine",
    }
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict as people compare it.

    Attributes:
        word: allow, mask, hold or deny.
        detail: Masked columns, or the terms of a hold; None where they are not known whole.
    """

    word: str
    detail: tuple[str, ...] | None = ()

    def differs(self, other: Answer) -> bool:
        """Whether it is another verdict. What is not known is not taken to differ."""
        if self.word != other.word:
            return True
        return None not in (self.detail, other.detail) and self.detail != other.detail

    def __str__(self) -> str:
        return f"{self.word} ({', '.join(self.detail)})" if self.detail else self.word


@dataclass(frozen=True, slots=True)
class Past:
    """One statement of a client.

    Attributes:
        at_s: When, Unix time.
        reference: The gateway's reference id.
        subject: Who asked, then.
        namespace: Where its names resolved.
        kind: Its class.
        objects: What it touched, as recorded; `complete` tells whether that is all.
        rules: The rules that decided.
        answer: The verdict.
        text: Its text; None if its key has been destroyed.
        binds: Types of its binds; None if they are not known.
        succeeded: It ran without error; None if that is not known, or was not asked.
    """

    at_s: float
    reference: str
    subject: Subject
    namespace: Namespace
    kind: str
    objects: tuple[str, ...]
    complete: bool
    rules: tuple[str, ...]
    answer: Answer
    text: str | None = field(repr=False, default=None)
    binds: tuple[str, ...] | None = None
    succeeded: bool | None = None


@dataclass(slots=True)
class Left:
    """What was left out.

    Attributes:
        no_login: Statements whose session has no login in the ledger.
        apart: Denials that no policy made.
        destroyed: Statements whose text cannot be decrypted; they are given, without text.
    """

    no_login: int = 0
    apart: int = 0
    destroyed: int = 0


class History:
    """The statements of a ledger.

    Args:
        directory: The ledger. The gateway may be running.
        keys: Decrypts the texts.
        since_s: Unix time of the first statement wanted.
    """

    def __init__(self, directory: Path, keys: TextKeys, since_s: float) -> None:
        self.left = Left()
        self._directory = directory
        self._keys = keys
        self._since_s = since_s
        self._logins: OrderedDict[str, tuple[Subject, Namespace]] = OrderedDict()

    def statements(self) -> Iterator[Past]:
        """All statements, as they were asked.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        for entry in read_entries(self._directory):
            found = self._take(entry)
            if found is not None:
                yield found

    def ended(self) -> Iterator[Past]:
        """As `statements`; what was allowed comes once its outcome does, with `succeeded` set.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        waiting: OrderedDict[int, Past] = OrderedDict()
        for entry in read_entries(self._directory):
            if entry.kind == "outcome":
                past = waiting.pop(_number(entry.fields.get("intent")), None)
                if past is not None:
                    yield replace(past, succeeded=entry.fields.get("status") == "ok")
                continue
            found = self._take(entry)
            if found is not None and entry.kind == "intent":
                waiting[entry.seq] = found
                if len(waiting) > MAX_OPEN:
                    waiting.popitem(last=False)
            elif found is not None:
                yield found

    def _take(self, entry: StoredEntry) -> Past | None:
        fields = entry.fields
        if entry.kind == "login" and fields.get("verdict") == "allow":
            self._login(fields)
        elif entry.kind == "session_end" and fields.get("session") in self._logins:
            self._logins.move_to_end(str(fields["session"]), last=False)
        elif _is_statement(entry):
            return self._statement(entry)
        return None

    def _login(self, fields: Mapping[str, Any]) -> None:
        self._logins[str(fields["session"])] = (_subject(fields), Namespace("", ""))
        if len(self._logins) > MAX_SESSIONS:
            self._logins.popitem(last=False)

    def _statement(self, entry: StoredEntry) -> Past | None:
        fields = entry.fields
        session = str(fields.get("session"))
        known = self._logins.get(session)
        if known is not None and fields.get("database") is not None:
            # Denials of older gateways do not say where their session stood.
            here = Namespace(str(fields["database"]), str(fields.get("schema") or ""))
            known = self._logins[session] = (known[0], here)
        at_s = _seconds(entry.time)
        if at_s < self._since_s:
            return None
        if entry.kind == "denial" and _is_apart(fields):
            self.left.apart += 1
            return None
        if known is None:
            self.left.no_login += 1
            return None
        read = with_texts(entry, self._keys)
        text = read.texts.get("sql")
        self.left.destroyed += text is None
        subject, namespace = known
        return Past(
            at_s=at_s,
            reference=str(fields.get("reference") or ""),
            subject=replace(subject, role=str(fields.get("role") or subject.role), at_s=at_s),
            namespace=namespace,
            kind=str(fields.get("class") or ""),
            objects=_texts(fields.get("objects")),
            complete="objects_total" not in fields,
            rules=_texts(fields.get("rules")),
            answer=_answer(entry.kind, fields),
            text=text,
            binds=None if "binds" in read.lost else _bind_types(read.texts.get("binds")),
        )


def _is_statement(entry: StoredEntry) -> bool:
    """Whether an entry is a client's statement, once each: an approved one was requested before."""
    fields = entry.fields
    match entry.kind:
        case "intent":
            return fields.get("via") == "client" and fields.get("decision") != "hold"
        case "denial":
            return "sql" in fields
        case "approval":
            return fields.get("event") == "requested"
        case _:
            return False


def _is_apart(fields: Mapping[str, Any]) -> bool:
    """Whether no policy made a denial: it was refused before, or for the gateway's own reasons."""
    return fields.get("class") is None or not _PASSING.isdisjoint(_texts(fields.get("rules")))


def _subject(fields: Mapping[str, Any]) -> Subject:
    identity = fields.get("identity") or {}
    principal = Principal(
        str(identity.get("account") or ""),
        str(identity.get("issuer") or ""),
        str(identity.get("subject") or ""),
        str(fields.get("principal") or ""),
    )
    # The entry has the client's version behind its name, which rules do not read.
    client = str(fields.get("client") or "").rpartition(" ")[0]
    return Subject(
        principal,
        frozenset(_texts(fields.get("groups"))),
        str(fields.get("role") or ""),
        client,
        str(fields.get("source") or ""),
    )


def _answer(kind: str, fields: Mapping[str, Any]) -> Answer:
    if kind == "denial":
        return Answer("deny")
    if kind == "approval":
        return Answer(
            "hold",
            hold_detail(
                _texts(fields.get("approvers")),
                fields.get("quorum"),
                _texts(fields.get("unmask")),
            ),
        )
    if fields.get("void_all") is True:
        return Answer("mask", ("every column void",))
    columns = fields.get("masks") or ()
    masked = tuple(
        column_detail(at, column.get("name"), mask_name(column.get("mask")))
        for at, column in enumerate(columns, 1)
        if column.get("mask") != "pass"
    )
    if "masks_total" in fields:
        return Answer("mask" if masked else "allow", None)
    return Answer("mask" if masked else "allow", masked)


def hold_detail(
    approvers: tuple[str, ...], quorum: object, unmask: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """The terms of a hold."""
    asked = f"{quorum} of {', '.join(sorted(approvers))}"
    return (asked, f"shows {', '.join(sorted(unmask))} in clear") if unmask else (asked,)


def column_detail(at: int, name: object, mask: str) -> str:
    """One masked column, by its name or else its position from 1."""
    return f"{name or f'column {at}'} {mask}"


def _bind_types(text: str | None) -> tuple[str, ...]:
    """Types of binds in the order of their positions."""
    binds = json.loads(text) if text else {}
    return tuple(str(binds[at].get("type")) for at in sorted(binds, key=int))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _number(value: object) -> int:
    return value if isinstance(value, int) else -1


def _seconds(time: str) -> float:
    return datetime.datetime.fromisoformat(time).timestamp()
