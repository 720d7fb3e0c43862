"""`snowgate check`: every mistake, and what the rules do not do."""

import json
import os
from pathlib import Path

import pytest

from snowgate._core import SqlError, classify
from snowgate.model.statement import StatementClass
from snowgate.review.check import Checked, check_file
from snowgate.review.findings import Finding
from snowgate.review.kinds import is_impossible

from .command import GATEWAY, snowgate

VECTORS = Path(__file__).parents[2] / "vectors"
REFERENCE = VECTORS / "reference"
HEAD = "tags:\n  pii: CRM.PUBLIC.CUSTOMERS.{EMAIL,PHONE}\nrules:\n"
MASK = "  - {name: mask-pii, match: {tag: pii}, mask: redact}\n"
CONFIG = (
    GATEWAY
    + """\
issuers:
  - {oidc: "https://ci.example.com", audience: a, may_give: [etl], groups_from: /groups}
roles:
  - {group: etl, role: etl}
"""
)


def check(folder: Path, rules: str, *, catalog: Path | None = None, head: str = HEAD) -> Checked:
    path = folder / "policy.yaml"
    path.write_text(head + MASK + rules)
    return check_file(path, catalog=catalog, files=False)


def only(checked: Checked) -> Finding:
    [finding] = checked.findings
    return finding


@pytest.mark.parametrize(
    ("rules", "code", "line", "says"),
    [
        (
            "  - {name: reads, match: {class: select, group: a}, allow: true}\n"
            "  - {name: no, match: {class: [select, show]}, deny: why}\n",
            "shadowed",
            5,
            "rule `reads`: never decides: rule `no` (line 6) denies everything it allows",
        ),
        (
            "  - {name: no, match: {class: select, object: CRM.*.T*}, deny: why}\n"
            "  - {name: reads, match: {class: select, object: CRM.PUBLIC.TEST}, allow: true}\n",
            "shadowed",
            6,
            "never decides: rule `no` (line 5)",
        ),
        (
            "  - {name: no, match: {class: select, database: CRM}, deny: why}\n"
            "  - {name: reads, match: {class: select, database: CRM}, allow: true}\n",
            "contradiction",
            6,
            "allows exactly what rule `no` (line 5) denies",
        ),
        (
            "  - {name: makes, match: {class: create, group: a}, allow: true}\n"
            "  - {name: ddl, match: {class: ddl}, hold: {approvers: b}}\n",
            "shadowed",
            5,
            "lets nothing run by itself: rule `ddl` (line 6) holds everything",
        ),
        (
            "  - {name: makes, match: {class: create}, hold: {approvers: a}}\n"
            "  - {name: ddl, match: {class: ddl}, hold: {approvers: b}}\n",
            "hold-conflict",
            5,
            "nobody may approve for it and for rule `ddl` (line 6)",
        ),
        (
            "  - {name: some, match: {class: select, group: a}, allow: true}\n"
            "  - {name: all, match: {class: [select, show]}, allow: true}\n",
            "redundant",
            5,
            "adds nothing: rule `all` (line 6)",
        ),
        (
            "  - {name: one, match: {class: select}, allow: true}\n"
            "  - {name: two, match: {class: select}, allow: true}\n",
            "redundant",
            6,
            "adds nothing: rule `one` (line 5)",
        ),
        (
            "  - {name: one, match: {class: select}, allow: true, limit: {rows: 5}}\n"
            "  - {name: two, match: {class: select}, allow: true, limit: {rows: 5}}\n",
            "redundant",
            6,
            "adds nothing: rule `one` (line 5)",
        ),
        (
            "  - {name: mask-some, match: {tag: pii, group: a}, mask: partial}\n",
            "masked-over",
            5,
            "its mask never shows: rule `mask-pii` (line 4)",
        ),
        (
            "  - {name: reads, match: {class: select, hours: 08:00-10:00,"
            " not: {hours: 07:00-12:00}}, allow: true}\n",
            "never",
            5,
            "`reads` matches: it never applies",
        ),
        (
            "  - {name: no, match: {class: [grant, share], group: a}, except: {group: [a, b]},"
            " deny: why}\n",
            "never",
            5,
            "rules[1].except",
        ),
        (
            "  - {name: stages, match: {class: create, kind: stage}, allow: true}\n",
            "never",
            5,
            "`CREATE STAGE` is of class `stage`",
        ),
        (
            "  - {name: makes, match: {class: create, kind: [stage, table]}, allow: true}\n",
            "kind",
            5,
            "is about kind `stage`; what to do",
        ),
        (
            "  - {name: all, match: {class: insert, unbounded: true}, deny: why}\n",
            "never",
            5,
            "only `update` and `delete` change every row",
        ),
        (
            "  - {name: ask, match: {class: dml}, hold: {approvers: a, unmask: pii}}\n",
            "never",
            5,
            "only `select` shows columns: an approval unmasks nothing",
        ),
    ],
)
def test_a_rule_that_does_not_do_what_it_seems_to_is_a_warning(
    tmp_path: Path, rules: str, code: str, line: int, says: str
) -> None:
    finding = only(check(tmp_path, rules))

    assert finding.level.value == "warning"
    assert (finding.code, finding.where.line) == (code, line)
    assert says in str(finding.where)
    assert finding.where.remedy


