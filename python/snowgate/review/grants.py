"""The privileges in Snowflake that a history needed, as text for an administrator to read and run.

Text only: nothing here is ever sent anywhere.

Source: <https://docs.snowflake.com/en/sql-reference/sql/grant-privilege>
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from snowgate.audit.render import visible
from snowgate.model.statement import ObjectName, StatementClass
from snowgate.policy.pattern import quoted
from snowgate.review.needs import Need, Needs
from snowgate.sql.catalog import Catalog

C = StatementClass

_ON_TABLES: dict[StatementClass, tuple[str, ...]] = {
    C.SELECT: ("SELECT",),
    C.EXPLAIN: ("SELECT",),
    C.INSERT: ("INSERT",),
    C.LOAD: ("INSERT",),
    C.UPDATE: ("UPDATE",),
    C.DELETE: ("DELETE",),
    # Which of them its branches need is not recorded.
    C.MERGE: ("INSERT", "UPDATE", "DELETE"),
    C.TRUNCATE: ("TRUNCATE",),
}
_OWNED = frozenset({C.ALTER, C.DROP, C.COMMENT})
_METADATA = "INFORMATION_SCHEMA"


def grants_of(
    needs: Needs, catalog: Catalog, warehouses: Mapping[str, str | None]
) -> dict[str, list[str]]:
    """GRANT statements and remarks for each role.

    Args:
        needs: What was needed.
        catalog: Tells views from tables.
        warehouses: The warehouse of each role.
    """
    by_role: dict[str, set[Need]] = {}
    reads: dict[str, set[ObjectName]] = {}
    for need in needs.counts:
        by_role.setdefault(need.role, set()).add(need)
    for role, place in needs.reads:
        reads.setdefault(role, set()).add(place)
    return {
        role: [*_grants(role, by_role[role], reads.get(role, set()), catalog, warehouses.get(role))]
        for role in sorted(by_role)
    }


def revokes_of(needs: Needs) -> dict[str, list[str]]:
    """REVOKE statements for each role, over the schemas it used: to be run before the grants."""
    schemas: dict[str, set[tuple[str, str]]] = {}
    for need in needs.counts:
        place = need.access.place
        if place is not None and place.database and place.schema not in ("", _METADATA):
            schemas.setdefault(need.role, set()).add((place.database, place.schema))
    return {
        role: [
            _told(
                f"REVOKE ALL PRIVILEGES ON ALL {kind} IN SCHEMA {_name(*schema)}"
                f" FROM ROLE {quoted(role)};"
            )
            for schema in sorted(schemas[role])
            for kind in ("TABLES", "VIEWS")
        ]
        for role in sorted(schemas)
    }


def _grants(
    role: str,
    needs: set[Need],
    reads: set[ObjectName],
    catalog: Catalog,
    warehouse: str | None,
) -> Iterator[str]:
    to = f"TO ROLE {quoted(role)};"
    places = {need.access.place for need in needs} | reads
    known = sorted(place for place in places if place and place.database)
    if warehouse:
        yield _told(f"GRANT USAGE ON WAREHOUSE {quoted(warehouse)} {to}")
    for database in sorted({place.database for place in known}):
        yield _told(f"GRANT USAGE ON DATABASE {quoted(database)} {to}")
    for schema in sorted({(place.database, place.schema) for place in known}):
        if schema[1] not in ("", _METADATA):
            yield _told(f"GRANT USAGE ON SCHEMA {_name(*schema)} {to}")
    privileges = {place: {"SELECT"} for place in reads if place.schema != _METADATA}
    others: set[str] = set()
    for need in needs:
        access, place = need.access, need.access.place
        if place is None or not place.name or place.schema == _METADATA or not place.database:
            continue
        if access.kind in _ON_TABLES:
            privileges.setdefault(place, set()).update(_ON_TABLES[access.kind])
        elif access.kind is C.CREATE and access.object_kind not in ("", "SCHEMA", "DATABASE"):
            schema_name = _name(place.database, place.schema)
            others.add(f"GRANT CREATE {access.object_kind} ON SCHEMA {schema_name} {to}")
        elif access.kind in _OWNED:
            kind = access.object_kind.lower() or "object"
            others.add(f"-- {access.kind.value} needs ownership of {kind} {_full(place)}")
    for place in sorted(privileges):
        listed = ", ".join(sorted(privileges[place]))
        kind = "VIEW" if _is_view(place, catalog) else "TABLE"
        yield _told(f"GRANT {listed} ON {kind} {_full(place)} {to}")
    yield from map(_told, sorted(others))


def _is_view(place: ObjectName, catalog: Catalog) -> bool:
    table = catalog.tables.get(place)
    return place in catalog.views or (table is not None and table.opaque)


def _full(place: ObjectName) -> str:
    return _name(place.database, place.schema, place.name)


def _name(*parts: str) -> str:
    return ".".join(map(quoted, parts))


def _told(statement: str) -> str:
    """A statement on one line. A name that would not show as it is makes it a remark."""
    shown = visible(statement)
    return shown if shown == statement else f"-- by hand, for a name that does not show: {shown}"
