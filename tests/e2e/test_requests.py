"""Requests that no driver sends: malformed, oversized, doubled. None is forwarded, none kills."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
from uuid import uuid4

import pytest

from .rig import QUERY_REQUEST, Rig
from .test_denials import assert_denied
from .wire import Reply, Wire


def post(wire: Wire, body: bytes, *, query: str | None = None, **headers: str) -> Reply:
    path = f"{QUERY_REQUEST}?{f'requestId={uuid4()}' if query is None else query}"
    return wire.send("POST", path, body, headers=headers)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"SELECT 1"',
        b"{}",
        b'{"sqlText": null}',
        b'{"sqlText": 1}',
        b'{"sqlText": ["SELECT 1"]}',
        b'{"sqlText": "SELECT 1", "sqlText": "SELECT 2"}',
        b'{"sqlText": "SELECT 1", "sql\\u0054ext": "SELECT 2"}',
        b'{"sqlText": "SELECT 1", "parameters": {"TIMEZONE": "UTC", "TIMEZONE": "CET"}}',
        b'{"sqlText": "SELECT 1", "parameters": {"timezone": "UTC", "TIMEZONE": "CET"}}',
        b'{"sqlText": "SELECT 1", "bindings": {"1": {"type": "TEXT"}, "01": {"type": "TEXT"}}}',
        b'{"sqlText": "SELECT \xff"}',
        b'{"sqlText": "SELECT \\ud800"}',
        b'{"sqlText": "SELECT 1"} {"sqlText": "SELECT 2"}',
        b'{"sqlText": "SELECT 1", "x": ' + b"[" * 200 + b"]" * 200 + b"}",
    ],
)
def test_a_body_that_can_be_read_in_two_ways_or_none_is_denied(
    rig: Rig, analyst: Wire, body: bytes
) -> None:
    since = rig.mark()

    reply = post(analyst, body)

    assert assert_denied(reply, since) == "request-body"
    assert analyst.query("SELECT 1").ok


@pytest.mark.parametrize(
    "query", ["", "requestId=", "requestId=x", "requestid=" + str(uuid4()), "request_id=1"]
)
def test_a_statement_without_a_request_id_is_denied(rig: Rig, analyst: Wire, query: str) -> None:
    since = rig.mark()

    reply = post(analyst, b'{"sqlText": "SELECT 1"}', query=query)

    assert_denied(reply, since)
    assert "requestId" in reply.message


def test_two_request_ids_are_denied(rig: Rig, analyst: Wire) -> None:
    since = rig.mark()

    reply = post(
        analyst, b'{"sqlText": "SELECT 1"}', query=f"requestId={uuid4()}&requestId={uuid4()}"
    )

    assert_denied(reply, since)


def test_a_request_id_is_not_used_twice_for_two_texts(rig: Rig, analyst: Wire) -> None:
    request_id = str(uuid4())
    assert analyst.query("SELECT 1", request_id=request_id).ok
    since = rig.mark()

    for other in ({}, {"bindings": {"1": {"type": "TEXT", "value": "x"}}}):
        reply = analyst.query("SELECT 2", request_id=request_id, **other)
        assert "request-id-reuse" in reply.message

    assert since.statements() == []
    assert len(since.entries("denial")) == 2


def test_an_oversized_statement_is_denied(rig: Rig, analyst: Wire) -> None:
    since = rig.mark()
    sql = "SELECT '" + "x" * 1_100_000 + "'"

    reply = analyst.query(sql)

    assert_denied(reply, since)
    assert "what to do" in reply.message


def test_an_oversized_body_is_denied(rig: Rig, analyst: Wire) -> None:
    since = rig.mark()
    body = json.dumps({"sqlText": "SELECT 1", "padding": "x" * (17 * 1024 * 1024)}).encode()

    reply = post(analyst, body)

    assert assert_denied(reply, since) == "request-size"


def test_a_gzip_bomb_is_denied_before_it_unfolds(rig: Rig, analyst: Wire) -> None:
    since = rig.mark()
    bomb = gzip.compress(b'{"sqlText": "SELECT 1"}' + b" " * (100 * 1024 * 1024))
    assert len(bomb) < 1024 * 1024

    reply = post(analyst, bomb, **{"content-encoding": "gzip"})

    assert assert_denied(reply, since) == "request-size"


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip"])
def test_an_encoding_that_is_not_read_is_denied(rig: Rig, analyst: Wire, encoding: str) -> None:
    since = rig.mark()

    reply = post(analyst, b'{"sqlText": "SELECT 1"}', **{"content-encoding": encoding})

    assert_denied(reply, since)


def test_a_damaged_gzip_stream_is_denied(rig: Rig, analyst: Wire) -> None:
    since = rig.mark()
    body = gzip.compress(b'{"sqlText": "SELECT 1"}')[:-6]

    reply = post(analyst, body, **{"content-encoding": "gzip"})

    assert_denied(reply, since)


def test_gzip_is_read_with_and_without_its_header(analyst: Wire) -> None:
    body = gzip.compress(b'{"sqlText": "SELECT 1"}')

    assert analyst.follow(post(analyst, body, **{"content-encoding": "gzip"})).ok
    assert analyst.follow(post(analyst, body)).ok
    assert analyst.follow(post(analyst, b'{"sqlText": "SELECT 2"}')).ok


def test_deep_nesting_in_a_statement_is_denied(rig: Rig, analyst: Wire) -> None:
    for sql in (
        "SELECT " + "(" * 3000 + "1" + ")" * 3000,
        "SELECT " + "-" * 1 + " - " * 3000 + "1",
        " UNION ALL ".join(["SELECT 1"] * 3000),
    ):
        since = rig.mark()
        reply = analyst.query(sql)
        assert reply.ok or assert_denied(reply, since)
    assert analyst.query("SELECT 1").ok


def test_unknown_keys_of_a_request_are_not_forwarded(rig: Rig, analyst: Wire) -> None:
    sql = "SELECT 'unknown keys'"

    reply = analyst.query(sql, dataframeAst="QUJD", describedJobId="x", secondaryRole="ALL")

    assert reply.ok
    assert rig.executed(sql) == 1


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /queries/v1/query-request HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6"
        b"\r\n\r\nhello!",
        b"GET /x HTTP/1.1\r\nHost: localhost\r\nHost: attacker.example\r\n\r\n",
        b"GET http://attacker.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT upstream:443 HTTP/1.1\r\nHost: upstream:443\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_odd_heads_get_no_service(rig: Rig, head: bytes) -> None:
    since = rig.mark()
    context = ssl.create_default_context(cafile=rig.layout.ca_file)
    address = ("localhost", rig.world.ports.gateway)
    with (
        socket.create_connection(address, timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        received = b""
        try:
            tls.sendall(head)
            tls.settimeout(0.4)
            while piece := tls.recv(65536):
                received += piece
        except (OSError, TimeoutError):
            pass

    # One answer at most: nothing was smuggled in behind the first request.
    assert received.count(b"HTTP/1.") <= 1
    assert b'"success":true' not in received
    assert since.upstream() == []
    assert rig.wire("analyst").query("SELECT 1").ok


def test_plain_http_on_the_tls_port_gets_nothing(rig: Rig) -> None:
    with socket.create_connection(("localhost", rig.world.ports.gateway), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = plain.recv(4096)

    assert b"HTTP/1.1 2" not in received


def test_a_handshake_that_is_never_finished_is_given_up_and_holds_up_nobody(odd: Rig) -> None:
    # A record header that announces 512 bytes of a ClientHello, and five of them.
    for begun in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03"):
        with socket.create_connection(("localhost", odd.world.ports.gateway), 10) as connection:
            connection.sendall(begun)
            with odd.wire("analyst") as other:
                assert other.query("SELECT 1").ok
            # Ends, or the time-out of this side fails the test.
            while connection.recv(1024):
                pass


def test_a_login_that_cannot_be_read_is_refused_and_recorded(rig: Rig) -> None:
    wire = rig.wire()
    for body in (
        b"",
        b"{",
        b'{"data": []}',
        b'{"data": {"ACCOUNT_NAME": "CRMDEMO"}}',
        b'{"data": {"TOKEN": "a", "TOKEN": "b", "ACCOUNT_NAME": "CRMDEMO"}}',
    ):
        since = rig.mark()
        reply = wire.send("POST", "/session/v1/login-request", body)
        assert not reply.ok
        assert len(str(reply.code)) == 6
        assert since.entry("login").fields["verdict"] == "deny"
        assert since.upstream() == []


def test_requests_without_a_session_are_told_to_log_in(rig: Rig) -> None:
    since = rig.mark()
    wire = rig.wire()
    query_id = str(uuid4())
    for token in ("", "None", "nonsense", "sgs_" + "0" * 64):
        wire.token = token
        for method, path in (
            ("POST", f"{QUERY_REQUEST}?requestId={uuid4()}"),
            ("GET", f"/queries/{query_id}/result"),
            ("GET", f"/monitoring/queries/{query_id}"),
            ("POST", f"/queries/{query_id}/abort-request"),
            ("POST", "/session/heartbeat"),
        ):
            reply = wire.send(method, path, {"sqlText": "SELECT 1"})
            assert not reply.ok
            assert reply.code == "390104"
    assert since.upstream() == []


def test_telemetry_is_swallowed(rig: Rig, analyst: Wire) -> None:
    since = rig.mark()

    assert analyst.send("POST", "/telemetry/send", {"logs": []}).ok
    assert since.upstream() == []
