"""Text to Statement: what a statement is, what it touches, what it would reveal.

    text ──► classify (Rust) ──► class, verb, target, refusal
                   │ query, DML, and the bodies of CREATE … AS, EXPLAIN, tasks
                   ▼
                 parse ──► walk ──► outputs, objects, tags, violations

Rule at the door: pure, and closed on every doubt. The class comes from the head of the text and
never from the parser; a text that either of them does not understand is refused; whatever goes
wrong on the way is a refusal too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from snowgate._core import SqlError, StatementHead, classify
from snowgate.model.statement import (
    Namespace,
    ObjectName,
    OutputColumn,
    Refusal,
    Statement,
    StatementClass,
)
from snowgate.sql import (
    alterations,
    callees,
    code,
    constants,
    ddl,
    dml,
    files,
    flows,
    policies,
    routines,
    slots,
    stored,
    tables,
    temporary,
)
from snowgate.sql.catalog import NOTHING, Catalog
from snowgate.sql.parser import column_list, parse_dml, parse_query
from snowgate.sql.relations import Relation
from snowgate.sql.state import Refused, State, unreadable
from snowgate.sql.walk import Walk

log = logging.getLogger(__name__)

# EXECUTE IMMEDIATE of EXECUTE IMMEDIATE of …
MAX_DEPTH = 3

_DML = frozenset(
    {StatementClass.INSERT, StatementClass.UPDATE, StatementClass.DELETE, StatementClass.MERGE}
)
_BODIES = frozenset({StatementClass.CREATE, StatementClass.INTEGRATION})


@dataclass(frozen=True, slots=True)
class Examined:
    """A statement, and what is true once it has run.

    Attributes:
        statement: The analysis.
        namespace: Where names resolve afterwards.
        catalog: What exists if it succeeds, with tags moved. A name that is renamed or dropped
            keeps its entry: only reading the catalog again takes something away.
        own: Temporary objects of the session if it succeeds.
        bases: Objects it reads, and those that views among them read.
    """

    statement: Statement
    namespace: Namespace
    catalog: Catalog
    own: Catalog
    bases: frozenset[ObjectName] = frozenset()


def analyse(
    text: str,
    namespace: Namespace,
    catalog: Catalog,
    *,
    role: str = "",
    binds: Sequence[str] | None = None,
) -> Statement:
    """Analyse one statement.

    Args:
        text: The exact text.
        namespace: Where unqualified names resolve.
        catalog: What is known of the databases, with tags.
        role: The session's role: the only one it may USE.
        binds: Types of its binds as drivers name them, or None if not told; of a template, those of
            its slots too.

    Returns:
        The analysis; with `refusal` set when nothing may run. Raises nothing but MemoryError.
    """
    return examine(text, namespace, catalog, role=role, binds=binds).statement


def examine(
    text: str,
    namespace: Namespace,
    catalog: Catalog,
    *,
    role: str = "",
    binds: Sequence[str] | None = None,
    own: Catalog = NOTHING,
) -> Examined:
    """As `analyse`, with what the statement leaves behind.

    Args:
        text: As of `analyse`.
        namespace: As of `analyse`.
        catalog: As of `analyse`.
        role: As of `analyse`.
        binds: As of `analyse`.
        own: Temporary objects of the session.

    Raises:
        MemoryError: There is not enough; the process should end.
    """
    given = _Given(
        namespace,
        temporary.overlaid(catalog, own),
        role,
        None if binds is None else tuple(binds),
        catalog,
        own,
    )
    try:
        return _examine(text, given, 0)
    except Refused as refused:
        return given.refused(_head_of(text), Refusal(refused.rule, refused.reason, refused.remedy))
    except RecursionError:
        reason = "the statement nests expressions too deep"
        return given.refused(_head_of(text), Refusal("unparsed", reason, "split the statement"))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, nothing may run
        # Its message could quote the statement.
        log.error("an analysis failed: %s", type(error).__name__)  # noqa: TRY400
        reason = "the statement could not be analysed"
        return given.refused(_head_of(text), Refusal("unparsed", reason, "write it more plainly"))


@dataclass(frozen=True, slots=True)
class _Given:
    namespace: Namespace
    catalog: Catalog
    role: str
    binds: tuple[str, ...] | None
    shared: Catalog
    own: Catalog

    def state(self) -> State:
        return State(self.catalog, self.namespace, self.binds)

    def unchanged(
        self, statement: Statement, bases: frozenset[ObjectName] = frozenset()
    ) -> Examined:
        return Examined(statement, self.namespace, self.shared, self.own, bases)

    def changed(self, head: StatementHead, statement: Statement, after: Catalog) -> Examined:
        both = (self.shared, self.own)
        after = flows.flowed(self.catalog, after)
        catalogs = temporary.split(head, self.namespace, both, self.catalog, after)
        return Examined(statement, self.namespace, *catalogs)

    def for_others(self) -> _Given:
        """As sessions see it that do not have its temporary objects."""
        return replace(self, catalog=self.shared, own=NOTHING)

    def refused(self, head: StatementHead | None, refusal: Refusal) -> Examined:
        if head is None:
            return self.unchanged(Statement(StatementClass.UNKNOWN, refusal=refusal))
        statement = Statement(
            StatementClass(head.kind), head.verb, head.object_kind, refusal=refusal
        )
        return self.unchanged(statement)


def _head_of(text: str) -> StatementHead | None:
    """The head of the first statement, if the text has one."""
    try:
        heads = classify(text).statements
    except SqlError:
        return None
    return heads[0] if heads else None


def _examine(text: str, given: _Given, depth: int) -> Examined:
    try:
        classified = classify(text)
    except SqlError as error:
        reason, remedy = error.args
        raise Refused("unparsed", reason, remedy) from error
    if classified.refusal is not None:
        raise Refused(*classified.refusal)
    head = classified.statements[0]
    kind = StatementClass(head.kind)
    if kind is StatementClass.SELECT:
        return _query(head, given)
    if kind in _DML:
        return _dml(head, kind, given)
    if kind is StatementClass.DYNAMIC and head.inner is not None:
        if depth >= MAX_DEPTH:
            raise Refused("dynamic-sql", "nests dynamic SQL too deep", "send the statement itself")
        inner = _examine(head.inner, given, depth + 1)
        told = constants.without_binds(inner.statement.compared)
        return replace(inner, statement=replace(inner.statement, compared=told))
    if kind is StatementClass.EXPLAIN and head.inner is not None:
        return _explain(head, given)
    if kind is StatementClass.USE:
        return _use(head, given)
    if kind is StatementClass.CODE:
        return _code(head, given)
    if kind is StatementClass.UNLOAD:
        return _unload(head, given)
    if kind is StatementClass.CALL:
        return _call(head, given)
    return _other(head, kind, given)


def _query(head: StatementHead, given: _Given) -> Examined:
    state = given.state()
    _refuse_stage(head)
    tree = parse_query(head.text)
    slots.check(tree, given.binds)
    callees.check(head, tree, state)
    relation = Walk(state).query(tree, None)
    kind = StatementClass.ACCOUNT_METADATA if state.metadata else StatementClass.SELECT
    columns = None
    if not relation.open:
        columns = tuple([column.output() for column in relation.columns])
    elif relation.everything().unknown and not state.unknown:
        raise unreadable("how many columns the result has, and where they come from,")
    statement = _found(head, kind, state, columns=columns, query=True, read_only=not state.changes)
    return given.unchanged(statement, frozenset(state.bases))


def _refuse_stage(head: StatementHead) -> None:
    if head.stage:
        raise Refused("stage-read", "reads files of a stage", "load the files into a table")


def _found(
    head: StatementHead,
    kind: StatementClass,
    state: State,
    *,
    writes: tuple[ObjectName, ...] = (),
    columns: tuple[OutputColumn, ...] | None = (),
    read_only: bool = False,
    unbounded: bool = False,
    query: bool = False,
) -> Statement:
    """What a walk has found, in a fixed order, and what else is known of the statement."""
    if state.metadata and kind is not StatementClass.ACCOUNT_METADATA:
        raise Refused(
            "account-metadata",
            "copies metadata of the account, which shows what everybody does",
            "read it with a query of its own",
        )
    return Statement(
        kind,
        head.verb,
        head.object_kind,
        reads=tuple(sorted(state.reads)),
        writes=writes,
        columns=columns,
        tags=frozenset(state.tags),
        launders=frozenset(state.launders),
        violations=tuple(
            sorted(state.violations, key=lambda v: (v.knob, v.reason, *sorted(v.tags)))
        ),
        read_only=read_only,
        barrier=head.barrier,
        unbounded=unbounded,
        query=query,
        unknown_sources=tuple(sorted(state.unknown)),
        tagged_constants=len(state.constants),
        calls=tuple(sorted(state.routines)),
        compared=tuple(sorted(state.compared)),
    )


def _dml(head: StatementHead, kind: StatementClass, given: _Given) -> Examined:
    state = given.state()
    _refuse_stage(head)
    tree = parse_dml(head.text)
    slots.check(tree, given.binds)
    callees.check(head, tree, state)
    written = dml.dml(Walk(state), tree)
    targets = tuple(sorted(set(written.targets)))
    statement = _found(head, kind, state, writes=targets, unbounded=written.unbounded)
    examined = given.changed(head, statement, ddl.after_dml(given.catalog, state))
    return replace(examined, bases=frozenset(state.bases))


def _explain(head: StatementHead, given: _Given) -> Examined:
    """A plan shows no values, but how many partitions a predicate leaves."""
    inner = _examine(head.inner or "", given, MAX_DEPTH).statement
    statement = replace(
        inner,
        kind=StatementClass.EXPLAIN,
        verb=head.verb,
        reads=tuple(sorted({*inner.reads, *inner.writes})),
        writes=(),
        columns=(),
        launders=frozenset(),
        read_only=True,
        unbounded=False,
        query=False,
    )
    if inner.kind is StatementClass.ACCOUNT_METADATA:
        statement = replace(statement, kind=inner.kind)
    return given.unchanged(statement)


def _use(head: StatementHead, given: _Given) -> Examined:
    if head.object_kind == "ROLE" and head.target != [given.role]:
        raise Refused(
            "role-pin",
            "takes another role than the session's",
            "a session has the one role its rule gives; ask for a rule that gives another",
        )
    namespace = given.namespace
    if head.object_kind == "DATABASE":
        namespace = Namespace(head.target[0], "PUBLIC")
    elif head.object_kind == "SCHEMA":
        database = head.target[0] if len(head.target) == 2 else namespace.database
        namespace = Namespace(database, head.target[-1])
    statement = Statement(StatementClass.USE, head.verb, head.object_kind, barrier=head.barrier)
    return replace(given.unchanged(statement), namespace=namespace)


def _call(head: StatementHead, given: _Given) -> Examined:
    """A vetted procedure does what the registry says. Its arguments are constants."""
    state = given.state()
    _, overloads = routines.procedures(state, head)
    value = routines.reach(Walk(state), overloads)
    routines.sends(state, overloads, value)
    targets = routines.writes(overloads)
    routines.move(state, targets, value)
    statement = _found(head, StatementClass.CALL, state, writes=targets, columns=None)
    return given.changed(head, statement, ddl.after_dml(given.catalog, state))


def _code(head: StatementHead, given: _Given) -> Examined:
    """Code is judged by its body as if it ran now, in another session, where it lives (F18)."""
    own, given = given.own, given.for_others()
    place = ddl.places(head, given.namespace).writes
    for name in place:
        routines.check_target(head, given.catalog, name)
        given = replace(given, namespace=Namespace(name.database, name.schema))
    bodies: list[Statement] = []
    bases: set[ObjectName] = set()
    for text in code.bodies(head, given.state()):
        if isinstance(text, Statement):
            bodies.append(text)
            continue
        examined = _examine(text, given, MAX_DEPTH)
        bodies.append(examined.statement)
        bases |= examined.bases
        # It will do so when nobody judges it.
        given = replace(given, catalog=examined.catalog, shared=examined.catalog)
    written = {name for body in bodies for name in body.writes}
    for body in bodies:
        if body.kind not in code.JUDGED:
            raise code.not_judged()
    statement = Statement(
        StatementClass.CODE,
        head.verb,
        head.object_kind,
        reads=tuple(sorted({name for body in bodies for name in body.reads})),
        writes=tuple(sorted({*place, *written})),
        tags=frozenset().union(*(body.tags for body in bodies)),
        launders=frozenset().union(*(body.launders for body in bodies)),
        violations=tuple(dict.fromkeys(v for body in bodies for v in body.violations)),
        barrier=head.barrier,
        unknown_sources=tuple(sorted({n for body in bodies for n in body.unknown_sources})),
        calls=tuple(sorted({name for body in bodies for name in body.calls})),
        compared=constants.without_binds(one for body in bodies for one in body.compared),
    )
    fed = given.catalog
    for name in sorted(written):
        fed = flows.fed(fed, [name], bases - {name})
    return replace(given.unchanged(statement), catalog=fed, own=own)


def _unload(head: StatementHead, given: _Given) -> Examined:
    """Files hold what the source shows, and pass no mask."""
    unload = files.unload(head, given.namespace)
    state = given.state()
    trees = [parse_query(query) for query in unload.queries]
    callees.check(head, trees[0], state)
    for tree in trees:
        Walk(state).query(tree, None)
    writes = () if unload.stage is None else (unload.stage,)
    statement = _found(head, StatementClass.UNLOAD, state, writes=writes)
    return given.unchanged(statement)


def _other(head: StatementHead, kind: StatementClass, given: _Given) -> Examined:
    """DDL and everything that reads no rows; the query of CREATE … AS is walked."""
    temporary.check(head, given.namespace, given.shared, given.own)
    state, body = given.state(), Relation()
    query = ddl.query_of(head) if kind in _BODIES else None
    if query is not None:
        state.namespace = ddl.namespace_of(head, given.namespace)
        tree: exp.Expr = parse_query(query)
        callees.check(head, tree, state)
        body = Walk(state).query(tree, None)
        if head.object_kind in ddl.TABLES:
            # Only there does Snowflake enforce keys.
            keyed = head.object_kind == "HYBRID TABLE"
            stored.check(state, column_list(head.rest), body, keyed=keyed)
    if kind is StatementClass.LOAD:
        files.check_load(head, state)
    named = ddl.places(head, given.namespace)
    for source in named.reads:
        state.reads.add(source)
        state.tags |= given.catalog.tags_in(source)
    after = ddl.after_ddl(head, given.namespace, given.catalog, body)
    if head.verb == "CREATE" and head.object_kind in flows.FED:
        after = flows.fed(after, named.writes, _sources(named.reads, state))
    after = policies.check(head, named.writes, state, after)
    alterations.check(head, named.writes, state)
    statement = _found(head, kind, state, writes=named.writes, read_only=head.read_only)
    if kind is StatementClass.DESCRIBE:
        statement = replace(statement, writes=(), reads=named.writes)
    return given.changed(head, statement, after)


def _sources(names: Iterable[ObjectName], state: State) -> set[ObjectName]:
    """What a query read, and what is behind these names."""
    beside = State(state.catalog, state.namespace)
    for name in names:
        tables.catalogued(Walk(beside), name)
    return state.bases | beside.bases
