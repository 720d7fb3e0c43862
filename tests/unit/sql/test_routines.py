"""Calls of users' functions and procedures (F17, F18): the registry, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snowgate.model.routine import (
    Overload,
    RoutineEffect,
    RoutineKind,
    Signature,
    Vetted,
    parse_signature,
)
from snowgate.model.statement import Namespace, ObjectName, OutputColumn, Statement, StatementClass
from snowgate.sql.analysis import analyse, examine
from snowgate.sql.catalog import Catalog

PUBLIC = Namespace("CRM", "PUBLIC")
PII = frozenset({"pii"})
BODY, OTHER = "a" * 64, "b" * 64
F = ObjectName("CRM", "PUBLIC", "F")
DAILY = ObjectName("CRM", "OPS", "DAILY")
TABLES = """{"tables": {
    "CRM.PUBLIC.CUSTOMERS": [{"name": "ID", "type": "NUMBER"},
        {"name": "EMAIL", "type": "VARCHAR", "tags": ["pii"]},
        {"name": "AGE", "type": "NUMBER", "tags": ["pii"]},
        {"name": "CITY", "type": "VARCHAR"}],
    "CRM.PUBLIC.ORDERS": [{"name": "ID", "type": "NUMBER"}],
    "CRM.OPS.COPY": [{"name": "EMAIL", "type": "VARCHAR", "tags": ["pii"]}],
    "CRM.OPS.PLAIN": [{"name": "EMAIL", "type": "VARCHAR"}]},
  "views": {"CRM.PUBLIC.SHOWN": "SELECT id, f(email) AS e, f(city) AS c FROM customers"}}"""
E, PURE = RoutineEffect, RoutineEffect.PURE
FUNCTION, PROCEDURE = RoutineKind.FUNCTION, RoutineKind.PROCEDURE


def name(text: str) -> ObjectName:
    return ObjectName(*text.split("."))


def known(
    signature: str = "CRM.PUBLIC.F(VARCHAR)",
    effect: RoutineEffect | None = PURE,
    *,
    kind: RoutineKind = FUNCTION,
    returns: str = "VARCHAR",
    reads: str = "",
    writes: str = "",
    found: str = BODY,
) -> tuple[Signature, Overload]:
    """A routine that is there, and what the registry says of it; no effect: nothing."""
    which = parse_signature(signature)
    vetted = None
    if effect is not None:
        read, written = (tuple(map(name, text.split())) for text in (reads, writes))
        vetted = Vetted(kind, which, effect, read, written, BODY)
    return which, Overload(kind, which.arguments, returns, found, vetted)


def catalog(*routines: tuple[Signature, Overload]) -> Catalog:
    found: dict[ObjectName, tuple[Overload, ...] | None] = {}
    for signature, overload in routines:
        found[signature.name] = (*(found.get(signature.name) or ()), overload)
    return Catalog.from_json(TABLES).replacing({}, routines=found)


def look(sql: str, *routines: tuple[Signature, Overload], here: Namespace = PUBLIC) -> Statement:
    return analyse(sql, here, catalog(*routines))


def rule(statement: Statement) -> str | None:
    return None if statement.refusal is None else statement.refusal.rule


def knobs(statement: Statement) -> set[str]:
    assert statement.refusal is None, statement.refusal
    return {violation.knob for violation in statement.violations}


def test_a_pure_function_carries_the_tags_of_its_arguments_and_no_mask_fits_it() -> None:
    statement = look("SELECT f(email) AS e, f(city) AS c FROM customers", known())

    assert statement.columns == (OutputColumn("E", PII), OutputColumn("C"))
    assert not statement.violations
    assert statement.calls == (F,)
    assert statement.reads == (name("CRM.PUBLIC.CUSTOMERS"),)


@pytest.mark.parametrize(
    "call",
    [
        "f(email)",
        "public.f(email)",
        "crm.public.f(email)",
        'CRM."PUBLIC"."F"(email)',
        '"F"(email)',
        "f(x => email)",
        "UPPER(crm.public.f(email))",
        "crm.public.f(f(email))",
        "CASE WHEN id = 1 THEN f(email) END",
        "(SELECT MAX(f(email)) FROM customers)",
    ],
)
def test_a_function_is_found_under_all_its_spellings(call: str) -> None:
    statement = look(f"SELECT {call} AS e FROM customers", known())

    assert statement.refusal is None
    assert statement.columns == (OutputColumn("E", PII),)
    assert statement.calls == (F,)


@pytest.mark.parametrize(
    "call",
    [
        "g(email)",
        '"f"(email)',
        "ops.f(email)",
        "other.public.f(email)",
        "f!predict(email)",
        "f(email).x",
        "IDENTIFIER('f')(email)",
        "a.crm.public.f(email)",
        "f(x -> email)",
    ],
)
def test_whatever_else_is_called_is_refused(call: str) -> None:
    assert rule(look(f"SELECT {call} FROM customers", known())) in ("unknown-function", "unparsed")


def test_an_unqualified_name_means_the_session_s_schema_alone() -> None:
    there = Namespace("CRM", "OPS")

    assert rule(look("SELECT f('x')", known(), here=there)) == "unknown-function"
    assert rule(look("SELECT public.f('x')", known(), here=there)) is None
    assert rule(look("SELECT f('x')", known("CRM.OPS.F(VARCHAR)"), here=there)) is None


def test_one_overload_that_nobody_vetted_refuses_every_call_of_the_name() -> None:
    both = known(), known("CRM.PUBLIC.F(NUMBER)", None)

    for call in ("f('x')", "f(1)", "crm.public.f(email)"):
        statement = look(f"SELECT {call} FROM customers", *both)
        assert rule(statement) == "unknown-function"
        assert statement.refusal is not None
        assert "F(NUMBER)" in statement.refusal.reason


def test_an_overload_whose_arguments_cannot_be_read_refuses_every_call() -> None:
    odd = (parse_signature("CRM.PUBLIC.F()"), Overload(FUNCTION, None, "VARCHAR"))

    assert rule(look("SELECT f('x')", known(), odd)) == "unknown-function"


def test_the_effects_of_all_overloads_count() -> None:
    reading = known("CRM.PUBLIC.F(NUMBER)", E.READS, reads="CRM.PUBLIC.CUSTOMERS")
    statement = look("SELECT f(id) AS n FROM orders", known(), reading)

    assert statement.columns == (OutputColumn("N", PII),)


@pytest.mark.parametrize("found", [OTHER, ""])
def test_another_body_than_the_vetted_one_refuses_the_call(found: str) -> None:
    statement = look("SELECT f(city) FROM customers", known(found=found))

    assert rule(statement) == "registry-mismatch"
    assert statement.refusal is not None
    assert "CRM.PUBLIC.F(VARCHAR)" in statement.refusal.reason
    assert "sha256:aaaaaaaaaaaa…" in statement.refusal.reason
    shown = "sha256:bbbbbbbbbbbb…" if found else "not readable"
    assert shown in statement.refusal.reason


def test_a_function_with_the_name_of_a_builtin_hides_neither() -> None:
    evil = known("CRM.PUBLIC.LOWER(VARCHAR)", None)

    assert rule(look("SELECT lower(city) FROM customers", evil)) == "shadowed-function"
    assert rule(look("SELECT c FROM (SELECT lower(city) c FROM customers)", evil)) is not None
    # The search path goes on to PUBLIC.
    away = Namespace("CRM", "OPS")
    assert rule(look("SELECT lower('A')", evil, here=away)) == "shadowed-function"
    assert rule(look("SELECT lower('A')", evil, here=Namespace("DW", "X"))) is None
    assert rule(look("SELECT upper(city) FROM customers", evil)) is None


def test_a_function_that_can_fail_is_not_given_tagged_values() -> None:
    statement = look("SELECT f(email) FROM customers", known(effect=E.FALLIBLE))

    assert knobs(statement) == {"pii_error_oracle"}
    assert not look("SELECT f(city) FROM customers", known(effect=E.FALLIBLE)).violations
    hidden = "SELECT CASE WHEN email = 'x' THEN f(city) END FROM customers"
    assert knobs(look(hidden, known(effect=E.FALLIBLE))) == {"pii_error_oracle"}
    assert not look(hidden, known()).violations


def test_an_argument_that_snowflake_would_convert_can_fail() -> None:
    number = known("CRM.PUBLIC.F(NUMBER)")

    assert knobs(look("SELECT f(email) FROM customers", number)) == {"pii_error_oracle"}
    assert knobs(look("SELECT f(x => email) FROM customers", number)) == {"pii_error_oracle"}
    assert not look("SELECT f(age) FROM customers", number).violations
    assert not look("SELECT f(city) FROM customers", number).violations
    # Which overload runs is for Snowflake to say.
    assert knobs(look("SELECT f(email) FROM customers", number, known())) == {"pii_error_oracle"}


def test_two_results_may_be_too_long_together() -> None:
    """A text that gets too long, or a number too large, on account of a tagged one is an error."""
    number = known("CRM.PUBLIC.F(VARCHAR)", returns="NUMBER")

    assert knobs(look("SELECT f(city) || f(email) FROM customers", known())) == {"pii_error_oracle"}
    assert knobs(look("SELECT f(city) * age FROM customers", number)) == {"pii_error_oracle"}
    assert not look("SELECT f(city) || f(city) FROM customers", known()).violations
    assert not look("SELECT f(city) || email FROM customers", known()).violations


def test_what_a_function_reads_reaches_its_result_and_is_read() -> None:
    reading = known(effect=E.READS, reads="CRM.PUBLIC.CUSTOMERS")
    statement = look("SELECT f('1') AS e FROM orders", reading)

    assert statement.columns == (OutputColumn("E", PII),)
    assert name("CRM.PUBLIC.CUSTOMERS") in statement.reads
    assert statement.tags == PII
    clean = known(effect=E.READS, reads="CRM.PUBLIC.ORDERS")
    assert look("SELECT f('1') AS e", clean).columns == (OutputColumn("E"),)


def test_a_whole_schema_may_be_what_is_read() -> None:
    whole = known(effect=E.READS)
    signature, one = whole
    assert one.vetted is not None
    vetted = replace(one.vetted, reads=(ObjectName("CRM", "OPS", ""),))
    statement = look("SELECT f('1') AS e", (signature, replace(one, vetted=vetted)))

    assert statement.columns == (OutputColumn("E", PII),)
    assert statement.reads == (name("CRM.OPS.COPY"), name("CRM.OPS.PLAIN"))


def test_what_is_read_and_not_known_is_an_unknown_source() -> None:
    statement = look("SELECT f('1') AS e", known(effect=E.READS, reads="CRM.X.Y"))

    assert statement.unknown_sources == (name("CRM.X.Y"),)
    assert statement.columns == (OutputColumn("E", unknown=True),)


def test_an_external_function_is_given_nothing_tagged() -> None:
    external = known(effect=E.EXTERNAL)

    assert "function-external" in knobs(look("SELECT f(email) FROM customers", external))
    assert not look("SELECT f(city) FROM customers", external).violations


@pytest.mark.parametrize(
    ("clause", "knob"),
    [
        ("WHERE f(email) = 'x'", "pii_pattern_predicate"),
        ("ORDER BY f(email)", "pii_order"),
        ("GROUP BY f(email)", "pii_group"),
    ],
)
def test_a_result_of_a_tagged_argument_is_tagged_wherever_it_stands(clause: str, knob: str) -> None:
    select = "COUNT(*)" if "GROUP" in clause else "id"
    assert knob in knobs(look(f"SELECT {select} FROM customers {clause}", known()))


TABLE_F = known(returns="TABLE (WORD VARCHAR, N NUMBER)")


@pytest.mark.parametrize(
    "source",
    [
        "TABLE(f(c.email))",
        "TABLE(crm.public.f(c.email))",
        "LATERAL crm.public.f(c.email)",
        "TABLE(f(x => c.email))",
    ],
)
def test_rows_made_of_a_tagged_column_are_a_violation(source: str) -> None:
    statement = look(f"SELECT t.word FROM customers c, {source} t", TABLE_F)

    assert "pii_row_source" in knobs(statement)


def test_a_table_function_over_clear_values_has_the_columns_it_declares() -> None:
    sql = "SELECT t.*, c.email FROM customers c, TABLE(crm.public.f(c.city)) t"
    statement = look(sql, TABLE_F)

    assert not statement.violations
    assert statement.columns == (
        OutputColumn("WORD"),
        OutputColumn("N"),
        OutputColumn("EMAIL", PII, raw=True),
    )


def test_how_many_rows_a_table_function_makes_depends_on_nothing_tagged() -> None:
    def of(reads: str) -> Statement:
        reading = known(returns="TABLE (E VARCHAR)", effect=E.READS, reads=reads)
        return look("SELECT COUNT(*) FROM TABLE(f('a'))", reading)

    assert "pii_row_source" in knobs(of("CRM.PUBLIC.CUSTOMERS"))
    assert not of("CRM.PUBLIC.ORDERS").violations


def test_columns_of_a_table_function_keep_the_case_of_quoted_names() -> None:
    odd = known(returns='table ("e" varchar, "A,b" NUMBER(38,0))')

    assert look("SELECT * FROM TABLE(f('1'))", odd).columns == (
        OutputColumn("e"),
        OutputColumn("A,b"),
    )


def test_a_function_stands_where_its_kind_does() -> None:
    assert rule(look("SELECT f(city) FROM customers", TABLE_F)) == "unparsed"
    assert rule(look("SELECT * FROM TABLE(f('1'))", known())) == "unparsed"


def test_a_view_may_call_a_vetted_function_and_no_other() -> None:
    assert look("SELECT e, c FROM shown", known()).columns == (
        OutputColumn("E", PII),
        OutputColumn("C"),
    )
    for routines in ((), (known(found=OTHER),), (known(effect=None),)):
        columns = look("SELECT c FROM shown", *routines).columns
        assert columns == (OutputColumn("C", unknown=True),)


def test_values_a_function_makes_are_laundered_as_any() -> None:
    statement = look(
        "INSERT INTO orders SELECT f(age) FROM customers", known("CRM.PUBLIC.F(NUMBER)")
    )

    assert statement.launders == PII


@pytest.mark.parametrize(
    "text",
    [
        "CREATE OR REPLACE FUNCTION f(x VARCHAR) RETURNS VARCHAR AS 'x'",
        "CREATE TEMPORARY FUNCTION f(x VARCHAR) RETURNS VARCHAR AS 'x'",
        "CREATE FUNCTION crm.public.f(x NUMBER) RETURNS NUMBER AS 'x'",
        "CREATE FUNCTION lower(x VARCHAR) RETURNS VARCHAR AS 'x'",
    ],
)
def test_no_function_is_created_under_a_vetted_or_builtin_name(text: str) -> None:
    assert rule(look(text, known())) == "registered-routine"


def test_the_name_of_a_vetted_function_that_is_not_there_is_taken_too() -> None:
    vetted = known()[1].vetted
    assert vetted is not None
    empty = catalog().with_registry([vetted])
    text = "CREATE TEMPORARY FUNCTION f(x VARCHAR) RETURNS VARCHAR AS 'x'"

    assert rule(analyse(text, PUBLIC, empty)) == "registered-routine"
    assert rule(analyse("SELECT f('x')", PUBLIC, empty)) == "unknown-function"


def test_a_body_resolves_names_where_it_lives() -> None:
    text = "CREATE FUNCTION crm.ops.g() RETURNS VARCHAR AS 'SELECT MAX(email) FROM customers'"

    assert look(text).unknown_sources == (name("CRM.OPS.CUSTOMERS"),)
    called = look("CREATE FUNCTION crm.public.g(x VARCHAR) RETURNS VARCHAR AS 'f(x)'", known())
    assert called.refusal is None
    assert called.calls == (F,)


def daily(effect: RoutineEffect = E.READS, **more: str) -> tuple[Signature, Overload]:
    return known("CRM.OPS.DAILY(VARCHAR)", effect, kind=PROCEDURE, **more)


def test_a_vetted_procedure_is_a_call_of_what_it_reads_and_writes() -> None:
    procedure = daily(E.WRITES, reads="CRM.PUBLIC.ORDERS", writes="CRM.OPS.PLAIN")
    statement = look("CALL crm.ops.daily('x')", procedure)

    assert statement.refusal is None
    assert statement.kind is StatementClass.CALL
    assert statement.calls == (DAILY,)
    assert statement.reads == (name("CRM.PUBLIC.ORDERS"),)
    assert statement.writes == (name("CRM.OPS.PLAIN"),)
    assert statement.columns is None
    assert statement.barrier
    assert not statement.read_only
    assert not statement.launders


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CALL ops.daily(?)", None),
        ('CALL "CRM"."OPS"."DAILY"(day => 1)', None),
        ("EXECUTE IMMEDIATE 'CALL crm.ops.daily()'", None),
        ("CALL IDENTIFIER('crm.ops.daily')(1)", None),
        ("CALL daily()", "unregistered-procedure"),
        ('CALL ops."daily"()', "unregistered-procedure"),
        ("CALL crm.ops.daily((SELECT 1))", "call-argument"),
        ("CALL crm.ops.daily(UPPER('x'))", "call-argument"),
        ("SELECT crm.ops.daily('x')", "unknown-function"),
        ("SELECT * FROM TABLE(crm.ops.daily('x'))", "unknown-function"),
        ("CALL SYSTEM$CLASSIFY('crm.public.customers')", "unregistered-procedure"),
        ("CREATE TASK t AS CALL crm.ops.daily()", "code-body"),
        ("EXPLAIN CALL crm.ops.daily()", "unknown-form"),
    ],
)
def test_which_calls_are_of_the_vetted_procedure(text: str, expected: str | None) -> None:
    assert rule(look(text, daily(reads="CRM.PUBLIC.ORDERS"))) == expected


def test_a_function_of_the_name_of_a_procedure_is_no_procedure() -> None:
    assert rule(look("CALL crm.public.f('x')", known())) == "unregistered-procedure"


def test_a_procedure_with_another_body_or_overload_is_refused() -> None:
    replaced = known("CRM.OPS.DAILY(VARCHAR)", kind=PROCEDURE, found=OTHER)
    assert rule(look("CALL crm.ops.daily('x')", replaced)) == "registry-mismatch"
    strange = known("CRM.OPS.DAILY(NUMBER)", None, kind=PROCEDURE)
    assert rule(look("CALL crm.ops.daily('x')", daily(), strange)) == "unregistered-procedure"


def test_what_a_procedure_reads_is_laundered_unless_its_targets_carry_the_tags() -> None:
    def of(target: str) -> Statement:
        reads = "CRM.PUBLIC.CUSTOMERS"
        return look("CALL crm.ops.daily()", daily(E.WRITES, reads=reads, writes=target))

    assert of("CRM.OPS.PLAIN").launders == PII
    assert of("CRM.OPS.NEW").launders == PII
    assert not of("CRM.OPS.COPY").launders
    assert of("CRM.OPS.COPY").tags == PII


def test_tags_move_to_what_a_procedure_writes() -> None:
    reads = "CRM.PUBLIC.CUSTOMERS"
    known_now = catalog(daily(E.WRITES, reads=reads, writes="CRM.OPS.PLAIN CRM.OPS.NEW"))
    after = examine("CALL crm.ops.daily()", PUBLIC, known_now).catalog

    assert all(column.tags == PII for column in after.tables[name("CRM.OPS.PLAIN")].columns)
    assert after.tables[name("CRM.OPS.NEW")].opaque


def test_a_procedure_that_writes_anywhere_in_a_schema_may_read_nothing_tagged() -> None:
    def of(reads: str) -> Statement:
        signature, one = daily(E.WRITES, reads=reads)
        assert one.vetted is not None
        vetted = replace(one.vetted, writes=(ObjectName("CRM", "OPS", ""),))
        return look("CALL crm.ops.daily()", (signature, replace(one, vetted=vetted)))

    assert "laundering" in knobs(of("CRM.PUBLIC.CUSTOMERS"))
    assert not of("CRM.PUBLIC.ORDERS").violations


def test_an_external_procedure_reads_nothing_tagged() -> None:
    statement = look("CALL crm.ops.daily()", daily(E.EXTERNAL, reads="CRM.PUBLIC.CUSTOMERS"))

    assert "function-external" in knobs(statement)


def test_a_catalog_file_may_hold_routines() -> None:
    text = TABLES.replace(
        '"views"',
        '"routines": {"CRM.PUBLIC.F(STRING)": {"kind": "function", "returns": "VARCHAR",'
        f' "digest": "sha256:{BODY}"}}}}, "views"',
    )
    vetted = known()[1].vetted
    assert vetted is not None
    read = Catalog.from_json(text)

    assert rule(analyse("SELECT f('x')", PUBLIC, read)) == "unknown-function"
    assert rule(analyse("SELECT f('x')", PUBLIC, read.with_registry([vetted]))) is None
    other = replace(vetted, body=OTHER)
    assert rule(analyse("SELECT f('x')", PUBLIC, read.with_registry([other]))) == (
        "registry-mismatch"
    )
    again = Catalog.from_json(read.with_registry([vetted]).to_json())
    assert again.routines == read.routines
    assert again.with_registry([vetted]).digest == read.with_registry([vetted]).digest
    assert read.digest != Catalog.from_json(TABLES).digest
    assert read.digest != read.with_registry([vetted]).digest
