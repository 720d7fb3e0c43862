"""TLS, the demo client, and switches that need a process of their own."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from harness import Standin, running


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ca")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    leaf.private_key_pem.write_to_path(folder / "tls.key")
    for certificate in leaf.cert_chain_pems:
        certificate.write_to_path(folder / "tls.crt", append=True)
    return folder


@pytest.fixture(scope="module")
def secure(ca: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    switches = ("--tls-cert", str(ca / "tls.crt"), "--tls-key", str(ca / "tls.key"))
    folder = tmp_path_factory.mktemp("secure")
    more = ("--allow-oauth", "--big-rows", "70000")
    with running(folder, *switches, *more) as one:
        yield one


def _demo(standin: Standin, ca: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snowgate_standin.demo_client"),
            *("--host", "localhost", "--port", str(standin.ready["port"])),
            *("--account", "CRMDEMO", "--ca-file", str(ca / "ca.pem")),
            *("--role", "ANALYST", "--warehouse", "WH", "--database", "CRM"),
            *("--schema", "PUBLIC", "--login-timeout", "5", *arguments),
        ],
        input="a token\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "a token" not in done.stdout
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("fetch", [("--fetch", "arrow"), ("--fetch", "rows"), ("--json-results",)])
def test_the_demo_client_prints_rows_over_tls(
    secure: Standin, ca: Path, fetch: tuple[str, ...]
) -> None:
    sql = "SELECT ID, DAY FROM BIG ORDER BY ID"
    status, lines = _demo(secure, ca, "--rows", "2", *fetch, sql, "SELECT NOPE")
    assert lines[0] == {
        "columns": ["ID", "DAY"],
        "rows": [[1, "2020-01-02"], [2, "2020-01-03"]],
        "rowcount": 70_000,
    }
    assert lines[1]["error"]["errno"] == 904
    assert (lines[1]["error"]["sqlstate"], status) == ("42000", 1)


def test_the_demo_client_says_when_it_cannot_connect(secure: Standin, ca: Path) -> None:
    status, lines = _demo(secure, ca, "--authenticator", "PROGRAMMATIC_ACCESS_TOKEN", "SELECT 1")
    assert (status, lines[0]["connected"]) == (2, False)


def test_chunk_urls_name_the_host_the_client_used(secure: Standin, ca: Path) -> None:
    context = ssl.create_default_context(cafile=str(ca / "ca.pem"))

    def post(path: str, body: Any, token: str = "") -> dict[str, Any]:
        request = urllib.request.Request(
            f"https://localhost:{secure.ready['port']}{path}",
            data=json.dumps(body).encode(),
            headers={"Authorization": f'Snowflake Token="{token}"'},
        )
        with urllib.request.urlopen(request, context=context) as reply:
            return json.load(reply)["data"]

    data = {"AUTHENTICATOR": "OAUTH", "TOKEN": "x", "CLIENT_APP_ID": "Go"}
    names = "databaseName=CRM&schemaName=PUBLIC&roleName=ANALYST"
    token = post(f"/session/v1/login-request?{names}", {"data": data})["token"]
    head = post("/queries/v1/query-request?requestId=x", {"sqlText": "SELECT * FROM BIG"}, token)
    start = f"https://localhost:{secure.ready['storage_port']}/results/"
    assert all(chunk["url"].startswith(start) for chunk in head["chunks"])
