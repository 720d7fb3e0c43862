"""Approvals as JSON objects and back. Names are those of the dataclasses.

What an approval unmasks is left out where that is nothing: a row of before there was such a thing
is written as it was, and a program of before refuses one that it would not understand.
"""

from __future__ import annotations

import dataclasses
from typing import Any, cast

from snowgate.errors import StoreError
from snowgate.model.approval import Approval, ApprovalState, HeldStatement, Vote
from snowgate.model.identity import Principal


def encode(approval: Approval) -> dict[str, object]:
    """An approval as a JSON object; equal approvals give equal objects."""
    body = dataclasses.asdict(approval)
    body["state"] = approval.state.value
    if not approval.held.unmask:
        del body["held"]["unmask"], body["held"]["definitions"]
    return body


def decode(body: dict[str, object]) -> Approval:
    """The approval that `encode` wrote.

    Raises:
        StoreError: It was written by another version of this program.
    """
    try:
        # The MAC has been checked: this is what `encode` wrote, types included.
        fields = cast("dict[str, Any]", dict(body))
        held = dict(fields["held"])
        principal = _with_tuples(held["principal"], "triggered_by")
        held["principal"] = Principal(**principal)
        held.setdefault("unmask", ())
        fields["held"] = HeldStatement(
            **_with_tuples(held, "groups", "rules", "approvers", "unmask")
        )
        fields["votes"] = tuple(Vote(**_with_tuples(vote, "groups")) for vote in fields["votes"])
        fields["state"] = ApprovalState(fields["state"])
        return Approval(**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError("an approval in the store is of another version") from error


def _with_tuples(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**fields, **{name: tuple(fields[name]) for name in names}}
