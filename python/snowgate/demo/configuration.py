"""Writes the gateway's configuration for the demo: its own parts, then the reference policy."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from snowgate.demo import layout as names

if TYPE_CHECKING:
    from collections.abc import Callable

    from snowgate.demo.layout import Layout, Ports

TEMPLATE = """\
# The demo's configuration: this part is written for each start, the policy below is the
# reference policy. Paths are relative to this file.
name: demo
account: {account}
data_dir: ../data
listen:
  address: 127.0.0.1
  port: {ports.gateway}
  tls: {{certificate: tls.crt, private_key: tls.key}}
  hosts: [localhost, 127.0.0.1]
api:
  address: 127.0.0.1
  port: {ports.api}
  tls: {{certificate: tls.crt, private_key: tls.key}}
  ca_file: ca.pem
  hosts: [localhost, 127.0.0.1]
upstream:
  account: {account}
  host: localhost
  port: {ports.upstream}
  protocol: https
  ca_file: ca.pem
  credential: {{key_pair: {{user: {user}, private_key: "file:snowflake.p8"}}}}
  catalog:
    credential: {{key_pair: {{user: {catalog_user}, private_key: "file:catalog.p8"}}}}
    role: SNOWGATE
    warehouse: {warehouse}
    databases: [{database}]
    max_age: 60s
issuers:
  - oidc: {machines}
    audience: {machines_audience}
    identity: /sub
    name: /sub
    groups_from: /groups
    may_give: [analysts, fraud-team, etl-writers]
    triggered_by: [/triggered_by]
  - oidc: {people}
    audience: {people_audience}
    people: true
    name: /sub
    person: /sub
    groups_from: /groups
    may_give: [data-platform, security]
roles:
  - {{group: analysts, role: ANALYST, warehouse: {warehouse}}}
  - {{group: fraud-team, role: FRAUD, warehouse: {warehouse}}}
  - {{group: etl-writers, role: ETL, warehouse: {warehouse}}}

"""


def issuer_url(ports: Ports, *, people: bool) -> str:
    """The `iss` of one of the demo's two issuers."""
    return f"http://localhost:{ports.issuer}/{'people' if people else 'machines'}"


def policy_text() -> str:
    """The reference policy, `demo/policy.yaml`."""
    return resources.files("snowgate.demo").joinpath("policy.yaml").read_text()


def write_config(layout: Layout, ports: Ports, edit: Callable[[str], str] | None = None) -> None:
    """Write the configuration file."""
    text = (
        TEMPLATE.format(
            account=names.ACCOUNT,
            ports=ports,
            user=names.UPSTREAM_USER,
            catalog_user=names.CATALOG_USER,
            warehouse=names.WAREHOUSE,
            database=names.DATABASE,
            machines=issuer_url(ports, people=False),
            machines_audience=names.MACHINES_AUDIENCE,
            people=issuer_url(ports, people=True),
            people_audience=names.PEOPLE_AUDIENCE,
        )
        + policy_text()
    )
    layout.config_file.write_text(edit(text) if edit else text)
