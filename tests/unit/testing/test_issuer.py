"""The issuer we ship: its key file, its tokens, and its life as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import jwt
import pytest
import trio

from snowgate.errors import TokenInvalid
from snowgate.identity import IssuerSettings, open_verifier
from snowgate.testing.issuer import generate_keys, open_issuers
from snowgate.testing.tokens import Flaw, Issuer, SigningKey, load_keys, save_keys


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "EdDSA"])
def test_a_token_verifies_with_the_published_key(algorithm: str) -> None:
    issuer = Issuer("https://idp", "snowgate", [SigningKey.generate(algorithm)])

    token = issuer.mint({"sub": "etl"})

    key = jwt.PyJWK(issuer.keys[0].jwk())
    claims = jwt.decode(token, key, [algorithm], audience="snowgate", issuer="https://idp")
    assert claims["sub"] == "etl"


def test_keys_come_back_from_their_file(tmp_path: Path) -> None:
    keys = generate_keys(["machines"])
    save_keys(tmp_path / "keys.json", keys)

    assert load_keys(tmp_path / "keys.json") == keys
    assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0
    issuer = Issuer.load(tmp_path / "keys.json", "http://localhost:1", "machines", "snowgate")
    assert issuer.url == "http://localhost:1/machines"


def test_each_flaw_has_a_name_for_the_command_line() -> None:
    assert {"expired", "audience", "issuer"} < {flaw.value for flaw in Flaw}


async def test_the_two_issuers_of_a_server_do_not_sign_for_each_other(
    nursery: trio.Nursery,
) -> None:
    server = await open_issuers(nursery)
    machines = server.issuer("machines", "snowgate")
    forged = Issuer(machines.url, "snowgate", server.keys["people"])
    async with open_verifier([IssuerSettings(machines.url, "snowgate", ())], nursery) as verifier:
        await verifier.identify(machines.mint({"sub": "s"}), "CRM")

        with pytest.raises(TokenInvalid):
            await verifier.identify(forged.mint({"sub": "s"}), "CRM")
    nursery.cancel_scope.cancel()


def test_as_a_process_it_announces_itself_serves_and_ends(tmp_path: Path) -> None:
    keys, ready = tmp_path / "keys.json", tmp_path / "ready.json"
    command = [sys.executable, "-W", "error", "-m", "snowgate.testing.issuer"]
    with subprocess.Popen(
        [*command, "--keys", str(keys), "--ready-file", str(ready)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        urls = json.loads(process.stdout.readline())
        base = urls["machines"].rsplit("/", 1)[0]

        with httpx2.Client(trust_env=False) as http:
            discovery = http.get(f"{urls['people']}/.well-known/openid-configuration").json()
            published = http.get(discovery["jwks_uri"]).json()["keys"]
        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == 0
        assert json.loads(ready.read_text()) == urls
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert discovery["issuer"] == urls["people"]
    minted = Issuer.load(keys, base, "people", "snowgate-console").mint({"sub": "bob"})
    assert jwt.get_unverified_header(minted)["kid"] in {key["kid"] for key in published}
