"""Vetted functions and procedures, and what becomes of them behind the gateway (F18)."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import pytest

from .connector import DriverError, Rows, Session
from .rig import Rig, soon

# The stand-in's GET_DDL, as Snowflake writes it.
DDL = """\
CREATE OR REPLACE {kind} "{name}"({parameters})
RETURNS {returns}
LANGUAGE SQL
{more}AS '{body}';"""
BODY = "REPLACE(P, ''-'', '''')"
EVIL = "P || ''!''"
REFRESH = (
    "BEGIN INSERT INTO COUNTS SELECT :DAY, COUNT(*) FROM ORDERS; SELECT MAX(N) FROM COUNTS; END"
)
PEEK = "SELECT EMAIL FROM CUSTOMERS"
CLEAN, TAGGED = "SELECT normalize('1-2') AS p", "SELECT id, normalize(phone) AS p FROM customers"


def digest(
    kind: str, name: str, parameters: str, body: str, returns: str = "VARCHAR", more: str = ""
) -> str:
    text = DDL.format(
        kind=kind, name=name, parameters=parameters, body=body, returns=returns, more=more
    )
    return "sha256:" + sha256(text.encode()).hexdigest()


PIECES = "TABLE (PIECE VARCHAR)"
OWNER = "EXECUTE AS OWNER\n"
CONFIG = f"""
  - name: vetted
    match: {{class: call, object: [CRM.PUBLIC.REFRESH, CRM.PUBLIC.PEEP]}}
    allow: true

registry:
  - function: CRM.PUBLIC.NORMALIZE(VARCHAR)
    effect: pure
    body: {digest("FUNCTION", "NORMALIZE", '"P" VARCHAR', BODY)}
  - function: CRM.PUBLIC.PIECES(VARCHAR)
    effect: pure
    body: {digest("FUNCTION", "PIECES", '"P" VARCHAR', "SELECT P AS PIECE", PIECES)}
  - function: CRM.PUBLIC.LOST(VARCHAR)
    effect: pure
    body: sha256:{"0" * 64}
  - procedure: CRM.PUBLIC.REFRESH(VARCHAR)
    effect: writes
    reads: CRM.PUBLIC.ORDERS
    writes: CRM.PUBLIC.COUNTS
    body: {digest("PROCEDURE", "REFRESH", '"DAY" VARCHAR', REFRESH, "NUMBER", OWNER)}
  - procedure: CRM.PUBLIC.PEEK()
    effect: reads
    reads: CRM.PUBLIC.CUSTOMERS
    body: {digest("PROCEDURE", "PEEK", "", PEEK, "VARCHAR", OWNER)}
  - procedure: CRM.PUBLIC.PEEP()
    effect: reads
    reads: CRM.PUBLIC.CUSTOMERS
    body: {digest("PROCEDURE", "PEEP", "", PEEK, "VARCHAR", OWNER)}
"""
CREATED = (
    f"CREATE OR REPLACE FUNCTION NORMALIZE(P VARCHAR) RETURNS VARCHAR AS '{BODY}'",
    "CREATE OR REPLACE FUNCTION PIECES(P VARCHAR) RETURNS TABLE (PIECE VARCHAR)"
    " AS 'SELECT P AS PIECE'",
    "CREATE OR REPLACE FUNCTION OTHER(P VARCHAR) RETURNS VARCHAR AS 'P'",
    "CREATE OR REPLACE TABLE COUNTS (DAY VARCHAR, N INT)",
    f"CREATE OR REPLACE PROCEDURE REFRESH(DAY VARCHAR) RETURNS NUMBER LANGUAGE SQL AS '{REFRESH}'",
    f"CREATE OR REPLACE PROCEDURE PEEK() RETURNS VARCHAR LANGUAGE SQL AS '{PEEK}'",
    f"CREATE OR REPLACE PROCEDURE PEEP() RETURNS VARCHAR LANGUAGE SQL AS '{PEEK}'",
    "CREATE OR REPLACE PROCEDURE STRANGE() RETURNS VARCHAR LANGUAGE SQL AS 'SELECT 1'",
)


def edited(text: str) -> str:
    return text.replace("max_age: 60s", "max_age: 6s") + CONFIG


@pytest.fixture(scope="module")
def vetted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A world with a registry, whose catalog is read every three seconds."""
    rig = Rig.start(tmp_path_factory.mktemp("vetted"), "--big-rows", "1000", config_edit=edited)
    try:
        behind(rig, *CREATED)
        with rig.driver("analyst") as session:
            assert soon(lambda: runs(session, CLEAN))
        yield rig
    finally:
        rig.stop()


