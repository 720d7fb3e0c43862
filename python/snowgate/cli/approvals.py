"""`snowgate approvals`: a client of the approvals API.

Who decides is the holder of the token; no option names another person, and the store is never
opened.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from snowgate.audit.render import visible, visible_json
from snowgate.config import load_config
from snowgate.console.client import ApprovalsClient
from snowgate.errors import ConfigError

Token = Annotated[str, Parameter(env_var="SNOWGATE_TOKEN")]
Json = Annotated[bool, Parameter(negative="")]


def list_(
    *,
    config: Path,
    token: Token,
    state: str | None = None,
    limit: int | None = None,
    json: Json = False,
) -> int:
    """List approvals, newest first, each with its exact text.

    A list is cut at 500 approvals and at 8 MiB; how many were left off is said on standard error.

    Args:
        config: The gateway's configuration; says where its API is.
        token: Your OIDC access token; also read from SNOWGATE_TOKEN.
        state: Of this state only, such as `pending`.
        limit: At most that many.
        json: Print JSON.
    """
    with _client(config, token) as client:
        listing = client.listing(state, limit)
    if listing.left_off:
        sys.stderr.write(
            f"snowgate: {listing.left_off} older approvals are left off;"
            " what to do: narrow the list with `--state pending`, or show one by its id\n"
        )
    if json:
        _print_json(listing.approvals)
    else:
        for approval in listing.approvals:
            head = "  ".join(str(approval[key]) for key in ("id", "state", "expires_at"))
            sys.stdout.write(f"{head}  {visible(str(approval['principal']))}\n")
            sys.stdout.write(f"  {visible(str(approval['sql']))}\n")
            unmask = approval.get("unmask")
            if isinstance(unmask, list) and unmask:
                tags = ", ".join(map(str, unmask))
                sys.stdout.write(f"  shows in clear once approved: {visible(tags)}\n")
    return 0


def show_(approval: str, /, *, config: Path, token: Token, json: Json = False) -> int:
    """Show one approval.

    Args:
        approval: Its id.
        config: The gateway's configuration.
        token: Your OIDC access token; also read from SNOWGATE_TOKEN.
        json: Print JSON.
    """
    with _client(config, token) as client:
        return _print(client.show(approval), json=json)


def approve_(
    approval: str, /, *, config: Path, token: Token, reason: str = "", json: Json = False
) -> int:
    """Vote for a held statement.

    Args:
        approval: Its id.
        config: The gateway's configuration.
        token: Your OIDC access token; also read from SNOWGATE_TOKEN.
        reason: Kept with the vote.
        json: Print JSON.
    """
    with _client(config, token) as client:
        return _print(client.approve(approval, reason), json=json)


def deny_(
    approval: str, /, *, config: Path, token: Token, reason: str = "", json: Json = False
) -> int:
    """Vote against a held statement, which ends it.

    Args:
        approval: Its id.
        config: The gateway's configuration.
        token: Your OIDC access token; also read from SNOWGATE_TOKEN.
        reason: Kept with the vote; the requester sees it.
        json: Print JSON.
    """
    with _client(config, token) as client:
        return _print(client.deny(approval, reason), json=json)


@contextmanager
def _client(config: Path, token: str) -> Iterator[ApprovalsClient]:
    settings = load_config(config)
    api = settings.api
    if api is None:
        raise ConfigError(str(config), 0, "api", "this gateway has no approvals API")
    with ApprovalsClient(api.url, token, api.ca_file) as client:
        yield client


def _print(approval: Mapping[str, Any], *, json: bool) -> int:
    if json:
        _print_json(approval)
    else:
        for key, value in approval.items():
            sys.stdout.write(f"{key:<13}{visible(str(value))}\n")
    return 0


def _print_json(value: object) -> None:
    sys.stdout.buffer.write(visible_json(value).encode() + b"\n")
