"""What the tests of approvals hold."""

from __future__ import annotations

import pytest

from snowgate.model.approval import HeldStatement
from snowgate.model.identity import Principal


@pytest.fixture
def statement() -> HeldStatement:
    """A DROP by a job that alice triggered."""
    return HeldStatement(
        session="s1",
        query_id="q1",
        principal=Principal("CRM", "https://ci", "repo-1", "etl job", triggered_by=("alice",)),
        groups=("etl-writers",),
        role="ETL",
        database="CRM",
        schema="PUBLIC",
        sql="DROP TABLE staging",
        binds="",
        parameters="",
        context_digest="context",
        statement_digest="statement",
        reference="ref-1",
        rules=("ddl",),
        approvers=("data-platform",),
        quorum=1,
        expires_s=3600,
    )
