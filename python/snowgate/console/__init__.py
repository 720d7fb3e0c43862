"""The approvals API: people list held statements and decide on them.

    approver ── bearer token ──► guard (host, origin, size) ──► api ──► ApprovalDesk

Rule at the door: this room decides nothing. Who somebody is says the token verifier, who may decide
says the desk; a token is verified with each request, and there is no session and no cookie.
"""

from snowgate.console.api import api_app, serve_api
from snowgate.console.client import ApprovalsClient
from snowgate.console.serving import Listener, serve_asgi

__all__ = ["ApprovalsClient", "Listener", "api_app", "serve_api", "serve_asgi"]
