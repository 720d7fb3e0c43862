"""Starts and stops the demo's processes: issuer, stand-in, gateway.

Each is a process of its own, started with empty state. Whatever happens, every process is ended
again, also one that somebody restarted by the gateway command.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snowgate.demo import layout as names
from snowgate.demo.certificates import make_certificates, make_user_key
from snowgate.demo.configuration import write_config
from snowgate.demo.layout import Layout, Ports, free_ports
from snowgate.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Callable

# A cold start of the stand-in makes two million rows; on a busy machine that takes a while.
START_LIMIT_S = 120.0
# All processes end within thirty seconds of SIGTERM; what does not by itself is killed before.
STOP_LIMIT_S = 20.0


class World:
    """The running parts of a demo.

    Args:
        layout: Where its files lie; the folder is emptied.
        upstream_options: Further arguments of the stand-in, for tests.
        config_edit: Changes the gateway's configuration text before it is written, for tests.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        upstream_options: tuple[str, ...] = (),
        config_edit: Callable[[str], str] | None = None,
    ) -> None:
        self.layout = layout
        self.ports: Ports = free_ports()
        self._upstream_options = upstream_options
        self._config_edit = config_edit
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def gateway_command(self) -> list[str]:
        """Argv that starts the gateway, run in the root."""
        folder = self.layout.folder
        return [
            str(Path(sys.executable).with_name("snowgate")),
            "serve",
            "--config",
            str(folder / "config" / "snowgate.yaml"),
            "--pid-file",
            str(folder / "gateway.pid"),
        ]

    def prepare(self) -> None:
        """Empty the folder and write keys, certificates and configuration."""
        shutil.rmtree(self.layout.path(), ignore_errors=True)
        for part in ("config", "issuer", "log"):
            self.layout.path(part).mkdir(parents=True, mode=0o700)
        make_certificates(self.layout.path("config"), names.HOSTS)
        for user in ("snowflake", "catalog"):
            make_user_key(self.layout.path("config"), user)
        write_config(self.layout, self.ports, self._config_edit)

    def start(self) -> None:
        """Start everything and wait until it answers.

        Raises:
            StartError: A part did not come up; its log is named.
        """
        self.prepare()
        self.start_issuer()
        self.start_upstream()
        self.wait_ready("issuer", self.layout.path("issuer", "ready.json"))
        self.wait_ready("standin", self.layout.path("standin.ready.json"))
        self.start_gateway()

    def start_issuer(self) -> None:
        """Start the OIDC issuer: one for machines and one for people, on one port."""
        self._spawn(
            "issuer",
            [
                *(sys.executable, "-m", "snowgate.testing.issuer"),
                *("--port", str(self.ports.issuer)),
                *("--keys", str(self.layout.issuer_keys)),
                *("--ready-file", str(self.layout.path("issuer", "ready.json"))),
            ],
        )

    def start_upstream(self) -> None:
        """Start the Snowflake stand-in in its own virtual environment."""
        config = self.layout.path("config")
        self._spawn(
            "standin",
            [
                *(str(self.standin_python), "-m", "snowgate_standin"),
                *("--host", "127.0.0.1", "--port", str(self.ports.upstream)),
                *("--storage-port", str(self.ports.storage)),
                *("--tls-cert", str(config / "tls.crt"), "--tls-key", str(config / "tls.key")),
                *("--public-key", str(config / "snowflake.pub")),
                *("--catalog-key", str(config / "catalog.pub")),
                *("--account", names.ACCOUNT, "--log", str(self.layout.upstream_log)),
                *("--ready-file", str(self.layout.path("standin.ready.json"))),
                *self._upstream_options,
            ],
        )

    @property
    def standin_python(self) -> Path:
        """The interpreter of the stand-in's virtual environment, which has the real connector."""
        return self.layout.root / ".venvs" / "standin" / "bin" / "python"

    def start_gateway(self) -> None:
        """Start the gateway and wait until it serves."""
        ready = self.layout.path("gateway.ready.json")
        ready.unlink(missing_ok=True)
        self._spawn("gateway", [*self.gateway_command, "--ready-file", str(ready)])
        self.wait_ready("gateway", ready)

    def kill_gateway(self) -> None:
        """End the gateway as a crash would."""
        process = self._processes.pop("gateway")
        process.kill()
        process.wait()

    def kill_upstream(self) -> None:
        """End the stand-in as an outage would; `start_upstream` starts it with empty state."""
        process = self._processes.pop("standin")
        process.kill()
        process.wait()
        self.layout.path("standin.ready.json").unlink(missing_ok=True)

    def stop_gateway(self, limit_s: float = STOP_LIMIT_S) -> int:
        """End the gateway as an operator would, and return its exit status."""
        process = self._processes.pop("gateway")
        process.terminate()
        return process.wait(limit_s)

    def running(self, name: str) -> bool:
        """Whether a process still runs."""
        process = self._processes.get(name)
        return process is not None and process.poll() is None

    def connection(self) -> dict[str, Any]:
        """What a driver and an outside check need; `docs/acceptance.md` explains each key."""
        folder = self.layout.folder
        return {
            "host": "localhost",
            "port": self.ports.gateway,
            "protocol": "https",
            "ca_file": str(folder / "config" / "ca.pem"),
            "account": names.ACCOUNT,
            "warehouse": names.WAREHOUSE,
            "database": names.DATABASE,
            "schema": names.SCHEMA,
            "principals": {
                each.name: {"groups": list(each.groups), "roles": list(each.roles)}
                for each in names.PRINCIPALS.values()
            },
            "console_url": f"https://localhost:{self.ports.api}",
            "config_file": str(folder / "config" / "snowgate.yaml"),
            "ledger_dir": str(folder / "data" / "ledger"),
            "verify_key": str(folder / "data" / "keys" / "ledger.pub"),
            "upstream_log": str(folder / "upstream.jsonl"),
            "upstream_url": f"https://localhost:{self.ports.upstream}",
            "upstream_ca_file": str(folder / "config" / "ca.pem"),
            "upstream_user": names.UPSTREAM_USER,
            "upstream_key_file": str(folder / "config" / "snowflake.p8"),
            "gateway_command": [
                os.path.relpath(self.gateway_command[0], self.layout.root),
                *self.gateway_command[1:],
            ],
        }

    def publish(self) -> None:
        """Write `connection.json`, last and atomically."""
        target = self.layout.path("connection.json")
        temporary = target.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.connection(), indent=2) + "\n")
        temporary.replace(target)

    def stop(self) -> None:
        """End every process, also a gateway that somebody restarted."""
        with contextlib.suppress(OSError, ValueError):
            restarted = int(self.layout.path("gateway.pid").read_text())
            if _is_gateway(restarted):
                os.kill(restarted, signal.SIGTERM)
        order = ("gateway", "standin", "issuer")
        for name in order:
            if (process := self._processes.get(name)) is not None and process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_LIMIT_S
        for name in order:
            if (process := self._processes.pop(name, None)) is not None:
                try:
                    process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def wait_ready(self, name: str, ready: Path) -> None:
        """Wait until a process writes its ready file.

        Raises:
            StartError: It ended or took too long; the message has the end of its log.
        """
        deadline = time.monotonic() + START_LIMIT_S
        while not ready.exists():
            ended = not self.running(name)
            if ended or time.monotonic() > deadline:
                lines = self.layout.log(name).read_text(errors="replace").splitlines()[-15:]
                why = "ended" if ended else f"was not ready within {START_LIMIT_S:g} s"
                raise StartError(f"the {name} {why}:\n" + "\n".join(lines))
            time.sleep(0.02)

    def _spawn(self, name: str, command: list[str]) -> None:
        with self.layout.log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command,
                cwd=self.layout.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


def _is_gateway(process: int) -> bool:
    """Whether a process id is a gateway, and not one that the system gave to somebody else."""
    answer = subprocess.run(
        ["ps", "-o", "args=", "-p", str(process)], capture_output=True, check=False
    )
    return b"snowgate" in answer.stdout and b"serve" in answer.stdout
