"""After everything else: what all clients were sent and all files hold, searched for secrets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .canary import Canaries, layers
from .rig import Rig
from .wire import Wire

UPSTREAM_SECRET = b"STANDIN-SECRET"
# How a signed token begins: `{"alg"`, `{"kid"` and `{"typ"` in base64.
JWT_HEADS = (b"eyJhbGci", b"eyJraWQi", b"eyJ0eXAi")


@pytest.fixture(scope="module", autouse=True)
def everything_was_used(rig: Rig) -> None:
    """A little of everything, so that the search is worth something when run alone."""
    for app in ("PythonConnector", "JavaScript"):
        with rig.wire("analyst", app=app) as wire:
            reply = wire.query("SELECT * FROM customers")
            wire.chunks(reply)
            wire.result(reply.query_id)
            wire.send("GET", f"/monitoring/queries/{reply.query_id}")
            wire.send("POST", "/session/heartbeat")
            wire.query("SELECT 1 / (id - id) FROM products")
            wire.query("SELECT * FROM no_such_table")
            wire.query("SHOW PARAMETERS")
            wire.query("SELECT CURRENT_SESSION(), CURRENT_USER(), CURRENT_IP_ADDRESS()")
            wire.renew()
            wire.log_out()


def files(rig: Rig) -> Iterator[Path]:
    """What the gateway writes: data directory, ledger, store, keys of texts, and its log."""
    yield rig.layout.log("gateway")
    yield from (path for path in rig.layout.data_dir.rglob("*") if path.is_file())


def test_no_reply_holds_a_secret_of_upstream(rig: Rig) -> None:
    assert len(rig.wires) > 1
    for wire in rig.wires:
        for reply in wire.seen:
            for layer in layers(reply.raw):
                assert UPSTREAM_SECRET not in layer, reply.path
            assert UPSTREAM_SECRET not in repr(reply.headers).encode(), reply.path


def test_no_file_of_the_gateway_holds_a_secret_of_upstream(rig: Rig) -> None:
    for path in files(rig):
        assert UPSTREAM_SECRET not in path.read_bytes(), path


def tokens(wires: list[Wire]) -> Iterator[bytes]:
    for wire in wires:
        for token in (wire.token, wire.master):
            if token:
                yield token.encode()
                # Also without its prefix, of three letters and a line.
                yield token[4:].encode()


def test_no_file_holds_a_token_of_a_client(rig: Rig) -> None:
    ours = {*tokens(rig.wires)}
    key = rig.layout.path("config", "snowflake.p8").read_bytes().splitlines()[2]
    for path in files(rig):
        content = path.read_bytes()
        for head in JWT_HEADS:
            assert head not in content, path
        assert key not in content, path
        for token in ours:
            assert token not in content, path


def test_no_file_holds_a_tagged_value(rig: Rig, canaries: Canaries) -> None:
    for path in files(rig):
        assert not canaries.found_in(path.read_bytes()), path


def test_the_gateway_s_log_has_no_sql_and_no_traceback(rig: Rig) -> None:
    log = rig.layout.log("gateway").read_text()

    assert "Traceback" not in log
    assert "panicked" not in log
    assert "FROM customers" not in log


def test_nothing_was_sent_upstream_that_the_ledger_does_not_know(rig: Rig) -> None:
    intents = {
        entry.fields["upstream_request_id"] for entry in rig.entries() if entry.kind == "intent"
    }
    for line in rig.lines():
        # Without a session of upstream's nothing runs: a test tried the gateway's token there.
        if line.sql is None or line.session is None:
            continue
        if line.session not in rig.direct_sessions:
            assert line.request_id in intents, line.path


def test_each_intent_has_one_outcome(rig: Rig) -> None:
    entries = rig.entries()
    intents = [entry.seq for entry in entries if entry.kind == "intent"]
    outcomes = [int(str(entry.fields["intent"])) for entry in entries if entry.kind == "outcome"]

    assert sorted(intents) == sorted(outcomes)


def test_the_ledger_of_it_all_verifies(rig: Rig) -> None:
    verified = rig.cli("verify", str(rig.ledger_dir), "--key", str(rig.verify_key))

    assert verified.returncode == 0, verified.stderr
