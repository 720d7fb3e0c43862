"""A whole configuration, and a way to change it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from snowgate.config import Config, load_config
from snowgate.errors import ConfigError, ConfigErrors

WHOLE = """\
data_dir: ./data
name: gw-1
account: CRMDEMO
listen: {address: 127.0.0.1, port: 8443, tls: {certificate: tls.crt, private_key: tls.key}}
api: {address: 127.0.0.1, port: 8444, ca_file: tls.crt}
upstream:
  account: xy12345
  credential: {key_pair: {user: svc_gateway, private_key: "file:snowflake.p8"}}
  catalog: {role: snowgate, warehouse: wh, databases: [crm], \
credential: {key_pair: {user: svc_catalog, private_key: "file:catalog.p8"}}}
issuers:
  - oidc: https://ci.example.com
    audience: snowgate
    may_give: [etl-writers]
    groups: [{when: {/repository_id: "1", /environment: production}, give: etl-writers}]
  - oidc: https://login.example.com/people
    audience: snowgate-console
    people: true
    groups_from: /groups
    may_give: [data-platform, fraud-team]
roles:
  - {group: etl-writers, role: etl, warehouse: etl_wh}
tags:
  pii: ["CRM.PUBLIC.CUSTOMERS.{EMAIL,PHONE}"]
rules:
  - {name: ddl, match: {class: ddl}, hold: {approvers: data-platform}}
  - {name: mask-pii, match: {tag: pii, not: {group: fraud-team}}, mask: partial}
  - {name: reads, match: {class: [select, show, session]}, allow: true}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("tls.crt", "tls.key", "snowflake.p8", "catalog.p8"):
        (tmp_path / name).write_text("pem")
    return tmp_path


@pytest.fixture
def load(place: Path) -> Callable[..., Config]:
    """Load the whole configuration with pieces of its text replaced."""

    def load_changed(*changes: tuple[str, str]) -> Config:
        text = WHOLE
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = place / "snowgate.yaml"
        path.write_text(text)
        return load_config(path)

    return load_changed


@pytest.fixture
def mistakes(load: Callable[..., Config]) -> Callable[..., list[ConfigError]]:
    """What is wrong with the configuration after the changes."""

    def find(*changes: tuple[str, str]) -> list[ConfigError]:
        with pytest.raises(ConfigError) as caught:
            load(*changes)
        error = caught.value
        return list(error.errors) if isinstance(error, ConfigErrors) else [error]

    return find
