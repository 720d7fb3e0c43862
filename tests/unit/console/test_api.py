"""The approvals API over a real listener: who sees, who decides, and what is refused (F15, F30)."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
import trustme

from snowgate.approval import ApprovalDesk, Released
from snowgate.console import ApprovalsClient, api, serve_api
from snowgate.console.api import MAX_LISTED_BYTES
from snowgate.console.guard import MAX_BODY_BYTES
from snowgate.errors import (
    ApprovalClosed,
    ApprovalError,
    ApprovalNotFound,
    IssuerUnavailable,
    LedgerError,
    LoginRefused,
    NotAnApprover,
    StartError,
    TokenExpired,
)
from snowgate.model.approval import HeldStatement
from snowgate.model.identity import Identified, Principal
from snowgate.model.ports import EntryText
from snowgate.store import Store

SQL = "DROP TABLE t /* \u202e exact text */"


@dataclass
class Ledger:
    """A `Recorder` in memory."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    broken: bool = False

    async def record(
        self, kind: str, fields: dict[str, Any], texts: Sequence[EntryText] = ()
    ) -> int:
        if self.broken:
            raise LedgerError("disk full at /secret/path")
        self.entries.append(fields)
        return len(self.entries) - 1


class Tokens:
    """A `TokenVerifier` whose tokens say who somebody is."""

    async def identify(self, token: str, account: str) -> Identified:
        errors: dict[str, LoginRefused] = {
            "expired": TokenExpired("expired", "token expired 5 s ago"),
            "down": IssuerUnavailable("issuer", "the issuer's keys cannot be read"),
        }
        if token in errors:
            raise errors[token]
        name, _, groups = token.partition(":")
        people = name != "machine"
        principal = Principal(
            account, "https://people", name, name.title(), people, name if people else ""
        )
        return Identified(principal, tuple(groups.split("+")), (), time.time() + 60, 60, "")


@dataclass(frozen=True)
class Tls:
    certificate: Path
    private_key: Path


@dataclass(frozen=True)
class Listener:
    tls: Tls | None = None
    port: int = 0
    address: str = "127.0.0.1"
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1")


@dataclass
class World:
    desk: ApprovalDesk
    ledger: Ledger
    http: httpx2.AsyncClient
    url: str

    async def get(self, path: str = "", token: str = "bob:data-platform") -> httpx2.Response:
        return await self.http.get(
            f"/api/v1/approvals{path}", headers={"authorization": f"Bearer {token}"}
        )

    async def decide(
        self, path: str, token: str = "bob:data-platform", **body: object
    ) -> httpx2.Response:
        return await self.http.post(
            f"/api/v1/approvals/{path}", headers={"authorization": f"Bearer {token}"}, json=body
        )


def statement(query_id: str = "q1", approvers: tuple[str, ...] = ("data-platform",)) -> Any:
    return HeldStatement(
        session="s1",
        query_id=query_id,
        principal=Principal("CRM", "https://ci", "repo-1", "etl job", triggered_by=("alice",)),
        groups=("etl-writers",),
        role="ETL",
        database="CRM",
        schema="PUBLIC",
        sql=SQL,
        binds='{"1":{"type":"TEXT","value":"x"}}',
        parameters="",
        context_digest="context",
        statement_digest="statement",
        reference="ref-1",
        rules=("ddl",),
        approvers=approvers,
        quorum=1,
        expires_s=3600,
    )


@pytest.fixture
async def world(nursery: trio.Nursery, tmp_path: Path) -> AsyncIterator[World]:
    ledger = Ledger()
    with Store.open(tmp_path / "store.db", bytes(32)) as store:
        desk = await ApprovalDesk.open(store.approvals, ledger, lambda _: None)
        address = await nursery.start(serve_api, Listener(), desk, Tokens(), "CRM")
        url = f"http://localhost:{address[1]}"
        async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=10) as http:
            yield World(desk, ledger, http, url)
        nursery.cancel_scope.cancel()


async def test_an_approver_sees_exactly_what_would_run(world: World) -> None:
    approval = await world.desk.request(statement())

    shown = (await world.get(f"/{approval.id}")).json()

    assert shown["sql"] == SQL
    assert shown["binds"] == '{"1":{"type":"TEXT","value":"x"}}'
    assert (shown["role"], shown["database"], shown["schema"]) == ("ETL", "CRM", "PUBLIC")
    assert shown["principal"] == "etl job"
    assert shown["state"] == "pending"
    assert shown["approvers"] == ["data-platform"]
    assert shown["expires_at"].endswith("Z")
    assert shown["votes"] == []
    assert (await world.get()).json() == {"approvals": [shown], "left_off": 0}


