"""Finds values that must not be there, in whatever form they travel.

A reply is taken apart as far as it goes (gunzip, JSON, base64), and each layer is searched for
every canary as UTF-8, without punctuation, in hex, and in base64 at each of its three alignments.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

# No canary is shorter; one window of this width is looked up at each byte.
WIDTH = 10

_BASE64 = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")


@dataclass(slots=True)
class Canaries:
    """A set of values to look for."""

    _forms: dict[bytes, list[tuple[bytes, str]]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, values: Iterable[str]) -> Canaries:
        found = cls()
        for value in values:
            for form in _forms(value):
                if len(form) >= WIDTH:
                    found._forms.setdefault(form[:WIDTH], []).append((form, value))
        return found

    def found_in(self, blob: bytes) -> set[str]:
        """The values that occur in a blob or in anything packed in it."""
        return {value for layer in layers(blob) for value in self._scan(layer)}

    def _scan(self, layer: bytes) -> Iterator[str]:
        heads = self._forms
        for at in range(len(layer) - WIDTH + 1):
            for form, value in heads.get(layer[at : at + WIDTH], ()):
                if layer.startswith(form, at):
                    yield value


def _forms(value: str) -> Iterator[bytes]:
    text = value.encode()
    yield text
    plain = re.sub(rb"[^A-Za-z0-9]", b"", text)
    if plain != text:
        yield plain
    yield text.hex().encode()
    yield text.hex().upper().encode()
    for lead in range(3):
        # What stays the same whatever stands before and after the value.
        encoded = base64.b64encode(b"\0" * lead + text)
        yield encoded[(0, 2, 3)[lead] : len(encoded) - 4]


def layers(blob: bytes) -> Iterator[bytes]:
    """A blob, and what is packed in it."""
    yield blob
    if blob[:2] == b"\x1f\x8b":
        # A damaged stream has no clear text to leak.
        try:
            yield from layers(gzip.decompress(blob))
        except (OSError, EOFError, zlib.error):
            return
    else:
        for match in _BASE64.finditer(blob):
            try:
                yield base64.b64decode(match[0], validate=True)
            except binascii.Error:
                continue
        if b"\\u" in blob:
            try:
                yield json.dumps(json.loads(blob), ensure_ascii=False).encode()
            except ValueError:
                return
