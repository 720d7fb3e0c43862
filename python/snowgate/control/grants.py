"""Says at start which roles of the configuration the gateway's upstream user does not have.

Their groups could log in and get nothing: Snowflake refuses the role. The gateway serves the others
all the same, and says it in its log and in the ledger, since a role may be granted any time.

Source: <https://docs.snowflake.com/en/sql-reference/functions/current_available_roles>
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import orjson
import trio

from snowgate.errors import SnowgateError, UpstreamError
from snowgate.identity.settings import RoleMapping
from snowgate.model.ports import ClientsReader, Recorder

log = logging.getLogger(__name__)

PURPOSE = "roles"
_AVAILABLE = "SELECT CURRENT_AVAILABLE_ROLES()"
# Without its upstream the gateway denies everything, so this is not what an operator looks for.
RETRY_S = 30.0


async def missing_roles(
    reader: ClientsReader, mappings: Sequence[RoleMapping]
) -> dict[str, list[str]]:
    """The roles that the upstream user does not have, each with the groups that it is given to.

    Raises:
        UpstreamError: Snowflake did not answer, or not with a list of roles.
    """
    rows = await reader.query_as_clients(_AVAILABLE, PURPOSE)
    try:
        available = set(orjson.loads(rows[0][0] or ""))
    except (IndexError, TypeError, orjson.JSONDecodeError):
        raise UpstreamError("roles", "the list of roles has another form than asked for") from None
    missing: dict[str, list[str]] = {}
    for mapping in mappings:
        if mapping.role not in available:
            missing.setdefault(mapping.role, []).append(mapping.group)
    return missing


async def report_missing_roles(
    reader: ClientsReader, recorder: Recorder, mappings: Sequence[RoleMapping]
) -> None:
    """Ask until upstream has answered once, and tell what is missing. Cancel-safe."""
    while True:
        try:
            missing = await missing_roles(reader, mappings)
            break
        except SnowgateError as error:
            log.warning("the roles could not be checked: %s", error)
        await trio.sleep(RETRY_S)
    for role, groups in missing.items():
        detail = (
            f"role `{role}` does not exist upstream, or is not granted to the gateway's user:"
            f" members of {', '.join(f'`{group}`' for group in groups)} cannot log in with it"
        )
        log.error("%s; what to do: grant it, or correct `roles:`", detail)
        try:
            await recorder.record("alert", {"alert": "role-missing", "detail": detail})
        except SnowgateError as error:
            log.warning("an alert was not recorded: %s", error)
