"""What a masked reader gets: rows without a single tagged value, in any byte."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from .canary import Canaries
from .conftest import TAGGED
from .rig import Rig
from .wire import Reply, Wire

EVERYTHING = "SELECT * FROM customers ORDER BY id"

# Ways to ask for tagged values that policy answers with masks.
MASKED_READS = [
    EVERYTHING,
    "SELECT email FROM customers",
    "SELECT c.email AS e, c.phone p FROM crm.public.customers c",
    'SELECT "EMAIL" FROM "CRM"."PUBLIC"."CUSTOMERS"',
    "SELECT * FROM v_customers",
    "SELECT upper(email) || '-' || phone AS x FROM customers",
    "SELECT substr(ssn, 1, 3) AS a, substr(ssn, 4) AS b FROM customers",
    "WITH t AS (SELECT email AS e FROM customers) SELECT e FROM t",
    "SELECT * FROM (SELECT email FROM customers UNION ALL SELECT phone FROM customers)",
    "SELECT max(email), min(card_number) FROM customers",
    "SELECT listagg(email, ',') FROM customers",
    "SELECT array_agg(email) FROM customers",
    "SELECT object_construct('e', email) AS o FROM customers",
    "SELECT country, any_value(email) FROM customers GROUP BY country",
    "SELECT o.id, c.email FROM orders o JOIN customers c ON c.id = o.customer_id",
    "SELECT (SELECT max(email) FROM customers) AS m FROM products LIMIT 3",
    "SELECT email, phone FROM customers WHERE id = 7",
]


def assert_no_canary(canaries: Canaries, replies: Iterable[Reply]) -> None:
    for reply in replies:
        for blob in (reply.raw, reply.body, repr(reply.headers).encode()):
            leaked = canaries.found_in(blob)
            assert not leaked, f"{len(leaked)} values in the reply of {reply.path}"


def test_the_canaries_are_found_where_they_are(
    rig: Rig, canaries: Canaries, truth: list[dict[str, str]]
) -> None:
    def values(rows: list[dict[str, str]]) -> set[str]:
        return {row[name] for row in rows for name in TAGGED}

    with rig.upstream("FRAUD") as direct, rig.upstream("FRAUD", app="PythonConnector") as arrow:
        for client in (direct, arrow):
            reply = client.query(EVERYTHING)
            [chunk] = client.chunks(reply)
            assert values(truth[:50]) <= canaries.found_in(reply.raw)
            assert values(truth[50:]) <= canaries.found_in(chunk.raw)


@pytest.mark.parametrize("app", ["PythonConnector", "JavaScript"])
def test_no_byte_of_a_masked_result_holds_a_tagged_value(
    rig: Rig, canaries: Canaries, app: str
) -> None:
    with rig.wire("analyst", app=app) as wire:
        for sql in MASKED_READS:
            reply = wire.query(sql)
            assert reply.ok, (sql, reply.message)
            wire.chunks(reply)

        assert_no_canary(canaries, wire.seen)


def test_json_and_arrow_are_what_the_client_asked_for(rig: Rig) -> None:
    with rig.wire("analyst") as wire:
        assert wire.query(EVERYTHING).data["queryResultFormat"] == "arrow"
    with rig.wire("analyst", app="JavaScript") as wire:
        reply = wire.query(EVERYTHING)
        assert reply.data["queryResultFormat"] == "json"
        rows = wire.rows(reply)
    assert len(rows) == 2000
    assert {tuple(row[1:6]) for row in rows} == {("***",) * 5}
    assert [row[0] for row in rows] == [str(number) for number in range(1, 2001)]


@pytest.mark.parametrize("fetch", ["rows", "arrow", "pandas"])
def test_the_arrow_driver_reads_masked_rows(rig: Rig, fetch: str) -> None:
    with rig.driver("analyst") as session:
        result = session.run(EVERYTHING, fetch=fetch, keep=2000)

    assert result.rowcount == 2000
    assert {tuple(row[1:6]) for row in result.rows} == {("***",) * 5}
    assert result.rows[0][6:] == ["FR", "Dijon", result.rows[0][8], "2016-02-02"]


def test_the_universal_driver_reads_masked_rows(rig: Rig) -> None:
    with rig.driver("analyst", "5.2.0") as session:
        result = session.run(EVERYTHING, keep=2000)

    assert result.rowcount == 2000
    assert {tuple(row[1:6]) for row in result.rows} == {("***",) * 5}


def test_the_driver_reads_masked_rows_as_json_too(rig: Rig, version: str) -> None:
    parameters = {"PYTHON_CONNECTOR_QUERY_RESULT_FORMAT": "JSON"}
    with rig.driver("analyst", version, session_parameters=parameters) as session:
        result = session.run(EVERYTHING, keep=2000)

    assert result.rowcount == 2000
    assert {tuple(row[1:6]) for row in result.rows} == {("***",) * 5}


def test_fraud_sees_clear_values_in_every_form(
    rig: Rig, version: str, truth: list[dict[str, str]]
) -> None:
    for parameters in ({}, {"PYTHON_CONNECTOR_QUERY_RESULT_FORMAT": "JSON"}):
        with rig.driver("fraud", version, session_parameters=parameters) as session:
            result = session.run(EVERYTHING, keep=2000)
        shown = [row[:6] for row in result.rows]
        assert shown == [[row["ID"], *(row[name] for name in TAGGED)] for row in truth]


def test_two_principals_with_one_text_get_what_each_may_see(rig: Rig) -> None:
    sql = "SELECT email FROM customers WHERE id = 11"
    with rig.driver("fraud") as fraud, rig.driver("analyst") as analyst:
        for _ in range(2):
            assert analyst.run(sql).rows == [["***"]]
            assert "@" in str(fraud.run(sql).rows[0][0])


def test_the_outcome_names_the_masked_columns(rig: Rig, analyst: Wire) -> None:
    since = rig.mark()

    analyst.query(EVERYTHING)

    intent = since.entry("intent")
    assert intent.fields["tags"] == ["pii"]
    assert intent.fields["objects"] == ["CRM.PUBLIC.CUSTOMERS"]
    outcome = since.outcome(intent)
    assert outcome.fields["rows"] == 2000
    columns = outcome.fields["columns"]
    assert isinstance(columns, list)
    assert {column["name"] for column in columns} == {*TAGGED}
    assert {column["mask"] for column in columns} == {"redact"}


@pytest.mark.parametrize("app", ["PythonConnector", "JavaScript"])
def test_a_kept_result_is_masked_when_it_is_fetched_again(
    rig: Rig, canaries: Canaries, app: str
) -> None:
    with rig.wire("analyst", app=app) as wire:
        first = wire.query(EVERYTHING)
        upstream_id = None
        for _ in range(2):
            again = wire.result(first.query_id)
            assert again.ok
            assert again.data["total"] == 2000
            wire.chunks(again)
            upstream_id = again.query_id
        assert upstream_id is not None

        assert_no_canary(canaries, wire.seen)


def test_an_error_that_would_quote_a_value_is_withheld(rig: Rig, canaries: Canaries) -> None:
    with rig.wire("analyst") as wire:
        for sql in (
            "SELECT to_number(email) FROM customers",
            "SELECT email::int FROM customers",
            "SELECT * FROM customers WHERE to_date(phone) > '2020-01-01'",
            "SELECT id FROM customers WHERE email = 5",
        ):
            assert not wire.query(sql).ok

        assert_no_canary(canaries, wire.seen)


@pytest.mark.parametrize("fetch", ["rows", "arrow"])
def test_a_big_result_without_tags_comes_clear_and_complete(rig: Rig, fetch: str) -> None:
    sql = "SELECT * FROM big WHERE id <= 110000 ORDER BY id"
    with rig.driver("analyst") as session, rig.driver_upstream("ANALYST") as direct:
        shown = session.run(sql, fetch=fetch)
        real = direct.run(sql, fetch=fetch)

    assert shown.rowcount == real.rowcount == 110_000
    assert shown.digest == real.digest


def test_a_big_result_comes_complete_to_the_universal_driver(rig: Rig) -> None:
    sql = "SELECT id, amount, day, note FROM big WHERE id <= 110000 ORDER BY id"
    with (
        rig.driver("analyst", "5.2.0") as session,
        rig.driver_upstream("ANALYST", "5.2.0") as direct,
    ):
        shown = session.run(sql)
        real = direct.run(sql)

    assert shown.rowcount == real.rowcount == 110_000
    assert shown.digest == real.digest


def test_a_clear_chunk_is_relayed_byte_for_byte(rig: Rig) -> None:
    sql = "SELECT id, note FROM big WHERE id <= 30000 ORDER BY id"
    with rig.wire("analyst") as wire, rig.upstream("ANALYST", app="PythonConnector") as direct:
        shown = wire.chunks(wire.query(sql))
        real = direct.chunks(direct.query(sql))

    assert len(shown) == len(real) > 1
    assert [reply.raw for reply in shown] == [reply.raw for reply in real]


def test_a_join_of_masked_and_clear_columns_keeps_the_clear_ones(rig: Rig) -> None:
    sql = (
        "SELECT o.id, o.amount, c.email, c.country FROM orders o "
        "JOIN customers c ON c.id = o.customer_id ORDER BY o.id"
    )
    with rig.driver("analyst") as session, rig.driver("fraud") as fraud:
        masked = session.run(sql, keep=5000)
        clear = fraud.run(sql, keep=5000)

    assert masked.rowcount == 5000
    assert {row[2] for row in masked.rows} == {"***"}
    without = [[row[0], row[1], row[3]] for row in clear.rows]
    assert [[row[0], row[1], row[3]] for row in masked.rows] == without
