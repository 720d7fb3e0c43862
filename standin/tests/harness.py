"""A stand-in process and real connections to it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import snowflake.connector
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)


@dataclass(frozen=True)
class Standin:
    """One process: its ports, its request log and the private keys of its two users (DER)."""

    ready: dict[str, Any]
    log: Path
    key: bytes
    catalog_key: bytes
    process: subprocess.Popen[bytes]

    def connect(self, **options: Any) -> snowflake.connector.SnowflakeConnection:
        named = {
            "role": "ANALYST",
            "database": "CRM",
            "schema": "PUBLIC",
            "warehouse": "WH",
            "user": "SVC_SNOWGATE",
            "private_key": self.key,
            "authenticator": "SNOWFLAKE_JWT",
            "account": "CRMDEMO",
            "login_timeout": 5,
        }
        return snowflake.connector.connect(
            host=self.ready["host"],
            port=self.ready["port"],
            protocol=self.ready["protocol"],
            **(named | options),
        )

    def connect_catalog(self, **options: Any) -> snowflake.connector.SnowflakeConnection:
        """A session of the catalog's user."""
        own = {"role": "SNOWGATE", "user": "SVC_SNOWGATE_CATALOG", "private_key": self.catalog_key}
        return self.connect(**(own | options))

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ready['admin_port']}/standin/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)

    def fault(self, **given: Any) -> Any:
        return self.admin("POST", "fault", given)

    def post(self, path: str, body: Any, token: str = "") -> Any:
        """A bare request to the driver API; the decoded body of the reply."""
        request = urllib.request.Request(
            f"{self.ready['protocol']}://127.0.0.1:{self.ready['port']}{path}",
            data=json.dumps(body).encode(),
            headers={"Authorization": f'Snowflake Token="{token}"'},
        )
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextlib.contextmanager
def running(folder: Path, *switches: str) -> Iterator[Standin]:
    public, key = _key_pair(folder / "key.pub")
    catalog_public, catalog_key = _key_pair(folder / "catalog.pub")
    ready, log = folder / "ready.json", folder / "requests.jsonl"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "snowgate_standin",
            *("--public-key", str(public), "--catalog-key", str(catalog_public)),
            *("--ready-file", str(ready), "--log", str(log)),
            *switches,
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while not ready.exists():
            assert process.poll() is None, "the stand-in ended while starting"
            assert time.monotonic() < deadline, "the stand-in is not ready"
            time.sleep(0.05)
        yield Standin(json.loads(ready.read_text()), log, key, catalog_key, process)
    finally:
        process.terminate()
        process.wait(5)


def _key_pair(public: Path) -> tuple[Path, bytes]:
    """Write the public half of a new key, and return both."""
    key = rsa.generate_private_key(65537, 2048)
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return public, key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def signed(standin: Standin, **changes: Any) -> str:
    """A login token of the user, with some claims changed."""
    key = load_der_private_key(standin.key, None)
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    fingerprint = base64.b64encode(hashlib.sha256(der).digest()).decode()
    now = int(time.time())
    claims = {
        "iss": f"CRMDEMO.SVC_SNOWGATE.SHA256:{fingerprint}",
        "sub": "CRMDEMO.SVC_SNOWGATE",
        "iat": now,
        "exp": now + 60,
    }
    return jwt.encode(claims | changes, key, algorithm="RS256")


def key_pair(token: str) -> dict[str, Any]:
    """The data of a login request with a signed token."""
    return {"AUTHENTICATOR": "SNOWFLAKE_JWT", "TOKEN": token, "ACCOUNT_NAME": "CRMDEMO"}
