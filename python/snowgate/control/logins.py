"""Answers who may log in, and who may renew."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from snowgate.control.question import offer_of, principal_fields, principal_of
from snowgate.errors import LoginRefused
from snowgate.identity.admission import admit
from snowgate.identity.settings import IssuerSettings, RoleMapping
from snowgate.model.identity import Admission
from snowgate.model.ports import TokenVerifier

log = logging.getLogger(__name__)


class Logins:
    """Answers `login` and `renew`.

    Args:
        verifier: Turns tokens into identities.
        account: The gateway's own account name.
        roles: Group to role, in the order of the file.
        issuers: Trusted issuers; a renewal ends when its issuer is gone.
        clock: Unix time.
    """

    def __init__(
        self,
        verifier: TokenVerifier,
        account: str,
        roles: Sequence[RoleMapping],
        issuers: Sequence[IssuerSettings],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._verifier = verifier
        self._account = account
        self._roles = roles
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._clock = clock

    async def login(self, question: dict[str, Any]) -> dict[str, Any]:
        """Admit or refuse. The token is verified and forgotten."""
        offer = offer_of(question)
        try:
            identified = await self._verifier.identify(offer.token, self._account)
            admission = admit(identified, offer, self._roles)
        except LoginRefused as refusal:
            return {
                "refuse": {
                    "code": refusal.code,
                    "message": str(refusal),
                    "reason": refusal.reason,
                    "principal": refusal.principal,
                }
            }
        return {"admit": _admission_fields(admission)}

    async def renew(self, question: dict[str, Any]) -> dict[str, Any]:
        """Let a session go on, if its issuer and groups would still give it its role."""
        principal = principal_of(question["principal"])
        issuer = self._issuers.get(principal.issuer)
        if issuer is None:
            return _ended("its issuer is no longer trusted")
        if self._clock() > float(question["opened_at_s"]) + issuer.max_age_s:
            return _ended("its longest time is over")
        groups = set(question["groups"]) & set(issuer.may_give)
        if not any(m.group in groups and m.role == question["role"] for m in self._roles):
            return _ended("nothing maps its groups to its role any more")
        return {"ok": True}


def _ended(why: str) -> dict[str, Any]:
    return {"refuse": {"code": "390111", "message": f"the session ended: {why}; log in again"}}


def _admission_fields(admission: Admission) -> dict[str, Any]:
    identified = admission.identified
    principal = identified.principal
    # Everything a rule may read of the identity (F4): two sessions that differ in any of it never
    # share a cached verdict.
    policy_input = orjson.dumps(
        [*principal.key, principal.name, list(identified.groups), admission.role]
    )
    return {
        "principal": principal_fields(principal),
        "groups": list(identified.groups),
        "dropped_groups": list(identified.dropped_groups),
        "role": admission.role,
        "warehouse": admission.warehouse,
        "input": hashlib.sha256(policy_input).hexdigest(),
        "max_age_s": identified.max_age_s,
        "claims_digest": identified.claims_digest,
    }
