"""The gateway and nginx before the same canned upstream: requests, bytes, and the CPU of each.

Load comes from `wrk` over TLS with keep-alive. CPU is that of the proxy's processes alone, so that
a neighbour on the machine bends it little. Rounds are interleaved; the median is shown.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import httpx2

from snowgate.demo.certificates import make_certificates, make_user_key

ROOT = Path(__file__).parents[2]
ROUNDS = 3
SECONDS = 3
# Statements of one session run at a time, as those of a driver do; so there are many sessions.
SESSIONS = 32
# Fetches of small chunks: drivers fetch four to ten of a result at once.
RESULTS = 8
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
MEMORY = Path("/dev/shm")

BEAT = 'request = function() return wrk.format("POST", "/session/heartbeat") end'
QUERY = """
local sessions = { %s }
local n = 0
local id = tostring(os.time()):sub(-8)
request = function()
  n = n + 1
  local uuid = string.format("%%s-%%04x-4%%03x-8%%03x-%%012x", id, n %% 65536, n %% 4096,
    math.random(0, 4095), n)
  return wrk.format("POST", "/queries/v1/query-request?requestId=" .. uuid,
    sessions[n %% #sessions + 1],
    '{"sqlText":"SELECT id, region FROM orders WHERE region = 1","sequenceId":1}')
end
"""
GET = """
local secrets = { %s }
local chunks = { %s }
local n = 0
request = function()
  n = n %% #chunks + 1
  return wrk.format("GET", chunks[n][1], secrets[chunks[n][2]])
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
    location = /session/heartbeat {{ default_type application/json;
      return 200 '{{"data":null,"code":null,"message":null,"success":true}}'; }}
    location / {{ proxy_pass http://canned; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffers 16 64k; proxy_max_temp_file_size 0; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Load:
    """One measured run: how much was done, how long answers took, and what it cost the proxy."""

    per_second: float
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
    """The gateway beside nginx: medians over the rounds, and the median of the rounds' ratios.

    Attributes:
        stored_bytes: Size of a chunk before it is masked.
    """

    name: str
    gateway: Load
    nginx: Load
    cpu_ratio: float
    stored_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Proxy:
    """A process that serves the clients."""

    process: int
    port: int


@dataclass(frozen=True, slots=True)
class Shot:
    """What `wrk` sends, and the bytes of one right answer's body."""

    script: str
    headers: tuple[str, ...] = ()
    size: int = 0


def missing() -> str:
    """What must be installed first; empty when nothing is missing."""
    lacking = [tool for tool in ("nginx", "wrk") if shutil.which(tool) is None]
    packages = {"nginx": "nginx-light", "wrk": "wrk"}
    return f"apt install {' '.join(packages[tool] for tool in lacking)}" if lacking else ""


def measure(upstream: Path, folder: Path) -> tuple[list[Comparison], list[Comparison]]:
    """Run everything. `upstream` is the built example `canned_upstream`.

    Returns:
        Requests, then large chunks.
    """
    chunks = folder / "chunks"
    chunks.mkdir(parents=True)
    contents = _chunks()
    for name, content in contents.items():
        (chunks / name).write_bytes(content)
    make_certificates(folder, ("localhost", "127.0.0.1"))
    make_user_key(folder, "snowflake")
    upstream_port, nginx_port = _free_port(), _free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, upstream=upstream_port, port=nginx_port))
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as memory,
        _process([str(upstream), str(upstream_port), str(chunks)]),
        _process(["nginx", "-c", str(config)]) as nginx,
        _gate(folder, folder / "gate", upstream_port) as gate,
        _gate(folder, Path(memory) / "gate", upstream_port) as quick_gate,
    ):
        _wait(nginx_port)
        bench = Bench(folder, Proxy(nginx, nginx_port), contents)
        return bench.requests(gate, quick_gate), bench.chunks(gate)


