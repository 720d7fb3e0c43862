"""A gateway's data directory with a ledger that a test fills, and its configuration."""

import itertools
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from snowgate._core import LedgerWriter

from .command import GATEWAY

REFERENCE = Path(__file__).parents[2] / "vectors" / "reference"
HEAD = (
    GATEWAY
    + """\
issuers:
  - {oidc: "https://ci.example.com", audience: a, groups_from: /groups,
     may_give: [analysts, fraud-team, etl-writers]}
  - {oidc: "https://login.example.com", audience: b, groups_from: /groups, people: true,
     may_give: [data-platform]}
roles:
  - {group: analysts, role: analyst, warehouse: demo_wh}
  - {group: fraud-team, role: fraud}
  - {group: etl-writers, role: etl, warehouse: '"etl wh"'}
"""
)


@dataclass
class Past:
    """A gateway that was: what it recorded, by the writer of the gateway."""

    root: Path
    writer: LedgerWriter
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def config(self) -> Path:
        return self.root / "snowgate.yaml"

    def policy(self, old: str = "", new: str = "") -> Path:
        """The reference policy with a piece replaced."""
        text = (REFERENCE / "policy.yaml").read_text()
        assert old in text
        path = self.root / "other.yaml"
        path.write_text(text.replace(old, new, 1) if old else text)
        return path

    def write(self, kind: str, texts: dict[str, str] | None = None, /, **fields: object) -> int:
        given = [
            {"field": name, "subject": str(fields.get("session")), "text": text}
            for name, text in (texts or {}).items()
        ]
        entry = {"kind": kind, "fields": fields, "texts": given}
        return self.writer.append(json.dumps(entry).encode())

    def login(self, session: str, group: str, role: str, **fields: object) -> None:
        told = {
            "principal": session,
            "identity": {
                "account": "CRMDEMO",
                "issuer": "https://ci.example.com",
                "subject": session,
            },
            "verdict": "allow",
            "groups": [group],
            "role": role,
            "session": session,
            "client": "PythonConnector 4.1.0",
            "source": "192.0.2.7",
        }
        self.write("login", **{**told, **fields})

    def ran(self, session: str, sql: str, kind: str = "select", /, **fields: object) -> int:
        """An allowed statement that succeeded."""
        number = next(self._numbers)
        status = fields.pop("status", "ok")
        told = {
            "session": session,
            "via": "client",
            "decision": "allow",
            "class": kind,
            "reference": f"ref-{number}",
            "database": "CRM",
            "schema": "PUBLIC",
            "objects": [],
            "rules": ["reads"],
            "masks": None,
            "void_all": False,
        }
        intent = self.write("intent", {"sql": sql}, **{**told, **fields})
        self.write("outcome", intent=intent, status=status)
        return intent

    def denied(self, session: str, sql: str, kind: str | None, /, **fields: object) -> None:
        number = next(self._numbers)
        told = {
            "session": session,
            "class": kind,
            "reference": f"ref-{number}",
            "rules": ["no-rule"],
        }
        self.write("denial", {"sql": sql}, **{**told, **fields})

    def held(self, session: str, sql: str, /, **fields: object) -> None:
        told = {
            "event": "requested",
            "session": session,
            "reference": f"ref-{next(self._numbers)}",
            "database": "CRM",
            "schema": "PUBLIC",
            "rules": ["ddl"],
            "approvers": ["data-platform"],
            "quorum": 1,
        }
        self.write("approval", {"sql": sql}, **{**told, **fields})


@pytest.fixture
def past(tmp_path: Path) -> Past:
    data = tmp_path / "data"
    (data / "keys").mkdir(parents=True)
    (data / "keys" / "store.key").write_bytes(bytes(range(32)))
    shutil.copy(REFERENCE / "catalog.json", data)
    (tmp_path / "snowgate.yaml").write_text(HEAD + (REFERENCE / "policy.yaml").read_text())
    writer = LedgerWriter(
        data / "ledger",
        "snowgate/gw-1",
        data / "keys" / "ledger.key",
        data / "text-keys",
        data / "keys" / "store.key",
    )
    return Past(tmp_path, writer)
