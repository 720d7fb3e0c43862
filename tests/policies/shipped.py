"""Where the shipped policies lie."""

from pathlib import Path

from snowgate.cli.policies import shipped


def path_of(name: str) -> Path:
    """A shipped file."""
    return Path(str(shipped(name)))
