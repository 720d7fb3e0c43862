"""`snowgate verify`, `snowgate replay`, `snowgate ledger cat`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from snowgate.audit.cat import write_entries
from snowgate.audit.entries import open_keys
from snowgate.audit.replay import load_session
from snowgate.audit.timeline import write_replay, write_replay_json
from snowgate.audit.verify import read_vkey, verify_ledger, write_report
from snowgate.config import load_config
from snowgate.control.startup import DataDir
from snowgate.errors import LedgerError

# A ledger that does not verify, as against a command that was used wrongly.
BROKEN = 1


def verify(ledger: Path, /, *, key: Path, checkpoint: Path | None = None) -> int:
    """Check every byte of a ledger against its signed tree.

    Args:
        ledger: Directory of the ledger.
        key: File of the verifier key, `ledger.pub`, which the auditor was given by another way.
        checkpoint: An older checkpoint that the ledger must continue.
    """
    try:
        extends = None if checkpoint is None else checkpoint.read_bytes()
        report = verify_ledger(ledger, read_vkey(key), extends)
    except OSError as error:
        sys.stderr.write(f"cannot read `{checkpoint}`: {error.strerror}\n")
        return BROKEN
    except LedgerError as error:
        sys.stderr.write(f"the ledger does not verify: {error}\n")
        return BROKEN
    write_report(report, sys.stdout)
    return 0


def cat(ledger: Path, /) -> int:
    """Print entries as JSON lines, oldest first.

    Args:
        ledger: Directory of the ledger.
    """
    write_entries(ledger, sys.stdout)
    return 0


def replay(
    session: str,
    /,
    *,
    config: Path,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Show what happened in a session, from the ledger alone, with its statements in clear.

    Args:
        session: Session id, as in the `login` entry.
        config: Configuration of the gateway whose ledger it is; its keys decrypt the statements.
        json: Print one JSON object.
    """
    paths = DataDir(load_config(config).data_dir)
    found = load_session(paths.ledger, session, keys=open_keys(paths.text_keys, paths.store_key))
    (write_replay_json if json else write_replay)(found, sys.stdout)
    return 0
