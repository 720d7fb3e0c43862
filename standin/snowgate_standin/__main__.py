"""`python -m snowgate_standin`: run the Snowflake stand-in."""

from __future__ import annotations

import asyncio

from snowgate_standin.server import run
from snowgate_standin.settings import parse


def main() -> None:
    asyncio.run(run(parse()))


if __name__ == "__main__":
    main()
