"""`snowgate test`: the cases of a policy."""

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from snowgate.cli.policies import CATALOG, STARTING, policy_files, shipped

from .command import Answer, snowgate

REFERENCE = Path(__file__).parents[2] / "vectors" / "reference"
CASES = """\
cases:
  - name: analysts see no email
    as: ana
    groups: analysts
    sql: SELECT id, email FROM customers
    expect: {verdict: mask, rules: [mask-pii, reads], masked: EMAIL}
  - name: an expression is counted
    as: ana
    sql: SELECT id, UPPER(email) FROM customers
    expect: {verdict: mask, masked: [2]}
  - name: the fraud team sees everything
    as: eve
    groups: [fraud-team, analysts]
    sql: SELECT * FROM customers
    expect: {verdict: allow, masked: []}
  - {name: files, as: ana, sql: COPY INTO @out FROM orders, expect: deny}
  - name: a session
    as: etl
    schema: other
    sql: [USE SCHEMA crm.public, CREATE TABLE t AS SELECT id FROM orders]
    expect: {verdict: hold}
  - name: the same in other words
    as: {name: ana, groups: [analysts]}
    sql: [SELECT email FROM customers, SELECT phone FROM customers]
    verdict: mask
    each: true
    rules: mask-pii
    masked: [PHONE]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("policy.yaml", "catalog.json"):
        shutil.copy(REFERENCE / name, tmp_path)
    return tmp_path


def run(folder: Path, cases: str, *options: object) -> Answer:
    (folder / "policy.cases.yaml").write_text(cases)
    return snowgate("test", folder / "policy.yaml", *options)


def test_the_cases_beside_a_policy_pass(folder: Path) -> None:
    answer = run(folder, CASES)

    assert answer.stdout == "6 cases passed\n"
    assert (answer.returncode, answer.stderr) == (0, "")


def test_a_failed_case_shows_what_was_expected_what_came_and_why(folder: Path) -> None:
    cases = CASES.replace("rules: [mask-pii, reads], masked: EMAIL", "rules: ddl, masked: [ID]")

    answer = run(folder, cases.replace("expect: deny", "expect: allow"))

    lines = answer.stdout.splitlines()
    assert answer.returncode == 1
    assert lines[0] == f"FAILED  analysts see no email  {folder}/policy.cases.yaml:2"
    assert "  rules       expected ddl, got mask-pii, reads" in lines
    assert "  masked      expected ID, got EMAIL" in lines
    assert "  sql         SELECT id, email FROM customers" in lines
    assert "  as          ana, analysts, role ANA" in lines
    assert "    rules     yes  mask-pii         mask redact" in lines
    assert "  verdict     expected allow, got deny" in lines
    assert lines[-1] == "2 of 6 cases failed"


def test_programs_read_json_and_junit(folder: Path) -> None:
    report = folder / "report.xml"

    answer = run(folder, CASES.replace("expect: deny", "expect: hold"), "--json", "--junit", report)

    document = json.loads(answer.stdout)
    assert (document["passed"], document["failed"]) == (5, 1)
    [failed] = [case for case in document["cases"] if not case["passed"]]
    assert failed["differences"] == [{"what": "verdict", "expected": "hold", "got": "deny"}]
    suite = ElementTree.parse(report).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("6", "1")
    assert [case.get("name") for case in suite if len(case)] == ["files"]


@pytest.mark.parametrize(
    ("cases", "says"),
    [
        ("cases: []\n", "policy.cases.yaml:1: cases: must not be empty"),
        (
            "cases:\n  - {name: a, as: b, sql: SELECT 1, expect: maybe}\n",
            "policy.cases.yaml:2: cases[0].expect.verdict: must be",
        ),
        (
            "cases:\n  - {name: a, sql: SELECT 1, verdict: deny}\n",
            "policy.cases.yaml:2: cases[0].as: is missing",
        ),
        (
            "cases:\n  - {name: a, as: b, sql: SELECT 1, verdict: deny, expect: deny}\n",
            "policy.cases.yaml:2: cases[0]: needs one verdict",
        ),
        (
            "cases:\n  - name: a\n    as: b\n    sq: SELECT 1\n    expect: deny\n",
            "policy.cases.yaml:4: cases[0].sq: unknown key; what to do: did you mean `sql`?",
        ),
        (
            "cases:\n"
            "  - {name: a, as: b, sql: SELECT 1, expect: deny}\n"
            "  - {name: a, as: b, sql: SELECT 1, expect: deny}\n",
            "policy.cases.yaml:3: cases[1].name: case 1 has this name too",
        ),
        (
            "cases:\n  - {name: a, as: b, at: noon, sql: SELECT 1, expect: deny}\n",
            "policy.cases.yaml:2: case `a`: no ISO time",
        ),
        (
            "cases:\n  - {name: a, as: b, sql: SELECT 1, expect: {verdict: mask, masked: 0}}\n",
            "cases[0].expect.masked",
        ),
    ],
)
def test_a_mistake_in_a_case_is_told_with_its_line(folder: Path, cases: str, says: str) -> None:
    answer = run(folder, cases)

    assert answer.returncode == 2
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_case_tells_the_time_and_the_address(folder: Path) -> None:
    policy = folder / "policy.yaml"
    policy.write_text(
        policy.read_text()
        + "  - {name: nights, match: {class: insert, hours: 00:00-06:00}, deny: not at night}\n"
        "  - {name: office, match: {class: delete, source: 192.0.2.0/24}, deny: not from there}\n"
    )
    cases = """\
