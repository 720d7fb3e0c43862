"""What must be there before the gate starts: data directory, root key, the gate's document."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import orjson

from snowgate.config import Config, Credential
from snowgate.control.counted import budget_fields
from snowgate.errors import StartError
from snowgate.store import LedgerHead, SessionRow

KEY_BYTES = 32


class DataDir:
    """The paths under a data directory.

    ```text
    ledger/          entries; nothing that `verify` does not cover
    text-keys/       keys of the statement texts in the ledger; deleting one shreds its texts (F23)
    keys/store.key   root of every key the gateway derives
    keys/ledger.key  signs checkpoints; `ledger.pub` beside it is for auditors
    store.sqlite     approvals, sessions, the last ledger head
    catalog.json     a copy of the catalog in force, for tools; nothing reads it back
    ```
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ledger = root / "ledger"
        self.text_keys = root / "text-keys"
        self.store_key = root / "keys" / "store.key"
        self.ledger_key = root / "keys" / "ledger.key"
        self.store = root / "store.sqlite"
        self.catalog = root / "catalog.json"

    def prepare(self) -> bytes:
        """Make what is missing, readable by the owner only, and return the root key.

        Raises:
            StartError: A path cannot be written, or the key file is not as it was made.
        """
        try:
            for folder in (self.root, self.ledger, self.text_keys, self.store_key.parent):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self.store_key.exists() and not self.store.exists():
                _write_new(self.store_key, secrets.token_bytes(KEY_BYTES))
            key = self.store_key.read_bytes()
        except OSError as error:
            raise StartError(
                f"data_dir cannot be used: `{error.filename}`: {error.strerror}; "
                "what to do: give the gateway's user that directory, or set another data_dir"
            ) from error
        if len(key) != KEY_BYTES:
            raise StartError(
                f"`{self.store_key}` does not hold {KEY_BYTES} bytes; "
                "what to do: restore it from the backup of data_dir"
            )
        return key


def gate_document(
    config: Config, paths: DataDir, head: LedgerHead | None, sessions: Sequence[SessionRow]
) -> bytes:
    """The gate's configuration, JSON (`rust/gate/src/config.rs`)."""
    listen, upstream, limits = config.listen, config.upstream, config.limits
    tls = listen.tls
    return orjson.dumps(
        {
            "listen": {
                "address": listen.address,
                "port": listen.port,
                "tls": None
                if tls is None
                else {"certificate": str(tls.certificate), "private_key": str(tls.private_key)},
                "hosts": list(listen.hosts),
            },
            "upstream": {
                "account": upstream.account,
                "host": upstream.host,
                "port": upstream.port,
                "protocol": upstream.protocol,
                "ca_file": None if upstream.ca_file is None else str(upstream.ca_file),
                "credential": _credential(upstream.credential),
                "login_timeout_s": int(upstream.login_timeout_s),
                "reply_bytes": upstream.reply_bytes,
            },
            "gateway_session": {
                "credential": _credential(upstream.catalog.credential),
                "role": upstream.catalog.role,
                "warehouse": upstream.catalog.warehouse,
            },
            "ledger": {
                "dir": str(paths.ledger),
                "origin": ledger_origin(config),
                "key_file": str(paths.ledger_key),
                "known": None if head is None else {"size": head.size, "root": head.root},
            },
            "text_keys_dir": str(paths.text_keys),
            "store_key_file": str(paths.store_key),
            "gateway": config.name,
            "account": config.account,
            "limits": {
                "header_bytes": limits.header_bytes,
                "body_bytes": limits.body_bytes,
                "statement_bytes": limits.statement_bytes,
                "connections": limits.connections,
                "header_timeout_s": int(limits.header_timeout_s),
                "idle_timeout_s": int(limits.idle_timeout_s),
                "poll_hold_s": limits.poll_hold_s,
                "login_limit_s": limits.login_limit_s,
                "judge_limit_s": limits.judge_limit_s,
                "ticket_age_s": int(limits.ticket_age_s),
                "ticket_uses": limits.ticket_uses,
                "cache_entries": limits.cache_entries,
                "sessions": limits.sessions,
            },
            "session_token_s": int(limits.session_token_s),
            "budgets": [budget_fields(one.budget) for one in config.policy.budgets],
            "sessions": list(sessions),
        }
    )


def _credential(credential: Credential) -> dict[str, str]:
    return {"user": credential.user, "private_key_file": str(credential.private_key_file)}


def ledger_origin(config: Config) -> str:
    """The ledger's name in its checkpoints."""
    return f"snowgate/{config.name}"


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that did not exist, durably, for the owner only."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
