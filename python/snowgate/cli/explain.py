"""`snowgate explain`: what the gateway would do with one statement, and why."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from snowgate.cli.asking import NOTHING, As, By
from snowgate.cli.output import print_json, print_lines
from snowgate.model.statement import Namespace
from snowgate.review.explain import explain
from snowgate.review.page import page


def explain_(
    sql: str,
    /,
    *,
    who: As,
    by: By = NOTHING,
    database: str = "",
    schema: str = "",
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Say what the gateway would do with a statement, and what every rule says of it.

    Args:
        sql: The statement; `-` reads it from standard input.
        by: By which policy and catalog.
        who: For whom.
        database: Where names resolve; the catalog's own by default.
        schema: The same.
        json: Print JSON.
    """
    setting = by.setting()
    text = sys.stdin.read() if sql == "-" else sql
    here = Namespace(database or setting.catalog.database, schema or setting.catalog.schema)
    explanation = explain(setting, text, who.in_(setting), here)
    if json:
        print_json(explanation.document())
    else:
        print_lines(page(explanation))
    return 0
