"""One world for the whole session, and one whose rules and upstream are odd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .canary import Canaries
from .rig import Rig
from .wire import Wire

# Tests of what all the others have left behind come last.
LAST = "test_secrets.py"

ODD_CONFIG = """
  - name: two-people
    match: {class: alter}
    hold: {approvers: data-platform, quorum: 2, expires: 1h}
  - name: small-reads
    match: {class: select, group: small-readers}
    allow: true
    limit: {rows: 20, bytes: 16KiB}

budgets:
  - {name: counted, match: {class: select, group: counted}, per: 24h, statements: 8}
  - {name: asks, match: {class: select, group: asks}, per: 24h, statements: 1,
     over: {hold: {approvers: data-platform}}}
  - {name: looks, match: {group: looks}, per: 24h, distinct_tagged_values: 3}
  - {name: volume, match: {class: select, group: volume}, per: 24h, rows: 12, bytes: 1MiB}

limits: {poll_hold: 2s, session_token: 60s, header_timeout: 3s}
"""

GROUPS = "analysts, fraud-team, etl-writers"
# They stand beside `analysts`: what they give is counted, and nothing more.
COUNTED = "small-readers, counted, asks, looks, volume"


def odd_config(text: str) -> str:
    """The demo's configuration with odd rules and budgets."""
    assert GROUPS in text
    return text.replace(GROUPS, f"{GROUPS}, {COUNTED}") + ODD_CONFIG


TAGGED = ("FULL_NAME", "EMAIL", "PHONE", "SSN", "CARD_NUMBER")


def customers_of(rig: Rig) -> list[dict[str, str]]:
    """The customers as they are, read past the gateway."""
    with rig.upstream("FRAUD") as direct:
        reply = direct.query(f"SELECT id, {', '.join(TAGGED)} FROM customers ORDER BY id")
        rows = direct.rows(reply)
    return [dict(zip(("ID", *TAGGED), row, strict=True)) for row in rows]


def tagged_in(customers: list[dict[str, str]]) -> Canaries:
    """Every value an analyst may not see."""
    return Canaries.of(row[name] for row in customers for name in TAGGED)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name == LAST)


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """The demo's world, as `make demo` starts it, with a smaller BIG."""
    rig = Rig.start(tmp_path_factory.mktemp("world"), "--big-rows", "120000")
    yield rig
    rig.stop()


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A world whose upstream runs a repeated request again, and whose limits are small."""
    rig = Rig.start(
        tmp_path_factory.mktemp("odd"),
        *("--no-dedup", "--big-rows", "1000", "--hold-s", "1", "--inline-rows", "10"),
        config_edit=odd_config,
    )
    yield rig
    rig.stop()


@pytest.fixture(scope="session")
def truth(rig: Rig) -> list[dict[str, str]]:
    return customers_of(rig)


@pytest.fixture(scope="session")
def canaries(truth: list[dict[str, str]]) -> Canaries:
    return tagged_in(truth)


@pytest.fixture
def analyst(rig: Rig) -> Iterator[Wire]:
    """An analyst who reads Arrow."""
    with rig.wire("analyst") as wire:
        yield wire


@pytest.fixture
def etl(rig: Rig) -> Iterator[Wire]:
    """A writer."""
    with rig.wire("etl") as wire:
        yield wire


@pytest.fixture(params=["4.8.1", "5.2.0"])
def version(request: pytest.FixtureRequest) -> str:
    """A connector version; the two share no code."""
    return str(request.param)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")
