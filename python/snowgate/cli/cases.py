"""`snowgate test`: the cases of a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from snowgate.cli.output import print_json, print_lines
from snowgate.config import load_cases
from snowgate.errors import UsageError
from snowgate.review.cases import Ran, cases_beside, junit, run_case
from snowgate.review.setting import setting_of

FAILED = 1


def cases_(
    policy: Path,
    /,
    *cases: Path,
    catalog: Path | None = None,
    junit_file: Annotated[Path | None, Parameter(name="--junit")] = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Run the cases of a policy by the code that the gateway uses. Ends with 1 if one fails.

    Args:
        policy: Policy file with `tags` and `rules`, or a whole configuration.
        cases: Files of cases; by default those beside the policy: `policy.cases.yaml`
            of `policy.yaml`, else all `*.cases.yaml`.
        catalog: JSON file with `tables`, `views` and `session`; by default the one that a file of
            cases names, that of a configuration's gateway, or `catalog.json` beside the policy.
        junit_file: Where to write the results as JUnit XML too.
        json: Print JSON.
    """
    ran: list[Ran] = []
    for path in cases or cases_beside(policy):
        file = load_cases(path)
        setting = setting_of(policy, catalog or file.catalog)
        ran += [run_case(setting, case) for case in file.cases]
    failed = [each for each in ran if each.differences]
    if junit_file is not None:
        try:
            junit_file.write_bytes(junit(ran))
        except OSError as error:
            raise UsageError(f"`{junit_file}` cannot be written: {error.strerror}") from None
    if json:
        document = {
            "passed": len(ran) - len(failed),
            "failed": len(failed),
            "cases": [each.document() for each in ran],
        }
        print_json(document)
    else:
        for each in failed:
            print_lines([*each.lines(), ""])
        told = f"{len(failed)} of {len(ran)} cases failed" if failed else f"{len(ran)} cases passed"
        print_lines([told])
    return FAILED if failed else 0
