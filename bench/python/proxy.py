"""The gateway and nginx before the same canned upstream: requests, bytes, and the CPU of each.

Load comes from `wrk` over TLS with keep-alive. CPU is that of the proxy's processes alone, so that
a neighbour on the machine bends it little. Rounds are interleaved; the median is shown.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx2

from snowgate.demo.certificates import make_certificates, make_user_key

ROOT = Path(__file__).parents[2]
ROUNDS = 3
SECONDS = 3
CHUNK_BYTES = 16 * 1024 * 1024
TICK_S = 1 / os.sysconf("SC_CLK_TCK")

QUERY = """
local n = 0
local id = tostring(os.time()):sub(-8)
request = function()
  n = n + 1
  local uuid = string.format("%s-%04x-4%03x-8%03x-%012x", id, n % 65536, n % 4096,
    math.random(0, 4095), n)
  return wrk.format("POST", "/queries/v1/query-request?requestId=" .. uuid, nil,
    '{"sqlText":"SELECT id, region FROM orders WHERE region = 1","sequenceId":1}')
end
"""
GET = """
local paths = { %s }
local n = 0
request = function()
  n = n %% #paths + 1
  return wrk.format("GET", paths[n])
end
"""
NGINX = """
worker_processes 1; daemon off; error_log stderr crit; pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream canned {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} ssl; keepalive_requests 100000000;
    ssl_certificate {folder}/tls.crt; ssl_certificate_key {folder}/tls.key;
    ssl_protocols TLSv1.3;
    location / {{ proxy_pass http://canned; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffers 16 64k; proxy_max_temp_file_size 0; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Load:
    """One measured run: how much was done, how long answers took, and what it cost the proxy."""

    per_second: float
    bytes_per_second: float
    p50_us: float
    p99_us: float
    cpu_s: float
    count: int

    @property
    def cpu_us(self) -> float:
        """CPU of the proxy for one request."""
        return self.cpu_s / self.count * 1e6


@dataclass(frozen=True, slots=True)
class Comparison:
    """The gateway beside nginx: medians over the rounds."""

    name: str
    gateway: Load
    nginx: Load


def missing() -> str:
    """What must be installed first; empty when nothing is missing."""
    lacking = [tool for tool in ("nginx", "wrk") if shutil.which(tool) is None]
    return f"apt install {' '.join(lacking)}" if lacking else ""


def measure(upstream: Path, folder: Path) -> list[Comparison]:
    """Run everything. `upstream` is the built example `canned_upstream`."""
    chunks = folder / "chunks"
    chunks.mkdir(parents=True)
    for name, content in _chunks().items():
        (chunks / name).write_bytes(content)
    make_certificates(folder, ("localhost", "127.0.0.1"))
    make_user_key(folder)
    upstream_port, nginx_port = _free_port(), _free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, upstream=upstream_port, port=nginx_port))
    with (
        _process([str(upstream), str(upstream_port), str(chunks)]),
        _process(["nginx", "-c", str(config)]) as nginx,
        _gate(folder, upstream_port) as (gate, gate_port),
    ):
        _wait(nginx_port)
        return _compare(folder, nginx, nginx_port, gate, gate_port)


