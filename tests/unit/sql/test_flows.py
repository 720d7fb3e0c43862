"""What comes to a table by itself, later, is as tagged as what it comes from (F16)."""

from pathlib import Path

import pytest

from snowgate.model.statement import Namespace
from snowgate.sql.analysis import examine
from snowgate.sql.catalog import Catalog
from snowgate.sql.session import analyse_session

VECTORS = Path(__file__).parents[2] / "vectors"
CATALOG = Catalog.from_json((VECTORS / "reference" / "catalog.json").read_text())
INBOX = "CREATE TABLE inbox (n NUMBER, x VARCHAR)"
STATS = "CREATE TABLE stats (y VARCHAR)"
SPILL = "INSERT INTO inbox SELECT id, email FROM customers"
LAG = "TARGET_LAG = '1 minute' WAREHOUSE = w"


@pytest.mark.parametrize(
    "texts",
    [
        (f"CREATE DYNAMIC TABLE stats {LAG} AS SELECT x y FROM inbox",),
        (
            f"CREATE DYNAMIC TABLE first {LAG} AS SELECT x FROM inbox",
            f"CREATE DYNAMIC TABLE stats {LAG} AS SELECT x y FROM first",
        ),
        ("CREATE MATERIALIZED VIEW stats AS SELECT x y FROM inbox",),
        (f"CREATE INTERACTIVE TABLE stats CLUSTER BY (y) {LAG} AS SELECT x y FROM inbox",),
        (
            "CREATE VIEW v AS SELECT x FROM inbox",
            f"CREATE DYNAMIC TABLE stats {LAG} AS SELECT x y FROM v",
        ),
        ("CREATE STREAM s ON TABLE inbox", "CREATE VIEW stats AS SELECT x y FROM s"),
        (
            "CREATE VIEW v AS SELECT x FROM inbox",
            "CREATE STREAM s ON VIEW v",
            "CREATE VIEW stats AS SELECT x y FROM s",
        ),
        (STATS, "CREATE TASK t SCHEDULE = '1 minute' AS INSERT INTO stats SELECT x FROM inbox"),
        (
            STATS,
            "CREATE TASK t SCHEDULE = '1 minute' AS MERGE INTO stats USING inbox ON stats.y = x"
            " WHEN NOT MATCHED THEN INSERT VALUES (x)",
        ),
        (
            STATS,
            "CREATE ALERT a SCHEDULE = '1 minute' IF (EXISTS (SELECT 1 FROM inbox WHERE x > 'm'))"
            " THEN INSERT INTO stats VALUES ('hit')",
        ),
    ],
)
def test_what_feeds_a_table_taints_it_when_it_is_tagged_later(texts: tuple[str, ...]) -> None:
    read = "SELECT y FROM stats"

    clean = analyse_session([INBOX, *texts, read], CATALOG)[-1]
    later = analyse_session([INBOX, *texts, SPILL, read], CATALOG)[-1]

    assert clean.columns is not None
    assert not any(column.tags or column.unknown for column in clean.columns)
    assert later.columns is not None
    assert all(column.unknown for column in later.columns)


def test_a_table_that_is_fed_by_clean_ones_stays_clean() -> None:
    statement = analyse_session(
        [
            INBOX,
            f"CREATE DYNAMIC TABLE stats {LAG} AS SELECT x y FROM inbox",
            "INSERT INTO inbox SELECT id, country FROM customers",
            "CREATE TABLE other AS SELECT email FROM customers",
            "SELECT y FROM stats",
        ],
        CATALOG,
    )[-1]

    assert statement.columns is not None
    assert not statement.columns[0].tags
    assert not statement.columns[0].unknown


def test_what_feeds_a_table_is_written_with_the_catalog() -> None:
    catalog = CATALOG
    for text in (INBOX, f"CREATE DYNAMIC TABLE stats {LAG} AS SELECT x y FROM inbox"):
        examined = examine(text, Namespace("CRM", "PUBLIC"), catalog)
        catalog = examined.catalog

    again = Catalog.from_json(catalog.to_json())

    assert again == catalog
    assert again.digest == catalog.digest
    assert analyse_session([SPILL, "SELECT y FROM stats"], again)[-1].columns[0].unknown


def test_a_table_that_may_be_there_already_has_either_shape() -> None:
    statement = analyse_session(
        [
            "CREATE TABLE IF NOT EXISTS customers (id NUMBER, a VARCHAR, b VARCHAR)",
            "SELECT a, $2 FROM customers",
        ],
        CATALOG,
    )[-1]

    assert statement.columns is not None
    assert all(column.tags or column.unknown for column in statement.columns)
