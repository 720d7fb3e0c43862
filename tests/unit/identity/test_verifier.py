"""Tokens against a real issuer over HTTP: who is let in, who is not, and what is fetched."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
import trio
import trustme
from starlette.responses import RedirectResponse, Response

from snowgate.errors import (
    IssuerUnavailable,
    LoginRefused,
    NotAuthorized,
    StartError,
    TokenExpired,
    TokenInvalid,
)
from snowgate.identity import Claim, IssuerSettings, OidcVerifier, open_verifier
from snowgate.identity.source import MAX_BODY_BYTES
from snowgate.testing.issuer import (
    IssuerListener,
    IssuerServer,
    TlsPair,
    generate_keys,
    open_issuers,
)
from snowgate.testing.tokens import Flaw, Issuer, SigningKey

KEYS = generate_keys()
CLAIMS = {"sub": "etl", "groups": ["etl-writers", "admins"], "preferred_username": "ETL job"}


@dataclass
class World:
    """Two issuers on one server, and a verifier that trusts both. `now_s` moves the wall clock."""

    server: IssuerServer
    machines: Issuer
    people: Issuer
    nursery: trio.Nursery
    stack: AsyncExitStack
    ahead_s: float = 0
    troubles: list[str] = field(default_factory=list)

    def clock(self) -> float:
        return time.time() + self.ahead_s

    async def verifier(self, **changes: object) -> OidcVerifier:
        settings = IssuerSettings(
            issuer=self.machines.url,
            audience="snowgate",
            may_give=("etl-writers",),
            groups_from="/groups",
            name="/preferred_username",
            algorithms=("RS256", "ES256"),
        )
        people = IssuerSettings(
            issuer=self.people.url,
            audience="snowgate-console",
            may_give=("data-platform",),
            groups_from="/groups",
            people=True,
        )
        changed = dataclasses.replace(settings, **changes)  # type: ignore[arg-type]
        return await self.stack.enter_async_context(
            open_verifier(
                (changed, people),
                self.nursery,
                clock=self.clock,
                report=lambda _, trouble: self.troubles.append(trouble),
            )
        )


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    server = await open_issuers(nursery, keys={name: [*keys] for name, keys in KEYS.items()})
    async with AsyncExitStack() as stack:
        yield World(
            server,
            server.issuer("machines", "snowgate"),
            server.issuer("people", "snowgate-console"),
            nursery,
            stack,
        )


async def test_a_good_token_gives_its_holder_and_groups(world: World) -> None:
    verifier = await world.verifier()

    who = await verifier.identify(world.machines.mint(CLAIMS), "CRM")

    assert who.principal.key == ("CRM", world.machines.url, "etl")
    assert who.principal.name == "ETL job"
    assert (who.principal.people, who.principal.person) == (False, "")
    assert who.groups == ("etl-writers",)
    assert who.dropped_groups == ("admins",)
    assert who.max_age_s == 4 * 3600
    assert len(who.claims_digest) == 64


async def test_the_keys_are_fetched_once_for_many_logins(world: World) -> None:
    verifier = await world.verifier()
    token = world.machines.mint(CLAIMS)

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(verifier.identify, token, "CRM")
    await verifier.identify(token, "CRM")

    assert world.server.requests == [
        "/machines/.well-known/openid-configuration",
        "/machines/jwks.json",
    ]


async def test_an_issuer_for_people_gives_persons(world: World) -> None:
    verifier = await world.verifier()

    who = await verifier.identify(world.people.mint({"sub": "bob"}), "CRM")

    assert (who.principal.people, who.principal.person) == (True, "bob")


async def test_a_group_of_one_issuer_is_nothing_at_another(world: World) -> None:
    # F6: the same subject and group name, from the issuer that may not give it.
    verifier = await world.verifier()

    who = await verifier.identify(
        world.people.mint({"sub": "etl", "groups": ["etl-writers"]}), "CRM"
    )

    assert who.groups == ()
    assert who.principal.key != ("CRM", world.machines.url, "etl")


REFUSED_BEFORE_FETCH = {
    Flaw.ISSUER: "issuer",
    Flaw.UNSIGNED: "algorithm",
    Flaw.HS_CONFUSED: "algorithm",
    Flaw.CRIT: "header",
    Flaw.ID_TOKEN_TYPE: "header",
    Flaw.TWICE_AUDIENCE: "malformed",
}
REFUSED = {
    Flaw.AUDIENCE: "audience",
    Flaw.SEVERAL_AUDIENCES: "audience",
    Flaw.WRONG_KEY: "signature",
    Flaw.EMBEDDED_KEY: "signature",
    Flaw.EDITED: "signature",
    Flaw.UNKNOWN_KID: "unknown_key",
    Flaw.JKU: "unknown_key",
    Flaw.FUTURE: "not_yet_valid",
    Flaw.NO_EXP: "claims",
    Flaw.TEXT_DATE: "claims",
    Flaw.NO_SUB: "claims",
    Flaw.TOO_LONG: "lifetime",
    Flaw.EXPIRED: "expired",
}
HONEST = {"/machines/.well-known/openid-configuration", "/machines/jwks.json"}


def test_every_flaw_is_tried() -> None:
    assert {*REFUSED, *REFUSED_BEFORE_FETCH} == {*Flaw}


@pytest.mark.parametrize("flaw", [*REFUSED, *REFUSED_BEFORE_FETCH])
async def test_an_attack_is_refused_and_fetches_nothing_of_its_own(
    world: World, flaw: Flaw
) -> None:
    verifier = await world.verifier()
    token = world.machines.mint(CLAIMS, flaw=flaw)

    with pytest.raises(LoginRefused) as refused:
        await verifier.identify(token, "CRM")

    assert refused.value.reason == {**REFUSED, **REFUSED_BEFORE_FETCH}[flaw]
    expected = TokenExpired if flaw is Flaw.EXPIRED else TokenInvalid
    assert type(refused.value) is expected
    assert set(world.server.requests) == (set() if flaw in REFUSED_BEFORE_FETCH else HONEST)
    for part in token.split("."):
        assert not part or part not in str(refused.value)


async def test_a_message_says_what_to_ask_the_issuer_for(world: World) -> None:
    verifier = await world.verifier()

    with pytest.raises(TokenInvalid, match="not meant for audience `snowgate`"):
        await verifier.identify(world.machines.mint(CLAIMS, flaw=Flaw.AUDIENCE), "CRM")
    with pytest.raises(TokenInvalid, match="is not trusted here") as refused:
        await verifier.identify(world.machines.mint(CLAIMS, flaw=Flaw.ISSUER), "CRM")
    assert f"`{world.people.url}`" not in str(refused.value)


@pytest.mark.parametrize(
    "token",
    ["", "x", "a.b", "a.b.c.d", "....", "é.é.é", "e30.e30.", "W10.e30.x", "e30.e30.x" * 5000],
)
async def test_what_is_no_token_is_refused(world: World, token: str) -> None:
    verifier = await world.verifier()

    with pytest.raises(TokenInvalid):
        await verifier.identify(token, "CRM")

    assert world.server.requests == []


async def test_a_token_is_in_no_log_and_no_repr(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    verifier = await world.verifier()
    token = world.machines.mint(CLAIMS)

    who = await verifier.identify(token, "CRM")

    signature = token.rsplit(".", 1)[1]
    assert signature not in caplog.text + repr(who) + repr(verifier) + str(world.troubles)


async def test_an_unknown_key_is_not_asked_for_right_after_a_fetch(
    world: World,
) -> None:
    verifier = await world.verifier()
    await verifier.identify(world.machines.mint(CLAIMS), "CRM")
    world.machines.rotate()
    token = world.machines.mint(CLAIMS)

    with pytest.raises(TokenInvalid, match="no key"):
        await verifier.identify(token, "CRM")  # fetched less than 30 s ago

    assert len(world.server.requests) == 2


async def test_both_kinds_of_keys_verify(world: World) -> None:
    for algorithm in ("ES256", "RS256"):
        world.machines.rotate(algorithm)
        verifier = await world.verifier()

        who = await verifier.identify(world.machines.mint(CLAIMS), "CRM")

        assert who.principal.subject == "etl"


async def test_a_redirect_is_not_followed(world: World) -> None:
    async def redirect(path: str) -> Response:
        return RedirectResponse(f"{world.server.url}/elsewhere")

    world.server.reply = redirect
    verifier = await world.verifier()

    with pytest.raises(IssuerUnavailable, match="status 307"):
        await verifier.identify(world.machines.mint(CLAIMS), "CRM")

    assert world.server.requests == ["/machines/.well-known/openid-configuration"]


BAD_REPLIES = {
    "huge": (b" " * (MAX_BODY_BYTES + 1), "more than 262144 bytes"),
    "not JSON": (b"<html>", "something else than JSON"),
    "no object": (b"[]", "something else than a JSON object"),
    "another issuer": (b'{"issuer":"https://idp.example"}', "names another issuer"),
    "deep": (b"[" * 20000, "something else than JSON"),
}


@pytest.mark.parametrize("kind", BAD_REPLIES)
async def test_a_wrong_discovery_document_gives_no_keys(world: World, kind: str) -> None:
    body, reason = BAD_REPLIES[kind]

    async def lie(path: str) -> Response:
        return Response(body)

    world.server.reply = lie
    verifier = await world.verifier()

    with pytest.raises(IssuerUnavailable, match=reason):
        await verifier.identify(world.machines.mint(CLAIMS), "CRM")


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (65 * [{}], "more than 64 keys"),
        ([{"kty": "oct", "k": "AAAA", "kid": "x"}], "no usable key"),
        ([], "no usable key"),
        (None, "no list of keys"),
    ],
)
async def test_a_wrong_key_set_gives_no_keys(world: World, keys: object, reason: str) -> None:
    async def lie(path: str) -> Response | None:
        return Response(orjson.dumps({"keys": keys})) if path.endswith("jwks.json") else None

    world.server.reply = lie
    verifier = await world.verifier()

    with pytest.raises(IssuerUnavailable, match=reason):
        await verifier.identify(world.machines.mint(CLAIMS), "CRM")


@pytest.mark.parametrize(
    "address",
    ["http://169.254.169.254/keys", "file:///etc/passwd", "https://u:p@idp.example/", "", None],
)
async def test_keys_are_fetched_from_no_strange_address(world: World, address: str | None) -> None:
    async def lie(path: str) -> Response:
        return Response(orjson.dumps({"issuer": world.machines.url, "jwks_uri": address}))

    world.server.reply = lie
    verifier = await world.verifier()

    with pytest.raises(IssuerUnavailable, match="no https address"):
        await verifier.identify(world.machines.mint(CLAIMS), "CRM")


async def test_the_issuer_is_trusted_by_its_own_ca_only(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    ca = trustme.CA()
    leaf = ca.issue_cert("localhost")
    pair = TlsPair(tmp_path / "tls.crt", tmp_path / "tls.key")
    pair.certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(pair.private_key)
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    server = await open_issuers(nursery, listener=IssuerListener(tls=pair))
    issuer = server.issuer("machines", "snowgate")
    token = issuer.mint(CLAIMS)
    settings = IssuerSettings(issuer.url, "snowgate", ("etl-writers",))
    assert issuer.url.startswith("https://")

    for name, good in (("ca.pem", True), ("other.pem", False)):
        trusting = dataclasses.replace(settings, ca_file=str(tmp_path / name))
        async with open_verifier([trusting], nursery) as verifier:
            if good:
                await verifier.identify(token, "CRM")
            else:
                with pytest.raises(IssuerUnavailable, match="ConnectError"):
                    await verifier.identify(token, "CRM")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"issuer": "http://idp.example"}, "https"),
        ({"algorithms": ("RS256", "HS256")}, "HS256"),
        ({"algorithms": ("none",)}, "none"),
        ({"audience": "snowflakecomputing.com"}, "Snowflake's own"),
        ({"leeway_s": 600.0}, "60 seconds"),
        ({"max_lifetime_s": 1e6}, "24 hours"),
        ({"issuer": "people"}, "https"),
        ({"ca_file": "/nowhere.pem"}, "ca_file"),
    ],
)
async def test_unsafe_settings_do_not_start(
    world: World, changes: dict[str, object], problem: str
) -> None:
    with pytest.raises(StartError, match=problem):
        await world.verifier(**changes)


async def test_one_issuer_is_not_named_twice(world: World, nursery: trio.Nursery) -> None:
    settings = IssuerSettings(world.machines.url, "snowgate", ())

    with pytest.raises(StartError, match="two entries"):
        async with open_verifier([settings, settings], nursery):
            pass


async def test_required_and_refused_claims_decide(world: World) -> None:
    verifier = await world.verifier(
        require=(Claim("/tid", "tenant"),), refuse=(Claim("/client_id", "stolen"),)
    )
    good = {**CLAIMS, "tid": "tenant", "client_id": "mine"}

    await verifier.identify(world.machines.mint(good), "CRM")

    for bad in ({"tid": "other"}, {"tid": None}, {"client_id": "stolen"}):
        with pytest.raises(NotAuthorized):
            await verifier.identify(world.machines.mint({**good, **bad}), "CRM")


async def test_a_session_may_end_with_its_token(world: World) -> None:
    verifier = await world.verifier(ends_with_token=True)

    who = await verifier.identify(world.machines.mint(CLAIMS, lifetime_s=60), "CRM")

    assert 50 <= who.max_age_s <= 60


async def test_times_have_a_little_leeway(world: World) -> None:
    verifier = await world.verifier()
    token = world.machines.mint(CLAIMS, lifetime_s=100)

    for ahead_s, good in ((-25, True), (-35, False), (125, True), (135, False)):
        world.ahead_s = ahead_s
        if good:
            await verifier.identify(token, "CRM")
        else:
            with pytest.raises(LoginRefused):
                await verifier.identify(token, "CRM")


def test_a_key_with_a_private_part_is_not_shown_by_repr() -> None:
    assert "PRIVATE" not in repr(SigningKey.generate("ES256"))
