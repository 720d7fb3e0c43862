"""COPY INTO: an unload is judged by the query of its source, a load shows nothing."""

import pytest

from snowgate.model.statement import ObjectName, StatementClass

from .test_analysis import CUSTOMERS, ORDERS, PII, knobs, refusal, see


@pytest.mark.parametrize(
    "source",
    [
        "customers",
        "(SELECT email FROM customers)",
        "v_customers",
        '(SELECT "EMAIL" FROM v_customers)',
    ],
)
def test_an_unload_reads_what_its_source_reads(source: str) -> None:
    statement = see(f"COPY INTO @exports/day FROM {source} FILE_FORMAT = (TYPE = CSV) HEADER=TRUE")

    assert statement.kind is StatementClass.UNLOAD
    assert statement.refusal is None
    assert statement.tags == PII
    assert statement.reads


def test_what_names_the_files_is_unloaded_as_well() -> None:
    statement = see(
        "COPY INTO @exports FROM (SELECT id FROM orders)"
        " PARTITION BY ('x=' || (SELECT MAX(email) FROM customers))"
    )

    assert statement.tags == PII
    assert set(statement.reads) == {CUSTOMERS, ORDERS}


def test_rows_chosen_by_tagged_values_are_as_bad_in_a_file() -> None:
    assert knobs("COPY INTO @s FROM (SELECT id FROM customers WHERE ssn LIKE '1%')") == {
        "pii_pattern_predicate"
    }


@pytest.mark.parametrize(
    ("location", "stage"),
    [
        ("@exports/a/b.csv", ObjectName("CRM", "PUBLIC", "EXPORTS")),
        ("@ops.exports", ObjectName("CRM", "OPS", "EXPORTS")),
        ("@lake.ops.exports/x", ObjectName("LAKE", "OPS", "EXPORTS")),
        ("'@\"my/stage\"/x'", ObjectName("CRM", "PUBLIC", "my/stage")),
        ("@%orders/a", ObjectName("CRM", "PUBLIC", "%ORDERS")),
        ("@crm.public.%orders", ObjectName("CRM", "PUBLIC", "%ORDERS")),
    ],
)
def test_the_stage_is_what_an_unload_writes_to(location: str, stage: ObjectName) -> None:
    assert see(f"COPY INTO {location} FROM orders").writes == (stage,)


@pytest.mark.parametrize("location", ["@~/x", "'s3://bucket/x'"])
def test_what_is_no_stage_of_the_account_has_no_name(location: str) -> None:
    assert see(f"COPY INTO {location} FROM orders").writes == ()


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "FROM orders AS o",
        "FROM (SELECT 1) UNION SELECT 2",
        "FROM TABLE(RESULT_SCAN('x'))",
        "FROM IDENTIFIER('orders')",
        "FROM (SELECT 1) PARTITION BY id",
        "FROM (SELECT 1",
    ],
)
def test_an_unload_of_another_form_is_refused(rest: str) -> None:
    assert refusal(f"COPY INTO @s {rest}")


@pytest.mark.parametrize(
    "sql",
    [
        "COPY INTO @s FROM (SELECT my_udf(id) FROM orders)",
        "COPY INTO @s FROM orders PARTITION BY (my_udf(id))",
        "COPY INTO orders FROM (SELECT my_udf($1) FROM @s)",
    ],
)
def test_code_of_users_is_called_by_neither_unload_nor_load(sql: str) -> None:
    assert refusal(sql) == "unknown-function"


def test_a_load_does_not_show_what_is_in_the_files() -> None:
    assert refusal("COPY INTO orders FROM @s VALIDATION_MODE = RETURN_10_ROWS") == "stage-read"
    assert refusal("COPY INTO orders (id, amount) FROM (SELECT $1, TO_NUMBER($2) FROM @s)") == ""


@pytest.mark.parametrize(
    "sql",
    [
        "COPY INTO @s FROM crm.information_schema.load_history",
        "INSERT INTO products (name) SELECT query_text FROM snowflake.account_usage.query_history",
        "CREATE TABLE t AS SELECT query_text FROM snowflake.account_usage.query_history",
    ],
)
def test_metadata_of_the_account_is_not_copied(sql: str) -> None:
    assert refusal(sql) == "account-metadata"
