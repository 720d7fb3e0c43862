"""Who asks: verifies OIDC access tokens and turns their claims into a principal and one role.

    token ──► issuer by exact `iss` ──► its keys ──► signature, times, audience ──► Identified
                                                      claim rules, may_give            │
                                     role mappings ──► admit ──► Admission ◄────────────┘

Rule at the door: everything that is trusted comes from `IssuerSettings`, nothing from the token
until its signature is checked, and a token never reaches a log, an error text, or a repr.

Sources: RFC 7515, 7517, 7519, 8725 (JWT best practice), 9068 (access tokens); OpenID Connect
Discovery 1.0 section 4.3.
"""

from snowgate.identity.admission import admit
from snowgate.identity.settings import Claim, ClaimRule, IssuerSettings, RoleMapping
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