def _compare(
    folder: Path, nginx: int, nginx_port: int, gate: int, gate_port: int
) -> list[Comparison]:
    client = Client(folder, gate_port)
    found = []

    def both(name: str, connections: int, ours: Path, theirs: Path, headers: list[str]) -> None:
        rounds = [
            (
                _load(gate, gate_port, connections, ours, headers),
                _load(nginx, nginx_port, connections, theirs, []),
            )
            for _ in range(ROUNDS)
        ]
        found.append(Comparison(name, *map(_median, zip(*rounds, strict=True))))

    query = folder / "query.lua"
    query.write_text(QUERY)
    beat = folder / "beat.lua"
    beat.write_text('request = function() return wrk.format("POST", "/session/heartbeat") end')
    for connections in (1, 32):
        session = client.login()
        both(f"heartbeat, c={connections}", connections, beat, beat, session)
        both(f"statement, verdict cached, c={connections}", connections, query, query, session)
    for name, sql in (
        ("chunk, clear", "SELECT chunk-json"),
        ("chunk, JSON masked", "SELECT chunk-json masked"),
        ("chunk, Arrow masked", "SELECT chunk-arrow masked"),
    ):
        file = "chunk-arrow" if "arrow" in sql else "chunk-json"
        theirs = folder / "nginx-chunk.lua"
        theirs.write_text(GET % f'"/chunk/{file}"')
        rounds = []
        for _ in range(ROUNDS):
            paths, headers = client.tickets(sql)
            ours = folder / "gate-chunk.lua"
            ours.write_text(GET % ", ".join(f'"{path}"' for path in paths))
            rounds.append(
                (
                    _load(gate, gate_port, 2, ours, headers),
                    _load(nginx, nginx_port, 2, theirs, []),
                )
            )
        found.append(Comparison(name, *map(_median, zip(*rounds, strict=True))))
    client.close()
    return found


class Client:
    """Logs in and asks for chunk tickets, as a driver does."""

    def __init__(self, folder: Path, port: int) -> None:
        self._http = httpx2.Client(
            base_url=f"https://127.0.0.1:{port}", verify=str(folder / "ca.pem"), trust_env=False
        )

    def login(self) -> list[str]:
        """A new session, as headers."""
        data = {"ACCOUNT_NAME": "BENCH", "AUTHENTICATOR": "OAUTH", "TOKEN": "t"}
        data |= {"CLIENT_APP_ID": "PythonConnector", "CLIENT_APP_VERSION": "4.8.1"}
        reply = self._http.post(
            f"/session/v1/login-request?requestId={uuid4()}", json={"data": data}
        ).json()
        if not reply["success"]:
            raise RuntimeError(f"the login failed: {reply['message']}")
        return [f'Authorization: Snowflake Token="{reply["data"]["token"]}"']

    def tickets(self, sql: str) -> tuple[list[str], list[str]]:
        """Paths of fresh chunk tickets, and the headers to send."""
        name, _, value = self.login()[0].partition(": ")
        reply = self._http.post(
            f"/queries/v1/query-request?requestId={uuid4()}",
            json={"sqlText": sql},
            headers={name: value},
        ).json()
        if not reply["success"]:
            raise RuntimeError(f"the statement failed: {reply['message']}")
        headers = reply["data"]["chunkHeaders"]
        paths = [httpx2.URL(chunk["url"]).raw_path.decode() for chunk in reply["data"]["chunks"]]
        chunk = self._http.get(paths[0], headers=headers)
        if "masked" in sql and b"canary" in chunk.content:
            raise RuntimeError("a masked chunk holds a value")
        if chunk.status_code != 200 or len(chunk.content) < CHUNK_BYTES // 4:
            raise RuntimeError(f"the chunk is short: {chunk.status_code}")
        return paths, [f"{key}: {value}" for key, value in headers.items()]

    def close(self) -> None:
        """Close the connection."""
        self._http.close()


def _load(process: int, port: int, connections: int, script: Path, headers: list[str]) -> Load:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-s", str(script)]
    for header in headers:
        command += ["-H", header]
    before = _cpu_s(process)
    answer = subprocess.run(
        [*command, f"https://127.0.0.1:{port}"], capture_output=True, text=True, check=True
    ).stdout
    cpu_s = _cpu_s(process) - before
    if "Non-2xx" in answer or "Socket errors" in answer:
        raise RuntimeError(answer)
    count = int(_found(r"(\d+) requests in", answer))
    return Load(
        float(_found(r"Requests/sec:\s+([\d.]+)", answer)),
        _amount(_found(r"Transfer/sec:\s+(\S+)", answer)),
        _time_us(_found(r"^ +50% +(\S+)$", answer)),
        _time_us(_found(r"^ +99% +(\S+)$", answer)),
        cpu_s,
        count,
    )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise RuntimeError(text)
    return match.group(1)


