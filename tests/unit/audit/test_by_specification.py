"""Reads a ledger as its specifications say, with none of our code.

Sources: C2SP signed-note, tlog-checkpoint, tlog-tiles and tlog-proof; RFC 6962, section 2.1.
"""

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from snowgate._core import LedgerReader, prove_entry, prove_extension

from .conftest import Book

ENTRIES = 300


@pytest.fixture
def published(book: Book) -> Book:
    for number in range(ENTRIES):
        book.write("heartbeat", {"sql": "select 1"} if number % 100 == 0 else None, n=number)
    book.close()
    return book


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def leaf(entry: bytes) -> bytes:
    return sha256(b"\x00", entry)


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01", left, right)


def root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return node(root(leaves[:left]), root(leaves[left:]))


def opened(note: bytes, vkey: str) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint whose signature is right."""
    name, key_id, encoded = vkey.split("+", 2)
    key = base64.b64decode(encoded)
    assert sha256(name.encode(), b"\n", key)[:4].hex() == key_id
    text, _, signature_line = note.decode().rpartition("\n\n")
    dash, signer, value = signature_line.rstrip("\n").split(" ")
    signature = base64.b64decode(value)
    assert (dash, signer, signature[:4].hex()) == ("—", name, key_id)
    assert key[0] == 1
    Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature[4:], f"{text}\n".encode())
    origin, size, encoded_root = text.split("\n")
    return origin, int(size), base64.b64decode(encoded_root)


def bundled(path: Path) -> list[bytes]:
    content, entries = path.read_bytes(), []
    while content:
        length = int.from_bytes(content[:2])
        entries.append(content[2 : 2 + length])
        content = content[2 + length :]
    return entries


def test_bundles_and_tiles_lead_to_the_root_that_is_signed(published: Book) -> None:
    tile = published.directory / "tile"

    origin, size, signed = opened((published.directory / "checkpoint").read_bytes(), published.vkey)

    rest = ENTRIES - 256
    entries = bundled(tile / "entries/000") + bundled(tile / f"entries/001.p/{rest}")
    leaves = [leaf(entry) for entry in entries]
    assert (origin, size) == ("snowgate/gw-1", ENTRIES)
    assert root(leaves) == signed
    assert (tile / "0/000").read_bytes() == b"".join(leaves[:256])
    assert (tile / f"0/001.p/{rest}").read_bytes() == b"".join(leaves[256:])
    assert (tile / "1/000.p/1").read_bytes() == root(leaves[:256])
    assert entries == [entry.json for entry in LedgerReader(published.directory)]


def test_a_changed_checkpoint_is_not_signed(published: Book) -> None:
    note = (published.directory / "checkpoint").read_bytes()

    with pytest.raises(InvalidSignature):
        opened(note.replace(b"\n300\n", b"\n299\n"), published.vkey)


@pytest.mark.parametrize("seq", [0, 1, 255, 256, 299])
def test_a_proof_leads_from_an_entry_to_the_signed_root(published: Book, seq: int) -> None:
    entry = next(iter(LedgerReader(published.directory, seq))).json

    proof = prove_entry(published.directory, published.vkey, seq)

    head, _, note = proof.partition(b"\n\n")
    first, index, *encoded = head.decode().split("\n")
    assert (first, index) == ("c2sp.org/tlog-proof@v1", f"index {seq}")
    _, size, signed = opened(note, published.vkey)
    # RFC 9162, section 2.1.3.2.
    position, last, found = seq, size - 1, leaf(entry)
    for step in map(base64.b64decode, encoded):
        if position & 1 or position == last:
            found = node(step, found)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            found = node(found, step)
        position, last = position >> 1, last >> 1
    assert (found, last) == (signed, 0)


def test_a_proof_of_extension_leads_from_both_sizes(published: Book) -> None:
    leaves = [leaf(entry.json) for entry in LedgerReader(published.directory)]

    note, hashes = prove_extension(published.directory, published.vkey, 256)

    # 256 is a power of two: the old root is itself the left child of the new one.
    _, _, signed = opened(note, published.vkey)
    assert hashes == [root(leaves[256:])]
    assert node(root(leaves[:256]), hashes[0]) == signed
