"""`snowgate policy list` and `snowgate policy init`: policies to start from."""

from __future__ import annotations

import sys
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from snowgate.errors import UsageError

# What each is for, in the order of the list.
STARTING = {
    "analyst": "reads, with personal data masked",
    "dbt": "models built unattended in a schema of their own, tags going along",
    "ci-migrations": "changes of the schema, each after an approval",
    "ai-agent": "reads of one schema, little at a time",
}


def list_() -> int:
    """List the policies to start from."""
    width = max(map(len, STARTING))
    for name, what in STARTING.items():
        sys.stdout.write(f"{name:<{width}}  {what}\n")
    return 0


def init(name: str, /, folder: Path = Path()) -> int:
    """Write a policy to start from, its cases, and a catalog to try it with.

    Args:
        name: One of `snowgate policy list`.
        folder: Where to write them. What is there already is not replaced.
    """
    if name not in STARTING:
        raise UsageError(f"no policy has this name: choose from {', '.join(STARTING)}")
    wanted = {folder / each: shipped(each) for each in (*policy_files(name), CATALOG)}
    there = [str(path) for path in wanted if path.exists() and path.name != CATALOG]
    if there:
        raise UsageError(f"{there[0]} is there already: move it away, or give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for path, source in wanted.items():
        if not path.exists():
            path.write_bytes(source.read_bytes())
            sys.stdout.write(f"{path}\n")
    return 0


CATALOG = "catalog.json"


def policy_files(name: str) -> tuple[str, str]:
    """The policy of a name, and its cases."""
    return f"{name}.yaml", f"{name}.cases.yaml"


def shipped(name: str) -> Traversable:
    """A file that is shipped with the package."""
    return files("snowgate").joinpath("policies", name)
