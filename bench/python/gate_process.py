"""The gate alone, in a process of its own, with a control plane that always says yes.

Run by `proxy.py`: `gate_process.py CONFIG.json`. Prints the bound port; ends with its standard
input. What is measured is the data plane and the bridge; policy and analysis have their own
figures.
"""

from __future__ import annotations

import sys
from typing import Any

import trio

from snowgate._core import Bridge, Gate
from snowgate.control.plane import ControlPlane

PRINCIPAL = {
    "account": "BENCH",
    "issuer": "https://idp.example.com",
    "subject": "bench",
    "name": "bench",
    "people": False,
    "person": "",
    "triggered_by": [],
}


async def login(_: dict[str, Any]) -> dict[str, Any]:
    """Admit everybody."""
    return {
        "admit": {
            "principal": PRINCIPAL,
            "groups": ["bench"],
            "dropped_groups": [],
            "role": "ANALYST",
            "warehouse": None,
            "input": "00" * 32,
            "max_age_s": 3600.0,
            "claims_digest": "00" * 32,
        }
    }


async def judge(question: dict[str, Any]) -> dict[str, Any]:
    """Allow everything; mask the columns that the text asks to have masked."""
    # A template of the text is in upper case.
    words = question["sql"].upper()
    masked, small = "MASKED" in words, "CHUNK" not in words
    names = ["ID", "REGION"] if small else [f"C{at}" for at in range(8)]
    masks: list[Any] = ["pass"] * len(names)
    if masked:
        masks[-2:] = ["redact", {"partial": [0, 4]}]
    return {
        "epoch": question["epoch"],
        "decision": "allow",
        "class": "select",
        "verb": "SELECT",
        "rules": ["bench"],
        "barrier": False,
        "read_only": True,
        "plan": [
            {"name": name, "mask": mask, "tags": []}
            for name, mask in zip(names, masks, strict=True)
        ],
        "policy": "00" * 32,
        "cacheable": True,
    }


async def noted(_: dict[str, Any]) -> dict[str, Any]:
    """Acknowledge."""
    return {"ok": True}


async def main() -> None:
    """Serve until standard input ends."""
    bridge = Bridge()
    gate = Gate(await trio.Path(sys.argv[1]).read_bytes(), bridge)
    answers = {"login": login, "judge": judge}
    answers |= dict.fromkeys(("session_opened", "session_changed", "session_closed"), noted)
    async with trio.open_nursery() as nursery:
        await nursery.start(ControlPlane(bridge, answers).run)
        print(gate.local_addr()[1], flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()


trio.run(main)