@pytest.mark.parametrize(
    "rules",
    [
        "  - {name: all, match: {class: select}, allow: true}\n"
        "  - {name: some, match: {class: select, group: a}, allow: true, limit: {rows: 5}}\n",
        # The exception leaves something.
        "  - {name: reads, match: {class: select}, allow: true}\n"
        "  - {name: no, match: {class: select}, except: {group: a}, deny: why}\n",
        # A denial of what could be there says nothing of what is sure to be.
        "  - {name: drops, match: {class: drop}, hold: {approvers: a}}\n"
        "  - {name: keep, match: {class: drop, database: CRM}, deny: why}\n",
        # Members of both groups are denied, others are not.
        "  - {name: reads, match: {class: select, group: a}, allow: true}\n"
        "  - {name: no, match: {class: select, group: b}, deny: why}\n",
        # What the exception could fit is denied all the same where nobody can tell.
        "  - {name: no, match: {class: drop, database: CRM}, except: {database: CRM}, deny: why}\n",
        # The narrower one lets values go, which the wider one does not.
        "  - {name: ins, match: {class: insert}, allow: true}\n"
        "  - {name: ins-pii, match: {class: insert, launders: pii}, allow: true}\n",
        # The narrower one lets less through.
        "  - {name: reads, match: {class: select}, allow: true}\n"
        "  - {name: few, match: {class: select, group: a}, allow: true, limit: {rows: 9}}\n",
        # The narrower one shows what the wider one does not.
        "  - {name: all, match: {class: select}, hold: {approvers: a}}\n"
        "  - {name: pii, match: {class: select, tag: pii}, hold: {approvers: a, unmask: pii}}\n",
        # Approvers in common.
        "  - {name: ddl, match: {class: ddl}, hold: {approvers: [a, b]}}\n"
        "  - {name: drops, match: {class: drop}, hold: {approvers: b, quorum: 2}}\n",
    ],
)
def test_rules_that_work_together_are_left_in_peace(tmp_path: Path, rules: str) -> None:
    assert check(tmp_path, rules).findings == ()


def test_a_rule_is_named_also_where_its_name_is_a_part_of_another(tmp_path: Path) -> None:
    finding = only(
        check(
            tmp_path,
            "  - {name: drops, match: {class: drop, group: a}, allow: true}\n"
            "  - {name: no-drops, match: {class: drop}, deny: never}\n",
        )
    )

    assert finding.where.problem.startswith("rule `drops`: never decides: rule `no-drops`")


def test_what_is_no_mistake_is_only_noted(tmp_path: Path) -> None:
    checked = check(
        tmp_path,
        "  - {name: reads, match: {class: select}, enforce: false, allow: true}\n"
        "  - {name: keys, match: {class: credential}, deny: never}\n"
        "  - {name: no, match: {class: drop, group: a}, deny: because}\n"
        "  - {name: no-drop, match: {class: drop}, deny: because}\n",
    )

    assert [(one.level.value, one.code, one.rule) for one in checked.findings] == [
        ("note", "not-enforced", "reads"),
        ("note", "built-in", "keys"),
        ("note", "redundant", "no"),
    ]
    assert checked.passes(strict=True)


def test_a_pattern_that_finds_no_column_is_a_warning(tmp_path: Path) -> None:
    head = "tags:\n  pii: ['CRM.PUBLIC.CUSTOMERS.{EMAIL,FON}', CRM.PUBLIC.CUSTMERS.PHONE]\nrules:\n"
    rules = (
        "  - {name: reads, match: {class: select, object: CRM.PUBLIC.ORDRES}, allow: true}\n"
        "  - {name: makes, match: {class: create, schema: CRM.*}, allow: true}\n"
    )

    checked = check(tmp_path, rules, catalog=REFERENCE / "catalog.json", head=head)

    assert [(one.code, one.where.key, one.where.line) for one in checked.findings] == [
        ("no-column", "tags.pii[0]", 2),
        ("no-column", "tags.pii[1]", 2),
        ("no-place", "rules[1].match.object", 5),
    ]
    assert "`CRM.PUBLIC.CUSTOMERS.FON` matches no column" in checked.findings[0].where.problem


