"""Refusals of the control plane itself: what it cannot judge, now or ever, is denied."""

from __future__ import annotations

from snowgate.model.statement import Refusal

# A worker is killed after that long with one statement (sql.md section 2.3): 350 lines take 20 ms.
ANALYSIS_LIMIT_S = 0.5
# Statements of one principal that may wait to be analysed, beside the one under way (F27).
MAX_WAITING = 20

CATALOG_UNAVAILABLE = Refusal(
    "catalog-unavailable",
    "the gateway could not read Snowflake's catalog, so it cannot tell what is tagged",
    "try again in a minute; if it stays, tell the gateway's operator",
)
REGISTRY_UNREAD = Refusal(
    "registry-unread",
    "the gateway could not read back the procedure, so it cannot tell whether it is the vetted one",
    "try again in a minute; if it stays, tell the gateway's operator",
)
TOO_MANY = Refusal(
    "busy",
    f"{MAX_WAITING} statements of this identity wait to be analysed already",
    "send fewer statements at once, and run this one again in a moment",
)
NO_WORKER = Refusal(
    "busy",
    "no analysis worker was free in time",
    "run the statement again in a moment; if it stays, tell the gateway's operator",
)
TOO_SLOW = Refusal(
    "analysis-limit",
    f"the statement could not be analysed within {ANALYSIS_LIMIT_S:g} s",
    "split it into smaller statements",
)
TOO_LARGE = Refusal(
    "analysis-limit",
    "the statement needs more memory to be analysed than one statement may take",
    "split it into smaller statements",
)
NO_ANSWER = Refusal(
    "analysis-limit",
    "the analysis of the statement ended without an answer",
    "split it into smaller statements, or write it more plainly",
)
QUARANTINED = Refusal(
    "quarantine",
    "an object it touches is being changed by another statement",
    "run it again when that statement has ended",
)

# A statement refused for one of these may be allowed in a moment.
PASSING = frozenset({CATALOG_UNAVAILABLE, REGISTRY_UNREAD, TOO_MANY, NO_WORKER, QUARANTINED})
