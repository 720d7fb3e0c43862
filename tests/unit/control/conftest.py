"""What the control room's tests share: a session as the gate describes it."""

from typing import Any

import pytest

PRINCIPAL: dict[str, Any] = {
    "account": "CRMDEMO",
    "issuer": "https://idp.example.com/machines",
    "subject": "etl",
    "name": "etl",
    "people": False,
    "person": "",
    "triggered_by": [],
}


@pytest.fixture
def session() -> dict[str, Any]:
    return {
        "id": "s-1",
        "principal": dict(PRINCIPAL),
        "groups": ["etl-writers"],
        "role": "ETL",
        "client_app": "PythonConnector",
        "source": "127.0.0.1:4711",
        "input": "00",
    }
