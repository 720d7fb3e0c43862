"""Key-pair login: the token is checked in full, as the only door into the stand-in.

Source of the rules: the JWT that Snowflake's drivers sign (`iss` carries the fingerprint of the
public key) and Snowflake's limit of one hour.
"""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from snowgate_standin.errors import SnowflakeError

LONGEST_S = 3600
SKEW_S = 60
_NO_SECONDS = 100_000_000_000


class KeyPair:
    """The public key of a user, and the check of a token against it."""

    def __init__(self, path: Path, account: str, user: str) -> None:
        key = load_pem_public_key(path.read_bytes())
        if not isinstance(key, RSAPublicKey):
            raise TypeError(f"{path}: an RSA public key is needed")
        self._key = key
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        fingerprint = base64.b64encode(hashlib.sha256(der).digest()).decode()
        self._subject = f"{account}.{user}"
        self._issuer = f"{account}.{user}.SHA256:{fingerprint}"

    def check(self, token: str) -> None:
        """Accept the token or raise 390144.

        Raises:
            SnowflakeError: signature, issuer, subject or life time are not as they must be.
        """
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["RS256"],
                issuer=self._issuer,
                options={
                    "require": ["exp", "iat", "iss", "sub"],
                    "verify_aud": False,
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            issued, expires = _seconds(claims["iat"]), _seconds(claims["exp"])
        except (jwt.InvalidTokenError, TypeError, ValueError) as error:
            raise invalid_jwt() from error
        now = time.time()
        current = issued - SKEW_S <= now <= expires + SKEW_S and expires - issued <= LONGEST_S
        if claims["sub"] != self._subject or not current:
            raise invalid_jwt()


def _seconds(moment: Any) -> float:
    """A time claim in seconds: the Node driver writes milliseconds, and Snowflake takes them."""
    value = float(moment)
    return value / 1000 if value > _NO_SECONDS else value


def invalid_jwt() -> SnowflakeError:
    return SnowflakeError("390144", "08001", f"JWT token is invalid. [{uuid.uuid4()}]")


def bad_credentials() -> SnowflakeError:
    return SnowflakeError("390100", "08001", "Incorrect username or password was specified.")
