"""Chunks of a result: a public id in the URL, its secret in a header, and both end (F20)."""

from __future__ import annotations

from uuid import uuid4

import httpx2
import pytest

from .canary import Canaries
from .rig import Rig
from .wire import Reply, Wire, chunk_headers

SQL = "SELECT * FROM customers ORDER BY id"


@pytest.fixture
def result(analyst: Wire) -> Reply:
    """A result with one chunk."""
    reply = analyst.query(SQL)
    assert len(reply.data["chunks"]) == 1
    return reply


def fetch(wire: Wire, result: Reply, headers: dict[str, str], **more: str) -> Reply:
    url = result.data["chunks"][0]["url"]
    return wire.send("GET", url, headers=headers | more, token="")


def read_into(received: list[bytes], wire: Wire, result: Reply) -> None:
    """Fetch the chunk, and keep what came even when the connection is cut."""
    url, headers = result.data["chunks"][0]["url"], chunk_headers(result)
    with wire.http.stream("GET", url, headers=headers) as response:
        for piece in response.iter_raw():
            received.append(piece)  # noqa: PERF402  the last piece must be kept, too


def assert_refused(rig: Rig, reply: Reply) -> None:
    """Nothing is told but that there is nothing."""
    assert reply.status == 503
    assert reply.raw == b""


def test_the_url_is_the_gateway_s_and_holds_no_secret(rig: Rig, result: Reply) -> None:
    url, headers = result.data["chunks"][0]["url"], chunk_headers(result)

    assert url.startswith(f"{rig.url}/snowgate/chunk/")
    assert "?" not in url
    assert not any(secret in url for secret in headers.values())
    # The Python driver logs chunk headers, save those with this word in their name.
    assert all("encryption" in name for name in headers)
    assert not result.data.get("qrmk")
    assert b"STANDIN-SECRET" not in result.body
    assert str(rig.world.ports.storage).encode() not in result.body


def test_the_url_uses_the_name_the_client_connected_to(rig: Rig, analyst: Wire) -> None:
    analyst.url = f"https://127.0.0.1:{rig.world.ports.gateway}"

    reply = analyst.query(SQL)

    assert reply.data["chunks"][0]["url"].startswith(analyst.url)
    [chunk] = analyst.chunks(reply)
    assert chunk.status == 200


def test_id_and_secret_together_give_the_chunk(analyst: Wire, result: Reply) -> None:
    reply = fetch(analyst, result, chunk_headers(result))

    assert reply.status == 200
    assert dict(reply.headers)[b"content-type"] == b"application/octet-stream"


def test_the_id_alone_is_worth_nothing(rig: Rig, analyst: Wire, result: Reply) -> None:
    since = rig.mark()

    assert_refused(rig, fetch(analyst, result, {}))

    denial = since.entry("denial")
    assert denial.fields["rules"] == ["chunk-ticket"]
    assert since.upstream() == []


def test_the_session_token_does_not_replace_the_secret(rig: Rig, analyst: Wire) -> None:
    url = analyst.query(SQL).data["chunks"][0]["url"]

    assert_refused(rig, analyst.send("GET", url))


def test_another_secret_is_refused(rig: Rig, analyst: Wire, result: Reply) -> None:
    [name] = chunk_headers(result)
    other = chunk_headers(analyst.query("SELECT * FROM orders"))[name]
    for secret in ("", "x", other, other[::-1]):
        assert_refused(rig, fetch(analyst, result, {name: secret}))
    # Wrong tries do not use the ticket up.
    assert fetch(analyst, result, chunk_headers(result)).status == 200


def test_an_unknown_id_is_refused(rig: Rig, analyst: Wire, result: Reply) -> None:
    url = f"{rig.url}/snowgate/chunk/{uuid4()}"

    assert_refused(rig, analyst.send("GET", url, headers=chunk_headers(result), token=""))


def test_after_logout_the_ticket_is_refused(rig: Rig, analyst: Wire, result: Reply) -> None:
    assert fetch(analyst, result, chunk_headers(result)).status == 200
    analyst.log_out()
    since = rig.mark()

    assert_refused(rig, fetch(analyst, result, chunk_headers(result)))

    assert since.entry("denial").fields["rules"] == ["chunk-ticket"]
    assert since.upstream() == []


def test_a_ticket_is_good_for_ten_fetches(rig: Rig, analyst: Wire, result: Reply) -> None:
    headers = chunk_headers(result)

    statuses = [fetch(analyst, result, headers).status for _ in range(11)]

    assert statuses == [200] * 10 + [503]


def test_a_host_that_is_not_the_gateway_s_is_refused(
    rig: Rig, analyst: Wire, result: Reply
) -> None:
    reply = fetch(analyst, result, chunk_headers(result), host="attacker.example")

    assert b"attacker.example" not in reply.body
    assert reply.status != 200 or not reply.ok

    since = rig.mark()
    refused = analyst.send(
        "POST",
        f"/queries/v1/query-request?requestId={uuid4()}",
        {"sqlText": SQL},
        headers={"host": "attacker.example"},
    )
    assert not refused.ok
    assert "host" in refused.message
    assert since.upstream() == []


def test_a_chunk_that_storage_refuses_tells_the_client_nothing(
    rig: Rig, analyst: Wire, result: Reply
) -> None:
    rig.fault(kind="storage", status=403)

    assert_refused(rig, fetch(analyst, result, chunk_headers(result)))
    assert fetch(analyst, result, chunk_headers(result)).status == 200


@pytest.mark.parametrize("damage", [{"corrupt": True}, {"cut": 2000}])
def test_a_damaged_chunk_cuts_the_connection_and_leaks_nothing(
    rig: Rig, analyst: Wire, result: Reply, canaries: Canaries, damage: dict[str, object]
) -> None:
    since = rig.mark()
    rig.fault(kind="storage", **damage)

    received: list[bytes] = []
    with pytest.raises(httpx2.RemoteProtocolError):
        read_into(received, analyst, result)

    assert not canaries.found_in(b"".join(received))
    if "corrupt" in damage:
        assert since.entry("alert").fields["alert"] == "masking"


def test_drivers_get_over_one_failed_fetch(rig: Rig, version: str) -> None:
    with rig.driver("analyst", version) as session:
        rig.fault(kind="storage", status=503)
        result = session.run(SQL)

    assert result.rowcount == 2000


def test_a_result_is_fetched_only_in_its_own_session(rig: Rig, analyst: Wire) -> None:
    reply = analyst.query(SQL)
    with rig.wire("analyst") as same_principal, rig.wire("fraud") as other:
        for wire in (same_principal, other):
            since = rig.mark()
            refused = wire.result(reply.query_id)
            assert refused.code == "003001"
            assert "not-your-query" in refused.message
            assert since.entry("denial").fields["rules"] == ["not-your-query"]
            assert since.upstream() == []


def test_an_id_nobody_has_is_refused_in_the_same_words(rig: Rig, analyst: Wire) -> None:
    with rig.wire("fraud") as other:
        known = other.query("SELECT 1").query_id
    foreign, unknown = analyst.result(known), analyst.result(str(uuid4()))

    def words(reply: Reply) -> str:
        return reply.message.split("; reference")[0]

    assert words(foreign) == words(unknown)
