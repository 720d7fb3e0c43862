"""Mints access tokens, good ones and attacks. Pure but for the key file.

    issuer = Issuer.load(key_file, "http://localhost:8600", "machines", "snowgate")
    issuer.mint({"sub": "etl", "groups": ["etl-writers"]})
    issuer.mint({"sub": "etl"}, flaw=Flaw.EXPIRED)

Sources of the attacks: RFC 8725 section 2; CVE-2022-29217 (public key as HMAC secret);
RFC 7515 sections 4.1.2, 4.1.3 and 4.1.11 (`jku`, `jwk`, `crit`).
"""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from jwt.algorithms import get_default_algorithms

LIFETIME_S = 3600.0

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Flaw(Enum):
    """What is wrong with a token; everything else about it is right."""

    EXPIRED = "expired"
    AUDIENCE = "audience"
    SEVERAL_AUDIENCES = "several-audiences"
    TWICE_AUDIENCE = "twice-audience"  # the JSON name occurs twice, the last is ours
    ISSUER = "issuer"
    UNSIGNED = "unsigned"
    HS_CONFUSED = "hs-confused"
    WRONG_KEY = "wrong-key"
    UNKNOWN_KID = "unknown-kid"
    CRIT = "crit"
    ID_TOKEN_TYPE = "type"  # noqa: S105 - the name of a flaw
    JKU = "jku"
    EMBEDDED_KEY = "embedded-key"
    FUTURE = "future"
    NO_EXP = "no-exp"
    NO_SUB = "no-sub"
    TOO_LONG = "too-long"
    EDITED = "edited"
    TEXT_DATE = "text-date"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key of an issuer."""

    kid: str
    algorithm: str
    pem: str = field(repr=False)

    @classmethod
    def generate(cls, algorithm: str = "RS256") -> Self:
        """A new key, for `RS256`, `PS256`, `ES256`, `ES384` or `EdDSA`."""
        key: PrivateKey
        if algorithm in {"ES256", "ES384"}:
            key = ec.generate_private_key(
                ec.SECP256R1() if algorithm == "ES256" else ec.SECP384R1()
            )
        elif algorithm == "EdDSA":
            key = ed25519.Ed25519PrivateKey.generate()
        else:
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return cls(uuid4().hex[:12], algorithm, pem)

    def jwk(self) -> dict[str, Any]:
        """The public key, as it stands in a key set."""
        jwk = get_default_algorithms()[self.algorithm].to_jwk(self._key().public_key(), True)
        jwk.pop("key_ops", None)
        return {**jwk, "kid": self.kid, "use": "sig", "alg": self.algorithm}

    def public_pem(self) -> bytes:
        """The public key in PEM: what an attacker has."""
        return (
            self._key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )

    def sign(self, message: bytes) -> bytes:
        """A JWS signature."""
        return get_default_algorithms()[self.algorithm].sign(message, self._key())

    def _key(self) -> PrivateKey:
        key = load_pem_private_key(self.pem.encode(), None)
        if not isinstance(key, PrivateKey):
            raise TypeError("not a signing key of a supported kind")
        return key


@dataclass(slots=True)
class Issuer:
    """One issuer: its `iss`, the audience it mints for, and its keys, the signing one first."""

    url: str
    audience: str
    keys: list[SigningKey]

    @classmethod
    def load(cls, key_file: Path, base_url: str, name: str, audience: str) -> Self:
        """The issuer `name` of a server started with the same key file."""
        return cls(f"{base_url}/{name}", audience, load_keys(key_file)[name])

    def rotate(self, algorithm: str = "RS256") -> SigningKey:
        """Sign with a new key from now on; the old ones stay in the key set."""
        key = SigningKey.generate(algorithm)
        self.keys.insert(0, key)
        return key

    def mint(
        self,
        claims: Mapping[str, object],
        *,
        flaw: Flaw | None = None,
        lifetime_s: float = LIFETIME_S,
        now_s: float | None = None,
    ) -> str:
        """A token.

        Args:
            claims: Added to the standard ones; `sub` at least.
            flaw: What to get wrong.
            lifetime_s: Seconds from `iat` to `exp`.
            now_s: Unix time of issue; the machine's clock unless given.
        """
        issued_s = int(time.time() if now_s is None else now_s)
        payload: dict[str, Any] = {
            "iss": self.url,
            "aud": self.audience,
            "iat": issued_s,
            "nbf": issued_s,
            "exp": issued_s + int(lifetime_s),
            "jti": uuid4().hex,
            **claims,
        }
        header: dict[str, Any] = {
            "typ": "at+jwt",
            "alg": self.keys[0].algorithm,
            "kid": self.keys[0].kid,
        }
        return self._flawed(header, payload, flaw)

    def _flawed(self, header: dict[str, Any], payload: dict[str, Any], flaw: Flaw | None) -> str:
        signer = self.keys[0]
        stranger = SigningKey.generate(signer.algorithm) if flaw in _BY_A_STRANGER else signer
        match flaw:
            case Flaw.EXPIRED:
                past_s = 2 * (payload["exp"] - payload["iat"])
                payload |= {name: payload[name] - past_s for name in ("iat", "nbf", "exp")}
            case Flaw.AUDIENCE:
                payload["aud"] = "somebody-else"
            case Flaw.SEVERAL_AUDIENCES:
                payload["aud"] = [self.audience, "somebody-else"]
            case Flaw.ISSUER:
                payload["iss"] = f"{self.url}.attacker.example"
            case Flaw.FUTURE:
                payload["nbf"] += 3600
                payload["exp"] += 3600
            case Flaw.NO_EXP:
                del payload["exp"]
            case Flaw.NO_SUB:
                payload.pop("sub", None)
            case Flaw.TOO_LONG:
                payload["exp"] = payload["iat"] + 400 * 86400
            case Flaw.TEXT_DATE:
                payload["exp"] = str(payload["exp"])
            case Flaw.UNKNOWN_KID:
                header["kid"] = stranger.kid
            case Flaw.CRIT:
                header["crit"] = ["exp"]
            case Flaw.ID_TOKEN_TYPE:
                header["typ"] = "logout+jwt"
            case Flaw.JKU:
                header |= {"kid": stranger.kid, "jku": f"{self.url}/attacker/jwks.json"}
            case Flaw.EMBEDDED_KEY:
                header["jwk"] = stranger.jwk()
            case Flaw.UNSIGNED:
                header["alg"] = "none"
            case Flaw.HS_CONFUSED:
                header["alg"] = "HS256"
        message = f"{_segment(header)}.{_payload_segment(payload, flaw)}"
        signature = _encode(self._signature(message.encode(), stranger, flaw))
        if flaw is Flaw.EDITED:
            message = f"{_segment(header)}.{_segment({**payload, 'sub': 'root'})}"
        return f"{message}.{signature}"

    def _signature(self, message: bytes, signer: SigningKey, flaw: Flaw | None) -> bytes:
        if flaw is Flaw.UNSIGNED:
            return b""
        if flaw is Flaw.HS_CONFUSED:
            return hmac.digest(self.keys[0].public_pem(), message, "sha256")
        return signer.sign(message)


_BY_A_STRANGER = {Flaw.WRONG_KEY, Flaw.UNKNOWN_KID, Flaw.JKU, Flaw.EMBEDDED_KEY}


def save_keys(path: Path, keys: Mapping[str, list[SigningKey]]) -> None:
    """Write the keys of several issuers, for their owner only."""
    document = {
        name: [{"kid": key.kid, "algorithm": key.algorithm, "pem": key.pem} for key in listed]
        for name, listed in keys.items()
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document))


def load_keys(path: Path) -> dict[str, list[SigningKey]]:
    """Read what `save_keys` wrote."""
    document = json.loads(path.read_text())
    return {name: [SigningKey(**key) for key in listed] for name, listed in document.items()}


def _payload_segment(payload: dict[str, Any], flaw: Flaw | None) -> str:
    if flaw is not Flaw.TWICE_AUDIENCE:
        return _segment(payload)
    text = json.dumps({"aud": "somebody-else"})[:-1] + "," + json.dumps(payload)[1:]
    return _encode(text.encode())


def _segment(value: Mapping[str, object]) -> str:
    return _encode(json.dumps(value).encode())


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
