"""Whatever the constants: a template that the gate would use is judged as its statement is."""

from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snowgate._core import template
from snowgate.config import load_policy
from snowgate.model.identity import Principal
from snowgate.model.statement import Namespace
from snowgate.model.verdict import Decision
from snowgate.policy import Policy, Subject, judge
from snowgate.sql.analysis import analyse
from snowgate.sql.catalog import Catalog

REFERENCE = Path(__file__).parents[1] / "vectors" / "reference"
SUBJECT = Subject(
    Principal("CRM", "https://i.example.com", "1", "analyst"),
    frozenset({"analysts", "etl-writers"}),
    "ANALYST",
)


@cache
def setting() -> tuple[Catalog, Policy]:
    catalog = Catalog.from_json((REFERENCE / "catalog.json").read_text())
    return catalog, load_policy(REFERENCE / "policy.yaml").policy


texts = st.sampled_from(
    ["'x'", "''", "'it''s'", "'2026-01-31'", "'12'", "'%a_'", "'true'", "'@s/x'"]
)
numbers = st.sampled_from(["0", "1", "2", "50", "1.5", "1e30", "999999999999999999999999999999"])
constants = st.one_of(texts, numbers)
names = st.sampled_from(
    ["c.id", "c.email", "c.ssn", "c.phone", "c.segment", "o.id", "o.amount", "o.status", "email"]
)


def lists(element: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    few = st.lists(element, min_size=1, max_size=4)
    many = st.integers(49, 52).map(lambda size: [f"'{n}'" for n in range(size)])
    return st.one_of(few, few, few, many).map(lambda items: f"({', '.join(items)})")


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    comparison = st.sampled_from(["=", "<>", "<", ">=", "LIKE", "ILIKE", "!="])
    operator = st.sampled_from(["+", "*", "/", "||", "-", "%"])
    return st.one_of(
        st.builds("{} {} {}".format, inner, comparison, constants),
        st.builds("{} {} {}".format, constants, comparison, inner),
        st.builds("{} = {} {} {}".format, inner, constants, operator, inner),
        st.builds("({} {} {})".format, inner, operator, constants),
        st.builds("{} BETWEEN {} AND {}".format, inner, constants, constants),
        st.builds("{} IN {}".format, inner, lists(constants)),
        st.builds("{} NOT IN {}".format, inner, lists(texts)),
        st.builds("{} = {}::{}".format, inner, texts, st.sampled_from(["DATE", "NUMBER", "TEXT"])),
        st.builds("{} >= {} {}".format, inner, st.sampled_from(["DATE", "TIMESTAMP"]), texts),
        st.builds("{} < TO_DATE({})".format, inner, texts),
        st.builds("CAST({} AS {})".format, texts, st.sampled_from(["DATE", "NUMBER(3)"])),
        st.builds("IFF({}, {}, {})".format, inner, constants, inner),
        st.builds("CASE WHEN {} THEN {} ELSE {} END".format, inner, inner, constants),
        st.builds("{} AND {}".format, inner, inner),
        st.builds("({} OR NOT {})".format, inner, inner),
        st.builds("LOWER({})".format, inner),
        st.builds("NULLIF({}, {})".format, inner, constants),
        st.builds("COUNT_IF({} = {})".format, inner, constants),
        st.builds("(SELECT {} FROM customers c WHERE {} LIMIT {})".format, names, inner, numbers),
        st.builds("EXISTS (SELECT 1 FROM customers c WHERE {})".format, inner),
    )


expressions = st.recursive(st.one_of(names, constants), compound, max_leaves=6)
selects = st.builds(
    "SELECT {}{} FROM customers c JOIN orders o ON {} WHERE {}{}".format,
    expressions,
    st.sampled_from(["", " AS x", ", c.email", ", 5"]),
    expressions,
    expressions,
    st.sampled_from(["", " LIMIT 1", " LIMIT 10 OFFSET 2", " ORDER BY 1", " ORDER BY c.id = 1"]),
)
changes = st.one_of(
    st.builds(
        "UPDATE orders o SET status = {} FROM customers c WHERE {}".format, constants, expressions
    ),
    st.builds("DELETE FROM orders o USING customers c WHERE {}".format, expressions),
    st.builds(
        "INSERT INTO orders (id, status) SELECT c.id, {} FROM customers c WHERE {}".format,
        expressions,
        expressions,
    ),
    st.builds(
        "MERGE INTO orders o USING customers c ON o.id = c.id AND {} "
        "WHEN MATCHED AND {} THEN UPDATE SET status = {}".format,
        expressions,
        expressions,
        constants,
    ),
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.one_of(selects, selects, changes))
def test_a_template_is_judged_as_its_statement_or_not_used(text: str) -> None:
    catalog, policy = setting()
    here = Namespace(catalog.database, catalog.schema)
    found = template(text, [])
    if found is None:
        return
    general = judge(
        policy, analyse(found[0], here, catalog, role="ANALYST", binds=found[1]), SUBJECT
    )
    if general.decision is Decision.ALLOW:
        exact = judge(policy, analyse(text, here, catalog, role="ANALYST"), SUBJECT)
        assert general == exact
