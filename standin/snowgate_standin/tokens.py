"""Every secret the stand-in hands out carries `STANDIN-SECRET`, so that a leak can be searched."""

from __future__ import annotations

import hashlib
import hmac
import secrets

MARK = "STANDIN-SECRET"
_SIGNING_KEY = secrets.token_bytes(32)


def mint(kind: str) -> str:
    """A fresh bearer secret, such as `STANDIN-SECRET-token-…`."""
    return f"{MARK}-{kind}-{secrets.token_urlsafe(24)}"


def sign(text: str) -> str:
    """The signature of a storage URL; good only in this process."""
    return f"{MARK}-{hmac.new(_SIGNING_KEY, text.encode(), hashlib.sha256).hexdigest()}"


def signed(text: str, signature: str) -> bool:
    return hmac.compare_digest(sign(text).encode(), signature.encode())