def test_what_snowflake_tags_is_no_pattern_that_finds_no_column(tmp_path: Path) -> None:
    head = (
        "tags:\n  gov: {snowflake: A.B.C}\n  pii:\n    columns: CRM.PUBLIC.CUSTOMERS.FON\n"
        "    snowflake: [A.B.PII]\nrules:\n"
    )
    reads = "  - {name: reads, match: {class: select}, allow: true}\n"

    checked = check(tmp_path, reads, catalog=REFERENCE / "catalog.json", head=head)

    assert [
        (one.where.key, one.where.line) for one in checked.findings if one.code == "no-column"
    ] == [("tags.pii.columns", 4)]


def test_a_configuration_knows_its_roles_and_its_gateways_catalog(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "catalog.json").write_text(
        json.dumps({"tables": {"CRM.PUBLIC.CUSTOMERS": [{"name": "EMAIL"}]}})
    )
    rule = "  - {name: reads, match: {class: select, role: elt}, allow: true}\n"

    checked = check(tmp_path, rule, head=CONFIG + HEAD)

    assert [(one.code, one.level.value) for one in checked.findings] == [
        ("no-column", "warning"),
        ("no-role", "warning"),
    ]
    assert "no group is given role `ELT`" in checked.findings[1].where.problem


def test_no_statement_of_the_vectors_has_a_kind_that_is_called_impossible() -> None:
    texts: list[str] = []
    for path in VECTORS.rglob("*.jsonl"):
        for line in path.read_text().splitlines():
            sql = json.loads(line).get("sql")
            texts += sql if isinstance(sql, list) else [sql] if isinstance(sql, str) else []
    seen = set()
    for text in texts:
        try:
            seen |= {(one.object_kind, one.kind) for one in classify(text).statements}
        except SqlError:
            continue

    assert len(seen) > 40
    for kind, of in seen:
        assert not kind or not is_impossible(kind, frozenset({StatementClass(of)})), (kind, of)


def test_the_command_tells_mistakes_with_file_line_key_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(
        HEAD + MASK + "  - {name: reads, match: {class: selct}, allow: true}\n"
        "  - {name: reads, match: {tag: pi}, mask: redact}\n"
    )

    answer = snowgate("check", path)

    assert answer.returncode == 1
    assert answer.stderr == ""
    assert answer.stdout.splitlines() == [
        f"{path}:5: error: rules[1].match.class: `selct` is no statement class",
        "    what to do: did you mean `select`?",
        f"{path}: 1 error",
    ]


def test_warnings_end_with_0_and_strictly_with_1(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(HEAD + "  - {name: reads, match: {class: select}, allow: true}\n")

    plain, strict = snowgate("check", path), snowgate("check", path, "--strict", "--json")

    assert plain.returncode == 0
    assert plain.stdout.splitlines()[0].startswith(f"{path}:2: warning: tags.pii: no enforced rule")
    assert f"{path}: ok, with 1 warning" in plain.stdout
    document = json.loads(strict.stdout)
    assert strict.returncode == 1
    assert (document["kind"], document["warnings"], document["errors"]) == ("policy", 1, 0)
    [finding] = document["findings"]
    assert finding["line"] == 2
    assert finding["remedy"]


@pytest.mark.parametrize("content", [None, b"", b"rules: [", b"\xff", b"rules: 1\n", b"- a\n"])
def test_a_file_that_is_none_is_a_mistake_and_no_traceback(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "policy.yaml"
    if content is not None:
        path.write_bytes(content)

    checked = check_file(path)

    assert checked.value is None
    assert not checked.passes(strict=False)
    assert [*checked.lines()][-1].endswith("1 error")


def test_f26_no_reference_is_read(tmp_path: Path) -> None:
    """The keys that the file names are fifos: whoever opened one would wait for ever."""
    for name in ("snowflake.p8", "catalog.p8"):
        os.mkfifo(tmp_path / name)
    path = tmp_path / "snowgate.yaml"
    path.write_text(CONFIG + HEAD + MASK)

    answer = snowgate("check", path, "--no-files")

    assert answer.returncode == 0, answer.stdout
    assert "ok" in answer.stdout


def test_f29_foreign_text_is_made_visible(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(HEAD + '  - {name: reads, match: {"cl\\e[2Jass": select}, allow: true}\n')

    text = snowgate("check", path).stdout

    assert "\x1b" not in text
    assert "unknown key" in text


def test_the_files_that_come_with_the_project_are_clean() -> None:
    for name in ("reference", "staff"):
        checked = check_file(
            VECTORS / name / "policy.yaml", catalog=VECTORS / name / "catalog.json"
        )
        assert [one for one in checked.findings if one.level.value != "note"] == [], name
