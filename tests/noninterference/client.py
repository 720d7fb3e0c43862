"""What a client sees of a session: the gateway's verdicts and masks over the engine's answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlglot import exp

from snowgate.config import load_policy
from snowgate.model.identity import Principal
from snowgate.model.statement import Namespace, ObjectName, Statement, StatementClass
from snowgate.model.verdict import Decision, MaskKind, Verdict
from snowgate.policy import Policy, Subject, judge
from snowgate.sql.analysis import examine
from snowgate.sql.catalog import NOTHING, Catalog
from snowgate.sql.parser import body_of, parse
from snowgate.sql.state import Refused

from .declassified import hot_names, is_hot
from .duck import Gap, translate_tree
from .engine import Answer, Engine, Row
from .twins import Twin

VECTORS = Path(__file__).parents[1] / "vectors"
SUBJECT = Subject(
    Principal("CRM", "https://i.example.com", "1", "analyst"),
    frozenset({"analysts", "etl-writers"}),
    "ANALYST",
)
_DML = (StatementClass.INSERT, StatementClass.UPDATE, StatementClass.DELETE, StatementClass.MERGE)
# They show no rows and change none.
_NO_DATA = frozenset(
    {
        StatementClass.SHOW,
        StatementClass.DESCRIBE,
        StatementClass.EXPLAIN,
        StatementClass.SESSION,
        StatementClass.USE,
        StatementClass.TRANSACTION,
    }
)
_TABLES = ("CUSTOMERS", "ORDERS", "PRODUCTS", "EVENTS")

Examine = Callable[[str, Namespace, Catalog], "tuple[Statement, Catalog]"]


@cache
def reference() -> tuple[Catalog, Policy]:
    """The reference catalog and policy."""
    folder = VECTORS / "reference"
    catalog = Catalog.from_json((folder / "catalog.json").read_text())
    return catalog, load_policy(folder / "policy.yaml").policy


@dataclass(frozen=True, slots=True)
class Judged:
    """One statement and its verdict.

    Attributes:
        text: As the client sent it.
        statement: Its analysis.
        verdict: For `SUBJECT`; a hold counts as approved, with its masks.
        clear: After it, columns without tags of the tables that a DML can change.
    """

    text: str
    statement: Statement
    verdict: Verdict
    clear: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def runs(self) -> bool:
        """Whether it runs, now or once approved."""
        return self.verdict.decision is not Decision.DENY

    @property
    def masked(self) -> bool:
        """Whether it runs with some column masked."""
        plan = self.verdict.plan
        return self.runs and (self.verdict.void_all or (plan is not None and not plan.clear))


def judge_session(texts: Sequence[str]) -> list[Judged]:
    """Judge statements in order, each as if those before it that may run had run."""
    catalog, policy = reference()
    namespace, own = Namespace(catalog.database, catalog.schema), NOTHING
    found: list[Judged] = []
    for text in texts:
        examined = examine(text, namespace, catalog, role="ANALYST", own=own)
        verdict = judge(policy, examined.statement, SUBJECT)
        if verdict.decision is not Decision.DENY:
            catalog, namespace, own = examined.catalog, examined.namespace, examined.own
        found.append(Judged(text, examined.statement, verdict, _clear(catalog)))
    return found


def _clear(catalog: Catalog) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = []
    for table in _TABLES:
        columns = catalog.tables[ObjectName("CRM", "PUBLIC", table)].columns
        found.append((table, tuple(c.name for c in columns if not c.tags and not c.unknown)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Plan:
    """A session, ready to run on any twin.

    Attributes:
        judged: The statements that run.
        texts: The same for DuckDB; a query has the keys of its order as further outputs.
        keys: For each, where its order's keys are among the outputs; None without an order.
        extra: For each, how many of the outputs are only there as keys.
        changes: Whether anything is changed.
    """

    judged: tuple[Judged, ...]
    texts: tuple[str, ...]
    keys: tuple[tuple[str | int, ...] | None, ...]
    extra: tuple[int, ...]
    changes: bool


def plan(judged: Sequence[Judged]) -> Plan:
    """Translate the statements that run.

    Raises:
        Gap: One of them is not translated.
    """
    running = tuple(one for one in judged if one.runs and one.statement.kind not in _NO_DATA)
    if not running:
        raise Gap("statements without data")
    for one in running:
        if not one.statement.query and one.statement.kind not in (*_DML, StatementClass.CREATE):
            raise Gap(f"class {one.statement.kind.value}")
    texts: list[str] = []
    orders: list[tuple[str | int, ...] | None] = []
    extras: list[int] = []
    trees = [tree_of(one.text) for one in running]
    hot = hot_names(trees)
    for one, tree in zip(running, trees, strict=True):
        keys, extra = None, 0
        for node in tree.find_all(exp.Select):
            _settle(node, hot)
        if one.statement.query:
            keys, extra = _order_of(tree)
        texts.append(f"{_prefix(one.text)} {translate_tree(tree)}")
        orders.append(keys)
        extras.append(extra)
    changes = any(not one.statement.query for one in running)
    return Plan(running, tuple(texts), tuple(orders), tuple(extras), changes)


def tree_of(text: str) -> exp.Expr:
    """The tree of a statement, or of the query of a CREATE … AS.

    Raises:
        Gap: It is neither.
    """
    try:
        return parse(body_of(text)[0]) if _prefix(text) else parse(text)
    except Refused as refused:
        raise Gap("a text that is not parsed") from refused


def _prefix(text: str) -> str:
    """`CREATE … AS` without the query."""
    if text.split(maxsplit=1)[0].upper() != "CREATE":
        return ""
    try:
        body = body_of(text)[0]
    except Refused as refused:
        raise Gap("an object that is not made by a query") from refused
    return text.removesuffix(body)


def _settle(select: exp.Select, hot: frozenset[str]) -> None:
    """Give a LIMIT an order that depends on clear outputs alone, where it has none of its own."""
    if select.args.get("limit") is None and select.args.get("offset") is None:
        return
    if any(item.find(exp.Star) is not None for item in select.expressions):
        return
    places = [at for at, item in enumerate(select.expressions, 1) if not is_hot(item, hot)]
    order = select.args.get("order")
    keys = [] if order is None else list(order.expressions)
    keys += [exp.Ordered(this=exp.Literal.number(at), nulls_first=False) for at in places]
    if keys:
        select.set("order", exp.Order(expressions=keys))


def _order_of(tree: exp.Expr) -> tuple[tuple[str | int, ...] | None, int]:
    """Where the keys of the outermost order are; they are added to the outputs if need be."""
    order = tree.args.get("order")
    if order is None or not isinstance(tree, exp.Query):
        return None, 0
    keys: list[str | int] = []
    added: list[exp.Expr] = []
    plain = isinstance(tree, exp.Select) and not tree.args.get("distinct")
    group = tree.args.get("group")
    plain = plain and not (group is not None and group.args.get("all"))
    named = {item.alias_or_name.upper() for item in tree.selects}
    for item in order.expressions:
        key = item.this
        if isinstance(key, exp.Literal) and not key.is_string:
            keys.append(int(str(key.this)) - 1)
        elif isinstance(key, exp.Column) and not key.table and key.name.upper() in named:
            keys.append(key.name.upper())
        elif plain and isinstance(tree, exp.Select):
            name = f"SG_KEY_{len(added)}"
            added.append(exp.alias_(key.copy(), name))
            keys.append(name)
        else:
            return None, 0
    for expression in added:
        tree.append("expressions", expression)
    return tuple(keys), len(added)


class Unexpected(Exception):
    """The answer has other columns than predicted: the gateway would void all of it."""


View = tuple[object, ...]


def views(engine: Engine, twin: Twin, plan: Plan) -> tuple[bool, View]:
    """Run a session on a twin.

    Returns:
        Whether DuckDB could not run it, and what the client sees of it.

    Raises:
        Unexpected: An answer has other columns than predicted.
    """
    after = _after(plan) if plan.changes else []
    answers = engine.run(twin, [*plan.texts, *after], keep=not plan.changes)
    if any(answer.gap for answer in answers):
        return True, ()
    seen: list[object] = []
    for at, answer in enumerate(answers):
        if at < len(plan.judged):
            seen.append(_seen(plan, at, answer))
        else:
            seen.append(tuple(sorted(answer.rows, key=repr)))
    return False, tuple(seen)


def _after(plan: Plan) -> list[str]:
    """The clear columns of every table a DML can change."""
    if not any(one.statement.kind in _DML for one in plan.judged):
        return []
    return [f"SELECT {', '.join(columns)} FROM {table}" for table, columns in plan.judged[-1].clear]


def _seen(plan: Plan, at: int, answer: Answer) -> object:
    one = plan.judged[at]
    if answer.error is not None:
        text = "" if one.verdict.hide_errors else answer.text
        return ("error", answer.error, text)
    if not one.statement.query:
        return ("changed", answer.rows if one.statement.kind in _DML else ())
    width = len(answer.names) - plan.extra[at]
    shown = _visible(one, answer.names[:width])
    rows = [tuple(row[i] for i in shown) for row in answer.rows]
    return ("rows", len(rows), _in_order(plan.keys[at], answer, rows))


def _visible(one: Judged, names: tuple[str, ...]) -> list[int]:
    """Outputs that pass in clear; any mask makes all rows of its column the same."""
    verdict = one.verdict
    if verdict.plan is None or verdict.void_all:
        return []
    columns = verdict.plan.columns
    expected = [(column.name or name).upper() for column, name in zip(columns, names, strict=False)]
    if len(columns) != len(names) or expected != [name.upper() for name in names]:
        raise Unexpected(f"{[column.name for column in columns]} predicted, {list(names)} found")
    return [at for at, column in enumerate(columns) if column.mask is MaskKind.PASS]


def _in_order(keys: tuple[str | int, ...] | None, answer: Answer, rows: list[Row]) -> object:
    """Rows as far as they have an order: those of equal keys, or all, in any order."""
    if keys is None:
        return tuple(sorted(rows, key=repr))
    try:
        places = [key if isinstance(key, int) else answer.names.index(key) for key in keys]
        paired = [
            (tuple(row[at] for at in places), row_seen)
            for row, row_seen in zip(answer.rows, rows, strict=True)
        ]
    except (ValueError, IndexError):
        return tuple(sorted(rows, key=repr))
    found: list[Row] = []
    for _, group in itertools.groupby(paired, key=lambda pair: pair[0]):
        found += sorted((row for _, row in group), key=repr)
    return tuple(found)