async def test_an_approver_sees_what_would_be_shown_in_clear(world: World) -> None:
    plain = await world.desk.request(statement())
    clear = await world.desk.request(replace(statement("q2"), unmask=("cards", "pii")))

    listed = (await world.get()).json()["approvals"]

    assert [(one["id"], one["unmask"]) for one in listed] == [
        (clear.id, ["cards", "pii"]),
        (plain.id, []),
    ]


async def test_an_approval_over_http_releases_the_statement(world: World) -> None:
    approval = await world.desk.request(statement())

    reply = await world.decide(f"{approval.id}/approve", reason="checked")

    assert reply.status_code == 200
    assert reply.json()["state"] == "approved"
    [vote] = reply.json()["votes"]
    assert (vote["name"], vote["approve"], vote["reason"]) == ("Bob", True, "checked")
    assert isinstance(await world.desk.consume("q1", "statement", "context"), Released)


async def test_a_denial_needs_no_reason(world: World) -> None:
    approval = await world.desk.request(statement())

    reply = await world.http.post(
        f"/api/v1/approvals/{approval.id}/deny",
        headers={"authorization": "bearer bob:data-platform"},
    )

    assert reply.json()["state"] == "denied"


@pytest.mark.parametrize(
    ("token", "status", "word"),
    [
        ("machine:data-platform", 403, "login_refused"),
        ("expired", 401, "login_refused"),
        ("down", 503, "login_refused"),
        ("bob:security", 403, "not_an_approver"),
        ("alice:data-platform", 403, "not_an_approver"),
    ],
)
async def test_who_may_not_decide_is_told_why_and_changes_nothing(
    world: World, token: str, status: int, word: str
) -> None:
    approval = await world.desk.request(statement())

    reply = await world.decide(f"{approval.id}/approve", token)

    assert (reply.status_code, reply.json()["error"]) == (status, word)
    assert reply.json()["message"]
    assert (await world.desk.get(approval.id)).votes == ()
    assert ("www-authenticate" in reply.headers) == (status == 401)


@pytest.mark.parametrize("path", ["", "/{id}"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Basic Ym9iOnB3"},
        {"authorization": "Bearer"},
        {"cookie": "token=bob:data-platform"},
    ],
)
async def test_without_a_bearer_token_nothing_is_shown(
    world: World, path: str, headers: dict[str, str]
) -> None:
    approval = await world.desk.request(statement())

    reply = await world.http.get(f"/api/v1/approvals{path.format(id=approval.id)}", headers=headers)

    assert reply.status_code == 401
    assert "DROP" not in reply.text


async def test_two_tokens_are_none(world: World) -> None:
    tokens = [("authorization", f"Bearer {name}:data-platform") for name in ("bob", "carol")]

    reply = await world.http.get("/api/v1/approvals", headers=tokens)

    assert reply.status_code == 401


async def test_people_see_only_what_they_may_decide(world: World) -> None:
    approval = await world.desk.request(statement())
    await world.desk.request(statement("q2", ("security",)))

    assert [a["id"] for a in (await world.get()).json()["approvals"]] == [approval.id]
    hidden = await world.get(f"/{approval.id}", "eve:security")
    absent = await world.get("/nobody")
    assert (hidden.status_code, absent.status_code) == (404, 404)
    assert hidden.json() == absent.json()


async def test_the_list_is_narrowed_by_state(world: World) -> None:
    approval = await world.desk.request(statement())
    await world.decide(f"{approval.id}/deny")

    assert (await world.get("?state=pending")).json() == {"approvals": [], "left_off": 0}
    assert len((await world.get("?state=denied")).json()["approvals"]) == 1
    assert (await world.get("?state=nonsense")).status_code == 400


async def test_the_list_is_cut_where_it_is_asked_to_be(world: World) -> None:
    for at in range(5):
        await world.desk.request(statement(f"q{at}"))
    whole = (await world.get()).json()["approvals"]

    cut = (await world.get("?limit=2")).json()

    assert cut == {"approvals": whole[:2], "left_off": 3}
    for wrong in ("0", "-1", "501", "9" * 5000, "two", "²"):
        assert (await world.get(f"?limit={wrong}")).status_code == 400


async def test_a_list_of_long_texts_is_bounded_and_each_text_is_exact(world: World) -> None:
    text = "SELECT '" + "ü" * 600_000 + "'"
    for at in range(10):
        await world.desk.request(replace(statement(f"q{at}"), sql=text))

    reply = await world.get()

    listed = reply.json()
    assert len(reply.content) <= MAX_LISTED_BYTES + 1000
    assert all(one["sql"] == text for one in listed["approvals"])
    assert len(listed["approvals"]) + listed["left_off"] == 10
    assert listed["left_off"] == 4


async def test_a_text_that_fills_the_list_alone_is_listed_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "MAX_LISTED_BYTES", 100)
    for at in range(2):
        await world.desk.request(statement(f"q{at}"))

    listed = (await world.get()).json()

    assert len(listed["approvals"]) == 1
    assert listed["left_off"] == 1


