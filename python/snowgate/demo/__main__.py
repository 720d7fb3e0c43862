"""`python -m snowgate.demo [--keep]`: what `make demo` runs."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from snowgate.demo.layout import Layout
from snowgate.demo.script import StepFailed, driver_lines, play
from snowgate.demo.world import World
from snowgate.errors import StartError


def main() -> int:
    """Start the demo, play its steps, and with `--keep` stay until SIGTERM."""
    keep = "--keep" in sys.argv[1:]
    started_s = time.monotonic()
    world = World(Layout(Path.cwd()))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    print("starting an OIDC issuer, the Snowflake stand-in and the gateway …", flush=True)
    try:
        world.start()
        world.layout.path("pid").write_text(f"{os.getpid()}\n")
        print(f"all answer after {time.monotonic() - started_s:.1f} s", flush=True)
        if not stop.is_set():
            play(world)
        print(f"\nthe demo took {time.monotonic() - started_s:.1f} s", flush=True)
        if keep and not stop.is_set():
            world.publish()
            print("\nleft running; end it with: kill $(cat .demo/pid)\nyour own driver:")
            for line in driver_lines(world):
                print(f"  {line}", flush=True)
            stop.wait()
    except (StartError, StepFailed) as error:
        print(f"\nthe demo failed: {error}", file=sys.stderr, flush=True)
        return 1
    finally:
        world.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
