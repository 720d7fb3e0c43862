"""Mints tokens of the demo's principals, with the keys that its issuer left in the folder."""

from __future__ import annotations

import json

from snowgate.demo.layout import MACHINES_AUDIENCE, PEOPLE_AUDIENCE, PRINCIPALS, Layout
from snowgate.errors import StartError
from snowgate.testing.tokens import Flaw, Issuer


def mint_token(layout: Layout, name: str, flaw: str | None = None) -> str:
    """A fresh access token.

    Args:
        layout: The demo's folder.
        name: A demo principal.
        flaw: What to get wrong, a value of `Flaw`; None for a good token.

    Raises:
        StartError: No such principal, or no demo has been started.
    """
    principal = PRINCIPALS.get(name)
    if principal is None:
        raise StartError(f"no demo principal `{name}`; there are {', '.join(PRINCIPALS)}")
    kind = "people" if principal.people else "machines"
    audience = PEOPLE_AUDIENCE if principal.people else MACHINES_AUDIENCE
    try:
        urls = json.loads(layout.path("issuer", "ready.json").read_text())
        base = str(urls[kind]).removesuffix(f"/{kind}")
        issuer = Issuer.load(layout.issuer_keys, base, kind, audience)
    except OSError as error:
        raise StartError(
            f"no demo runs in `{layout.folder}`; what to do: make demo KEEP=1"
        ) from error
    claims: dict[str, object] = {"sub": principal.name, "groups": list(principal.groups)}
    if principal.triggered_by:
        claims["triggered_by"] = principal.triggered_by
    return issuer.mint(claims, flaw=None if flaw is None else Flaw(flaw))
