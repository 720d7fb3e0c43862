"""An identity-aware gateway between machine identities and Snowflake.

`Gateway` is the one thing an embedding program needs; see the README for ten lines that run. It is
imported when it is first asked for, so that `snowgate --help` loads neither parser nor database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snowgate.app import Gateway

__all__ = ["Gateway"]


def __getattr__(name: str) -> object:
    if name == "Gateway":
        from snowgate.app import Gateway

        return Gateway
    raise AttributeError(f"module `snowgate` has no attribute `{name}`")
