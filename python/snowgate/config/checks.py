"""Whether the sections of a file agree with one another.

Each check notes what it finds, at its line, and goes on: a file is mended in one round.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator
from urllib.parse import urlsplit

from snowgate.config.policy import PolicyShape
from snowgate.config.reader import Document, Location
from snowgate.config.rules import HoldShape, MatchShape
from snowgate.config.shape import ConfigShape, IssuerShape, ListenShape
from snowgate.config.text import shown, suggest
from snowgate.identity.settings import IssuerSettings, check
from snowgate.model.routine import RoutineKind, Signature

# Without one of these a rule gives its groups to all branches and pull requests (F6).
_GITHUB = ("/environment", "/job_workflow_ref", "/ref")
_GITLAB = ("/environment", "/ci_config_ref_uri", "/ref_protected")
_CI_HOSTS = {"token.actions.githubusercontent.com": _GITHUB, "gitlab.com": _GITLAB}
# Claims that only the tokens of a CI carry, wherever it is hosted.
_CI_CLAIMS = {
    "/repository": _GITHUB,
    "/repository_id": _GITHUB,
    "/repository_owner": _GITHUB,
    "/repository_owner_id": _GITHUB,
    "/project_path": _GITLAB,
    "/project_id": _GITLAB,
    "/namespace_path": _GITLAB,
    "/namespace_id": _GITLAB,
}


def check_policy(document: Document, shape: PolicyShape, known_tags: Collection[str] = ()) -> None:
    """Names of rules, budgets and tags. `known_tags` are those that a catalog brings."""
    first: dict[str, str] = {}
    masked: set[str] = set()
    rules, budgets = (one.name for one in shape.rules), (one.name for one in shape.budgets)
    for kind, names in (("rule", rules), ("budget", budgets)):
        for at, name in enumerate(names):
            if name in first:
                document.blame(
                    (f"{kind}s", at, "name"),
                    f"{first[name]} is called `{name}` too",
                    f"give each {kind} a name of its own",
                )
            first.setdefault(name, f"{kind} {at + 1}")
    for where, match in _matches(shape):
        for key in ("tag", "launders"):
            for index, tag in enumerate(getattr(match, key) or ()):
                if tag not in shape.tags and tag not in known_tags:
                    _blame_tag(document, (*where, key, index), tag, shape)
    for rule in shape.rules:
        if rule.mask is not None and rule.enforce:
            masked.update(rule.match.tag or ())
    for where, tag in _unmasked(shape):
        if tag not in shape.tags and tag not in known_tags:
            _blame_tag(document, where, tag, shape)
        elif tag not in masked:
            document.warn(
                where,
                f"no enforced rule masks `{tag}`: its values stay void, approved or not",
                f"add a rule that matches `tag: {tag}` with a `mask:`",
            )
    for tag in shape.tags:
        if tag not in masked:
            document.warn(
                ("tags", tag),
                "no enforced rule masks this tag, so its values are void for everybody",
                f"add a rule that matches `tag: {tag}` with a `mask:`",
            )
    _check_registry(document, shape)


def _blame_tag(document: Document, where: Location, tag: str, shape: PolicyShape) -> None:
    document.blame(
        where,
        f"no columns have the tag `{tag}`",
        suggest(tag, shape.tags) or "add it to `tags:`",
    )


def _unmasked(shape: PolicyShape) -> Iterator[tuple[Location, str]]:
    """The tags that approvals show in clear, with their locations."""
    for at, rule in enumerate(shape.rules):
        for index, tag in enumerate((rule.hold and rule.hold.unmask) or ()):
            yield ("rules", at, "hold", "unmask", index), tag


def _check_registry(document: Document, shape: PolicyShape) -> None:
    """Each routine stands there once: two entries would be two opinions of one body."""
    first: dict[tuple[RoutineKind, Signature], int] = {}
    for at, routine in enumerate(shape.registry):
        key = (routine.kind, routine.signature)
        if key in first:
            document.blame(
                ("registry", at, routine.kind.value),
                f"entry {first[key] + 1} is about this {routine.kind.value} too",
                "keep one of them",
            )
        first.setdefault(key, at)


def check_config(document: Document, shape: ConfigShape) -> None:
    """Everything about a whole configuration that no section knows alone."""
    check_policy(document, shape)
    _check_issuers(document, shape.issuers)
    _check_groups(document, shape)
    _check_listeners(document, shape)
    upstream = shape.upstream
    if upstream.protocol == "http" and not _loopback(upstream.host or ""):
        document.blame(
            ("upstream", "protocol"),
            "would send the session to Snowflake in clear",
            "use `https`; `http` is for a host on loopback",
        )
    clients, own = upstream.credential.key_pair, upstream.catalog.credential.key_pair
    # Snowflake signs its users in by their upper-case names, quoted or not.
    if own.user.upper() == clients.user.upper():
        document.blame(
            ("upstream", "catalog", "credential", "key_pair", "user"),
            "is the user of the clients' statements: Snowflake's history could not tell them from "
            "the gateway's own",
            "make a second user that holds `upstream.catalog.role` alone",
        )


def check_settings(document: Document, issuers: Iterable[IssuerSettings]) -> None:
    """What the identity room itself finds wrong with the issuers."""
    for at, key, problem in check(tuple(issuers)):
        document.blame(("issuers", at, *key.split(".")), problem)


def _matches(shape: PolicyShape) -> Iterator[tuple[Location, MatchShape]]:
    """All matches of rules and budgets, with their locations."""

    def inside(where: Location, match: MatchShape) -> Iterator[tuple[Location, MatchShape]]:
        yield where, match
        for index, other in enumerate(match.excluding or ()):
            yield from inside((*where, "not", index), other)

    for at, rule in enumerate(shape.rules):
        yield from inside(("rules", at, "match"), rule.match)
        for index, exception in enumerate(rule.exceptions):
            yield from inside(("rules", at, "except", index), exception)
    for at, budget in enumerate(shape.budgets):
        yield from inside(("budgets", at, "match"), budget.match)


def _holds(shape: PolicyShape) -> Iterator[tuple[Location, str, HoldShape]]:
    """The holds of rules and budgets, with their locations and what they belong to."""
    for at, rule in enumerate(shape.rules):
        if rule.hold is not None:
            yield ("rules", at, "hold"), f"rule `{rule.name}`", rule.hold
    for at, budget in enumerate(shape.budgets):
        if budget.over.hold is not None:
            yield ("budgets", at, "over", "hold"), f"budget `{budget.name}`", budget.over.hold


def _check_issuers(document: Document, issuers: list[IssuerShape]) -> None:
    for at, issuer in enumerate(issuers):
        given = set(issuer.may_give)
        for index, entry in enumerate(issuer.groups):
            for number, group in enumerate(entry.give):
                if group not in given:
                    document.blame(
                        ("issuers", at, "groups", index, "give", number),
                        f"this issuer may not give group `{shown(group)}`",
                        suggest(group, given, what="its `may_give` holds"),
                    )
            asked = entry.when.keys() | issuer.require.keys()
            anchors = _ci_anchors(issuer.oidc, asked)
            if anchors and asked.isdisjoint(anchors):
                document.warn(
                    ("issuers", at, "groups", index),
                    "gives its groups to every branch and pull request",
                    f"ask for one of {', '.join(f'`{one}`' for one in anchors)} too",
                )


def _ci_anchors(oidc: str, asked: Collection[str]) -> tuple[str, ...]:
    """The claims that tell a branch or an environment, where the issuer is a CI."""
    by_host = _CI_HOSTS.get(urlsplit(oidc).hostname or "", ())
    return by_host or next((_CI_CLAIMS[claim] for claim in asked if claim in _CI_CLAIMS), ())


def _check_groups(document: Document, shape: ConfigShape) -> None:
    given = {group for issuer in shape.issuers for group in issuer.may_give}
    people = {group for issuer in shape.issuers if issuer.people for group in issuer.may_give}
    issuers = {issuer.oidc for issuer in shape.issuers}

    for at, issuer in enumerate(shape.issuers):
        if issuer.groups_from is None:
            possible = {group for entry in issuer.groups for group in entry.give}
            for index, group in enumerate(issuer.may_give):
                if group not in possible:
                    document.warn(
                        ("issuers", at, "may_give", index),
                        f"nothing gives group `{shown(group)}`: no token gets it",
                        "add `groups_from:`, or an entry of `groups:` that gives it",
                    )

    def need(group: str, where: Location) -> None:
        if group not in given:
            document.blame(
                where,
                f"no issuer may give group `{shown(group)}`",
                suggest(group, given, what="issuers may give"),
            )

    pairs: set[tuple[str, str]] = set()
    for at, mapping in enumerate(shape.roles):
        need(mapping.group, ("roles", at, "group"))
        if (mapping.group, mapping.role) in pairs:
            document.blame(("roles", at), "group and role stand here twice", "remove one of them")
        pairs.add((mapping.group, mapping.role))
    for where, match in _matches(shape):
        for index, group in enumerate(match.group or ()):
            need(group, (*where, "group", index))
        for index, principal in enumerate(match.principal or ()):
            if principal.issuer not in issuers:
                document.blame(
                    (*where, "principal", index, "issuer"),
                    "is none of `issuers:`",
                    suggest(principal.issuer, issuers),
                )
    for where, _, hold in _holds(shape):
        for index, group in enumerate(hold.approvers):
            if group not in people:
                document.blame(
                    (*where, "approvers", index),
                    f"no issuer for people may give group `{shown(group)}`: nobody could approve",
                    suggest(group, people, what="issuers for people may give")
                    or "add an issuer with `people: true`",
                )


def _check_listeners(document: Document, shape: ConfigShape) -> None:
    _check_listener(document, "listen", shape.listen)
    if shape.api is not None:
        _check_listener(document, "api", shape.api)
        same = (shape.api.address, shape.api.port) == (shape.listen.address, shape.listen.port)
        if same and shape.api.port:
            document.blame(("api", "port"), "is the port of `listen` too", "choose another")
    holding = next((owner for _, owner, _ in _holds(shape)), None)
    if shape.api is None and holding is not None:
        document.blame(
            ("api",),
            f"is missing, and {holding} holds statements for approval",
            "add `api:` with `address`, `port` and `tls`",
        )


def _check_listener(document: Document, key: str, listener: ListenShape) -> None:
    if listener.tls is None and not _loopback(listener.address):
        document.blame(
            (key, "tls"),
            "is missing, and tokens would cross the network in clear",
            "add `tls: {certificate: …, private_key: …}`, or listen on loopback",
        )
    if listener.hosts is None and ipaddress.ip_address(listener.address).is_unspecified:
        document.blame(
            (key, "hosts"),
            f"is missing: `{listener.address}` does not say by which names clients connect",
            "add `hosts: [gateway.example.com]`",
        )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
