"""What a verdict tells the gate to count: limits, budgets, and hashes of tagged values.

Rule at the door: no value leaves. A budget of distinct values gets keyed hashes, which nobody can
turn back without the gateway's root key.
"""

from __future__ import annotations

import hmac
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from snowgate.model.budget import Bound, Budget
from snowgate.model.statement import Compared, Statement
from snowgate.model.verdict import Verdict

HASH_BYTES = 16


class ValueHasher:
    """Hashes tagged values as the gate hashes those that are bound (`rust/gate/src/budget.rs`).

    Args:
        root_key: The gateway's root key, 32 bytes.
    """

    def __init__(self, root_key: bytes) -> None:
        kdf = HKDF(SHA256(), 32, salt=None, info=b"snowgate/v1/tagged-values")
        self._key = kdf.derive(root_key)

    def hash(self, tag: str, value: str) -> str:
        """The hash of a (tag, value) pair, hex."""
        mac = hmac.new(self._key, digestmod="sha256")
        for part in (tag.encode(), value.encode()):
            mac.update(len(part).to_bytes(8, "big") + part)
        return mac.digest()[:HASH_BYTES].hex()


def limit_fields(verdict: Verdict) -> dict[str, Any]:
    """The largest result."""
    return {"rows": _bound(verdict.limit.rows), "bytes": _bound(verdict.limit.bytes)}


def budget_fields(budget: Budget) -> dict[str, Any]:
    """One budget."""
    return {
        "name": budget.name,
        "per_s": budget.per_s,
        "statements": budget.statements,
        "rows": budget.rows,
        "bytes": budget.bytes,
        "values": budget.values,
        "tags": list(budget.tags),
        "hold": budget.holds,
    }


def compared_fields(
    statement: Statement, verdict: Verdict, hasher: ValueHasher
) -> list[dict[str, Any]]:
    """What is compared with tagged columns, if a budget counts it."""
    if all(budget.values is None for budget in verdict.budgets):
        return []
    return [_compared(one, hasher) for one in statement.compared]


def _compared(compared: Compared, hasher: ValueHasher) -> dict[str, Any]:
    told = compared.known and not compared.bind
    return {
        "tag": compared.tag,
        "hash": hasher.hash(compared.tag, compared.value) if told else None,
        "bind": compared.bind or None,
    }


def _bound(bound: Bound | None) -> dict[str, Any] | None:
    return None if bound is None else {"most": bound.most, "rule": bound.rule}
