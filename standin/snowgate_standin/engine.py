"""Run one statement: parse, check privileges, prepare, translate by fakesnow, run on DuckDB."""

from __future__ import annotations

import dataclasses
import logging
import re
import threading
import uuid
import warnings
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import sqlglot
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.instance import FakeSnow
from fakesnow.transforms.merge import operations
from sqlglot import exp

from snowgate_standin import SERVER_VERSION, data, encode, history, local, routines
from snowgate_standin.access import Access, target
from snowgate_standin.catalog import Catalog, resolve
from snowgate_standin.columns import Column, column, of_arrow
from snowgate_standin.errors import SnowflakeError, missing, translate, unsupported
from snowgate_standin.prepare import Preparation, function_name, literal_names, origins
from snowgate_standin.result import RecentResults, Result
from snowgate_standin.roles import Roles
from snowgate_standin.tags import Tags

if TYPE_CHECKING:
    from fakesnow.conn import FakeSnowflakeConnection

    from snowgate_standin.queries import Query
    from snowgate_standin.session import Session
    from snowgate_standin.settings import Settings

# what sqlglot says about statements it keeps as text; the stand-in answers or refuses them itself
logging.getLogger("sqlglot").setLevel(logging.ERROR)
# DuckDB's advice about which Arrow call to use, given once per call by fakesnow's cursor
warnings.filterwarnings("ignore", message="Arrow output on a DB-API result")

_MARK = re.compile(r"standin:wait=(\d+(?:\.\d+)?)")
_MERGE_ACTIONS = {"inserted": "INSERT", "updated": "UPDATE", "deleted": "DELETE"}
_DML = {exp.Insert: 0x3100, exp.Update: 0x3200, exp.Delete: 0x3300, exp.Merge: 0x3400}
_CHANGES = (exp.Create, exp.Drop, exp.Alter, exp.Comment, exp.TruncateTable)
_STATS = {"inserted": "numRowsInserted", "updated": "numRowsUpdated", "deleted": "numRowsDeleted"}


class Job(Protocol):
    """What the engine needs to know of a running query."""

    sql: str
    binds: list[Any] | None
    batch: list[list[Any]] | None
    describe_only: bool

    def setting(self, name: str) -> Any:
        """A parameter of the statement, or else of its session."""

    def wait(self, seconds: float) -> None:
        """Sleep, or raise the cancellation."""

    def running(self, duck: Any) -> Any:
        """A context in which the query is on this connection and may be interrupted."""


@dataclasses.dataclass(slots=True)
class _Step:
    """A statement inside a procedure."""

    job: Job
    sql: str
    binds: list[Any] | None = None
    batch: list[list[Any]] | None = None
    describe_only: bool = False

    def setting(self, name: str) -> Any:
        return self.job.setting(name)

    def wait(self, seconds: float) -> None:
        self.job.wait(seconds)

    def running(self, duck: Any) -> Any:
        return self.job.running(duck)


