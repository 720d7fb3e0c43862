"""Statements answered without DuckDB: session state, roles and grants, SHOW, EXPLAIN, stages."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
from sqlglot import exp

from snowgate_standin import functions, tokens
from snowgate_standin.access import Access, read_tables
from snowgate_standin.catalog import Catalog, resolve, resolve_schema
from snowgate_standin.columns import text
from snowgate_standin.errors import SnowflakeError, insufficient, missing, syntax, unsupported
from snowgate_standin.result import Result
from snowgate_standin.roles import EVERYTHING, Name, Role
from snowgate_standin.routines import FUNCTION, PROCEDURE, Routines
from snowgate_standin.session import PARAMETERS

if TYPE_CHECKING:
    from snowgate_standin.session import Session

CALL = 0x1000
SELECT, EXPLAIN, ALTER_SESSION, USE = 0x1000, 0x2000, 0x4100, 0x4300
SHOW, DESCRIBE, TCL, DDL, GET, PUT = 0x4400, 0x4500, 0x5000, 0x6000, 0x7101, 0x7102

_NAME = r'("[^"]+"|[\w$.*]+)'
_GRANT_ROLE = re.compile(
    rf"(?:DATABASE\s+)?ROLE\s+{_NAME}\s+(?:TO|FROM)\s+(ROLE|USER)\s+{_NAME}", re.IGNORECASE
)
_GRANT = re.compile(
    rf"(.+?)\s+ON\s+((?:ALL|FUTURE)\s+\w+\s+IN\s+\w+|\w+)\s+{_NAME}\s+(?:TO|FROM)\s+(?:ROLE\s+)?"
    rf"{_NAME}",
    re.IGNORECASE | re.DOTALL,
)
_ROLE = re.compile(
    rf"(CREATE|DROP)\s+(?:OR\s+REPLACE\s+)?ROLE\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?{_NAME}",
    re.IGNORECASE,
)
_COMMENTS = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|//[^\n]*(?:\n|$)|/\*.*?\*/)+", re.DOTALL)
_EXPLAIN = re.compile(r"\s*EXPLAIN\s+(?:USING\s+(?:TABULAR|JSON|TEXT)\s+)?", re.IGNORECASE)


def texts(names: Sequence[str], rows: Sequence[Sequence[str | None]], type_id: int) -> Result:
    """A small result of text columns."""
    columns = tuple(text(name) for name in names)
    cells = list(zip(*rows, strict=True)) if rows else [[] for _ in names]
    arrays = [pa.array(values, pa.string()) for values in cells]
    return Result(columns, pa.Table.from_arrays(arrays, names=list(names)), type_id)


def status(type_id: int, message: str = "Statement executed successfully.") -> Result:
    return texts(["status"], [[message]], type_id)


def _plain(name: str) -> str:
    return name[1:-1] if name.startswith('"') else name.upper()


class Local:
    """Answers what needs no DuckDB, or returns None."""

    def __init__(self, access: Access, catalog: Catalog, routines: Routines) -> None:
        self._routines = routines
        self._access = access
        self._catalog = catalog
        self._roles = access.roles

    def answer(self, session: Session, expression: exp.Expression, sql: str) -> Result | None:
        """The result of a statement that is local, else None.

        Raises:
            SnowflakeError: it is local and refused.
        """
        head = sql.split(None, 2)[:2]
        verb = head[0].upper() if head else ""
        if isinstance(expression, exp.Use):
            return self._use(session, expression)
        if isinstance(expression, exp.Alter) and expression.args.get("kind") == "SESSION":
            return self._alter_session(session, expression)
        if isinstance(expression, exp.Show) and expression.name.upper() == "PARAMETERS":
            return self._show(session, "PARAMETERS")
        if isinstance(expression, exp.Show) and expression.name.upper() == "FUNCTIONS":
            return texts(functions.COLUMNS, functions.rows(), SHOW)
        if verb in ("GRANT", "REVOKE"):
            return self._grant(session, sql, revoke=verb == "REVOKE")
        if _ROLE.match(sql.strip()):
            return self._role(session, sql)
        if isinstance(expression, exp.Put):
            return _stage("UPLOAD", PUT)
        if isinstance(expression, exp.Undrop | exp.Copy):
            raise unsupported(verb)
        if isinstance(expression, exp.Command):
            return self._command(session, verb, sql)
        return None

    def _command(self, session: Session, verb: str, sql: str) -> Result | None:
        rest = re.sub(r"^\s*\w+\s*", "", sql).strip().upper()
        if verb == "GET":
            return _stage("DOWNLOAD", GET)
        if verb == "SHOW":
            return self._show(session, rest)
        if verb == "EXPLAIN":
            return None
        if verb in ("SET", "UNSET"):
            return None
        if verb in ("CREATE", "ALTER", "DROP", "EXECUTE", "UNDROP", "COPY", "REMOVE", "RM"):
            raise unsupported(" ".join([verb, *rest.split(None, 2)[:2]]))
        raise syntax(1, 0, verb)

    # -- session state ---------------------------------------------------------------------

    def _use(self, session: Session, expression: exp.Use) -> Result:
        kind = expression.args.get("kind")
        kind = str(getattr(kind, "name", kind) or "DATABASE").upper()
        this = expression.this
        name = this.name if getattr(this.this, "quoted", False) else this.name.upper()
        if kind == "SECONDARY ROLES":
            if name not in ("ALL", "NONE"):
                raise unsupported("USE SECONDARY ROLES with a list")
            session.secondary = name
        elif kind == "ROLE":
            if name not in self._roles.known:
                raise SnowflakeError(
                    "002043",
                    "02000",
                    "SQL compilation error:\nObject does not exist, or operation cannot be "
                    "performed.",
                )
            if name not in self._roles.of_user[session.user]:
                raise SnowflakeError(
                    "003013",
                    "42501",
                    f"SQL access control error:\nRequested role '{name}' is not assigned to the "
                    "executing user. Specify another role to activate.",
                )
            session.role = name
        elif kind == "WAREHOUSE":
            session.warehouse = name
        elif kind == "DATABASE":
            self.use_database(session, name)
        elif kind == "SCHEMA":
            self.use_schema(session, *resolve_schema(this, session))
        else:
            raise unsupported(f"USE {kind}")
        return status(USE)

    def use_database(self, session: Session, name: str) -> None:
        """Make a database current, and its PUBLIC schema where it has one."""
        if not self._catalog.schema_exists(session, name):
            raise missing("Database", name)
        if self._catalog.schema_exists(session, name, "PUBLIC"):
            self.use_schema(session, name, "PUBLIC")
            return
        connection = session.connection
        connection._duck_conn.execute(f"SET schema = '\"{name}\".main'")
        connection.database, connection.database_set = name, True
        connection._schema, connection.schema_set = None, False

    def use_schema(self, session: Session, database: str, name: str) -> None:
        if name == "INFORMATION_SCHEMA":
            raise unsupported("USE SCHEMA INFORMATION_SCHEMA")
        if not self._catalog.schema_exists(session, database, name):
            raise missing("Schema", f"{database}.{name}" if database else name)
        connection = session.connection
        connection._duck_conn.execute(f'SET schema = \'"{database}"."{name}"\'')
        connection.database, connection.database_set = database, True
        connection._schema, connection.schema_set = name, True

    def _alter_session(self, session: Session, expression: exp.Alter) -> Result:
        for change in expression.find_all(exp.AlterSession):
            for item in change.expressions:
                if change.args.get("unset"):
                    session.parameters.pop(item.this.name.upper(), None)
                elif isinstance(item.this, exp.EQ):
                    value = item.this.expression
                    plain = value.this if isinstance(value, exp.Boolean) else value.name
                    session.parameters[item.this.this.name.upper()] = plain
        return status(ALTER_SESSION)

    # -- roles and grants ------------------------------------------------------------------

    def _manage(self, session: Session, on: Name | None = None) -> None:
        active = self._access.active(session)
        if self._roles.holds(active, "MANAGE", ("*", "*", "*")):
            return
        if on is not None and self._roles.holds(active, "OWNERSHIP", on):
            return
        raise insufficient("account", "CRMDEMO")

    def _role(self, session: Session, sql: str) -> Result:
        match = _ROLE.match(sql.strip())
        assert match
        self._manage(session)
        verb, name = match[1].upper(), _plain(match[2])
        if verb == "CREATE":
            self._roles.known.setdefault(name, Role(name))
            return status(DDL, f"Role {name} successfully created.")
        if name not in self._roles.known:
            raise missing("Role", name)
        del self._roles.known[name]
        for held in self._roles.of_user.values():
            if name in held:
                held.remove(name)
        return status(DDL, f"{name} successfully dropped.")

    def _grant(self, session: Session, sql: str, *, revoke: bool) -> Result:
        body = re.sub(r"^\s*(?:GRANT|REVOKE)\s+", "", sql, flags=re.IGNORECASE)
        if match := _GRANT_ROLE.match(body):
            self._manage(session)
            role, kind, to = _plain(match[1]), match[2].upper(), _plain(match[3])
            if role not in self._roles.known or (kind == "ROLE" and to not in self._roles.known):
                raise missing("Role", role)
            if kind == "USER" and to not in self._roles.of_user:
                raise missing("User", to)
            if kind == "ROLE":
                change = self._roles.known[to].inherits
                (change.discard if revoke else change.add)(role)
                return status(DDL)
            held = self._roles.of_user[to]
            if role in held:
                held.remove(role)
            if not revoke:
                held.append(role)
            return status(DDL)
        match = _GRANT.match(body)
        if match is None:
            raise unsupported("this form of GRANT")
        on = self._grant_object(session, match[2].upper(), _plain(match[3]))
        self._manage(session, on)
        role = _plain(match[4])
        if role not in self._roles.known:
            raise missing("Role", role)
        words = {word.strip().upper() for word in match[1].split(",")}
        privileges = set(EVERYTHING) if any(w.startswith("ALL") for w in words) else words
        known = self._roles.known[role]
        (known.revoke if revoke else known.grant)(on, privileges)
        return status(DDL)

    def _grant_object(self, session: Session, kind: str, name: str) -> Name:
        parts = name.split(".")
        if kind.endswith("IN SCHEMA") or kind == "SCHEMA":
            parts = [session.database or "", *parts] if len(parts) == 1 else parts
            return parts[0], parts[1], "*"
        if kind.endswith("IN DATABASE") or kind == "DATABASE":
            return parts[0], "*", "*"
        if kind in ("TABLE", "VIEW"):
            current = [session.database or "", session.schema or ""]
            full = [*current[: 3 - len(parts)], *parts]
            return full[0], full[1], full[2]
        return "*", "*", "*"

    def _show(self, session: Session, rest: str) -> Result:
        if rest.startswith("ROLES"):
            rows = [[name, "Y" if name == session.role else "N"] for name in self._roles.known]
            return texts(["name", "is_current"], rows, SHOW)
        if rest.startswith("GRANTS"):
            words = rest.rstrip(";").split()
            if len(words) >= 4 and words[1:3] == ["TO", "USER"]:
                held = self._roles.of_user[session.user]
                rows = [["USAGE", "ROLE", role, "USER", session.user] for role in held]
            else:
                wanted = words[3] if len(words) >= 4 else session.role
                role = self._roles.known.get(wanted)
                rows = [
                    [privilege, "OBJECT", ".".join(on), "ROLE", wanted]
                    for on, privileges in (role.grants.items() if role else ())
                    for privilege in sorted(privileges)
                ]
            names = ["privilege", "granted_on", "name", "granted_to", "grantee_name"]
            return texts(names, rows, SHOW)
        if rest.startswith("PARAMETERS"):
            known = PARAMETERS | session.parameters
            rows = [[name, str(value).lower()] for name, value in sorted(known.items())]
            return texts(["key", "value"], rows, SHOW)
        if rest.startswith(("USER FUNCTIONS", "PROCEDURES", "USER PROCEDURES")):
            kind = PROCEDURE if "PROCEDURES" in rest else FUNCTION
            names = ["name", "schema_name", "catalog_name", "arguments"]
            return texts(names, self._routines.rows(kind), SHOW)
        if rest.startswith("EXTERNAL FUNCTIONS"):
            return texts(functions.COLUMNS, [], SHOW)
        if rest.startswith("BUILTIN FUNCTIONS"):
            return texts(functions.COLUMNS, functions.rows(), SHOW)
        raise unsupported(f"SHOW {rest[:40]}")

    # -- the rest --------------------------------------------------------------------------

    def explain(self, session: Session, expression: exp.Expression) -> Result:
        """A plan in the shape of EXPLAIN USING TABULAR: a result and the tables it scans."""
        self._access.check(session, expression)
        names = [
            "step", "id", "parentOperators", "operation", "objects", "alias", "expressions",
            "partitionsTotal", "partitionsAssigned", "bytesAssigned",
        ]  # fmt: skip
        blank: list[str | None] = [None, None, None]
        rows: list[list[str | None]] = [
            [None, None, None, "GlobalStats", None, None, None, "1", "1", "1024"],
            ["1", "0", None, "Result", *blank, None, None, None],
        ]
        for number, table in enumerate(read_tables(expression), start=1):
            where = ".".join(resolve(table, session))
            rows.append(["1", str(number), "[0]", "TableScan", where, None, None, "1", "1", "1024"])
        return texts(names, rows, EXPLAIN)


def bare(sql: str) -> str:
    """The statement without leading comments and trailing semicolons."""
    match = _COMMENTS.match(sql)
    return sql[match.end() if match else 0 :].rstrip().rstrip(";")


def explained(sql: str) -> str | None:
    """The statement inside an EXPLAIN."""
    match = _EXPLAIN.match(sql)
    return sql[match.end() :] if match else None


def _stage(command: str, type_id: int) -> Result:
    """The reply to PUT or GET in its true shape; its credentials lead nowhere."""
    result = texts(["status"], [], type_id)
    secret = tokens.mint("stage")
    material = {"queryStageMasterKey": secret, "queryId": str(uuid.uuid4()), "smkId": 1}
    result.extra = {
        "command": command,
        "kind": None,
        "operation": "Node",
        "src_locations": ["/nowhere/standin"],
        "localLocation": "/nowhere",
        "parallel": 4,
        "threshold": 209715200,
        "autoCompress": True,
        "overwrite": False,
        "sourceCompression": "auto_detect",
        "clientShowEncryptionParameter": False,
        "encryptionMaterial": material if command == "UPLOAD" else [material],
        "stageInfo": {
            "locationType": "S3",
            "location": "standin-stage/nowhere/",
            "path": "nowhere/",
            "region": "us-west-2",
            "storageAccount": None,
            "isClientSideEncrypted": True,
            "creds": {
                "AWS_KEY_ID": secret,
                "AWS_SECRET_KEY": secret,
                "AWS_TOKEN": secret,
            },
            "presignedUrl": None,
            "endPoint": None,
        },
    }
    return result
