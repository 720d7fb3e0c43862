"""Which columns reach which output; every sensitive column of CUSTOMERS is a tag of its own.

Value and condition dependencies of 65 queries (`vectors/lineage.jsonl`), without those of WHERE,
JOIN and ORDER BY. Reporting too much is safe, too little never is.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from snowgate.model.statement import Namespace
from snowgate.sql.analysis import analyse
from snowgate.sql.catalog import Catalog

VECTORS = Path(__file__).parents[2] / "vectors"
NAMESPACE = Namespace("CRM", "PUBLIC")
CASES = [json.loads(line) for line in (VECTORS / "lineage.jsonl").read_text().splitlines()]


def own_tags() -> Catalog:
    document = json.loads((VECTORS / "reference" / "catalog.json").read_text())
    for columns in document["tables"].values():
        for column in columns:
            column["tags"] = [column["name"]] if column["tags"] else []
    return Catalog.from_json(json.dumps(document))


CATALOG = own_tags()


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_outputs_carry_the_columns_they_come_from(case: dict[str, Any]) -> None:
    statement = analyse(case["sql"], NAMESPACE, CATALOG)

    assert statement.refusal is None
    assert statement.columns is not None
    assert not any(column.unknown for column in statement.columns)
    found = [sorted(column.tags) for column in statement.columns]
    assert found == case["columns"]


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_without_a_catalog_nothing_is_known_to_be_clear(case: dict[str, Any]) -> None:
    statement = analyse(case["sql"], NAMESPACE, Catalog.of({}))

    assert statement.refusal is not None or statement.unknown_sources