def _time_us(text: str) -> float:
    return _scaled(text, {"us": 1.0, "ms": 1e3, "s": 1e6})


def _amount(text: str) -> float:
    return _scaled(text, {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30})


def _scaled(text: str, units: dict[str, float]) -> float:
    match = re.fullmatch(r"([\d.]+)([A-Za-z]+)", text)
    if match is None:
        raise RuntimeError(f"`{text}` is no figure")
    return float(match.group(1)) * units[match.group(2)]


def _median(loads: tuple[Load, ...]) -> Load:
    """The run whose CPU per request is in the middle."""
    return sorted(loads, key=lambda load: load.cpu_us)[len(loads) // 2]


def _cpu_s(process: int) -> float:
    """User and system time of a process and its children, so far."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(stat.parent.name) == process or int(fields[1]) == process:
            total += (int(fields[11]) + int(fields[12])) * TICK_S
    return total


def _chunks() -> dict[str, bytes]:
    """One JSON and one Arrow chunk of eight columns; the last two are masked."""
    import pyarrow

    rows = 100_000
    plain = [f"public-{row:08}-{row * 7919 % 100_000:05}" for row in range(rows)]
    secret = [text.replace("public", "canary") for text in plain]
    line = ",".join(
        json.dumps(
            [
                *(str(row), str(row % 97), str(row * 3), str(row % 7)),
                *(plain[row], plain[row], secret[row], secret[row]),
            ]
        )
        for row in range(rows)
    )
    fixed = {"logicalType": "FIXED", "scale": "0", "precision": "38"}
    text = {"logicalType": "TEXT"}
    columns = [pyarrow.array(range(at, rows + at), pyarrow.int64()) for at in range(4)]
    columns += [pyarrow.array(texts) for texts in (plain, plain, secret, secret)]
    schema = pyarrow.schema(
        [
            pyarrow.field(f"C{at}", column.type, metadata=fixed if at < 4 else text)
            for at, column in enumerate(columns)
        ]
    )
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, schema) as writer:
        table = pyarrow.Table.from_arrays(columns, schema=schema)
        writer.write_table(table, max_chunksize=8192)
    return {"chunk-json": line.encode(), "chunk-arrow": sink.getvalue().to_pybytes()}


@contextmanager
def _process(command: list[str]) -> Iterator[int]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def _gate(folder: Path, upstream_port: int) -> Iterator[tuple[int, int]]:
    for part in ("ledger", "text-keys", "keys"):
        (folder / part).mkdir()
    key = folder / "keys" / "store.key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    document = {
        "listen": {
            "address": "127.0.0.1",
            "port": 0,
            "tls": {
                "certificate": str(folder / "tls.crt"),
                "private_key": str(folder / "tls.key"),
            },
            "hosts": ["localhost", "127.0.0.1"],
        },
        "upstream": {
            "account": "BENCH",
            "host": "127.0.0.1",
            "port": upstream_port,
            "protocol": "http",
            "user": "SVC",
            "private_key_file": str(folder / "snowflake.p8"),
        },
        "gateway_session": {"role": "ANALYST"},
        "ledger": {
            "dir": str(folder / "ledger"),
            "origin": "snowgate/bench",
            "key_file": str(folder / "keys" / "ledger.key"),
        },
        "text_keys_dir": str(folder / "text-keys"),
        "store_key_file": str(key),
        "gateway": "bench",
        "account": "BENCH",
    }
    config = folder / "gate.json"
    config.write_text(json.dumps(document))
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("gate_process.py")), str(config)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise RuntimeError("the gate did not start")
        yield process.pid, int(line)
    finally:
        process.terminate()
        process.wait(20)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing answers on port {port}")