@pytest.fixture
def analyst(vetted: Rig) -> Iterator[Session]:
    with vetted.driver("analyst") as session:
        yield session


def behind(rig: Rig, *statements: str) -> None:
    """What somebody does past the gateway."""
    with rig.driver_upstream("SYSADMIN") as session:
        for statement in statements:
            session.run(statement)


def runs(session: Session, sql: str) -> bool:
    return rule_of(session, sql) == ""


def rule_of(session: Session, sql: str) -> str:
    """The rules that deny a statement; empty when it runs."""
    try:
        session.run(sql)
    except DriverError as error:
        return error.msg.partition("denied by rule ")[2].partition(":")[0]
    return ""


def denied(session: Session, sql: str) -> str:
    with pytest.raises(DriverError) as caught:
        session.run(sql)
    assert caught.value.errno == 3001
    return caught.value.msg


def test_a_vetted_function_over_a_tagged_column_comes_back_void(
    vetted: Rig, analyst: Session
) -> None:
    since = vetted.mark()
    rows: Rows = analyst.run(TAGGED)

    assert len(rows.rows) > 10
    assert {row[1] for row in rows.rows} == {"***"}
    assert len({row[0] for row in rows.rows}) == len(rows.rows)
    assert "CRM.PUBLIC.NORMALIZE" in since.entry("intent").fields["objects"]


def test_over_clear_values_it_passes_under_all_its_names(analyst: Session) -> None:
    for call in ("normalize", "public.normalize", 'CRM."PUBLIC"."NORMALIZE"', '"NORMALIZE"'):
        assert analyst.run(f"SELECT {call}('1-2-3') AS p").rows == [["123"]]
    assert analyst.run("SELECT piece FROM TABLE(crm.public.pieces('x'))").rows == [["x"]]


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("SELECT other('x')", "unknown-function"),
        ("SELECT crm.public.other(email) FROM customers", "unknown-function"),
        ("SELECT lost('x')", "unknown-function"),
        ("SELECT \"normalize\"('x')", "unknown-function"),
        ("SELECT id FROM customers WHERE normalize(phone) = '1'", "pii_pattern_predicate"),
        ("SELECT c.id FROM customers c, TABLE(pieces(c.email)) p", "pii_row_source"),
        ("CALL strange()", "unregistered-procedure"),
        ("CALL refresh((SELECT MAX(email) FROM customers))", "call-argument"),
        ("CALL peek()", "no-rule"),
    ],
)
def test_whatever_nobody_vetted_is_denied(
    vetted: Rig, analyst: Session, sql: str, rule: str
) -> None:
    since = vetted.mark()

    assert f"denied by rule {rule}:" in denied(analyst, sql)
    assert sql not in since.statements()


def test_names_are_those_of_the_session_s_schema(vetted: Rig, analyst: Session) -> None:
    behind(
        vetted, "CREATE SCHEMA IF NOT EXISTS CRM.AWAY", "GRANT ALL ON SCHEMA CRM.AWAY TO ANALYST"
    )
    with vetted.driver("analyst") as session:
        session.run("USE SCHEMA CRM.AWAY")
        assert rule_of(session, CLEAN) == "unknown-function"
        assert session.run(CLEAN.replace("normalize", "public.normalize")).rows == [["12"]]


