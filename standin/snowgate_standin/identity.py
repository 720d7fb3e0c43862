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


class KeyPair:
    """The public key of the one user, and the check of a token against it."""

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
                leeway=SKEW_S,
                options={"require": ["exp", "iat", "iss", "sub"], "verify_aud": False},
            )
        except jwt.InvalidTokenError as error:
            raise invalid_jwt() from error
        long_lived = claims["exp"] - claims["iat"] > LONGEST_S
        old = time.time() - claims["iat"] > LONGEST_S + SKEW_S
        if claims["sub"] != self._subject or long_lived or old:
            raise invalid_jwt()


def invalid_jwt() -> SnowflakeError:
    return SnowflakeError("390144", "08001", f"JWT token is invalid. [{uuid.uuid4()}]")


def bad_credentials() -> SnowflakeError:
    return SnowflakeError("390100", "08001", "Incorrect username or password was specified.")
