"""What the gateway says about itself: one JSON object a line, from both of its halves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging
import sys
from pathlib import Path
from snowgate._core import LedgerWriter
from snowgate.telemetry import log_to_stderr

log_to_stderr(getattr(logging, sys.argv[2]))
folder = Path(sys.argv[1])

def open_ledger():
    return LedgerWriter(
        folder / "ledger", "snowgate/test", folder / "a.key", folder / "texts", folder / "root"
    )

open_ledger().close()
[segment] = (folder / "ledger" / "segments").iterdir()
torn = segment.read_bytes()[:31]
with segment.open("ab") as file:
    file.write(torn)
open_ledger().close()
logging.getLogger("snowgate.control").warning("said in python", extra={"number": 1})
"""


def lines(folder: Path, level: str) -> list[dict[str, object]]:
    (folder / "root").write_bytes(bytes(32))
    command = [sys.executable, "-c", PROGRAM, str(folder), level]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in ended.stderr.splitlines()]


def test_both_halves_write_the_same_kind_of_line(tmp_path: Path) -> None:
    rust, python = lines(tmp_path, "INFO")

    assert (rust["level"], rust["room"]) == ("warning", "ledger")
    assert rust["message"] == "removing a batch that was not completed"
    assert rust["bytes"] == 31
    assert (python["room"], python["number"]) == ("control", 1)
    for line in (rust, python):
        time = str(line["time"])
        assert (len(time), time[-1]) == (len("2026-11-24T08:00:00.123Z"), "Z")
    assert str(rust["time"]) <= str(python["time"])


def test_lines_below_the_level_are_left_out_in_both(tmp_path: Path) -> None:
    assert lines(tmp_path, "ERROR") == []