async def test_a_vote_after_the_end_is_a_conflict(world: World) -> None:
    approval = await world.desk.request(statement())
    await world.decide(f"{approval.id}/deny")

    reply = await world.decide(f"{approval.id}/approve", "carol:data-platform")

    assert (reply.status_code, reply.json()["error"]) == (409, "closed")
    assert "denied" in reply.json()["message"]


async def test_a_vote_for_another_text_than_the_one_shown_is_refused(world: World) -> None:
    approval = await world.desk.request(statement())

    reply = await world.decide(f"{approval.id}/approve", statement_digest="other")
    assert (reply.status_code, reply.json()["error"]) == (409, "closed")

    reply = await world.decide(f"{approval.id}/approve", statement_digest="statement")
    assert reply.json()["state"] == "approved"


async def test_a_broken_ledger_is_a_clear_error_without_its_path(world: World) -> None:
    approval = await world.desk.request(statement())
    world.ledger.broken = True

    reply = await world.decide(f"{approval.id}/approve")

    assert (reply.status_code, reply.json()["error"]) == (503, "unavailable")
    assert "/secret" not in reply.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "attacker.example"}, 421),
        ({"host": "localhost.attacker.example"}, 421),
        ({"host": "LOCALHOST:1"}, 200),
        ({"origin": "https://attacker.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
    ],
)
async def test_a_foreign_page_gets_nothing_even_with_a_token(
    world: World, headers: dict[str, str], status: int
) -> None:
    reply = await world.http.get(
        "/api/v1/approvals", headers={"authorization": "Bearer bob:data-platform", **headers}
    )

    assert reply.status_code == status
    assert reply.headers["content-security-policy"].startswith("default-src 'none'")
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "server" not in reply.headers


async def test_a_second_host_header_is_refused(world: World) -> None:
    stream = await trio.open_tcp_stream("127.0.0.1", int(world.url.rsplit(":", 1)[1]))
    await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: x\r\n\r\n")

    assert b" 200 " not in (await stream.receive_some()).splitlines()[0]
    await stream.aclose()


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"reason": 1}', "application/json", 400),
        (b'{"approver": "carol"}', "application/json", 400),
        (b'{"reason": "x"}', "text/plain", 400),
        (b"reason=x", "application/x-www-form-urlencoded", 400),
        (b" " * (MAX_BODY_BYTES + 1), "application/json", 413),
    ],
)
async def test_a_strange_body_is_no_vote(world: World, body: bytes, kind: str, status: int) -> None:
    approval = await world.desk.request(statement())

    reply = await world.http.post(
        f"/api/v1/approvals/{approval.id}/approve",
        headers={"authorization": "Bearer bob:data-platform", "content-type": kind},
        content=body,
    )

    assert reply.status_code == status
    assert (await world.desk.get(approval.id)).votes == ()


async def test_a_body_without_a_length_is_bounded_too(world: World) -> None:
    approval = await world.desk.request(statement())

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1024

    reply = await world.http.post(
        f"/api/v1/approvals/{approval.id}/approve",
        headers={
            "authorization": "Bearer bob:data-platform",
            "content-type": "application/json",
        },
        content=endless(),
    )

    assert reply.status_code == 413


async def test_unknown_paths_and_methods_are_errors_in_the_same_shape(world: World) -> None:
    for method, path, status in [
        ("GET", "/", 404),
        ("GET", "/api/v1/approvals/a/b/c", 404),
        ("DELETE", "/api/v1/approvals/a", 405),
        ("GET", "/api/v1/approvals/a/approve", 405),
    ]:
        reply = await world.http.request(method, path)

        assert reply.status_code == status
        assert set(reply.json()) == {"error", "message"}


async def test_health_needs_no_token(world: World) -> None:
    reply = await world.http.get("/healthz")

    assert (reply.status_code, reply.json()) == (200, {"status": "ok"})


async def test_a_port_in_use_is_a_plain_error(world: World, nursery: trio.Nursery) -> None:
    port = int(world.url.rsplit(":", 1)[1])

    with pytest.raises(StartError, match=f"127.0.0.1:{port}"):
        await nursery.start(serve_api, Listener(port=port), world.desk, Tokens(), "CRM")


async def test_a_missing_certificate_is_a_plain_error(world: World, tmp_path: Path) -> None:
    listener = Listener(Tls(tmp_path / "none.crt", tmp_path / "none.key"))

    with pytest.raises(StartError, match="TLS files"):
        await serve_api(listener, world.desk, Tokens(), "CRM")


Call = Callable[[ApprovalsClient], Any]
Clients = Callable[..., ApprovalsClient]


async def call(client: ApprovalsClient, use: Call) -> Any:
    """Use the client as a command does: blocking, in a thread of its own here."""
    return await trio.to_thread.run_sync(use, client)


