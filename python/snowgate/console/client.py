"""The command line's side of the approvals API. Synchronous: a command makes one request."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import httpx2
import orjson

from snowgate.errors import (
    ApprovalClosed,
    ApprovalError,
    ApprovalNotFound,
    LoginRefused,
    NotAnApprover,
)

LIMIT_S = 30.0

_ERRORS: dict[str, type[ApprovalError]] = {
    "not_found": ApprovalNotFound,
    "not_an_approver": NotAnApprover,
    "closed": ApprovalClosed,
}


@dataclass(frozen=True, slots=True)
class Listing:
    """Approvals, newest first.

    Attributes:
        approvals: As the API shows them.
        left_off: How many more there are.
    """

    approvals: list[dict[str, Any]]
    left_off: int


class ApprovalsClient:
    """Lists approvals and decides on them, as the holder of a token.

    Args:
        url: Base of the API, such as `https://gw.example.com:8444`.
        token: The decider's OIDC access token; kept out of errors and repr.
        ca_file: PEM bundle that alone is trusted; None for the system's.

    Raises:
        ApprovalError: The CA file cannot be read.
        LoginRefused: The token cannot be one.
    """

    def __init__(self, url: str, token: str, ca_file: Path | None = None) -> None:
        self._url = url.rstrip("/")
        token = token.strip()  # files and command substitutions end in a line break
        if not token or not token.isascii() or not token.isprintable():
            raise LoginRefused("malformed", "what was given as a token is not a token")
        try:
            tls = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise ApprovalError(f"CA file `{ca_file}` cannot be read") from error
        self._http = httpx2.Client(
            verify=tls,
            trust_env=False,  # the token goes to the configured address, past no proxy
            follow_redirects=False,
            timeout=LIMIT_S,
            headers={"authorization": f"Bearer {token}", "accept": "application/json"},
        )

    def listing(self, state: str | None = None, limit: int | None = None) -> Listing:
        """Approvals the holder may decide on, as many as a reply has room for.

        Args:
            state: Of this state only, such as `pending`.
            limit: At most that many.

        Raises:
            LoginRefused, ApprovalError: As the API says.
        """
        asked = {"state": state, "limit": limit}
        query = urlencode({key: value for key, value in asked.items() if value is not None})
        answer = self._call("GET", f"?{query}" if query else "")
        return Listing([*answer["approvals"]], int(answer["left_off"]))

    def list(self, state: str | None = None) -> list[dict[str, Any]]:
        """As `listing`, the approvals alone."""
        return self.listing(state).approvals

    def show(self, approval_id: str) -> dict[str, Any]:
        """One approval."""
        return self._call("GET", f"/{quote(approval_id, safe='')}")

    def approve(self, approval_id: str, reason: str = "") -> dict[str, Any]:
        """Vote for an approval; returns it as it is then."""
        return self._vote(approval_id, "approve", reason)

    def deny(self, approval_id: str, reason: str = "") -> dict[str, Any]:
        """Vote against an approval, which ends it."""
        return self._vote(approval_id, "deny", reason)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _vote(self, approval_id: str, word: str, reason: str) -> dict[str, Any]:
        path = f"/{quote(approval_id, safe='')}/{word}"
        return self._call("POST", path, {"reason": reason})

    def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        try:
            response = self._http.request(method, f"{self._url}/api/v1/approvals{path}", json=body)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise ApprovalError(
                f"no answer from the approvals API at `{self._url}`: {type(error).__name__}"
            ) from None
        try:
            answer = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise ApprovalError(f"`{self._url}` is not an approvals API: {response.status_code}")
        if response.status_code == 200:
            return answer
        word, message = str(answer.get("error")), str(answer.get("message"))
        if word == "login_refused":
            raise LoginRefused("api", message)
        raise _ERRORS.get(word, ApprovalError)(message)
