"""`snowgate explain`: the gateway's verdict, and what every rule says."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from snowgate.review.explain import explain
from snowgate.review.page import page
from snowgate.review.setting import Asker, Setting, load_setting
from snowgate.sql.catalog import Catalog

VECTORS = Path(__file__).parents[2] / "vectors"
REFERENCE = VECTORS / "reference"
ANALYST = Asker("analyst", ("analysts",))


@pytest.fixture(scope="module")
def reference() -> Setting:
    return load_setting(policy=REFERENCE / "policy.yaml", catalog=REFERENCE / "catalog.json")


def lines(setting: Setting, sql: str, asker: Asker = ANALYST) -> list[str]:
    return [*page(explain(setting, sql, asker.subject_in(setting)))]


def test_a_masked_query_shows_columns_and_the_rules_behind_them(reference: Setting) -> None:
    shown = lines(reference, "SELECT id, email, UPPER(phone) FROM customers")

    assert shown[0] == "verdict   mask: it runs, and some columns are masked"
    assert "columns   ID            clear" in shown
    assert "          EMAIL         redact  pii" in shown
    assert "          (expression)  void    pii" in shown
    assert "rules     yes  mask-pii         mask redact" in shown
    assert any(
        line.endswith("no   no-exfiltration  deny" + " " * 25 + "class is select") for line in shown
    )


def test_limits_and_budgets_of_a_statement_are_shown(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "rules:\n"
        "  - {name: small, match: {class: select}, allow: true, limit: {rows: 10, bytes: 1KiB}}\n"
        "budgets:\n"
        "  - {name: day, match: {group: analysts}, per: 24h, statements: 5}\n"
        "  - {name: other, match: {group: agents}, per: 24h, statements: 5}\n"
    )
    setting = load_setting(policy=policy, catalog=REFERENCE / "catalog.json")

    shown = lines(setting, "SELECT id FROM orders")
    document = explain(setting, "SELECT id FROM orders", ANALYST.subject_in(setting)).document()

    assert "limit     10 rows, by small" in shown
    assert "limit     1024 bytes, by small" in shown
    assert [line for line in shown if line.startswith("budget")] == [
        "budget    day: what it has taken is not known here"
    ]
    assert document["limit"]["rows"] == {"most": 10, "rule": "small"}
    assert [one["name"] for one in document["budgets"]] == ["day"]


def test_what_an_approval_would_show_is_told(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "tags:\n"
        "  pii: CRM.PUBLIC.CUSTOMERS.EMAIL\n"
        "  phones: CRM.PUBLIC.CUSTOMERS.PHONE\n"
        "rules:\n"
        "  - {name: mask, match: {tag: [pii, phones]}, mask: redact}\n"
        "  - {name: glass, match: {class: select}, hold: {approvers: security, unmask: pii}}\n"
    )
    setting = load_setting(policy=policy, catalog=REFERENCE / "catalog.json")
    sql = "SELECT email, phone FROM customers"

    shown = lines(setting, sql)
    document = explain(setting, sql, ANALYST.subject_in(setting)).document()

    assert any("and then shows `pii` in clear" in line for line in shown)
    assert any("hold for 1 of security, unmasks pii" in line for line in shown)
    assert document["verdict"] == "hold"
    assert document["hold"]["unmask"] == ["pii"]
    assert [one["mask"] for one in document["columns"]] == [None, "redact"]


def test_a_denial_names_the_gateways_own_rule_and_what_to_do(reference: Setting) -> None:
    shown = lines(reference, "SELECT id FROM customers ORDER BY email")

    assert "built in  pii_order: the gateway's own rule" in shown
    assert any(line.startswith("do        order by a column") for line in shown)


def test_a_rule_tells_why_it_does_not_apply(reference: Setting) -> None:
    document = explain(
        reference, "CREATE TABLE t (a INT)", ANALYST.subject_in(reference)
    ).document()

    why = {each["rule"]: each["why"] for each in document["considered"]}
    assert document["verdict"] == "hold"
    assert document["hold"]["approvers"] == ["data-platform"]
    assert why["ddl"] == "fits"
    assert why["new-schemas"] == "kind is table, not schema"
    assert why["reads"] == "class is create"
    assert why["mask-pii"] == "touches no pii"


def test_an_exception_and_not_are_told(reference: Setting) -> None:
    fraud = Asker("fraud", ("fraud-team",)).subject_in(reference)

    schema = explain(reference, "CREATE SCHEMA s", fraud).document()
    query = explain(reference, "SELECT email FROM customers", fraud).document()

    why = {each["rule"]: each["why"] for each in schema["considered"]}
    assert why["ddl"] == "its exception 1 fits"
    why = {each["rule"]: each["why"] for each in query["considered"]}
    assert why["mask-pii"] == "its `not` fits"
    assert query["verdict"] == "allow"


def test_a_refused_text_reads_no_rules(reference: Setting) -> None:
    shown = lines(reference, "SELECT 1; SELECT 2")

    assert "built in  one-statement: the gateway's own rule" in shown
    assert not any(line.startswith("rules") for line in shown)


def test_f29_foreign_text_is_made_visible(reference: Setting) -> None:
    odd = json.dumps({"tables": {"D.S.T": [{"name": "a\u202eb\u001b[2J"}]}})
    catalog = replace(Catalog.from_json(odd), database="D", schema="S")

    text = "\n".join(lines(replace(reference, catalog=catalog), "SELECT * FROM t"))

    assert "\u202e" not in text
    assert "\u001b" not in text
    assert "a<U+202E>b<U+001B>[2J" in text


def test_the_verdict_is_the_one_that_judge_prints(reference: Setting) -> None:
    for line in (VECTORS / "evasions.jsonl").read_text().splitlines()[:60]:
        sql = json.loads(line)["sql"]
        if isinstance(sql, str):
            document = explain(reference, sql, ANALYST.subject_in(reference)).document()
            assert document["verdict"] in {"allow", "mask", "hold", "deny"}
            json.dumps(document)


def test_the_command_prints_a_page_or_json_and_starts_without_what_it_does_not_need() -> None:
    program = (
        "import sys; from snowgate.cli.application import application\n"
        "application(sys.argv[1:], result_action='return_value')\n"
        "heavy = {'trio', 'httpx2', 'jwt', 'cryptography', 'sqlalchemy', 'starlette'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    answer = subprocess.run(
        [
            *(sys.executable, "-c", program, "explain", "SELECT 1", "--json"),
            *("--policy", str(REFERENCE / "policy.yaml")),
            *("--catalog", str(REFERENCE / "catalog.json"), "--as", "analyst"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["verdict"] == "allow"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "give either `--config` or `--policy`"),
        (["--policy", "x.yaml"], "`--policy` needs `--catalog`"),
        (["--policy", "x.yaml", "--catalog", "none.json"], "none.json: cannot be read"),
        (
            [
                *("--policy", str(REFERENCE / "policy.yaml"), "--at", "noon"),
                *("--catalog", str(REFERENCE / "catalog.json")),
            ],
            "no ISO time",
        ),
        (
            [
                *("--policy", str(REFERENCE / "policy.yaml"), "--source", "here"),
                *("--catalog", str(REFERENCE / "catalog.json")),
            ],
            "no IP address",
        ),
    ],
)
def test_wrong_options_are_one_line(options: list[str], says: str) -> None:
    answer = subprocess.run(
        [
            *(sys.executable, "-c", "from snowgate.cli import main; main()"),
            *("explain", "SELECT 1", "--as", "kim", *options),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 2
    assert says in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
