"""Ends on purpose and by accident: a graceful stop, and an upstream that is gone."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from snowgate.audit.verify import LedgerReport, read_vkey, verify_ledger

from .connector import DriverError, rows_of
from .rig import Rig, soon
from .test_holds import fresh_table
from .wire import Reply, Wire, chunk_headers

ROWS = 200_000


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A world of its own, whose big result is one chunk of several megabytes."""
    size = str(ROWS)
    rig = Rig.start(
        tmp_path_factory.mktemp("spare"),
        *("--big-rows", size, "--chunk-rows", size),
    )
    yield rig
    rig.stop()


@pytest.fixture(autouse=True)
def it_serves(spare: Rig) -> None:
    """Whatever the test before did."""
    if not spare.world.running("gateway"):
        spare.world.start_gateway()


def report(rig: Rig) -> LedgerReport:
    return verify_ledger(rig.ledger_dir, read_vkey(rig.verify_key))


class SlowReader:
    """Fetches a chunk through a tiny window, so that most of it stays with the gateway."""

    def __init__(self, rig: Rig, result: Reply) -> None:
        url = urlsplit(result.data["chunks"][0]["url"])
        context = ssl.create_default_context(cafile=rig.layout.ca_file)
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect(("localhost", url.port))
        self._tls = context.wrap_socket(plain, server_hostname="localhost")
        headers = {"Host": f"localhost:{url.port}", **chunk_headers(result)}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._tls.sendall(f"GET {url.path} HTTP/1.1\r\n{head}\r\n".encode())
        self._received = self._tls.recv(1000)
        assert self._received.startswith(b"HTTP/1.1 200"), self._received

    def rest(self) -> bytes:
        """The body to its end."""
        with self._tls:
            while b"\r\n\r\n" not in self._received:
                self._received += self._tls.recv(65536)
            head, _, body = self._received.partition(b"\r\n\r\n")
            [length] = [
                int(line.partition(b":")[2])
                for line in head.lower().splitlines()
                if line.startswith(b"content-length:")
            ]
            parts, size = [body], len(body)
            while size < length:
                piece = self._tls.recv(1 << 20)
                if not piece:
                    break
                parts.append(piece)
                size += len(piece)
        return b"".join(parts)


def test_a_stop_finishes_the_download_that_runs(spare: Rig) -> None:
    sql = "SELECT * FROM big ORDER BY id"
    wire = spare.wire("analyst")
    result = wire.query(sql)
    assert len(result.data["chunks"]) == 1
    [whole] = wire.chunks(result)
    assert len(whole.raw) > 3_000_000
    reader = SlowReader(spare, result)

    with ThreadPoolExecutor(1) as threads:
        status = threads.submit(spare.world.stop_gateway)
        time.sleep(1)
        # It takes nobody new, and still serves the one it has.
        assert not status.done()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("localhost", spare.world.ports.gateway), timeout=2)
        assert reader.rest() == whole.raw
        assert status.result() == 0

    assert report(spare).published == report(spare).size
    assert spare.entries()[-1].kind == "stop"
    spare.world.start_gateway()


def test_a_stop_does_not_wait_for_approvals_and_the_driver_goes_on_after_it(spare: Rig) -> None:
    sql = fresh_table()
    with spare.driver(spare.writer_token()) as session:
        answer = session.start(sql)
        spare.pending(sql)

        started_s = time.monotonic()
        assert spare.world.stop_gateway() == 0
        assert time.monotonic() - started_s < 8
        verified = report(spare)
        assert verified.published == verified.size
        spare.world.start_gateway()

        spare.approve(sql)
        assert "successfully created" in str(rows_of(answer).rows[0][0])
    assert spare.executed(sql) == 1


