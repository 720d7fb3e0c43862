"""The MACs of rows, and the digest that notices missing and rolled back ones.

Pure: no database. Sources: RFC 2104 (HMAC), RFC 5869 (HKDF).
"""

from __future__ import annotations

import hashlib
import hmac

import orjson
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
# A change hashes the MACs of one bucket, not of the whole table.
BUCKETS = 256


class Sealer:
    """Computes MACs under a key derived from the store key.

    Args:
        store_key: 32 bytes, the content of the store key file.
    """

    def __init__(self, store_key: bytes) -> None:
        if len(store_key) != KEY_BYTES:
            raise ValueError(f"store key must be {KEY_BYTES} bytes")
        self._key = HKDF(SHA256(), 32, salt=None, info=b"snowgate store rows 1").derive(store_key)

    def row(self, table: str, row_id: str, version: int, body: str) -> bytes:
        """The MAC of one row."""
        return self._mac("row", table, row_id, version, body)

    def anchor(self, table: str, generation: int, digest: bytes) -> bytes:
        """The MAC over the state of a whole table."""
        return self._mac("anchor", table, "", generation, digest.hex())

    def _mac(self, *parts: str | int) -> bytes:
        # A JSON list is unambiguous: no two lists of parts have one encoding.
        return hmac.digest(self._key, orjson.dumps(parts), "sha256")


class TableState:
    """Which row, by its MAC, stands under which id; with a digest over all of them."""

    def __init__(self) -> None:
        self._buckets: list[dict[str, bytes]] = [{} for _ in range(BUCKETS)]
        self._digests = [_bucket_digest({}) for _ in range(BUCKETS)]

    def __len__(self) -> int:
        return sum(map(len, self._buckets))

    def copy(self) -> TableState:
        """Another with the same rows. No bucket is ever changed in place."""
        other = TableState()
        other._buckets, other._digests = [*self._buckets], [*self._digests]
        return other

    def mac(self, row_id: str) -> bytes | None:
        """The MAC the row must have, or None where there is none."""
        return self._buckets[_bucket(row_id)].get(row_id)

    def digest(self) -> bytes:
        """The digest over all rows."""
        return hashlib.sha256(b"".join(self._digests)).digest()

    def digest_with(self, row_id: str, mac: bytes | None) -> bytes:
        """The digest as it will be once the row has this MAC (None: once it is gone)."""
        index, bucket = self._changed(row_id, mac)
        digests = [*self._digests]
        digests[index] = _bucket_digest(bucket)
        return hashlib.sha256(b"".join(digests)).digest()

    def apply(self, row_id: str, mac: bytes | None) -> None:
        """Make the change that `digest_with` foretold."""
        index, bucket = self._changed(row_id, mac)
        self._buckets[index] = bucket
        self._digests[index] = _bucket_digest(bucket)

    def _changed(self, row_id: str, mac: bytes | None) -> tuple[int, dict[str, bytes]]:
        index = _bucket(row_id)
        bucket = {**self._buckets[index]}
        if mac is None:
            bucket.pop(row_id, None)
        else:
            bucket[row_id] = mac
        return index, bucket


def _bucket(row_id: str) -> int:
    return hashlib.sha256(row_id.encode()).digest()[0] % BUCKETS


def _bucket_digest(bucket: dict[str, bytes]) -> bytes:
    rows = [(row_id, mac.hex()) for row_id, mac in sorted(bucket.items())]
    return hashlib.sha256(orjson.dumps(rows)).digest()