class Bench:
    """The runs."""

    def __init__(self, folder: Path, nginx: Proxy, contents: dict[str, bytes]) -> None:
        self._folder = folder
        self._nginx = nginx
        self._contents = contents

    def requests(self, gate: Proxy, quick_gate: Proxy) -> list[Comparison]:
        """Small requests with one connection, and with 32."""
        client, quick_client = Client(self._folder, gate), Client(self._folder, quick_gate)
        sessions = [client.login() for _ in range(SESSIONS)]
        statement = client.statements(sessions)
        quick = quick_client.statements([quick_client.login() for _ in range(SESSIONS)])
        beat = Shot(BEAT, (sessions[0],), client.beat(sessions[0]))
        small = self._contents["chunk_small"]
        found = []
        for connections in (1, 32):
            found += self._interleaved(
                connections,
                {
                    "small chunk": (gate, lambda: client.tickets("SELECT chunk_small", small)),
                    "statement, verdict cached": (gate, lambda: statement),
                    "the same, ledger in memory": (quick_gate, lambda: quick),
                    "heartbeat": (gate, lambda: beat),
                },
                {"small chunk": Shot(GET % ("{}", '{"/chunk/chunk_small", 1}'), (), len(small))},
            )
        client.close()
        quick_client.close()
        return found

    def chunks(self, gate: Proxy) -> list[Comparison]:
        """Large chunks, two at a time."""
        client = Client(self._folder, gate)
        cases = {}
        theirs = {}
        for name, file, masked in (
            ("clear", "chunk_json", False),
            ("JSON masked", "chunk_json", True),
            ("Arrow masked", "chunk_arrow", True),
        ):
            sql = f"SELECT {file} masked" if masked else f"SELECT {file}"
            content = self._contents[file]
            cases[name] = (gate, functools.partial(client.tickets, sql, content))
            theirs[name] = Shot(GET % ("{}", f'{{"/chunk/{file}", 1}}'), (), len(content))
        found = self._interleaved(2, cases, theirs)
        client.close()
        return [
            replace(each, stored_bytes=shot.size)
            for each, shot in zip(found, theirs.values(), strict=True)
        ]

    def _interleaved(
        self,
        connections: int,
        cases: dict[str, tuple[Proxy, Callable[[], Shot]]],
        theirs: dict[str, Shot],
    ) -> list[Comparison]:
        """Every case against nginx, which gets the same requests unless `theirs` says others."""
        rounds: dict[str, list[tuple[Load, Load]]] = {name: [] for name in cases}
        for _ in range(ROUNDS):
            for name, (gate, shot) in cases.items():
                ours = shot()
                peer = theirs.get(name, replace(ours, size=0))
                rounds[name].append(
                    (
                        self._load(gate, connections, ours),
                        self._load(self._nginx, connections, peer),
                    )
                )
        return [
            Comparison(
                f"{name}, c={connections}",
                _median([ours for ours, _ in pairs]),
                _median([peer for _, peer in pairs]),
                statistics.median(ours.cpu_us / peer.cpu_us for ours, peer in pairs),
            )
            for name, pairs in rounds.items()
        ]

    def _load(self, proxy: Proxy, connections: int, shot: Shot) -> Load:
        script = self._folder / "wrk.lua"
        script.write_text(shot.script)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-s", script]
        for header in shot.headers:
            command += ["-H", header]
        before = _cpu_s(proxy.process)
        answer = subprocess.run(
            [*command, f"https://127.0.0.1:{proxy.port}"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        cpu_s = _cpu_s(proxy.process) - before
        count = int(_found(r"(\d+) requests in", answer))
        per_second = float(_found(r"Requests/sec:\s+([\d.]+)", answer))
        bytes_per_second = _amount(_found(r"Transfer/sec:\s+(\S+)", answer))
        # A refusal is HTTP 200, too, but it is shorter than rows are.
        short = bytes_per_second / per_second < shot.size * 0.9
        if short or "Non-2xx" in answer or "Socket errors" in answer:
            raise RuntimeError(f"{shot.size} bytes were expected\n{answer}")
        return Load(
            per_second,
            _time_us(_found(r"^ +50% +(\S+)$", answer)),
            _time_us(_found(r"^ +99% +(\S+)$", answer)),
            cpu_s,
            count,
        )


class Client:
    """Logs in, runs statements and asks for chunk tickets, as a driver does."""

    def __init__(self, folder: Path, gate: Proxy) -> None:
        self._http = httpx2.Client(
            base_url=f"https://127.0.0.1:{gate.port}",
            verify=str(folder / "ca.pem"),
            trust_env=False,
        )
        self._readers: list[str] = []

    def login(self) -> str:
        """A new session, as a header."""
        data = {"ACCOUNT_NAME": "BENCH", "AUTHENTICATOR": "OAUTH", "TOKEN": "t"}
        data |= {"CLIENT_APP_ID": "PythonConnector", "CLIENT_APP_VERSION": "4.8.1"}
        reply = self._post(
            f"/session/v1/login-request?requestId={uuid4()}", json.dumps({"data": data}), ""
        )
        return f'Authorization: Snowflake Token="{json.loads(reply)["data"]["token"]}"'

    def statements(self, sessions: list[str]) -> Shot:
        """A statement of each session in turn; every verdict is in the cache."""
        sizes = [len(self._query("SELECT id, region FROM orders WHERE region = 1", sessions[0]))]
        if sizes[0] < 1000:
            raise RuntimeError("the statement has no rows")
        headers = ", ".join(_lua_headers(*session.split(": ", 1)) for session in sessions)
        return Shot(QUERY % headers, (), sizes[0])

    def beat(self, session: str) -> int:
        """Bytes of the answer to a heartbeat."""
        return len(self._post("/session/heartbeat", "", session))

    def tickets(self, sql: str, content: bytes) -> Shot:
        """Fetch the chunks of fresh results, in turn."""
        secrets, each, size = [], [], 0
        # The gateway keeps so many tickets and no more; those of a session end with it.
        while self._readers:
            self._post("/session?delete=true", "", self._readers.pop())
        for result in range(RESULTS):
            self._readers.append(self.login())
            data = json.loads(self._query(sql, self._readers[-1]))["data"]
            secrets.append(_lua_headers(*next(iter(data["chunkHeaders"].items()))))
            paths = [httpx2.URL(chunk["url"]).raw_path.decode() for chunk in data["chunks"]]
            if result == 0:
                masked = "masked" in sql
                size = self._check(paths.pop(), data["chunkHeaders"], content, masked=masked)
            each.append([f'{{"{path}", {result + 1}}}' for path in paths])
        turns = itertools.chain.from_iterable(itertools.zip_longest(*each))
        chunks = ", ".join(chunk for chunk in turns if chunk)
        return Shot(GET % (", ".join(secrets), chunks), (), size)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _check(self, path: str, headers: dict[str, str], content: bytes, *, masked: bool) -> int:
        chunk = self._http.get(path, headers=headers).raise_for_status().content
        if not masked and chunk != content:
            raise RuntimeError("a clear chunk is not as stored")
        if masked and (b"canary" in chunk or chunk.count(b"public") != content.count(b"public")):
            raise RuntimeError("a masked chunk holds a value, or lacks a clear one")
        return len(chunk)

    def _query(self, sql: str, session: str) -> bytes:
        body = json.dumps({"sqlText": sql, "sequenceId": 1})
        return self._post(f"/queries/v1/query-request?requestId={uuid4()}", body, session)

    def _post(self, path: str, body: str, session: str) -> bytes:
        headers = dict([session.split(": ", 1)]) if session else {}
        reply = self._http.post(path, content=body.encode(), headers=headers).raise_for_status()
        if not reply.json()["success"]:
            raise RuntimeError(f"{path} failed: {reply.json()['message']}")
        return reply.content


def _lua_headers(name: str, value: str) -> str:
    """A table of one header. Lua's long brackets take any value."""
    return f'{{ ["{name}"] = [[{value}]] }}'


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


def _median(loads: list[Load]) -> Load:
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
    """One JSON and one Arrow chunk of eight columns, the last two to be masked; and a small one."""
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
    return {
        "chunk_json": line.encode(),
        "chunk_arrow": sink.getvalue().to_pybytes(),
        "chunk_small": line.encode()[:1800],
    }


@contextmanager
def _process(command: list[str]) -> Iterator[int]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def _gate(folder: Path, home: Path, upstream_port: int) -> Iterator[Proxy]:
    for part in ("ledger", "text-keys", "keys"):
        (home / part).mkdir(parents=True)
    key = home / "keys" / "store.key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    key_file = str(folder / "snowflake.p8")
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
            "credential": {"user": "SVC", "private_key_file": key_file},
        },
        "gateway_session": {
            "credential": {"user": "CATALOG", "private_key_file": key_file},
            "role": "ANALYST",
        },
        "ledger": {
            "dir": str(home / "ledger"),
            "origin": "snowgate/bench",
            "key_file": str(home / "keys" / "ledger.key"),
        },
        "text_keys_dir": str(home / "text-keys"),
        "store_key_file": str(key),
        "gateway": "bench",
        "account": "BENCH",
    }
    config = home / "gate.json"
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
        yield Proxy(process.pid, int(line))
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
