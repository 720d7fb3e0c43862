"""How commands print: every line of text or JSON is already safe to show (F29)."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from snowgate.audit.render import visible_json_lines


def print_lines(lines: Iterable[str]) -> None:
    """Print lines that their room has made visible."""
    sys.stdout.writelines(line + "\n" for line in lines)


def print_json(document: object) -> None:
    """Print a JSON document, indented, with what hides or acts escaped."""
    print_lines(visible_json_lines(document))