class Engine:
    """DuckDB behind fakesnow, the roles and the catalog of the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fake = FakeSnow()
        seed = self._fake.connect("CRM", "PUBLIC")
        self.roles = Roles(settings.user, settings.catalog_user)
        self.catalog = Catalog(self._fake.duck_conn)
        self.catalog.add_database("CRM")
        self.access = Access(self.roles, self.catalog)
        self.routines = routines.Routines(self._fake.duck_conn)
        self.local = local.Local(self.access, self.catalog, self.routines)
        self.tags = Tags(self.access, self.catalog, settings.usage_latency_s)
        data.fill(seed._duck_conn, settings.big_rows)
        view = "CREATE VIEW V_CUSTOMERS AS SELECT * FROM CUSTOMERS"
        seed._duck_conn.execute(view)
        self.catalog.keep_view(("CRM", "PUBLIC", "V_CUSTOMERS"), view + ";")
        seed.close()
        self._fake.duck_conn.execute("SET GLOBAL python_enable_replacements = false")
        self._fake.duck_conn.execute("SET GLOBAL enable_external_access = false")
        self._fake.create_database_on_connect = False
        self._fake.create_schema_on_connect = False
        self.history: Callable[[], list[Query]] = list
        self._recent = RecentResults()
        self.find_result: Callable[[str], Result | None] = lambda _: None
        self.cancel_session: Callable[[int], None] = lambda _: None
        self.cancel_query: Callable[[str], bool] = lambda _: False
        self._lock = threading.Lock()

    def connect(self) -> FakeSnowflakeConnection:
        """A connection of its own for a session, with nothing current."""
        with self._lock:
            return self._fake.connect()

    def execute(self, session: Session, job: Job) -> Result:
        """Run the statement of a job to its end.

        Raises:
            SnowflakeError: it was refused, failed or was cancelled.
        """
        try:
            return self._execute(session, job)
        except Exception as error:
            raise translate(error) from error

    def _execute(self, session: Session, job: Job) -> Result:
        sql = job.sql
        if session.connection.variables._variables:
            sql = session.connection.variables.inline_variables(sql)
        parsed = [e for e in sqlglot.parse(sql, read="snowflake") if e is not None]
        parsed = [e for e in parsed if not isinstance(e, exp.Semicolon)]
        if not parsed:
            raise SnowflakeError("000900", "42601", "Empty SQL statement.")
        if len(parsed) > 1:
            raise SnowflakeError(
                "000008",
                "0A000",
                f"Actual statement count {len(parsed)} did not match the desired statement "
                "count 1.",
            )
        expression = literal_names(parsed[0])
        for match in _MARK.finditer(sql):
            job.wait(float(match[1]))
        stripped = local.bare(sql)
        if isinstance(expression, exp.Command) and (inner := local.explained(stripped)):
            with session.lock:
                return self.local.explain(session, sqlglot.parse_one(inner, read="snowflake"))
        if routines.is_call(stripped):
            return self._call(session, stripped, job)
        with session.lock:
            job.wait(0)
            answer = self.tags.answer(session, stripped)
            answer = answer or self.local.answer(session, expression, stripped)
            if answer is not None:
                return answer
            given = self.tags.taken_out(session, expression)
            if not routines.created(expression):
                self._current(session, expression)
            self.access.check(session, expression)
            if routines.created(expression):
                said = self.routines.change(session, expression)
                self._recent.clear()
                return local.status(local.DDL, said)
            plan = self._preparation(session)
            traced = origins(expression, session, self.catalog)
            prepared = plan.run(expression.copy(), sql)
        for seconds in plan.waits:
            job.wait(seconds)
        with session.lock, job.running(session.connection._duck_conn):
            if isinstance(expression, exp.Query):
                return self._recent.get_or_run(
                    session,
                    job,
                    expression,
                    lambda: self._query(session, prepared, job, traced),
                )
            try:
                result = self._statement(session, expression, prepared, job)
            finally:
                self._recent.clear()
            if isinstance(expression, exp.Create) and not job.describe_only:
                self.tags.created(session, expression, given)
            elif isinstance(expression, exp.Drop) and not job.describe_only:
                self.tags.dropped(session, expression)
            return result

    def _call(self, session: Session, sql: str, job: Job) -> Result:
        """Run a procedure as its owner; the result of its last statement is the result."""
        with session.lock:
            procedure = self.routines.procedure(session, sql, job.binds)
        if job.describe_only:
            return local.status(local.CALL)
        caller = session.role, session.secondary
        result = local.status(local.CALL)
        try:
            session.role, session.secondary = procedure.owner, "NONE"
            for statement in procedure.statements:
                result = self._execute(session, _Step(job, statement))
        finally:
            session.role, session.secondary = caller
        return result

    def _current(self, session: Session, expression: exp.Expression) -> None:
        """Refuse unqualified names where no database or schema is current."""
        FakeSnowflakeCursor(session.connection, session.connection._duck_conn).check_db_and_schema(
            expression
        )

    def _query(
        self, session: Session, query: exp.Expression, job: Job, traced: list[Column | None] | None
    ) -> Result:
        duck = session.connection._duck_conn
        cursor = FakeSnowflakeCursor(session.connection, duck)
        binds = len(list(query.find_all(exp.Placeholder)))
        if job.describe_only:
            query = query.transform(
                lambda node: exp.Null() if isinstance(node, exp.Placeholder) else node, copy=False
            )
        params = list(job.binds) if job.binds and not job.describe_only else None
        sql = cursor._transform(query, params).sql(dialect="duckdb")
        relation = duck.sql(sql, params=params)
        names, types = relation.columns, [str(kind) for kind in relation.types]
        columns = _columns(names, types, traced)
        if job.describe_only:
            arrays = [pa.array([], pa.string()) for _ in names]
            table = pa.Table.from_arrays(arrays, names=list(names))
        else:
            table = encode.normalise(relation.to_arrow_table())
        return Result(columns, table, local.SELECT, arrow=True, binds=binds)

    def _statement(
        self, session: Session, original: exp.Expression, prepared: exp.Expression, job: Job
    ) -> Result:
        connection = session.connection
        duck = connection._duck_conn
        binds = len(list(prepared.find_all(exp.Placeholder)))
        type_id = _type_id(original)
        if job.describe_only:
            described = local.status(type_id)
            described.table = described.table.slice(0, 0)
            described.binds = binds
            return described
        if isinstance(original, exp.Transaction) and session.in_transaction:
            return local.status(local.TCL)
        if isinstance(original, _CHANGES) and session.in_transaction:
            duck.execute("COMMIT")
            session.in_transaction = False
        if isinstance(original, exp.Drop) and original.args.get("kind") == "DATABASE":
            return self._drop_database(session, original)
        if isinstance(prepared, exp.Alter) and (answer := self._renamed(session, prepared)):
            return answer
        manual = str(session.parameters.get("AUTOCOMMIT", True)).lower() == "false"
        if manual and type(original) in _DML and not session.in_transaction:
            duck.execute("BEGIN")
            session.in_transaction = True
        rows = job.batch if job.batch is not None else [job.binds]
        cursor = FakeSnowflakeCursor(connection, duck)
        if isinstance(prepared, exp.Merge) and job.batch is None:
            return _merged(cursor, duck, prepared, job.binds)
        changed = 0
        for values in rows:
            for part in cursor._transform_explode(prepared.copy()):
                transformed = cursor._transform(part, values)
                has_binds = transformed.find(exp.Placeholder) is not None
                cursor._execute(transformed, list(values) if values and has_binds else None)
            changed += cursor.rowcount or 0
        if isinstance(original, exp.Transaction):
            session.in_transaction = True
        elif isinstance(original, exp.Commit | exp.Rollback):
            session.in_transaction = False
        self._remember(session, original, job.sql)
        table = cursor._arrow_table
        if table is None or isinstance(original, exp.Comment):
            return local.status(type_id)
        if job.batch is not None and type(original) in _DML:
            table = pa.table({table.column_names[0]: [changed]})
        columns = tuple(of_arrow(field) for field in table.schema)
        return Result(columns, encode.normalise(table), type_id, stats=_stats(original, table))

    def _drop_database(self, session: Session, drop: exp.Drop) -> Result:
        for table in drop.args.get("tables") or []:
            name = table.name.upper()
            if not self.catalog.schema_exists(session, name):
                if drop.args.get("exists"):
                    continue
                raise missing("Database", name)
            if session.database == name:
                session.connection._duck_conn.execute("SET schema = 'memory.main'")
                session.connection.database, session.connection.database_set = None, False
                session.connection._schema, session.connection.schema_set = None, False
            session.connection._duck_conn.execute(f'DETACH "{name}"')
            self.roles.owners.pop((name, "*", "*"), None)
        return local.status(local.DDL)

    def _renamed(self, session: Session, alter: exp.Alter) -> Result | None:
        """RENAME TO and SWAP WITH, which DuckDB knows in fewer forms than Snowflake."""
        action = (alter.args.get("actions") or [None])[0]
        if not isinstance(action, exp.AlterRename | exp.SwapTable):
            return None
        old = resolve(alter.this, session)
        new = resolve(action.this, session)
        kind = str(alter.args.get("kind") or "TABLE").upper()
        if old[:2] != new[:2] or kind not in ("TABLE", "VIEW"):
            raise unsupported("RENAME or SWAP across schemas")
        found = self.catalog.find(session, old)
        duck = session.connection._duck_conn
        where = f'"{old[0]}"."{old[1]}"'

        def rename(before: str, after: str) -> None:
            duck.execute(f'ALTER {kind} {where}."{before}" RENAME TO "{after}"')

        if isinstance(action, exp.SwapTable):
            self.access.visible(session, new, "Table")
            between = f"standin_swap_{uuid.uuid4().hex}"
            rename(old[2], between)
            rename(new[2], old[2])
            rename(between, new[2])
            self.tags.renamed(old, new, swapped=True)
        else:
            rename(old[2], new[2])
            self.tags.renamed(old, new, swapped=False)
            self.roles.owners[new] = self.roles.owners.pop(old, session.role)
            if found and found.kind == "VIEW":
                self.catalog.keep_view(new, self.catalog.ddl(session, "VIEW", new))
        return local.status(local.DDL)

    def _remember(self, session: Session, statement: exp.Expression, sql: str) -> None:
        """Keep owner and text of what was created, and the catalog of a new database."""
        kind = str(statement.args.get("kind") or "").upper()
        table = target(statement)
        if isinstance(statement, exp.Create) and table is not None:
            if kind == "DATABASE":
                self.catalog.add_database(table.name.upper())
                self.roles.owners[(table.name.upper(), "*", "*")] = session.role
            elif kind in ("TABLE", "VIEW"):
                name = resolve(table, session)
                found = self.catalog.find(session, name)
                if found is not None and found.temporary:
                    session.temporary = True
                elif found is not None:
                    self.roles.owners[name] = session.role
                if kind == "VIEW":
                    self.catalog.keep_view(name, sql.strip().rstrip(";") + ";")
        elif isinstance(statement, exp.Drop):
            for dropped in statement.args.get("tables") or []:
                self.roles.owners.pop(resolve(dropped, session), None)

    # -- values of functions about the session ---------------------------------------------

    def _preparation(self, session: Session) -> Preparation:
        secondary = self.roles.secondary(session.user, session.role)
        available = self.roles.of_user[session.user]
        roles = '{"roles":"' + ",".join(secondary) + '","value":"ALL"}'
        if session.secondary == "NONE":
            roles = '{"roles":"","value":""}'
        active = self.access.active(session)
        plain: dict[str, str | None] = {
            "CURRENT_ROLE": session.role,
            "CURRENT_SECONDARY_ROLES": roles,
            "CURRENT_AVAILABLE_ROLES": "[" + ",".join(f'"{r}"' for r in available) + "]",
            "CURRENT_USER": session.user,
            "CURRENT_ACCOUNT": self._settings.account,
            "CURRENT_ACCOUNT_NAME": self._settings.account,
            "CURRENT_ORGANIZATION_NAME": "STANDIN",
            "CURRENT_REGION": "STANDIN_LOCAL",
            "CURRENT_WAREHOUSE": session.warehouse,
            "CURRENT_DATABASE": session.database,
            "CURRENT_SCHEMA": session.schema,
            "CURRENT_SESSION": str(session.id),
            "CURRENT_VERSION": SERVER_VERSION,
            "CURRENT_CLIENT": session.client_app,
            "LAST_QUERY_ID": session.last_query_id,
        }
        values: dict[str, Callable[[list[exp.Expression]], str | None]] = {
            name: (lambda _, value=value: value) for name, value in plain.items()
        }
        values["IS_ROLE_IN_SESSION"] = lambda given: str(
            bool(given) and given[0].name.upper() in active
        )
        values["GET_DDL"] = lambda given: self._ddl(session, given)
        values["SYSTEM$CANCEL_ALL_QUERIES"] = lambda given: self._cancel_all(given)
        values["SYSTEM$CANCEL_QUERY"] = lambda given: self._cancel(given)
        return Preparation(
            session,
            self.catalog,
            values,
            scan=lambda query_id: self._scan(session, query_id),
            routines=self.routines,
            history=lambda: history.register(session, self.history()),
            usage=lambda: self.tags.usage(session),
            effective=lambda name: self.tags.effective(session, name),
        )

    def _ddl(self, session: Session, given: list[exp.Expression]) -> str:
        if len(given) < 2 or function_name(given[1]):
            raise unsupported("GET_DDL of a name that is not a literal")
        if given[0].name.upper() in routines.KINDS:
            return self.routines.ddl(session, given[0].name.upper(), given[1].name)
        name = resolve(exp.to_table(given[1].name, dialect="snowflake"), session)
        self.access.visible(session, name, "Object")
        return self.catalog.ddl(session, given[0].name, name)

    def _cancel_all(self, given: list[exp.Expression]) -> str:
        if given and given[0].name.isdigit():
            self.cancel_session(int(given[0].name))
        return "0 cancelled"

    def _cancel(self, given: list[exp.Expression]) -> str:
        done = bool(given) and self.cancel_query(given[0].name)
        return "query cancelled" if done else "query not running"

    def _scan(self, session: Session, query_id: str) -> str:
        """Register an earlier result on the session's connection; the name of its view."""
        result = self.find_result(query_id)
        if result is None:
            raise SnowflakeError("000709", "02000", f"Statement {query_id} not found")
        return history.expose(session, result.table)


