"""`snowgate judge`: what the gateway would do with statements, offline, by the code it uses."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from snowgate.config import load_policy
from snowgate.errors import ConfigError
from snowgate.model.identity import Principal
from snowgate.model.statement import Statement
from snowgate.model.verdict import Decision, MaskKind, Verdict
from snowgate.policy import Policy, Subject, judge
from snowgate.sql.catalog import Catalog
from snowgate.sql.session import analyse_session

_STRICTNESS = ("allow", "mask", "hold", "deny")


def judge_(
    statements: Path,
    /,
    *,
    policy: Path,
    catalog: Path,
    as_: str,
    groups: str = "",
    role: str = "",
    client: str = "",
) -> int:
    """Judge statements offline, one JSON line in, one JSON line out.

    Args:
        statements: JSON lines `{"id": …, "sql": text or list}`; a list is one session, in order.
        policy: Policy file with `tags` and `rules`.
        catalog: JSON file with `tables`, `views` and `session`.
        as_: Name of the principal.
        groups: Its groups, separated by commas.
        role: The session's role; the name in upper case unless given.
        client: What the client calls itself.
    """
    untagged = _catalog(catalog)
    rules = load_policy(policy, _tags(untagged)).policy
    known = untagged.with_tags([(each.tag, each.columns) for each in rules.tags])
    subject = Subject(
        Principal("", "", as_, as_),
        frozenset(group.strip() for group in groups.split(",") if group.strip()),
        role or as_.upper(),
        client,
    )
    for number, line in enumerate(_lines(statements), 1):
        if line.strip():
            answer = _answer(_item(statements, number, line), known, rules, subject)
            sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
    sys.stdout.buffer.flush()
    return 0


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(str(path), 0, "", f"cannot be read: {error.strerror}") from error


def _catalog(path: Path) -> Catalog:
    try:
        return Catalog.from_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(str(path), 0, "", f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(str(path), 0, "", str(error), "see docs/acceptance.md") from error


def _tags(catalog: Catalog) -> set[str]:
    return {
        tag for table in catalog.tables.values() for column in table.columns for tag in column.tags
    }


def _item(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        item = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ConfigError(str(path), number, "", f"is no JSON: {error}") from None
    sql = item.get("sql") if isinstance(item, dict) else None
    texts = sql if isinstance(sql, list) else [sql]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ConfigError(str(path), number, "sql", "must be a text or a list of texts")
    return {"id": item.get("id"), "sql": sql}


def _answer(
    item: dict[str, Any], catalog: Catalog, policy: Policy, subject: Subject
) -> dict[str, Any]:
    texts = item["sql"] if isinstance(item["sql"], list) else [item["sql"]]
    analysed = analyse_session(texts, catalog, role=subject.role)
    judged = [(each, judge(policy, each, subject)) for each in analysed]
    strictest, verdict = max(judged, key=lambda pair: _STRICTNESS.index(_word(pair[1])))
    answer: dict[str, Any] = {
        "id": item["id"],
        "verdict": _word(verdict),
        "rules": _sorted(rule for _, each in judged for rule in each.rules),
        "objects": _sorted(name for each, _ in judged for name in _objects(each)),
        "columns": _columns(*judged[-1]) if len(judged) > 1 else _columns(strictest, verdict),
        "reason": verdict.reason,
    }
    if isinstance(item["sql"], list):
        answer["statements"] = [
            {"verdict": _word(each), "columns": _columns(statement, each)}
            for statement, each in judged
        ]
    return answer


def _word(verdict: Verdict) -> str:
    """`mask` means: runs, with at least one masked column."""
    if verdict.decision is not Decision.ALLOW:
        return str(verdict.decision.value)
    masked = verdict.void_all or (verdict.plan is not None and not verdict.plan.clear)
    return "mask" if masked else "allow"


def _objects(statement: Statement) -> set[str]:
    touched = {*statement.reads, *statement.writes, *statement.unknown_sources}
    return {str(name) for name in touched}


def _columns(statement: Statement, verdict: Verdict) -> list[dict[str, Any]]:
    """Outputs in order; `mask` is null where the value is shown in clear."""
    if verdict.plan is None:
        return []
    predicted = statement.columns or ()
    return [
        {
            "name": column.name,
            "tags": sorted(predicted[at].tags if at < len(predicted) else column.tags),
            "mask": None if column.mask is MaskKind.PASS else column.mask.value,
        }
        for at, column in enumerate(verdict.plan.columns)
    ]


def _sorted(words: Iterable[str]) -> list[str]:
    return sorted(set(words))
