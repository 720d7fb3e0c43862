"""`snowgate demo token`: tokens of the running demo's principals."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from snowgate.demo.layout import Layout
from snowgate.demo.tokens import mint_token


def token(name: str, /, *, flaw: Literal["expired", "audience", "issuer"] | None = None) -> int:
    """Print a fresh access token of a demo principal, good for an hour and many logins.

    Args:
        name: analyst, fraud, etl, approver, security, or stranger.
        flaw: Something to get wrong, to see it refused.
    """
    sys.stdout.write(mint_token(Layout(Path.cwd()), name, flaw) + "\n")
    return 0
