"""Lists a ledger as JSON lines."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TextIO

from snowgate.audit.entries import StoredEntry, TextKeys, read_entries, with_texts
from snowgate.audit.render import visible_json


def write_entries(
    directory: Path,
    out: TextIO,
    *,
    start: int = 0,
    kinds: Collection[str] | None = None,
    keys: TextKeys | None = None,
) -> int:
    """Write entries as one JSON object a line: `seq`, `time`, `kind`, then the rest by name.

    Args:
        directory: The ledger.
        out: Where to.
        start: Number of the first entry wanted.
        kinds: Only entries of these kinds; None for all.
        keys: With it, a reference to a text bears the text itself as `text`.

    Returns:
        How many were written.

    Raises:
        LedgerError: The ledger cannot be read; what was intact before is written.
    """
    written = 0
    for entry in read_entries(directory, start=start):
        if kinds is None or entry.kind in kinds:
            entry = entry if keys is None else with_texts(entry, keys)
            out.write(visible_json(entry_object(entry)) + "\n")
            written += 1
    return written


def entry_object(entry: StoredEntry) -> dict[str, object]:
    """An entry as a JSON object, texts in their places."""
    object_: dict[str, object] = {"seq": entry.seq, "time": entry.time, "kind": entry.kind}
    for name in sorted(entry.fields):
        value = entry.fields[name]
        if name in entry.texts and isinstance(value, dict):
            value = {**value, "text": entry.texts[name]}
        object_[name] = value
    return object_