def _columns(
    names: list[str], types: list[str], traced: list[Column | None] | None
) -> tuple[Column, ...]:
    found = [column(name, kind) for name, kind in zip(names, types, strict=True)]
    if traced is None or len(traced) != len(found):
        return tuple(found)
    return tuple(
        dataclasses.replace(origin, name=made.name)
        if origin is not None and origin.type == made.type
        else made
        for made, origin in zip(found, traced, strict=True)
    )


def _type_id(expression: exp.Expression) -> int:
    if type(expression) in _DML:
        return _DML[type(expression)]
    if isinstance(expression, exp.Show):
        return local.SHOW
    if isinstance(expression, exp.Describe):
        return local.DESCRIBE
    if isinstance(expression, exp.Transaction | exp.Commit | exp.Rollback):
        return local.TCL
    if isinstance(expression, _CHANGES):
        return local.DDL
    return local.ALTER_SESSION


def _merged(cursor: FakeSnowflakeCursor, duck: Any, merge: exp.Merge, binds: Any) -> Result:
    """Run MERGE as DuckDB's own.

    fakesnow takes it apart into statements of which one writes to a second database, so that it
    runs in no transaction, and in which a column of the source is ambiguous.
    """
    transformed = cursor._transform(merge.copy(), binds)
    values = list(binds) if binds and transformed.find(exp.Placeholder) else None
    sql = f"{transformed.sql(dialect='duckdb')} RETURNING merge_action"
    done = Counter(action for (action,) in duck.execute(sql, values).fetchall())
    table = pa.table(
        {
            f"number of rows {word}": [done[action]]
            for word, action in _MERGE_ACTIONS.items()
            if operations(merge)[word]
        }
    )
    columns = tuple(of_arrow(field) for field in table.schema)
    stats = _stats(merge, table)
    return Result(columns, encode.normalise(table), _DML[exp.Merge], stats=stats)


def _stats(expression: exp.Expression, table: pa.Table) -> dict[str, int] | None:
    if type(expression) not in _DML:
        return None
    stats = dict.fromkeys(_STATS.values(), 0) | {"numDmlDuplicates": 0}
    for name, values in zip(table.column_names, table.columns, strict=True):
        for word, key in _STATS.items():
            if name.endswith(word):
                stats[key] = int(values[0].as_py() or 0)
    return stats
