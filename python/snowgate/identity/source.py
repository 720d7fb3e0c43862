"""Fetches one issuer's keys and keeps them: the only part of this room that touches the network.

    held, fresh ──────────────────────────► used
    held, older than refresh_s ───────────► used, and fetched again behind the caller's back
    held, unknown kid ────────────────────► fetched first, at most once in 30 s
    not held, or older than stale_s ──────► fetched first, or IssuerUnavailable

Every fetch is single flight and runs in the application's nursery: a login that gives up does not
end it for the others, and a slow issuer delays only its own tokens.

Sources: OpenID Connect Discovery 1.0 sections 4 and 4.3; RFC 9110 section 15.4 (redirects refused).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import aclosing

import httpx2
import orjson
import trio

from snowgate.errors import IssuerUnavailable, TokenInvalid
from snowgate.identity.keys import Key, KeySet, UnfitKeys, parse_key_set
from snowgate.identity.settings import IssuerSettings, loopback, safe_url
from snowgate.identity.token import shown

MAX_BODY_BYTES = 256 * 1024
# Below the gate's limit of a login (8 s), so that the client hears the reason.
FETCH_LIMIT_S = 5.0
# An attacker can invent key ids; an issuer that rotates does so far more rarely.
UNKNOWN_KID_PAUSE_S = 30.0
# An issuer that is down is not asked by every login that arrives meanwhile.
FAILED_PAUSE_S = 5.0


class FetchFailed(Exception):
    """The issuer did not give usable keys; the message says why and holds no token."""


class KeySource:
    """The keys of one issuer.

    Args:
        settings: The issuer.
        tls: What to trust when fetching.
        nursery: Where fetches run; outlives every caller of `key`.
        report: Told of each failed fetch and each key left out, as text for the log.
    """

    def __init__(
        self,
        settings: IssuerSettings,
        tls: ssl.SSLContext,
        nursery: trio.Nursery,
        report: Callable[[str, str], None],
    ) -> None:
        self._settings = settings
        self._nursery = nursery
        self._scope = trio.CancelScope()
        self._report = report
        # Built once: a client per call costs 400 ms, most of it for the TLS context.
        self._client = httpx2.AsyncClient(
            verify=tls,
            trust_env=False,  # no proxy, .netrc or CA that the configuration does not name
            follow_redirects=False,
            timeout=FETCH_LIMIT_S,
            # Two requests in five minutes: a connection kept that long is more likely dead.
            limits=httpx2.Limits(max_keepalive_connections=0),
            headers={"accept": "application/json", "accept-encoding": "identity"},
        )
        self._keys = KeySet(())
        self._fetched_s = -float("inf")
        self._tried_s = -float("inf")
        self._failure: str = ""
        self._flight: trio.Event | None = None

    async def close(self) -> None:
        """End the fetch under way and close pooled connections. Cancel-safe."""
        self._scope.cancel()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await self._client.aclose()

    async def key(self, kid: str | None, algorithm: str) -> Key:
        """The key for a token.

        Cancel-safe: a fetch under way goes on for others.

        Raises:
            IssuerUnavailable: No keys young enough are held and none can be fetched.
            TokenInvalid: The issuer has no such key.
        """
        if self._age_s() > self._settings.stale_s:
            await self._fetch_first()
        elif self._age_s() > self._settings.refresh_s and self._may_fetch(FAILED_PAUSE_S):
            self._start()
        found = self._keys.find(kid, algorithm)
        if found is None and self._may_fetch(UNKNOWN_KID_PAUSE_S):
            await self._refreshed()
            found = self._keys.find(kid, algorithm)
        if found is not None:
            return found
        if self._failure:
            raise IssuerUnavailable("issuer", f"the issuer's keys cannot be read: {self._failure}")
        named = f"key `{shown(kid)}`" if kid is not None else "single key"
        raise TokenInvalid("unknown_key", f"the issuer has no {named} for {algorithm}")

    def _age_s(self) -> float:
        return trio.current_time() - self._fetched_s

    def _may_fetch(self, pause_s: float) -> bool:
        """Whether a fetch is under way, or the last one began long enough ago."""
        return self._flight is not None or trio.current_time() - self._tried_s >= pause_s

    async def _fetch_first(self) -> None:
        if self._may_fetch(FAILED_PAUSE_S):
            await self._refreshed()
        if self._age_s() > self._settings.stale_s:
            reason = self._failure or "no answer yet"
            raise IssuerUnavailable("issuer", f"the issuer's keys cannot be read: {reason}")

    async def _refreshed(self) -> None:
        flight = self._start()
        await flight.wait()

    def _start(self) -> trio.Event:
        if self._flight is None:
            self._flight = trio.Event()
            self._scope = trio.CancelScope()
            self._tried_s = trio.current_time()
            self._nursery.start_soon(self._fly)
        return self._flight

    async def _fly(self) -> None:
        flight = self._flight
        try:
            with self._scope, trio.fail_after(FETCH_LIMIT_S):
                self._keys = await self._fetch()
                self._fetched_s = trio.current_time()
                self._failure = ""
            for reason in self._keys.left_out:
                self._report(self._settings.issuer, f"left out {reason}")
        except trio.TooSlowError:
            self._fail(f"no answer within {FETCH_LIMIT_S:g} s")
        except (FetchFailed, UnfitKeys) as error:
            self._fail(str(error))
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            # The class says enough; texts of the library may hold what the server sent.
            self._fail(type(error).__name__)
        finally:
            self._flight = None
            if flight is not None:
                flight.set()

    def _fail(self, reason: str) -> None:
        self._failure = reason
        self._report(self._settings.issuer, f"keys cannot be read: {reason}")

    async def _fetch(self) -> KeySet:
        base = self._settings.issuer.rstrip("/")
        discovery = await self._get(f"{base}/.well-known/openid-configuration")
        # OpenID Discovery section 4.3: identical, or the document is another issuer's.
        if discovery.get("issuer") != self._settings.issuer:
            raise FetchFailed("its discovery document names another issuer")
        url = discovery.get("jwks_uri")
        if not isinstance(url, str) or not safe_url(url):
            raise FetchFailed("its key set has no https address")
        if loopback(url) and not loopback(self._settings.issuer):
            raise FetchFailed("its key set is said to be on this machine")
        return parse_key_set(await self._get(url))

    async def _get(self, url: str) -> dict[str, object]:
        async with self._client.stream("GET", url) as response:
            if response.status_code != 200:
                raise FetchFailed(f"answered with status {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise FetchFailed("answered in an encoding it was not asked for")
            body = bytearray()
            # Leaving the loop would leave the pool's inner generator behind; a cancel ends it.
            with trio.CancelScope() as enough:
                async with aclosing(response.aiter_raw()) as chunks:
                    async for chunk in chunks:
                        body += chunk
                        if len(body) > MAX_BODY_BYTES:
                            enough.cancel()
            if len(body) > MAX_BODY_BYTES:
                raise FetchFailed(f"answered with more than {MAX_BODY_BYTES} bytes")
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise FetchFailed("answered with something else than JSON") from None
        if not isinstance(document, dict):
            raise FetchFailed("answered with something else than a JSON object")
        return document
