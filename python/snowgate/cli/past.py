"""`snowgate what-if` and `snowgate learn`: what the ledger says of a policy."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from snowgate.audit.entries import open_keys
from snowgate.cli.output import print_json, print_lines
from snowgate.config import load_config
from snowgate.control.startup import DataDir
from snowgate.review.history import History
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


def _history(config: Path, since: str) -> History:
    paths = DataDir(load_config(config, files=False).data_dir)
    keys = open_keys(paths.text_keys, paths.store_key)
    return History(paths.ledger, keys, moment_since(since, time.time()))