def test_a_stop_loses_no_outcome(spare: Rig) -> None:
    sql = "SELECT 1 /* standin:wait=2 */ AS while_stopping"
    wire, since, replies = spare.wire("fraud"), spare.mark(), list[Reply]()
    waiting = threading.Thread(target=lambda: replies.append(wire.query(sql)))
    waiting.start()
    assert soon(lambda: sql in since.statements())

    assert spare.world.stop_gateway() == 0
    waiting.join()

    [reply] = replies
    assert reply.ok
    assert since.outcome(since.entry("intent")).fields["status"] == "ok"
    assert report(spare).open_intents == 0
    spare.world.start_gateway()


def test_a_checkpoint_follows_the_last_entry_within_two_seconds(spare: Rig) -> None:
    wire = spare.wire("analyst")
    for number in range(3):
        assert wire.query(f"SELECT {number}").ok
        last = soon(lambda: spare.entries()[-1])
        entries = last.seq + 1

        assert soon(lambda wanted=entries: published(spare) >= wanted, 4)  # type: ignore[misc]

        written_s = (spare.ledger_dir / "checkpoint").stat().st_mtime
        last_s = datetime.fromisoformat(last.time).astimezone(UTC).timestamp()
        # Half a second more for a busy machine.
        assert written_s - last_s < 2.5


def published(rig: Rig) -> int:
    """Entries the checkpoint covers: the second line of a signed note (C2SP tlog-checkpoint)."""
    return int((rig.ledger_dir / "checkpoint").read_text().splitlines()[1])


def test_a_checkpoint_taken_earlier_is_extended_later(spare: Rig) -> None:
    earlier = spare.layout.path("earlier")
    earlier.write_bytes((spare.ledger_dir / "checkpoint").read_bytes())
    assert spare.wire("analyst").query("SELECT 1").ok

    verified = spare.cli(
        *("verify", str(spare.ledger_dir), "--key", str(spare.verify_key)),
        *("--checkpoint", str(earlier)),
    )

    assert verified.returncode == 0, verified.stderr


def test_an_upstream_that_is_gone_is_told_and_recorded(spare: Rig, version: str) -> None:
    with spare.driver("analyst", version) as session:
        assert session.run("SELECT 1").rows == [["1"]]
        wire, since = spare.wire("analyst"), spare.mark()
        spare.world.kill_upstream()
        try:
            with pytest.raises(DriverError) as caught:
                session.run("SELECT 2")
            assert "did not run" in caught.value.msg
            assert "what to do: try again" in caught.value.msg
            outcome = since.outcome(since.entry("intent"))
            assert (outcome.fields["status"], outcome.fields["fault"]) == ("error", "upstream")

            refused = spare.wire().log_in(spare.token("analyst"))
            assert not refused.ok
            assert len(str(refused.code)) == 6
            assert "snowflake" in refused.message
            assert since.entry("login").fields["verdict"] == "deny"
            # What the gateway decides itself it decides without upstream.
            assert wire.query("SHOW USERS").code == "003001"
        finally:
            spare.world.start_upstream()
            spare.world.wait_ready("standin", spare.layout.path("standin.ready.json"))


def test_an_upstream_that_is_back_serves_new_logins(spare: Rig) -> None:
    since = spare.mark()

    with spare.driver("analyst") as session:
        assert session.run("SELECT email FROM customers WHERE id = 1").rows == [["***"]]

    assert since.entry("login").fields["verdict"] == "allow"


def test_the_session_of_a_restarted_upstream_is_over(spare: Rig) -> None:
    wire: Wire = spare.wire("analyst")
    spare.world.kill_upstream()
    spare.world.start_upstream()
    spare.world.wait_ready("standin", spare.layout.path("standin.ready.json"))

    assert wire.query("SELECT 1").code == "390111"
    assert wire.query("SELECT 1").code == "390111"


@pytest.mark.long
def test_a_session_outlives_its_tokens(odd: Rig, version: str) -> None:
    """The second world's session tokens last a minute; drivers renew them in passing."""
    with odd.driver("analyst", version) as session:
        assert session.run("SELECT 1").rows == [["1"]]
        time.sleep(62)
        assert session.run("SELECT 2").rows == [["2"]]
