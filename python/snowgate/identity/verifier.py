"""Verifies tokens of all configured issuers: the `TokenVerifier` of `model.ports`.

The unverified `iss` picks the issuer by exact match, and everything after that comes from its
settings. There is no second attempt: one issuer, one key, one answer (F25).
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import trio

from snowgate.errors import StartError, TokenInvalid
from snowgate.identity.claims import identified
from snowgate.identity.settings import IssuerSettings, check
from snowgate.identity.source import KeySource
from snowgate.identity.token import read, screen, shown, verify
from snowgate.model.identity import Identified

_LOG = logging.getLogger(__name__)


def log_trouble(issuer: str, trouble: str) -> None:
    """Write an issuer's trouble to the log; the default `report` of `open_verifier`."""
    _LOG.warning("issuer %s: %s", issuer, trouble)


class OidcVerifier:
    """Turns bearer tokens into identities. Made by `open_verifier`, which owns its tasks."""

    def __init__(
        self,
        issuers: Mapping[str, tuple[IssuerSettings, KeySource]],
        clock: Callable[[], float],
    ) -> None:
        self._issuers = issuers
        self._clock = clock

    async def identify(self, token: str, account: str) -> Identified:
        """Verify a token.

        Cost: about 0.3 ms where the keys are held, else two requests to the issuer,
        5 s at most. Cancel-safe.

        Args:
            token: As the client sent it.
            account: The gateway's own account name, which becomes part of the principal. Whether
                the client named that account is for `admit`.

        Raises:
            TokenInvalid: It is malformed, forged, or meant for somebody else.
            TokenExpired: It was good once.
            NotAuthorized: Its claims are denied.
            IssuerUnavailable: Its issuer's keys cannot be had.
        """
        unverified = read(token)
        known = self._issuers.get(unverified.issuer)
        if known is None:
            raise TokenInvalid(
                "issuer", f"token's issuer `{shown(unverified.issuer)}` is not trusted here"
            )
        settings, source = known
        screen(unverified, settings)
        key = await source.key(unverified.kid, unverified.algorithm)
        now_s = self._clock()
        claims = verify(unverified, settings, key, now_s)
        return identified(claims, settings, account, now_s)


@asynccontextmanager
async def open_verifier(
    issuers: Sequence[IssuerSettings],
    nursery: trio.Nursery,
    *,
    clock: Callable[[], float] = time.time,
    report: Callable[[str, str], None] = log_trouble,
) -> AsyncGenerator[OidcVerifier]:
    """Open a verifier. Keys are fetched when first needed: a silent issuer does not stop a start.

    Args:
        issuers: All trusted issuers.
        nursery: Where keys are fetched; its tasks end with the context.
        clock: Unix time.
        report: Told (issuer, trouble) when keys cannot be fetched or a key is left out.

    Raises:
        StartError: The settings are unsafe, or a CA file cannot be read.
    """
    problems = check(issuers)
    if problems:
        index, key, problem = problems[0]
        raise StartError(f"issuer `{issuers[index].issuer}`: {key}: {problem}")
    sources = {
        settings.issuer: (settings, KeySource(settings, _tls(settings), nursery, report))
        for settings in issuers
    }
    try:
        yield OidcVerifier(sources, clock)
    finally:
        for _, source in sources.values():
            await source.close()


def _tls(settings: IssuerSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise StartError(
            f"issuer `{settings.issuer}`: ca_file cannot be read: {type(error).__name__}"
        ) from error
