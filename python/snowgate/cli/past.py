"""`snowgate what-if` and `snowgate learn`: what the ledger says of a policy."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from snowgate.audit.entries import open_keys
from snowgate.cli.output import print_json, print_lines
from snowgate.config import Config, examine, load_config
from snowgate.control.startup import DataDir
from snowgate.errors import UsageError
from snowgate.policy import Subject
from snowgate.review.history import History
from snowgate.review.learn import learn
from snowgate.review.setting import load_setting, moment_since, other_setting
from snowgate.review.whatif import what_if

Json = Annotated[bool, Parameter(negative="")]


def what_if_(
    policy: Path,
    /,
    *,
    config: Path,
    since: str = "30d",
    catalog: Path | None = None,
    json: Json = False,
) -> int:
    """Judge what was asked of a gateway by another policy, and show every verdict that changes.

    Nothing is sent anywhere. Statements are shown without their constants.

    Args:
        policy: The policy to try: a file with `tags` and `rules`, or a whole configuration.
        config: Configuration of the gateway whose ledger it is; its keys decrypt the statements.
        since: How far back: `12h`, `30d`, or an ISO time.
        catalog: JSON file of tables and views; by default the one the gateway had in force last.
        json: Print JSON.
    """
    present = load_setting(config=config, catalog=catalog)
    other = other_setting(present, policy)
    history = _history(config, since)
    found = what_if(history.statements(), present, other, history.left)
    if json:
        document = {
            "policy": other.policy.digest,
            "present": present.policy.digest,
            **found.document(),
        }
        print_json(document)
    else:
        print_lines(found.lines())
    return 0


def learn_(
    *,
    config: Path,
    since: str = "30d",
    principal: str = "",
    group: str = "",
    catalog: Path | None = None,
    json: Json = False,
) -> int:
    """Propose a policy that allows what was seen and nothing else, and grants to match.

    Prints a policy file; what else there is to know stands in its comments. Nothing is run.

    Args:
        config: Configuration of the gateway whose ledger it is; its keys decrypt the statements.
        since: How far back: `12h`, `30d`, or an ISO time.
        principal: Learn from this principal only, by name or subject.
        group: Learn from sessions with this group only.
        catalog: JSON file of tables and views; by default the one the gateway had in force last.
        json: Print JSON.
    """
    setting = load_setting(config=config, catalog=catalog)
    examined = examine(config, files=False)
    value, source = examined.loaded(), examined.source
    if source is None or not isinstance(value, Config):
        raise UsageError(f"`{config}` is a policy: learn reads the ledger of a configuration")
    history = _history(config, since)
    wanted = (
        past
        for past in history.ended()
        if (not group or group in past.subject.groups)
        and (not principal or principal in _names(past.subject))
    )
    learnt = learn(
        wanted,
        setting,
        source,
        history.left,
        warehouses={each.role: each.warehouse for each in reversed(value.roles)},
        partly=bool(principal or group),
    )
    if json:
        print_json(learnt.document())
    else:
        print_lines(learnt.lines())
    return 0


def _names(subject: Subject) -> tuple[str, str]:
    return subject.principal.name, subject.principal.subject


def _history(config: Path, since: str) -> History:
    paths = DataDir(load_config(config, files=False).data_dir)
    keys = open_keys(paths.text_keys, paths.store_key)
    return History(paths.ledger, keys, moment_since(since, time.time()))
