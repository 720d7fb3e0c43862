"""Reads the ledger: verifies it, lists it, and tells what happened in a session.

    ledger directory ──► verify_ledger ──► LedgerReport, or LedgerError naming the broken entry
                     ──► write_entries ──► one JSON object a line
                     ──► load_session  ──► Replay ──► write_replay: a timeline for people

Rule at the door: nothing here writes to a ledger, and every text that came from outside passes
through `render` on its way to a person (F29). Tree, signatures and decryption are in Rust; the root
key never enters Python. Everything is synchronous: callers with an event loop use a worker thread.
"""

from snowgate.audit.cat import write_entries
from snowgate.audit.entries import StoredEntry, TextKeys, open_keys, read_entries
from snowgate.audit.render import visible
from snowgate.audit.replay import Replay, load_session
from snowgate.audit.timeline import write_replay, write_replay_json
from snowgate.audit.verify import LedgerReport, read_vkey, verify_ledger, write_report

__all__ = [
    "LedgerReport",
    "Replay",
    "StoredEntry",
    "TextKeys",
    "load_session",
    "open_keys",
    "read_entries",
    "read_vkey",
    "verify_ledger",
    "visible",
    "write_entries",
    "write_replay",
    "write_replay_json",
    "write_report",
]
