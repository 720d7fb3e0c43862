"""Privilege checks: what a statement touches, and whether the active roles may.

An object without any privilege does not exist for a role; one that it sees but may not change is
refused with Snowflake's words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import traverse_scope

from snowgate_standin.catalog import Catalog, resolve, resolve_schema
from snowgate_standin.errors import insufficient, missing
from snowgate_standin.roles import USAGE_VIEW, Name, Roles

if TYPE_CHECKING:
    from snowgate_standin.session import Session

_TARGETS: dict[type[exp.Expression], str] = {
    exp.Insert: "INSERT",
    exp.Update: "UPDATE",
    exp.Delete: "DELETE",
    exp.Merge: "UPDATE",
}


def read_tables(expression: exp.Expression) -> list[exp.Table]:
    """Every real table a statement reads: not its CTEs, not its target."""
    found: list[exp.Table] = []
    for query in _queries(expression):
        try:
            scopes = traverse_scope(query)
        except SqlglotError:
            names = {cte.alias_or_name.upper() for cte in query.find_all(exp.CTE)}
            found += [
                table
                for table in query.find_all(exp.Table)
                if table.args.get("db") or table.name.upper() not in names
            ]
            continue
        for scope in scopes:
            found += [s for s in scope.sources.values() if isinstance(s, exp.Table)]
    if isinstance(expression, exp.Merge) and isinstance(expression.args.get("using"), exp.Table):
        found.append(expression.args["using"])
    if isinstance(expression, exp.Update) and (source := expression.args.get("from_")):
        found += list(source.find_all(exp.Table))
    if isinstance(expression, exp.Delete):
        found += [t for t in expression.args.get("using") or [] if isinstance(t, exp.Table)]
    return [table for table in found if isinstance(table.this, exp.Identifier)]


def _queries(expression: exp.Expression) -> list[exp.Expression]:
    """The outermost queries inside a statement."""
    if isinstance(expression, exp.Query):
        return [expression]
    if isinstance(expression, exp.Insert) and isinstance(expression.expression, exp.Query):
        return [expression.expression]
    return [q for q in expression.find_all(exp.Query) if q.find_ancestor(exp.Query) is None]


def target(expression: exp.Expression) -> exp.Table | None:
    """The table a DML or DDL statement names first."""
    this = expression.args.get("this")
    if isinstance(this, exp.Schema):
        this = this.this
    return this if isinstance(this, exp.Table) else None


class Access:
    """The check of a parsed statement against roles and catalog."""

    def __init__(self, roles: Roles, catalog: Catalog) -> None:
        self.roles = roles
        self._catalog = catalog

    def active(self, session: Session) -> list[str]:
        """The primary role and, unless switched off, all others of the user."""
        if session.secondary == "NONE":
            return [session.role]
        return [session.role, *self.roles.secondary(session.user, session.role)]

    def check(self, session: Session, expression: exp.Expression) -> None:
        """Pass, or raise the refusal Snowflake would give.

        Raises:
            SnowflakeError: 002003 or 003001.
        """
        for table in read_tables(expression):
            self._object(session, resolve(table, session), "SELECT", "Object")
        if (privilege := _TARGETS.get(type(expression))) and (table := target(expression)):
            self._object(session, resolve(table, session), privilege, "Table")
        elif isinstance(expression, exp.TruncateTable):
            for table in expression.expressions:
                self._object(session, resolve(table, session), "TRUNCATE", "Table")
        elif isinstance(expression, exp.Create):
            self._create(session, expression)
        elif isinstance(expression, exp.Drop):
            self._drop(session, expression)
        elif isinstance(expression, exp.Alter | exp.Comment):
            self._alter(session, expression)
        elif isinstance(expression, exp.Describe) and (table := target(expression)):
            self.visible(session, resolve(table, session), "Table")

    def visible(self, session: Session, name: Name, kind: str) -> None:
        if name[1] == "INFORMATION_SCHEMA":
            return
        found = self._catalog.find(session, name)
        if found is not None and found.temporary:
            return
        if found is None or not self.roles.sees(self.active(session), found.name):
            raise missing(kind, ".".join(part for part in name if part))

    def _object(self, session: Session, name: Name, privilege: str, kind: str) -> None:
        if name[0] == USAGE_VIEW[0]:
            holds = self.roles.holds(self.active(session), "SELECT", USAGE_VIEW)
            if name != USAGE_VIEW or privilege != "SELECT" or not holds:
                raise missing(kind, ".".join(name))
            return
        if name[1] == "INFORMATION_SCHEMA":
            if privilege != "SELECT" or not self._catalog.schema_exists(session, name[0]):
                raise missing("Schema", f"{name[0]}.{name[1]}")
            return
        found = self._catalog.find(session, name)
        if found is not None and found.temporary:
            return
        self.visible(session, name, kind)
        assert found is not None
        if self.roles.holds(self.active(session), privilege, found.name):
            return
        if privilege == "SELECT":
            raise missing(kind, ".".join(name))
        raise insufficient(found.kind.lower(), found.name[2])

    def _create(self, session: Session, expression: exp.Create) -> None:
        kind = str(expression.args.get("kind") or "").upper()
        active = self.active(session)
        table = target(expression)
        if table is None and isinstance(expression.this, exp.UserDefinedFunction):
            table = expression.this.this
        if not isinstance(table, exp.Table):
            return
        if kind == "DATABASE":
            if not self.roles.holds(active, "CREATE DATABASE", ("*", "*", "*")):
                raise insufficient("account", "CRMDEMO")
            return
        if kind == "SCHEMA":
            database, _ = resolve_schema(table, session)
            if not self.roles.holds(active, "CREATE SCHEMA", (database, "", "")):
                raise insufficient("database", database)
            return
        database, schema, _ = name = resolve(table, session)
        if not self._catalog.schema_exists(session, database, schema):
            raise missing("Schema", f"{database}.{schema}")
        if not self.roles.holds(active, "CREATE", (database, schema, "")):
            raise insufficient("schema", schema)
        if expression.args.get("replace"):
            found = self._catalog.find(session, name)
            if found and not found.temporary:
                self._owner(session, found.name, found.kind)

    def _owner(self, session: Session, name: Name, kind: str) -> None:
        if not self.roles.holds(self.active(session), "OWNERSHIP", name):
            raise insufficient(kind.lower(), name[2] or name[1] or name[0])

    def _drop(self, session: Session, expression: exp.Drop) -> None:
        kind = str(expression.args.get("kind") or "TABLE").upper()
        tables = expression.args.get("tables") or [expression.this]
        for table in tables:
            if not isinstance(table, exp.Table):
                continue
            if kind == "DATABASE":
                self._owner(session, (table.name.upper(), "*", "*"), kind)
            elif kind == "SCHEMA":
                database, schema = resolve_schema(table, session)
                known = self._catalog.schema_exists(session, database, schema)
                if not known and not expression.args.get("exists"):
                    raise missing("Schema", f"{database}.{schema}")
                self._owner(session, (database, schema, ""), kind)
            elif kind in ("TABLE", "VIEW"):
                name = resolve(table, session)
                found = self._catalog.find(session, name)
                if found is None and expression.args.get("exists"):
                    continue
                self.visible(session, name, kind.capitalize())
                if found and not found.temporary:
                    self._owner(session, found.name, kind)

    def _alter(self, session: Session, expression: exp.Expression) -> None:
        kind = str(expression.args.get("kind") or "TABLE").upper()
        table = target(expression)
        if kind in ("TABLE", "VIEW") and table is not None:
            name = resolve(table, session)
            found = self._catalog.find(session, name)
            if found is None and expression.args.get("exists"):
                return
            self.visible(session, name, kind.capitalize())
            if found and not found.temporary:
                self._owner(session, found.name, kind)
