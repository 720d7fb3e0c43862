"""Where a tag comes from: patterns of columns, and what Snowflake says of them."""

from collections.abc import Callable

import pytest

from snowgate.config import Config, config_schema
from snowgate.errors import ConfigError
from snowgate.model.statement import ObjectName

Load = Callable[..., Config]
Mistakes = Callable[..., list[ConfigError]]

PLAIN = 'pii: ["CRM.PUBLIC.CUSTOMERS.{EMAIL,PHONE}"]'
PII = ObjectName("GOVERNANCE", "TAGS", "PII")
NOTE = ObjectName("CRM", "PUBLIC", "NOTES")


def test_a_tag_of_snowflake_is_named_with_or_without_values(load: Load) -> None:
    config = load(
        (
            PLAIN,
            "pii: {snowflake: [governance.tags.pii,"
            " {tag: snowflake.core.privacy_category, values: [SENSITIVE, IDENTIFIER]}]}",
        )
    )

    assert [(one.tag, one.source, one.values) for one in config.policy.snowflake] == [
        ("pii", PII, ()),
        (
            "pii",
            ObjectName("SNOWFLAKE", "CORE", "PRIVACY_CATEGORY"),
            ("IDENTIFIER", "SENSITIVE"),
        ),
    ]
    assert config.policy.tags == ()


def test_columns_and_snowflake_stand_side_by_side(load: Load) -> None:
    alone = load().policy
    both = load(
        (
            PLAIN,
            'pii: {columns: ["CRM.PUBLIC.CUSTOMERS.{EMAIL,PHONE}"], snowflake: A.B.C}',
        )
    ).policy

    assert both.tags == alone.tags
    assert [one.source for one in both.snowflake] == [ObjectName("A", "B", "C")]
    assert both.digest != alone.digest


def test_columns_in_a_mapping_are_the_same_policy_as_columns_alone(load: Load) -> None:
    mapped = load((PLAIN, PLAIN.replace("[", "{columns: [").replace("]", "]}")))

    assert mapped.policy == load().policy


def test_only_the_values_that_are_named_count(load: Load) -> None:
    [source] = load(
        (PLAIN, 'pii: {snowflake: {tag: A.B.C, values: high}, except: "CRM.*.NOTES.{ID,AT}"}')
    ).policy.snowflake

    assert source.covers(NOTE, "TEXT", "high")
    assert not source.covers(NOTE, "TEXT", "HIGH")
    assert not source.covers(NOTE, "ID", "high")


def test_names_of_snowflakes_tags_are_folded_unless_quoted(load: Load) -> None:
    [source] = load((PLAIN, "pii: {snowflake: ['g.\"my tags\".pii']}")).policy.snowflake

    assert source.source == ObjectName("G", "my tags", "PII")


@pytest.mark.parametrize(
    ("written", "key", "problem"),
    [
        ("{}", "tags.pii", "says of no column"),
        ("{columns: null}", "tags.pii.columns", "must not be empty"),
        ("{columns: []}", "tags.pii.columns", "must not be empty"),
        ("{columns: [CRM.PUBLIC.T]}", "tags.pii.columns[0]", "has 3 dotted parts"),
        ("[CRM.PUBLIC.T]", "tags.pii[0]", "has 3 dotted parts"),
        ("CRM.PUBLIC.T", "tags.pii", "has 3 dotted parts"),
        ("null", "tags.pii", "must be a pattern of names"),
        ("{snowflake: []}", "tags.pii.snowflake", "must not be empty"),
        ("{snowflake: null}", "tags.pii.snowflake", "must not be empty"),
        ("{snowflake: PII}", "tags.pii.snowflake.tag", "has 1 dotted part"),
        ("{snowflake: [A.B.*]}", "tags.pii.snowflake[0].tag", "is more than one tag"),
        ("{snowflake: ['A.B.{C,D}']}", "tags.pii.snowflake[0].tag", "is more than one tag"),
        ("{snowflake: [7]}", "tags.pii.snowflake[0]", "must be a mapping"),
        ("{snowflake: [{values: [x]}]}", "tags.pii.snowflake[0].tag", "is missing"),
        ("{snowflake: [{tag: A.B.C, values: []}]}", "tags.pii.snowflake[0].values", "must not"),
        ("{snowflake: [{tag: A.B.C, values: null}]}", "tags.pii.snowflake[0].values", "must not"),
        ("{snowflake: [{tag: A.B.C, value: x}]}", "tags.pii.snowflake[0].value", "unknown key"),
        ("{columns: A.B.C.D, except: A.B.C.D}", "tags.pii.except", "no tag of Snowflake is named"),
        ("{column: A.B.C.D}", "tags.pii.column", "unknown key"),
    ],
)
def test_a_mistake_is_named_at_its_place(
    mistakes: Mistakes, written: str, key: str, problem: str
) -> None:
    [error] = mistakes((PLAIN, f"pii: {written}"))

    assert error.key == key
    assert problem in error.problem
    assert error.line == 23


def test_a_misspelt_key_of_a_source_is_suggested(mistakes: Mistakes) -> None:
    [error] = mistakes((PLAIN, "pii: {snowflake: [{tag: A.B.C, valeus: [x]}]}"))

    assert "`values`" in error.remedy


def test_a_tag_of_snowflake_that_nobody_masks_is_a_warning(load: Load) -> None:
    config = load((PLAIN, f"{PLAIN}\n  phi: {{snowflake: A.B.PHI}}"))

    assert "tags.phi: no enforced rule masks this tag" in config.warnings[0]


def test_editors_learn_every_form_of_a_tag() -> None:
    schema = config_schema()

    properties = schema["properties"]
    assert isinstance(properties, dict)
    [forms] = [one["anyOf"] for one in properties["tags"]["patternProperties"].values()]
    assert {"array", "string"} <= {one.get("type") for one in forms}
    assert any("$ref" in one for one in forms)
