"""An issuer's public keys: which of them may verify a token, and which one does.

Pure: JWKS in, keys out. A key that is not fit is left out, with a reason for the log; the set as a
whole is refused only when it is no key set or too large. A `kid` is an opaque look-up key.

Sources: RFC 7517 (JWK), RFC 7518 sections 3.3 and 6 (sizes and curves), RFC 8037 (Ed25519).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWTError
from jwt.algorithms import get_default_algorithms

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

MAX_KEYS = 64
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192  # verification cost grows with the square: a hostile size would stall logins

# RFC 7518 section 3.1, RFC 8037: each algorithm fits one kind of key, ECDSA one curve.
_FITS: dict[tuple[str, str], frozenset[str]] = {
    ("RSA", ""): frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}


class UnfitKeys(Exception):
    """A key, or a whole key set, that may not verify anything; the message says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """One usable key.

    Attributes:
        kid: Its id, or None.
        algorithms: Signature algorithms it may verify.
        public: The key itself.
    """

    kid: str | None
    algorithms: frozenset[str]
    public: PublicKey = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of one issuer, and why others were left out."""

    keys: tuple[Key, ...]
    left_out: tuple[str, ...] = ()

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The one key that fits; None when none or several do, since guessing is not verifying."""
        fits = [
            key
            for key in self.keys
            if algorithm in key.algorithms and (kid is None or key.kid == kid)
        ]
        return fits[0] if len(fits) == 1 else None


def parse_key_set(document: object) -> KeySet:
    """Read a JWKS document.

    Raises:
        UnfitKeys: It is not a key set, holds more than 64 keys, or none that is usable.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise UnfitKeys("key set has no list of keys")
    if len(entries) > MAX_KEYS:
        raise UnfitKeys(f"key set holds more than {MAX_KEYS} keys")
    keys: list[Key] = []
    left_out: list[str] = []
    for index, entry in enumerate(entries):
        try:
            keys.append(_key(entry))
        except UnfitKeys as error:
            left_out.append(f"key {index}: {error}")
    if not keys:
        raise UnfitKeys("key set holds no usable key")
    return KeySet(tuple(keys), tuple(left_out))


def _key(entry: object) -> Key:
    if not isinstance(entry, dict):
        raise UnfitKeys("not an object")
    kind, curve = str(entry.get("kty")), str(entry.get("crv"))
    if kind == "oct":
        raise UnfitKeys("a shared secret")
    fits = _FITS.get((kind, "" if kind == "RSA" else curve), frozenset())
    if not fits:
        raise UnfitKeys("an unknown kind of key")
    if entry.get("use", "sig") != "sig":
        raise UnfitKeys("not for signatures")
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise UnfitKeys("not for verifying")
    # A private key in public is a stolen key.
    if "d" in entry:
        raise UnfitKeys("a private key")
    kid = entry.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise UnfitKeys("an id that is not text")
    if "alg" in entry:
        fits &= {entry["alg"]} if isinstance(entry["alg"], str) else frozenset()
        if not fits:
            raise UnfitKeys("an algorithm that does not fit the key")
    return Key(kid, fits, _public(entry, min(fits)))


def _public(entry: dict[str, object], algorithm: str) -> PublicKey:
    try:
        public = get_default_algorithms()[algorithm].from_jwk(entry)
    except (PyJWTError, TypeError, ValueError, KeyError):
        raise UnfitKeys("malformed") from None
    if isinstance(public, RSAPublicKey):
        if not MIN_RSA_BITS <= public.key_size <= MAX_RSA_BITS:
            raise UnfitKeys(f"RSA of {public.key_size} bits")
        return public
    if isinstance(public, EllipticCurvePublicKey | Ed25519PublicKey):
        return public
    raise UnfitKeys("an unknown kind of key")
