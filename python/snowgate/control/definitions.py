"""What an approval that shows tagged columns was given for: the objects behind a query.

Whoever may redefine a view while somebody approves a query on it chooses what the query shows. So
the request remembers the definition of all that the query could read, and where one is another at
the release nothing is unmasked.
"""

from __future__ import annotations

from snowgate.control.quarantine import mentioned
from snowgate.model.statement import ObjectName, Statement
from snowgate.sql.catalog import Catalog


def definitions_digest(statement: Statement, catalog: Catalog) -> str:
    """SHA-256, hex, over every object that a query reads or calls, and those behind its views.

    Args:
        statement: The query, analysed.
        catalog: What it was analysed with, the session's own objects included.
    """
    names = _with_those_behind({*statement.reads, *statement.calls}, catalog)
    return Catalog.of(
        {name: catalog.tables[name] for name in names if name in catalog.tables},
        {name: catalog.views[name] for name in names if name in catalog.views},
        routines={name: catalog.routines[name] for name in names if name in catalog.routines},
    ).digest


def _with_those_behind(names: set[ObjectName], catalog: Catalog) -> set[ObjectName]:
    """With all that the texts of views could mean: an object too many only costs an approval."""
    known = {*catalog.tables, *catalog.views, *catalog.routines}
    called: dict[str, set[ObjectName]] = {}
    for name in known:
        called.setdefault(name.name, set()).add(name)
    found, waiting = set(names), [*names]
    while waiting:
        text = catalog.views.get(waiting.pop())
        if text is None:
            continue
        said = mentioned(text)
        meant = known if said is None else {one for word in said for one in called.get(word, ())}
        waiting += meant - found
        found |= meant
    return found
