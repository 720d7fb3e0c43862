"""Who asks: verifies OIDC access tokens and turns their claims into a principal and one role.

    token ──► issuer by exact `iss` ──► its keys ──► signature, times, audience ──► Identified
                                                      claim rules, may_give            │
                                     role mappings ──► admit ──► Admission ◄────────────┘

Rule at the door: everything that is trusted comes from `IssuerSettings`, nothing from the token
until its signature is checked, and a token never reaches a log, an error text, or a repr.

The verifier is imported when it is first asked for: what only reads settings, as offline commands
do, needs neither HTTP client nor cryptography.

Sources: RFC 7515, 7517, 7519, 8725 (JWT best practice), 9068 (access tokens); OpenID Connect
Discovery 1.0 section 4.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from snowgate.identity.settings import Claim, ClaimRule, IssuerSettings, RoleMapping

if TYPE_CHECKING:
    from snowgate.identity.admission import admit
    from snowgate.identity.verifier import OidcVerifier, open_verifier

__all__ = [
    "Claim",
    "ClaimRule",
    "IssuerSettings",
    "OidcVerifier",
    "RoleMapping",
    "admit",
    "open_verifier",
]


def __getattr__(name: str) -> object:
    if name == "admit":
        from snowgate.identity.admission import admit

        return admit
    if name in {"OidcVerifier", "open_verifier"}:
        from snowgate.identity import verifier

        return getattr(verifier, name)
    raise AttributeError(f"module `snowgate.identity` has no attribute `{name}`")
