"""Entries as Python values, and the one place where errors of the extension become ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson

from snowgate._core import LedgerEntry, LedgerFailure, LedgerReader, TextDestroyed, TextKeys
from snowgate.audit.render import visible
from snowgate.errors import LedgerError

__all__ = [
    "StoredEntry",
    "TextKeys",
    "ledger_errors",
    "open_keys",
    "read_entries",
    "with_texts",
]


@contextmanager
def ledger_errors() -> Iterator[None]:
    """Raise failures of the extension as `LedgerError`."""
    try:
        yield
    except LedgerFailure as failure:
        # It may quote a file name or an origin that somebody else has written.
        raise LedgerError(visible(str(failure))) from None


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One entry.

    Attributes:
        seq: Its number.
        time: When it was recorded: UTC, RFC 3339, microseconds.
        kind: What happened.
        fields: The other members, as JSON values.
        texts: Decrypted texts by member; empty until `with_texts`.
        lost: Members whose text is not there, with the reason.
        stored: The entry as the extension holds it, with its ciphertexts.
    """

    seq: int
    time: str
    kind: str
    fields: Mapping[str, object]
    texts: Mapping[str, str] = field(default_factory=dict)
    lost: Mapping[str, str] = field(default_factory=dict)
    stored: LedgerEntry | None = field(default=None, repr=False, compare=False)


def open_keys(directory: Path, root_key_file: Path) -> TextKeys:
    """The keys that decrypt texts.

    Args:
        directory: Folder of the keys of texts.
        root_key_file: The gateway's root key, 32 bytes. It is read and kept in Rust.

    Raises:
        LedgerError: The root key cannot be read.
    """
    with ledger_errors():
        return TextKeys(directory, root_key_file)


def read_entries(directory: Path, *, start: int = 0) -> Iterator[StoredEntry]:
    """The committed entries of a ledger, in order. The gateway may be running.

    Args:
        directory: The ledger.
        start: Number of the first entry wanted.

    Raises:
        LedgerError: It cannot be read. `verify_ledger` says whether it is as it was written.
    """
    with ledger_errors():
        for stored in LedgerReader(directory, start):
            fields: dict[str, object] = orjson.loads(stored.json)
            time, kind = str(fields.pop("time")), str(fields.pop("kind"))
            del fields["seq"]
            lost = {
                name: f"encrypted, {value.get('bytes')} bytes"
                for name, value in fields.items()
                if isinstance(value, dict) and "blob" in value
            }
            yield StoredEntry(stored.seq, time, kind, fields, lost=lost, stored=stored)


def with_texts(entry: StoredEntry, keys: TextKeys) -> StoredEntry:
    """The entry with its texts decrypted, save those whose key has been destroyed.

    Raises:
        LedgerError: A key is not the one its text was encrypted with.
    """
    if entry.stored is None or not entry.lost:
        return entry
    texts: dict[str, str] = {}
    lost: dict[str, str] = {}
    for name in entry.lost:
        try:
            text = entry.stored.text(name, keys)
        except TextDestroyed:
            lost[name] = "its key has been destroyed"
        except LedgerFailure as failure:
            raise LedgerError(visible(f"entry {entry.seq}: {failure}")) from None
        else:
            texts[name] = (text or b"").decode(errors="backslashreplace")
    return replace(entry, texts=texts, lost=lost)
