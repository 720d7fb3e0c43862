"""A real OIDC issuer: discovery and key sets over HTTP. Two issuers share one server, by path.

    python -m snowgate.testing.issuer --port 8600 --keys keys.json --ready-file ready.json

serves `http://localhost:8600/machines` and `/people`. Whoever can read the key file mints tokens
(`snowgate.testing.tokens`); the server itself gives none. In a test:

    server = await open_issuers(nursery)
    token = server.issuer("machines", "snowgate").mint({"sub": "etl"})
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from snowgate.console.serving import serve_asgi
from snowgate.testing.tokens import Issuer, SigningKey, load_keys, save_keys

NAMES = ("machines", "people")
ALGORITHMS = ("RS256", "ES256")


@dataclass(frozen=True, slots=True)
class TlsPair:
    """Certificate chain and private key, PEM files."""

    certificate: Path
    private_key: Path


@dataclass(frozen=True, slots=True)
class IssuerListener:
    """Where the issuers listen."""

    port: int = 0
    tls: TlsPair | None = None
    address: str = "127.0.0.1"
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1")


Reply = Callable[[str], Awaitable[Response | None]]


@dataclass(slots=True)
class IssuerServer:
    """Running issuers.

    Attributes:
        keys: Keys of each issuer, the signing one first; changes show at once.
        url: Base of all issuers.
        requests: Paths asked for, in order.
        reply: Asked first, with the path; a response replaces the honest one.
    """

    keys: dict[str, list[SigningKey]]
    url: str = ""
    requests: list[str] = field(default_factory=list)
    reply: Reply | None = None

    def issuer(self, name: str, audience: str) -> Issuer:
        """An issuer that mints with the keys of this server."""
        return Issuer(f"{self.url}/{name}", audience, self.keys[name])

    def app(self) -> Starlette:
        """The application to serve."""
        return Starlette(
            routes=[
                Route("/{name}/.well-known/openid-configuration", self._discovery),
                Route("/{name}/jwks.json", self._key_set),
                Route("/{rest:path}", self._nothing),
            ]
        )

    async def _discovery(self, request: Request) -> Response:
        name = request.path_params["name"]
        issuer = f"{self.url}/{name}"
        document = {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/jwks.json",
            "token_endpoint": f"{issuer}/token",
            "id_token_signing_alg_values_supported": sorted(ALGORITHMS),
        }
        return await self._answer(request, document if name in self.keys else None)

    async def _key_set(self, request: Request) -> Response:
        keys = self.keys.get(request.path_params["name"])
        return await self._answer(request, keys and {"keys": [key.jwk() for key in keys]})

    async def _nothing(self, request: Request) -> Response:
        return await self._answer(request, None)

    async def _answer(self, request: Request, document: object) -> Response:
        self.requests.append(request.url.path)
        if self.reply is not None:
            replaced = await self.reply(request.url.path)
            if replaced is not None:
                return replaced
        return JSONResponse(document) if document else JSONResponse({}, 404)


def generate_keys(names: Sequence[str] = NAMES) -> dict[str, list[SigningKey]]:
    """Fresh keys for each issuer: RSA to sign with, and an elliptic curve key beside it."""
    return {name: [SigningKey.generate(each) for each in ALGORITHMS] for name in names}


async def open_issuers(
    nursery: trio.Nursery,
    *,
    keys: dict[str, list[SigningKey]] | None = None,
    listener: IssuerListener | None = None,
) -> IssuerServer:
    """Start issuers in a nursery; they end with it."""
    listener = listener or IssuerListener()
    server = IssuerServer(keys or generate_keys())
    _, port = await nursery.start(serve_asgi, server.app(), listener)
    server.url = f"{'https' if listener.tls else 'http'}://localhost:{port}"
    return server


async def _main(arguments: argparse.Namespace) -> None:
    if arguments.keys.exists():
        keys = load_keys(arguments.keys)
    else:
        keys = generate_keys()
        save_keys(arguments.keys, keys)
    tls = None
    if arguments.tls_certificate:
        tls = TlsPair(arguments.tls_certificate, arguments.tls_key)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            listener = IssuerListener(arguments.port, tls)
            server = await open_issuers(nursery, keys=keys, listener=listener)
            _announce(arguments.ready_file, server)
            await anext(aiter(signals))
            nursery.cancel_scope.cancel()


def _announce(path: Path | None, server: IssuerServer) -> None:
    """Tell the issuers' URLs: on standard output, and in a file that is there whole or not."""
    urls = json.dumps({name: f"{server.url}/{name}" for name in server.keys})
    print(urls, flush=True)
    if path is not None:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(urls)
        temporary.replace(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m snowgate.testing.issuer")
    parser.add_argument("--port", type=int, default=0, help="0 lets the system choose")
    parser.add_argument("--keys", type=Path, required=True, help="made if it does not exist")
    parser.add_argument("--ready-file", type=Path, help="written once requests are answered")
    parser.add_argument("--tls-certificate", type=Path)
    parser.add_argument("--tls-key", type=Path)
    trio.run(_main, parser.parse_args(argv))
    return 0


if __name__ == "__main__":
    sys.exit(main())