def test_another_body_behind_the_gateway_is_found_and_told(vetted: Rig, analyst: Session) -> None:
    since = vetted.mark()
    change = f"CREATE OR REPLACE FUNCTION NORMALIZE(P VARCHAR) RETURNS VARCHAR AS '{EVIL}'"
    behind(vetted, change)
    assert soon(lambda: rule_of(analyst, CLEAN) == "registry-mismatch")

    message = denied(analyst, TAGGED)
    for body in (BODY, EVIL):
        assert digest("FUNCTION", "NORMALIZE", '"P" VARCHAR', body)[:19] in message
        assert body not in message
    alerts = soon(
        lambda: [e for e in since.entries("alert") if e.fields["alert"] == "registry-mismatch"]
    )
    assert len(alerts) == 1
    assert "CRM.PUBLIC.NORMALIZE(VARCHAR)" in str(alerts[0].fields["detail"])

    behind(vetted, CREATED[0])
    assert soon(lambda: runs(analyst, CLEAN))


def test_an_overload_that_nobody_vetted_closes_the_name(vetted: Rig, analyst: Session) -> None:
    behind(vetted, "CREATE FUNCTION NORMALIZE(N NUMBER) RETURNS VARCHAR AS 'N'")
    assert soon(lambda: rule_of(analyst, CLEAN) == "unknown-function")

    assert "NORMALIZE(NUMBER)" in denied(analyst, "SELECT normalize(1)")
    behind(vetted, "DROP FUNCTION NORMALIZE(NUMBER)")
    assert soon(lambda: runs(analyst, CLEAN))


def test_a_function_that_takes_a_builtin_s_name_closes_the_builtin(
    vetted: Rig, analyst: Session
) -> None:
    sql = "SELECT reverse('ab')"
    assert runs(analyst, sql)
    behind(vetted, "CREATE FUNCTION REVERSE(P VARCHAR) RETURNS VARCHAR AS 'P'")
    assert soon(lambda: rule_of(analyst, sql) == "shadowed-function")
    behind(vetted, "DROP FUNCTION REVERSE(VARCHAR)")
    assert soon(lambda: runs(analyst, sql))


def test_a_vetted_procedure_runs_and_is_read_back_before_each_call(
    vetted: Rig, analyst: Session
) -> None:
    since = vetted.mark()

    assert analyst.run("CALL refresh('monday')").rows == [["5000"]]
    assert analyst.run("CALL crm.public.refresh(day => 'tuesday')").rows == [["5000"]]
    assert len(since.entries("intent")) == 2
    assert [e.fields["class"] for e in since.entries("intent")] == ["call", "call"]
    read = [line.sql or "" for line in vetted.lines()[since.first_line :]]
    calls = [at for at, sql in enumerate(read) if sql.startswith("CALL")]
    assert len(calls) == 2
    for first, at in zip([0, *calls], calls, strict=False):
        assert any("GET_DDL('PROCEDURE'" in sql for sql in read[first:at])


def test_a_procedure_replaced_a_moment_ago_is_not_called(vetted: Rig, analyst: Session) -> None:
    assert runs(analyst, "CALL refresh('x')")
    since = vetted.mark()
    behind(vetted, CREATED[4].replace("MAX(N)", "MIN(N)"))
    # No reading of the catalog can have come between for sure; the one before the call has.
    message = denied(analyst, "CALL refresh('x')")

    assert "denied by rule registry-mismatch:" in message
    assert "MIN" not in message
    assert not [sql for sql in since.statements() if sql.startswith("CALL")]
    behind(vetted, CREATED[4])
    assert soon(lambda: runs(analyst, "CALL refresh('x')"))


def test_what_a_procedure_reads_of_tagged_columns_is_void(vetted: Rig) -> None:
    with vetted.driver("analyst") as session:
        rows = session.run("CALL peep()").rows
    assert {row[0] for row in rows} == {"***"}
    with vetted.driver("fraud") as session:
        clear = session.run("CALL peep()").rows
    assert len(clear) == len(rows)
    assert all("@" in str(row[0]) for row in clear)
