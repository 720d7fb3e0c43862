"""One stand-in for all tests, and cursors with pinned roles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from harness import Standin, running


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    folder = tmp_path_factory.mktemp("standin")
    with running(folder, "--hold-s", "1", "--big-rows", "200000") as one:
        yield one


@pytest.fixture
def analyst(standin: Standin) -> Iterator[Any]:
    with standin.connect(role="ANALYST") as connection:
        cursor = connection.cursor()
        cursor.execute("USE SECONDARY ROLES NONE")
        yield cursor


@pytest.fixture
def etl(standin: Standin) -> Iterator[Any]:
    with standin.connect(role="ETL") as connection:
        cursor = connection.cursor()
        cursor.execute("USE SECONDARY ROLES NONE")
        yield cursor


@pytest.fixture(autouse=True)
def no_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "standin" in request.fixturenames:
        request.getfixturevalue("standin").admin("DELETE", "fault")
