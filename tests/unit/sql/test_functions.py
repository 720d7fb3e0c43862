"""The table of builtins (F17)."""

import pytest

from snowgate.sql.functions import Effect, builtins


def test_every_name_is_listed_once() -> None:
    from importlib.resources import files

    text = files("snowgate.sql").joinpath("functions.txt").read_text()
    names = [
        name
        for line in text.splitlines()
        if not line.startswith(("#", "["))
        for name in line.split()
    ]

    assert sorted(names) == sorted(builtins())
    assert all(name == name.upper() for name in names)


@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("LOWER", Effect.PURE),
        ("CURRENT_ROLE", Effect.SESSION),
        ("SYSDATE", Effect.SESSION),
        ("SYSTEM$WAIT", Effect.DELAY),
        ("SYSTEM$DATA_METRIC_SCAN", Effect.READS_BY_NAME),
        ("VALIDATE", Effect.READS_BY_NAME),
        ("RESULT_SCAN", Effect.READS_BY_NAME),
        ("TO_QUERY", Effect.READS_BY_NAME),
        ("AI_COMPLETE", Effect.EXTERNAL),
        ("GET_PRESIGNED_URL", Effect.EXTERNAL),
        ("SYSTEM$SEND_EMAIL", Effect.EXTERNAL),
    ],
)
def test_effects_are_as_reviewed(name: str, effect: Effect) -> None:
    assert builtins()[name].effect is effect


@pytest.mark.parametrize(
    "name", ["UNIX_MILLIS", "REGEXP_EXTRACT", "STRUCT_EXTRACT", "IF", "STRING_AGG"]
)
def test_functions_of_other_dialects_are_not_builtins(name: str) -> None:
    assert name not in builtins()
