"""Every mistake is named with file, line, key and remedy, and all of them at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from snowgate.config import load_config, load_policy
from snowgate.errors import ConfigError

Mistakes = Callable[..., list[ConfigError]]
Change = tuple[str, str]

CI = "https://ci.example.com"
LISTEN = (
    "listen: {address: 127.0.0.1, port: 8443, tls: {certificate: tls.crt, private_key: tls.key}}"
)
REF = '"file:snowflake.p8"'
CATALOG_CREDENTIAL = ', credential: {key_pair: {user: svc_catalog, private_key: "file:catalog.p8"}}'
READS = "match: {class: [select, show, session]}, allow: true"
MASK = "match: {tag: pii, not: {group: fraud-team}}, mask: partial"
HOLD = "hold: {approvers: data-platform}"


@pytest.mark.parametrize(
    ("change", "line", "key", "problem", "remedy"),
    [
        # keys
        (("data_dir:", "datadir:"), 1, "datadir", "unknown key", "did you mean `data_dir`?"),
        (
            ("{name: reads, match:", "{name: reads, mach:"),
            *(27, "rules[2].mach", "unknown key", "did you mean `match`?"),
        ),
        (
            (READS, READS.replace("class", "clas")),
            27,
            "rules[2].match.clas",
            "unknown key",
            "class",
        ),
        (
            ("user: svc_gateway", "usr: svc_gateway"),
            8,
            "upstream.credential.key_pair.usr",
            "",
            "user",
        ),
        (("name: gw-1\n", ""), 1, "name", "is missing", "add `name:`"),
        (("name: gw-1\n", "name: gw-1\nname: gw-2\n"), 3, "", "stands here and on line 2", ""),
        (("allow: true", "allow: true, window: night"), 27, "rules[2].window", "unknown key", ""),
        # types
        (("port: 8443", 'port: "8443"'), 4, "listen.port", "must be a whole number", "quotes"),
        (("port: 8443", "port: 99999"), 4, "listen.port", "must be at most 65535", ""),
        (("people: true", "people: yes"), 17, "issuers[1].people", "must be true or false", ""),
        (("name: gw-1", "name: 1"), 2, "name", "must be a name", "quotes"),
        (("name: gw-1", "name: GW 1"), 2, "name", "`GW 1` is no name", "lower-case"),
        (("roles:\n  - ", "roles:\n    "), 20, "roles", "must be a list", "- "),
        ((LISTEN, "listen: here"), 4, "listen", "must be a mapping", ""),
        # durations and sizes
        (
            (HOLD, "hold: {approvers: data-platform, expires: 20}"),
            *(25, "rules[0].hold.expires", "`20` is no duration", "`30s`"),
        ),
        (
            (HOLD, "hold: {approvers: data-platform, expires: 30d}"),
            *(25, "rules[0].hold.expires", "between 1s and 7d", ""),
        ),
        (
            ("roles:\n", "limits: {statement_size: 1MB}\nroles:\n"),
            *(20, "limits.statement_size", "`1MB` is no size", "`1MiB`"),
        ),
        # times, networks, shadow
        (
            (READS, READS.replace("class:", "hours: 8-18, class:")),
            *(27, "rules[2].match.hours", "`8-18` is no part of a day", "`08:00-18:00`"),
        ),
        (
            (READS, READS.replace("class:", 'hours: "22:00-06:00", class:')),
            *(27, "rules[2].match.hours", "ends before it begins", "`00:00-06:00`"),
        ),
        (
            (READS, READS.replace("class:", 'hours: "12:00-24:30", class:')),
            *(27, "rules[2].match.hours", "is no part of a day", "`24:00`"),
        ),
        (
            (READS, READS.replace("class:", "days: monday, class:")),
            *(27, "rules[2].match.days", "`monday` is no day", "`mon-fri`"),
        ),
        (
            (READS, READS.replace("class:", "source: 10.0.0.1/8, class:")),
            *(27, "rules[2].match.source", "bits beyond its prefix", "write `10.0.0.0/8`"),
        ),
        (
            (READS, READS.replace("class:", "source: here, class:")),
            *(27, "rules[2].match.source", "`here` is no network", "such as"),
        ),
        (("allow: true", "allow: true, enforce: no"), 27, "rules[2].enforce", "true or false", ""),
        # rules
        (
            (READS, "match: {class: create, kind: [table, shema]}, deny: no"),
            *(27, "rules[2].match.kind[1]", "`shema` is no kind", "did you mean `schema`?"),
        ),
        (("mask: partial", "mask: blur"), 26, "rules[1].mask", "`blur` is no mask", "redact"),
        (("mask: partial", "mask: pass"), 26, "rules[1].mask", "`pass` is no mask", ""),
        (("mask: partial", "mask: {partial: [0, 99]}"), 26, "rules[1].mask", "keeps 0 to 8", ""),
        (
            ("[select, show", "[selct, show"),
            27,
            "rules[2].match.class[0]",
            "no statement",
            "select",
        ),
        (("name: reads", "name: ddl"), 27, "rules[2].name", "rule 1 is called `ddl` too", ""),
        (("name: reads", "name: no-rule"), 27, "rules[2].name", "built-in", ""),
        ((", allow: true", ""), 27, "rules[2]", "has no action", "exactly one of"),
        (("allow: true", "allow: true, mask: void"), 27, "rules[2]", "`allow` and `mask`", ""),
        (
            ("allow: true", "allow: {propagat: true}"),
            *(27, "rules[2].allow.propagat", "unknown key", "propagate"),
        ),
        (
            (READS, "match: {class: insert}, allow: {propagate: true}"),
            *(27, "rules[2].match", "go to any schema", "schema: ANALYTICS.DBT"),
        ),
        (
            (READS, 'match: {class: insert, schema: "CRM.*"}, allow: {propagate: true}'),
            *(27, "rules[2].match", "go to any schema", ""),
        ),
        (
            (READS, "match: {class: [dml, select], schema: CRM.DBT}, allow: {propagate: true}"),
            *(27, "rules[2].match.class[1]", "class `select` writes no values", "of its own"),
        ),
        (("allow: true", "allow: false"), 27, "rules[2].allow", "must be `true`", "deny"),
        (("allow: true", "deny: true"), 27, "rules[2].deny", "must be the reason", "deny:"),
        ((READS, "match: {role: etl}, allow: true"), 27, "rules[2].match", "every class", "class"),
        (
            (READS, READS.replace("select", "credential")),
            27,
            "rules[2].match.class[0]",
            "allowed",
            "",
        ),
        (("{class: ddl}", "{class: credential}"), 25, "rules[0].match.class", "held", ""),
        (("{class: ddl}", "{class: account-metadata}"), 25, "rules[0].match.class", "held", ""),
        (("{class: ddl}", "{class: []}"), 25, "rules[0].match.class", "must not be empty", ""),
        (("{class: ddl}", "{class: }"), 25, "rules[0].match.class", "", ""),
        (
            ("{class: ddl}", "{schema: PUBLIC}"),
            25,
            "rules[0].match.schema",
            "1 dotted part",
            "DATABASE",
        ),
        (
            ("{class: ddl}", "{tag: pi}"),
            25,
            "rules[0].match.tag",
            "no columns have the tag",
            "`pii`",
        ),
        (
            (HOLD, "hold: {approvers: data-platform, unmask: [pii, pi]}"),
            25,
            "rules[0].hold.unmask[1]",
            "no columns have the tag `pi`",
            "`pii`",
        ),
        (
            (HOLD, "hold: {approvers: data-platform, unmask: []}"),
            *(25, "rules[0].hold.unmask", "must not be empty", ""),
        ),
        (
            (HOLD, "hold: {approvers: data-platform, unmask: }"),
            *(25, "rules[0].hold.unmask", "must not be empty", "leave the key out"),
        ),
        (
            (HOLD, "hold: {approvers: data-platform, unmasks: pii}"),
            *(25, "rules[0].hold.unmasks", "unknown key", "did you mean `unmask`?"),
        ),
        ((MASK, "match: {}, mask: void"), 26, "rules[1].match", "names its tags", "tag"),
        (
            ("{tag: pii, not", "{tag: pii, class: select, not"),
            26,
            "rules[1].match.class",
            "readers",
            "",
        ),
        (
            ("{group: fraud-team}", "{database: crm}"),
            26,
            "rules[1].match.not.database",
            "readers",
            "",
        ),
        # tags
        (("{EMAIL,PHONE}", "{EMAIL,PHONE"), 23, "tags.pii[0]", "not closed", "such as"),
        (("CUSTOMERS.{EMAIL,PHONE}", "CUSTOMERS"), 23, "tags.pii[0]", "3 dotted parts", ""),
        (("  pii:", "  p i:"), 23, "tags.p i", "is no tag name", ""),
        # groups
        (
            ("{group: etl-writers", "{group: etl-writer"),
            21,
            "roles[0].group",
            "no issuer",
            "writers",
        ),
        (
            ("{group: fraud-team}", "{group: fraud}"),
            26,
            "rules[1].match.not.group",
            "no issuer",
            "",
        ),
        (("give: etl-writers", "give: etl"), 14, "issuers[0].groups[0].give", "may not give", ""),
        (
            (HOLD, "hold: {approvers: etl-writers}"),
            *(25, "rules[0].hold.approvers", "nobody could approve", "data-platform"),
        ),
        # issuers
        (("https://login.example.com/people", CI), 15, "issuers[1].oidc", "two entries", ""),
        ((CI, "http://ci.example.com"), 11, "issuers[0].oidc", "no issuer URL", "https"),
        ((CI, "https://u:p@ci.example.com"), 11, "issuers[0].oidc", "no issuer URL", ""),
        (
            ("groups_from: /groups", "groups_from: groups"),
            18,
            "issuers[1].groups_from",
            "pointer",
            "",
        ),
        (
            ("people: true", "people: true\n    algorithms: [RS256, HS256]"),
            *(18, "issuers[1].algorithms[1]", "algorithm `HS256` is not allowed", "RS256"),
        ),
        (
            ("people: true", "people: true\n    algorithms: none"),
            *(18, "issuers[1].algorithms", "algorithm `none` is not allowed", ""),
        ),
        (
            ("people: true", "people: true\n    leeway: 5m"),
            18,
            "issuers[1].leeway",
            "0s and 60s",
            "",
        ),
        (("when: {/repository_id", "when: {repository_id"), 14, "", "no JSON pointer", ""),
        # listeners
        (
            (LISTEN, "listen: {address: 10.0.0.1, port: 8443}"),
            *(4, "listen.tls", "is missing, and tokens would cross the network", "loopback"),
        ),
        (
            (LISTEN, LISTEN.replace("127.0.0.1", "0.0.0.0")),
            4,
            "listen.hosts",
            "is missing",
            "hosts",
        ),
        ((LISTEN, LISTEN.replace("127.0.0.1", "localhost")), 4, "listen.address", "IP address", ""),
        (("port: 8444", "port: 8443"), 5, "api.port", "port of `listen`", "another"),
        (
            ("api: {address: 127.0.0.1, port: 8444, ca_file: tls.crt}\n", ""),
            1,
            "api",
            "rule `ddl`",
            "",
        ),
        # references
        (
            (REF, '"env:KEY"'),
            8,
            "upstream.credential.key_pair.private_key",
            "not supported yet",
            "",
        ),
        (
            (REF, "snowflake.p8"),
            8,
            "upstream.credential.key_pair.private_key",
            "no reference",
            "file:",
        ),
        ((REF, '"file:gone.p8"'), 8, "upstream.credential.key_pair.private_key", "not there", ""),
        (
            ("file:catalog.p8", "file:gone.p8"),
            *(9, "upstream.catalog.credential.key_pair.private_key", "not there", ""),
        ),
        # one user for clients and the gateway (F24)
        (
            ("svc_catalog", "SVC_Gateway"),
            *(9, "upstream.catalog.credential.key_pair.user", "user of the clients'", "second"),
        ),
        (
            ("svc_catalog", "'\"svc_gateway\"'"),
            *(9, "upstream.catalog.credential.key_pair.user", "user of the clients'", "second"),
        ),
        (
            (CATALOG_CREDENTIAL, ""),
            *(9, "upstream.catalog.credential", "missing", ""),
        ),
        (("ca_file: tls.crt", 'ca_file: "file:x"'), 5, "api.ca_file", "not a reference", ""),
        (
            ("  account: xy12345\n", "  account: xy12345\n  protocol: http\n"),
            *(8, "upstream.protocol", "in clear", "https"),
        ),
    ],
)
def test_a_mistake_is_named(
    mistakes: Mistakes, change: Change, line: int, key: str, problem: str, remedy: str
) -> None:
    found = [
        error
        for error in mistakes(change)
        if key in error.key and problem in error.problem and remedy in error.remedy
    ]

    assert [error.line for error in found] == [line]


def test_all_mistakes_are_reported_in_the_order_of_the_file(mistakes: Mistakes) -> None:
    found = mistakes(
        ("name: gw-1", "name: GW"), ("port: 8443", "port: x"), ("mask: partial", "mask: blur")
    )

    assert [error.key for error in found] == ["name", "listen.port", "rules[1].mask"]


def test_mistakes_between_sections_are_reported_together(mistakes: Mistakes) -> None:
    found = mistakes(
        ("{group: etl-writers", "{group: x"), ("approvers: data-platform", "approvers: y")
    )

    assert [error.key for error in found] == ["roles[0].group", "rules[0].hold.approvers"]


def test_an_error_with_several_mistakes_shows_each_on_a_line(
    mistakes: Mistakes, place: Path
) -> None:
    mistakes(("name: gw-1", "name: GW"), ("port: 8443", "port: x"))

    with pytest.raises(ConfigError) as caught:
        load_config(place / "snowgate.yaml")

    lines = str(caught.value).split("\n")
    assert [line.split(": ")[0] for line in lines] == [
        f"{place / 'snowgate.yaml'}:2",
        f"{place / 'snowgate.yaml'}:4",
    ]
    assert caught.value.key == "name"


def test_an_alias_is_reported_without_complaints_about_its_value(mistakes: Mistakes) -> None:
    found = mistakes(("port: 8443", "port: *p"))

    assert [error.problem for error in found] == ["aliases are not allowed"]


def test_a_secret_written_into_the_file_is_not_shown(mistakes: Mistakes) -> None:
    (error,) = mistakes((REF, '"-----BEGIN PRIVATE KEY----- c2VjcmV0"'))

    assert "c2VjcmV0" not in str(error)
    assert error.key == "upstream.credential.key_pair.private_key"


@pytest.mark.parametrize("text", ["[]", "just text", "12"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "snowgate.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError, match="must be a mapping"):
        load_config(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read: no such file"):
        load_policy(tmp_path / "gone.yaml")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: is a directory"):
        load_policy(tmp_path)


def test_a_policy_file_holds_nothing_but_a_policy(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("rules: []\nissuers: []\n")

    with pytest.raises(ConfigError, match="issuers: unknown key"):
        load_policy(path)
