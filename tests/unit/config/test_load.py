"""What a whole configuration becomes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from snowgate.config import Config, config_schema, load_config, load_policy, policy_schema
from snowgate.errors import ConfigError
from snowgate.identity.settings import Claim, RoleMapping
from snowgate.model.statement import ObjectName
from snowgate.policy import HoldFor

Load = Callable[..., Config]


def test_relative_paths_start_at_the_folder_of_the_file(load: Load, place: Path) -> None:
    config = load()

    assert config.data_dir == place / "data"
    assert config.upstream.credential.private_key_file == place / "snowflake.p8"
    assert config.listen.tls is not None
    assert config.listen.tls.certificate == place / "tls.crt"


def test_absolute_paths_stay(load: Load, place: Path) -> None:
    config = load(("file:snowflake.p8", f"file:{place / 'tls.key'}"))

    assert config.upstream.credential.private_key_file == place / "tls.key"


def test_names_of_snowflake_are_folded_unless_quoted(load: Load) -> None:
    config = load(("databases: [crm]", """databases: [crm, '"Crm"']"""))

    assert config.upstream.credential.user == "SVC_GATEWAY"
    assert config.upstream.catalog.credential.user == "SVC_CATALOG"
    assert config.upstream.catalog.databases == ("CRM", "Crm")
    assert config.roles == (RoleMapping("etl-writers", "ETL", "ETL_WH"),)


def test_issuers_become_the_identity_rooms_settings(load: Load) -> None:
    machine, people = load().issuers

    assert machine.may_give == ("etl-writers",)
    assert machine.groups[0].when == (
        Claim("/repository_id", "1"),
        Claim("/environment", "production"),
    )
    assert not machine.people
    assert people.people
    assert people.groups_from == "/groups"
    assert people.max_age_s == 4 * 3600


def test_claims_keep_their_type(load: Load) -> None:
    config = load(('{/repository_id: "1",', "{/repository_id: 1, /ref_protected: true,"))

    values = [claim.value for claim in config.issuers[0].groups[0].when]

    assert values == [1, True, "production"]


def test_the_host_of_the_account_is_the_default(load: Load) -> None:
    assert load().upstream.host == "xy12345.snowflakecomputing.com"


def test_loopback_listeners_know_their_names(load: Load) -> None:
    config = load()

    assert config.listen.hosts == ("localhost", "127.0.0.1")
    assert config.api is not None
    assert config.api.url == "http://localhost:8444"


def test_durations_and_sizes_carry_units(load: Load) -> None:
    config = load(("roles:\n", "limits: {statement_size: 2MiB, ticket_age: 10m}\nroles:\n"))

    assert config.limits.statement_bytes == 2 * 1024 * 1024
    assert config.limits.ticket_age_s == 600
    assert config.limits.connections == 4096


def test_a_policy_is_the_same_alone_and_in_a_configuration(load: Load, place: Path) -> None:
    config = load()
    text = (place / "snowgate.yaml").read_text()
    alone = place / "policy.yaml"
    alone.write_text(text[text.index("tags:") :])

    assert load_policy(alone).policy.digest == config.policy.digest


def test_tags_reach_exactly_the_columns_of_their_patterns(load: Load) -> None:
    policy = load().policy

    tags = policy.column_tags(ObjectName("CRM", "PUBLIC", "CUSTOMERS"), ["ID", "EMAIL", "email"])

    assert tags == {"ID": frozenset(), "EMAIL": frozenset({"pii"}), "email": frozenset()}


def test_a_tag_nobody_masks_is_a_warning(load: Load) -> None:
    config = load(("tags:\n", "tags:\n  phi: CRM.PUBLIC.VISITS.DIAGNOSIS\n"))

    assert len(config.warnings) == 1
    assert "tags.phi: no enforced rule masks this tag" in config.warnings[0]


def test_a_tag_whose_only_mask_is_not_enforced_is_a_warning(load: Load) -> None:
    config = load(("mask: partial}", "mask: partial, enforce: false}"))

    assert "tags.pii: no enforced rule masks this tag" in config.warnings[0]


def test_an_approval_may_show_tags(load: Load) -> None:
    held = "hold: {approvers: data-platform"
    config = load((held, held + ", unmask: pii"))

    [rule] = [rule for rule in config.policy.rules if rule.name == "ddl"]
    assert rule.action == HoldFor(frozenset({"data-platform"}), 1, 4 * 3600.0, frozenset({"pii"}))
    assert config.warnings == ()


def test_an_approval_of_a_tag_nobody_masks_is_a_warning(load: Load) -> None:
    held = "hold: {approvers: data-platform"
    config = load(
        (held, held + ", unmask: pii"), ("mask: partial}", "mask: partial, enforce: false}")
    )

    assert any(
        "rules[0].hold.unmask: no enforced rule masks `pii`: its values stay void" in warning
        for warning in config.warnings
    ), config.warnings


def test_a_ci_rule_for_every_branch_is_a_warning(load: Load) -> None:
    config = load(
        ("https://ci.example.com", "https://token.actions.githubusercontent.com"),
        (", /environment: production", ""),
    )

    assert "every branch and pull request" in config.warnings[0]


@pytest.mark.parametrize(
    ("old", "new", "warned"),
    [
        (", /environment: production", "", True),
        ('{/repository_id: "1", /environment: production}', '{/project_path: "a/b"}', True),
        ('{/repository_id: "1", /environment: production}', '{/repository: "a/b"}', True),
        ('{/repository_id: "1", /environment: production}', "{/ref_protected: 'true'}", False),
        ('{/repository_id: "1", /environment: production}', '{/team: "1"}', False),
    ],
)
def test_f6_a_ci_of_ones_own_is_known_by_its_claims(
    load: Load, old: str, new: str, warned: bool
) -> None:
    warnings = load((old, new)).warnings

    assert any("every branch" in each for each in warnings) is warned


def test_f6_what_an_issuer_requires_of_every_token_counts(load: Load) -> None:
    config = load(
        (", /environment: production", ""),
        ("    may_give: [etl-writers]", "    may_give: etl-writers\n    require: {/ref: main}"),
    )

    assert config.warnings == ()


def test_a_group_that_no_token_gets_is_a_warning(load: Load) -> None:
    config = load(("may_give: [etl-writers]", "may_give: [etl-writers, nobody]"))

    assert "issuers[0].may_give[1]: nothing gives group `nobody`" in config.warnings[0]


def test_files_need_not_be_there_to_judge_the_text(place: Path, load: Load) -> None:
    load()
    (place / "snowflake.p8").unlink()

    assert load_config(place / "snowgate.yaml", files=False).name == "gw-1"
    with pytest.raises(ConfigError, match=r"private_key: names a file that is not there"):
        load_config(place / "snowgate.yaml")


def test_the_configuration_cannot_be_changed(load: Load) -> None:
    with pytest.raises(AttributeError):
        load().name = "other"  # type: ignore[misc]


def test_editors_get_a_schema_with_every_key() -> None:
    schema = config_schema()

    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert {"listen", "issuers", "roles", "tags", "rules", "limits"} <= properties.keys()
    assert schema["additionalProperties"] is False
    rules = policy_schema()["$defs"]
    assert isinstance(rules, dict)
    assert {"class", "not", "tag"} <= rules["MatchShape"]["properties"].keys()
