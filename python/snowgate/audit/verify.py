"""Verifies a ledger and says in words what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TextIO

from snowgate import _core
from snowgate.audit.entries import ledger_errors
from snowgate.audit.render import visible
from snowgate.errors import LedgerError


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """What a ledger that verifies holds.

    Attributes:
        origin: Name of the log.
        size: Entries, each covered by a signed checkpoint.
        root: Root of the tree over them, in hex.
        checkpoint: The newest signed checkpoint; a later ledger must extend it.
        published: Entries in the published checkpoint, at most `size`.
        kinds: Entries of each kind.
        texts: Encrypted texts.
        segments: Segment files.
        first_time, last_time: Times of the first and last entry, or None in an empty ledger.
        open_intents: Intents whose outcome is not recorded.
        uncommitted_bytes: What a crash, or a writer at work, left of a batch. Nothing in it was
            acknowledged.
    """

    origin: str
    size: int
    root: str
    checkpoint: str
    published: int
    kinds: Mapping[str, int]
    texts: int
    segments: int
    first_time: str | None
    last_time: str | None
    open_intents: int
    uncommitted_bytes: int


def read_vkey(path: Path) -> str:
    """The verifier key in a file, as the gateway wrote it.

    Raises:
        LedgerError: The file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise LedgerError(f"cannot read the verifier key `{path}`: {reason}") from None


def verify_ledger(directory: Path, vkey: str, extends: bytes | None = None) -> LedgerReport:
    """Verify every byte of a ledger. The gateway may be running.

    Args:
        directory: The ledger.
        vkey: Verifier key, `<name>+<key id>+<base64>`.
        extends: An older checkpoint that the ledger must be a continuation of.

    Raises:
        LedgerError: It does not verify; the message names what is broken, and where.
    """
    with ledger_errors():
        report = _core.verify_ledger(directory, vkey, extends)
    return LedgerReport(
        **{field.name: getattr(report, field.name) for field in fields(LedgerReport)}
    )


def write_report(report: LedgerReport, out: TextIO) -> None:
    """Write a report as lines for people."""
    kinds = ", ".join(f"{count} {visible(kind)}" for kind, count in sorted(report.kinds.items()))
    lines = [
        f"ledger {visible(report.origin)} verifies",
        f"entries      {report.size} ({kinds})" if kinds else f"entries      {report.size}",
        f"texts        {report.texts}",
        f"root         {report.root}",
        f"checkpoint   {report.published} entries published",
    ]
    if report.first_time is not None:
        lines.append(f"time         {report.first_time} to {report.last_time}")
    if report.open_intents:
        lines.append(f"open         {report.open_intents} statements have no outcome yet")
    if report.uncommitted_bytes:
        lines.append(
            f"unfinished   {report.uncommitted_bytes} bytes at the end were never acknowledged"
        )
    out.write("\n".join(lines) + "\n")
