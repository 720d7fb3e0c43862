"""`snowgate check`: what is wrong with a configuration or a policy, and what its rules miss."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from snowgate.cli.output import print_json, print_lines
from snowgate.review.check import check_file

FAILED = 1


def check_(
    file: Annotated[Path, Parameter(name=["FILE", "--config"])],
    /,
    *,
    catalog: Path | None = None,
    files: bool = True,
    strict: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Say everything that is wrong with a configuration or policy, and what its rules do not do.

    Ends with 1 where something is wrong, or with `--strict` where something is likely to be.

    Args:
        file: A gateway's configuration, or a policy file with `tags` and `rules`.
        catalog: JSON file of tables and views, to see whether tags and rules find anything in it.
            A gateway's own is used if it is there.
        files: Whether the files that a configuration names must be readable now.
        strict: Take warnings for errors.
        json: Print JSON.
    """
    checked = check_file(file, catalog=catalog, files=files)
    if json:
        print_json(checked.document())
    else:
        print_lines(checked.lines())
    return 0 if checked.passes(strict=strict) else FAILED
