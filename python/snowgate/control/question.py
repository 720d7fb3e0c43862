"""The questions of the gate, parsed once; a missing part is a `KeyError`, and so a denial."""

from __future__ import annotations

from typing import Any

from snowgate.model.identity import LoginOffer, Principal
from snowgate.model.statement import Namespace
from snowgate.policy.matching import Subject


def principal_of(fields: dict[str, Any]) -> Principal:
    """A principal, as the gate was told at login."""
    return Principal(
        account=str(fields["account"]),
        issuer=str(fields["issuer"]),
        subject=str(fields["subject"]),
        name=str(fields["name"]),
        people=bool(fields["people"]),
        person=str(fields["person"]),
        triggered_by=tuple(str(each) for each in fields["triggered_by"]),
    )


def principal_fields(principal: Principal) -> dict[str, Any]:
    """A principal for the gate."""
    return {
        "account": principal.account,
        "issuer": principal.issuer,
        "subject": principal.subject,
        "name": principal.name,
        "people": principal.people,
        "person": principal.person,
        "triggered_by": list(principal.triggered_by),
    }


def subject_of(session: dict[str, Any], at_s: float) -> Subject:
    """Everything a rule may read of the one who asks, at a moment in Unix time."""
    return Subject(
        principal=principal_of(session["principal"]),
        groups=frozenset(str(group) for group in session["groups"]),
        role=str(session["role"]),
        client=str(session["client_app"]),
        source=str(session["source"]),
        at_s=at_s,
    )


def namespace_of(question: dict[str, Any]) -> Namespace:
    """Where unqualified names resolve."""
    return Namespace(str(question["database"]), str(question["schema"]))


def offer_of(question: dict[str, Any]) -> LoginOffer:
    """What a driver sent to log in."""
    return LoginOffer(
        account=str(question["account"]),
        authenticator=str(question["authenticator"]),
        token=str(question["token"]),
        login_name=str(question["login_name"]),
        client_app=str(question["client_app"]),
        client_version=str(question["client_version"]),
        source=str(question["source"]),
        role=str(question["role"]),
        reference=str(question["reference"]),
    )
