"""`snowgate judge`: what the gateway would do with statements, offline, by the code it uses."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from snowgate.cli.asking import As
from snowgate.errors import ConfigError
from snowgate.policy import Subject
from snowgate.review.report import columns_of, word_of
from snowgate.review.setting import Setting, load_setting
from snowgate.review.trial import try_session

# Half of a surrogate pair, which JSON can escape and no text of SQL can hold: judged, and refused,
# as a control character.
_HALF = re.compile("[\ud800-\udfff]")


def judge_(statements: Path, /, *, policy: Path, catalog: Path, who: As) -> int:
    """Judge statements offline, one JSON line in, one JSON line out.

    Args:
        statements: JSON lines `{"id": …, "sql": text or list}`; a list is one session, in order.
        policy: Policy file with `tags` and `rules`.
        catalog: JSON file with `tables`, `views` and `session`.
        who: For whom.
    """
    setting = load_setting(policy=policy, catalog=catalog)
    subject = who.in_(setting)
    for number, line in enumerate(_lines(statements), 1):
        if line.strip():
            answer = _answer(_item(statements, number, line), setting, subject)
            text = json.dumps(answer, separators=(",", ":"))
            sys.stdout.buffer.write(text.encode() + b"\n")
    sys.stdout.buffer.flush()
    return 0


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(str(path), 0, "", f"cannot be read: {error.strerror}") from error


def _item(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        item = json.loads(line.decode("utf-8-sig"), parse_constant=_no_number)
    except RecursionError:
        raise ConfigError(str(path), number, "", "is nested too deep") from None
    except ValueError as error:
        raise ConfigError(str(path), number, "", f"is no JSON: {error}") from None
    sql = item.get("sql") if isinstance(item, dict) else None
    texts = sql if isinstance(sql, list) else [sql]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ConfigError(str(path), number, "sql", "must be a text or a list of texts")
    whole = [_HALF.sub("\0", str(text)) for text in texts]
    return {"id": item.get("id"), "sql": whole if isinstance(sql, list) else whole[0]}


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _answer(item: dict[str, Any], setting: Setting, subject: Subject) -> dict[str, Any]:
    texts = item["sql"] if isinstance(item["sql"], list) else [item["sql"]]
    trial = try_session(setting, texts, subject)
    answer: dict[str, Any] = {
        "id": item["id"],
        "verdict": trial.word,
        "rules": trial.rules,
        "objects": trial.objects,
        "columns": columns_of(*trial.judged[-1]),
        "reason": trial.strictest[1].reason,
    }
    if isinstance(item["sql"], list):
        answer["statements"] = [
            {"verdict": word_of(each), "columns": columns_of(statement, each)}
            for statement, each in trial.judged
        ]
    return answer
