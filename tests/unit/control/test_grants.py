"""Roles of the configuration that upstream does not know."""

import logging
from collections.abc import Sequence
from typing import Any

import pytest
from trio.testing import MockClock

from snowgate.control.grants import missing_roles, report_missing_roles
from snowgate.errors import UpstreamError
from snowgate.identity.settings import RoleMapping
from snowgate.model.ports import EntryText

ROLES = (
    RoleMapping("analysts", "ANALYST", None),
    RoleMapping("etl", "ELT", None),
    RoleMapping("dbt", "ELT", None),
)


class Upstream:
    """Answers one text after another."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = [*answers]
        self.recorded: list[dict[str, Any]] = []

    async def query_as_clients(self, sql: str, purpose: str) -> Sequence[Sequence[str | None]]:
        answer = self.answers.pop(0)
        if answer is None:
            raise UpstreamError("unreachable", "no answer")
        return [[answer]]

    async def record(
        self, kind: str, fields: dict[str, Any], texts: Sequence[EntryText] = ()
    ) -> int:
        self.recorded.append({"kind": kind, **fields})
        return 0


async def test_a_role_that_is_not_granted_is_found_with_its_groups() -> None:
    assert await missing_roles(Upstream('["PUBLIC","ANALYST"]'), ROLES) == {"ELT": ["etl", "dbt"]}
    assert await missing_roles(Upstream('["ELT","ANALYST"]'), ROLES) == {}


@pytest.mark.parametrize("answer", ["", "null", "ANALYST"])
async def test_an_answer_of_another_form_is_an_error(answer: str) -> None:
    with pytest.raises(UpstreamError, match="another form"):
        await missing_roles(Upstream(answer), ROLES)


async def test_it_is_told_once_upstream_answers(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    upstream = Upstream(None, '["ANALYST"]')

    with caplog.at_level(logging.WARNING):
        await report_missing_roles(upstream, upstream, ROLES)

    [entry] = upstream.recorded
    assert (entry["kind"], entry["alert"]) == ("alert", "role-missing")
    assert "role `ELT`" in entry["detail"]
    assert "`etl`, `dbt`" in entry["detail"]
    [error] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "role `ELT`" in error.getMessage()
