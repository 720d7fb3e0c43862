"""A session of statements, judged in order: what one leaves behind counts for the next.

Pure. The gateway does the same with the server's own answers; this is for trying out a policy.
"""

from __future__ import annotations

from collections.abc import Iterable

from snowgate.model.statement import Namespace, Statement
from snowgate.sql.analysis import examine
from snowgate.sql.catalog import NOTHING, Catalog


def analyse_session(
    texts: Iterable[str], catalog: Catalog, *, role: str = "", namespace: Namespace | None = None
) -> list[Statement]:
    """Analyse statements as one session, each as if those before it had run.

    Args:
        texts: The statements in order.
        catalog: What exists at the start.
        role: The session's role.
        namespace: Where names resolve at the start; the catalog's own by default.
    """
    here, own = namespace or Namespace(catalog.database, catalog.schema), NOTHING
    found: list[Statement] = []
    for text in texts:
        examined = examine(text, here, catalog, role=role, own=own)
        found.append(examined.statement)
        here, catalog, own = examined.namespace, examined.catalog, examined.own
    return found
