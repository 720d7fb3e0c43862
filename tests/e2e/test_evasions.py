"""The evasion set, run for real: whatever is tried, no tagged value comes in any byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from .canary import Canaries
from .rig import Rig
from .test_masking import assert_no_canary
from .wire import IN_PROGRESS

VECTORS = Path(__file__).parents[1] / "vectors" / "evasions.jsonl"
EVASIONS: list[dict[str, Any]] = [json.loads(line) for line in VECTORS.read_text().splitlines()]


@pytest.mark.parametrize("app", ["PythonConnector", "JavaScript"])
def test_no_evasion_brings_a_tagged_value(rig: Rig, canaries: Canaries, app: str) -> None:
    let_through = []
    with rig.wire("analyst", app=app) as wire:
        for evasion in EVASIONS:
            request_id = str(uuid4())
            reply = wire.submit(evasion["sql"], request_id=request_id)
            if reply.code in IN_PROGRESS:
                abort = {"requestId": request_id}
                wire.send("POST", "/queries/v1/abort-request?requestId=" + str(uuid4()), abort)
                reply = wire.follow(reply)
            if reply.ok:
                wire.chunks(reply)
            expected = {evasion["expected"], *evasion.get("also_ok", ())}
            if reply.ok and not expected & {"mask", "allow", "pass"}:
                let_through.append(evasion["id"])

        assert_no_canary(canaries, wire.seen)
    assert let_through == []
