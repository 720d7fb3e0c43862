"""What the cache answers of a day of dbt and of dashboards (`bench/corpus`)."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[3] / "bench" / "python" / "hits.py"


@pytest.fixture(scope="module")
def hits() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hits", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hits"] = module
    spec.loader.exec_module(module)
    return module


def test_nineteen_of_twenty_statements_of_dbt_and_dashboards_are_answered_from_the_cache(
    hits: ModuleType,
) -> None:
    for name, found in hits.measure().items():
        assert found.rate >= 0.95, (name, found)
        assert found.repeated < found.statements / 4, "texts differ, forms do not"
        assert not found.denied