cases:
  - {name: by night, as: e, at: 2026-11-24T05:59, sql: INSERT INTO orders SELECT * FROM orders,
     expect: {verdict: deny, rules: nights}}
  - {name: by day, as: e, at: 2026-11-24T06:00, sql: INSERT INTO orders SELECT * FROM orders,
     expect: allow}
  - {name: from there, as: e, source: 192.0.2.7, sql: DELETE FROM orders WHERE id = 1,
     expect: {verdict: deny, rules: office}}
  - {name: from here, as: e, source: 198.51.100.7, sql: DELETE FROM orders WHERE id = 1,
     expect: allow}
"""

    assert run(folder, cases).stdout == "4 cases passed\n"


def test_what_is_missing_is_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    alone = shutil.copy(folder / "policy.yaml", tmp_path / "alone")
    wrong = tmp_path / "alone" / "wrong.yaml"
    wrong.write_text("rulez: []\n")

    good = tmp_path / "good.yaml"
    good.write_text(CASES)
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)

    for options, says in (
        ([folder / "policy.yaml"], "no cases beside"),
        ([alone, good], "catalog.json: cannot be read"),
        ([wrong, good], "wrong.yaml:1: rulez: unknown key"),
        ([folder / "none.yaml", good], "none.yaml: cannot be read"),
        ([folder / "policy.yaml", good, "--catalog", deep], "is nested too deep"),
        ([folder / "policy.yaml", "x.cases.yaml"], "x.cases.yaml: cannot be read"),
    ):
        answer = snowgate("test", *options)
        assert answer.returncode == 2
        assert says in answer.stderr, answer.stderr
        assert "Traceback" not in answer.stderr


def test_a_case_of_each_statement_fails_by_one_of_them(folder: Path) -> None:
    cases = (
        "as: ana\ncases:\n  - {name: all denied, sql: [COPY INTO @x FROM orders, SELECT 1],"
        " verdict: deny, each: true}\n"
    )

    answer = run(folder, cases)

    assert answer.returncode == 1
    assert "  verdict     expected deny, got allow" in answer.stdout


@pytest.mark.parametrize("name", STARTING)
def test_the_policies_to_start_from_pass_their_cases(name: str, tmp_path: Path) -> None:
    for each in (*policy_files(name), CATALOG):
        (tmp_path / each).write_bytes(shipped(each).read_bytes())

    answer = snowgate("test", tmp_path / policy_files(name)[0])

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.endswith("cases passed\n")


def test_the_cases_of_the_documentation_pass(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "policy" / "tools.md").read_text()
    [cases] = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for each in (*policy_files("analyst"), CATALOG):
        (tmp_path / each).write_bytes(shipped(each).read_bytes())
    (tmp_path / "page.cases.yaml").write_text(cases)

    answer = snowgate("test", tmp_path / "analyst.yaml", tmp_path / "page.cases.yaml")

    assert answer.stdout == "2 cases passed\n"


def test_f29_foreign_text_of_a_case_is_made_visible(folder: Path) -> None:
    cases = (
        'cases:\n  - {name: a, as: b, expect: {verdict: hold, masked: ["\\e[2J"]},'
        ' sql: "SELECT\\u202e 1\\e[2J"}\n'
    )

    answer = run(folder, cases, "--junit", folder / "report.xml")

    for text in (answer.stdout, answer.stderr, (folder / "report.xml").read_text()):
        assert "\x1b" not in text
        assert "\u202e" not in text
