"""Keeps what must survive a restart: approvals, sessions, and the last ledger head seen.

    row ── canonical JSON ── MAC(key; table, id, version, body) ──► SQLite, synced before it counts
                                  │
                      anchor = MAC(key; table, generation, digest of all row MACs)

Rule at the door: the file is untrusted (F7). A row counts only if its MAC fits and it is the very
row this process wrote or, after a start, the one the anchor covers; so an edited, copied, swapped,
deleted or rolled back row is an error, never an answer. Putting back the whole file, anchors and
all, is not seen here: callers compare what they consume with the ledger.

The key never enters the file. Everything is synchronous: callers use a worker thread.
"""

from snowgate.store.store import LedgerHead, SessionRow, Store

__all__ = ["LedgerHead", "SessionRow", "Store"]