@pytest.fixture
def client(world: World) -> Iterator[Clients]:
    made: list[ApprovalsClient] = []

    def make(token: str = "bob:data-platform") -> ApprovalsClient:
        made.append(ApprovalsClient(world.url, token))
        return made[-1]

    yield make
    for each in made:
        each.close()


async def test_the_client_lists_shows_and_decides(world: World, client: Clients) -> None:
    first = await world.desk.request(statement())
    second = await world.desk.request(statement("q2"))

    newest = await call(client(), lambda c: c.listing("pending", 1))
    assert ([each["id"] for each in newest.approvals], newest.left_off) == ([second.id], 1)
    listed = await call(client(), lambda c: c.list("pending"))
    assert {each["id"] for each in listed} == {first.id, second.id}
    assert (await call(client(), lambda c: c.show(first.id)))["sql"] == SQL
    approved = await call(client(), lambda c: c.approve(first.id, "checked"))
    assert (approved["state"], approved["votes"][0]["reason"]) == ("approved", "checked")
    assert (await call(client(), lambda c: c.deny(second.id)))["state"] == "denied"


async def test_the_client_raises_what_the_gateway_says(world: World, client: Clients) -> None:
    approval = await world.desk.request(statement())
    await world.desk.cancel("q1", "cancelled")
    other = await world.desk.request(statement("q2"))
    cases: list[tuple[str, Call, type[Exception], str]] = [
        ("bob:data-platform", lambda c: c.show("nobody"), ApprovalNotFound, "no approval"),
        ("bob:data-platform", lambda c: c.approve(approval.id), ApprovalClosed, "cancelled"),
        ("alice:data-platform", lambda c: c.approve(other.id), NotAnApprover, "triggered"),
        ("expired", lambda c: c.list(), LoginRefused, "token expired 5 s ago"),
        ("machine:x", lambda c: c.list(), LoginRefused, "only people"),
        ("bob:data-platform", lambda c: c.list("nonsense"), ApprovalError, "is one of"),
    ]

    for token, use, kind, message in cases:
        with pytest.raises(kind, match=message):
            await call(client(token), use)


async def test_an_id_cannot_leave_its_place_in_the_path(world: World, client: Clients) -> None:
    with pytest.raises(ApprovalError):
        await call(client(), lambda c: c.show("../../healthz"))


def test_the_client_says_when_nobody_answers() -> None:
    with (
        ApprovalsClient("http://127.0.0.1:9", "secret-token") as client,
        pytest.raises(ApprovalError, match="no answer from the approvals API") as refused,
    ):
        client.list()

    assert "secret-token" not in str(refused.value) + repr(client)


@pytest.mark.parametrize("token", ["", " \n", "two\nlines", "t\u00f6ken"])
def test_the_client_takes_no_token_that_cannot_be_one(token: str) -> None:
    with pytest.raises(LoginRefused, match="not a token"):
        ApprovalsClient("http://127.0.0.1:9", token)


def test_a_line_break_after_a_token_is_forgiven() -> None:
    ApprovalsClient("http://127.0.0.1:9", "token\n").close()


async def test_over_tls_the_client_trusts_its_ca_file_alone(
    world: World, nursery: trio.Nursery, tmp_path: Path
) -> None:
    ca = trustme.CA()
    leaf = ca.issue_cert("localhost")
    tls = Tls(tmp_path / "tls.crt", tmp_path / "tls.key")
    tls.certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(tls.private_key)
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    await world.desk.request(statement())
    address = await nursery.start(serve_api, Listener(tls), world.desk, Tokens(), "CRM")
    url = f"https://localhost:{address[1]}"

    good = ApprovalsClient(url, "bob:data-platform", tmp_path / "ca.pem")
    assert len(await call(good, lambda c: c.list())) == 1
    with pytest.raises(ApprovalError, match="ConnectError"):
        await call(
            ApprovalsClient(url, "bob:data-platform", tmp_path / "other.pem"), lambda c: c.list()
        )
    good.close()

    async with httpx2.AsyncClient(
        verify=ssl.create_default_context(cafile=tmp_path / "ca.pem"), trust_env=False
    ) as http:
        reply = await http.get(f"{url}/healthz")
        assert reply.headers["strict-transport-security"].startswith("max-age=")


async def test_stopping_ends_the_listener(
    world: World, nursery: trio.Nursery, tmp_path: Path
) -> None:
    stop, ended = trio.Event(), trio.Event()

    async def serve(*, task_status: trio.TaskStatus[tuple[str, int]]) -> None:
        await serve_api(
            Listener(), world.desk, Tokens(), "CRM", stop=stop.wait, task_status=task_status
        )
        ended.set()

    await nursery.start(serve)
    stop.set()

    with trio.fail_after(5):
        await ended.wait()
