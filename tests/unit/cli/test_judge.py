"""`snowgate judge`: the verdicts of the gateway, offline."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).parents[2] / "vectors"
REFERENCE = VECTORS / "reference"
STRICTNESS = ("allow", "mask", "hold", "deny")


def run(statements: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-c", "from snowgate.cli import main; main()", "judge"),
            str(statements),
            *options,
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def judge(path: Path, items: list[dict[str, Any]], *options: str) -> list[dict[str, Any]]:
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    options = options or (
        *("--policy", str(REFERENCE / "policy.yaml")),
        *("--catalog", str(REFERENCE / "catalog.json")),
        *("--as", "analyst", "--groups", "analysts"),
    )
    answer = run(path, *options)
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_the_evasion_set_is_judged_as_labelled(tmp_path: Path) -> None:
    items = [json.loads(line) for line in (VECTORS / "evasions.jsonl").read_text().splitlines()]
    answers = judge(tmp_path / "in.jsonl", [{"id": i["id"], "sql": i["sql"]} for i in items])

    for item, answer in zip(items, answers, strict=True):
        expected = {
            "hold" if word == "approve" else word
            for word in (item["expected"], *item.get("also_ok", ()))
        }
        assert answer["verdict"] in expected, item
        if answer["verdict"] == "mask" and "masked" in item:
            masked = [at for at, column in enumerate(answer["columns"]) if column["mask"]]
            assert masked == item["masked"], item


def test_a_list_is_one_session_and_its_strictest_verdict_counts(tmp_path: Path) -> None:
    sql = ["USE SCHEMA crm.public", "SELECT email, id FROM customers", "SELECT 1"]

    [answer] = judge(tmp_path / "in.jsonl", [{"id": 1, "sql": sql}])

    assert answer["verdict"] == "mask"
    assert [each["verdict"] for each in answer["statements"]] == ["allow", "mask", "allow"]
    assert answer["statements"][1]["columns"] == [
        {"name": "EMAIL", "tags": ["pii"], "mask": "redact"},
        {"name": "ID", "tags": [], "mask": None},
    ]


def test_another_bank_of_tables_with_quoted_names_and_nested_views(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.json"
    catalog.write_text(
        json.dumps(
            {
                "tables": {
                    "LABDB.Trial Data.Visit Log": [
                        {"name": "Visit", "type": "NUMBER", "tags": []},
                        {"name": "patientName", "type": "VARCHAR", "tags": ["phi"]},
                    ]
                },
                "views": {
                    "LABDB.Trial Data.Inner": 'SELECT * FROM "Visit Log"',
                    "LABDB.Trial Data.OUTER_V": 'SELECT "patientName" AS n, "Visit" FROM "Inner"',
                },
                "session": {"database": "LABDB", "schema": "Trial Data"},
                "secure_views": [],
            }
        )
    )
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "rules:\n"
        "  - {name: hide-phi, match: {tag: phi}, mask: 'null'}\n"
        "  - {name: reads, match: {class: select}, allow: true}\n"
    )

    [answer, denied] = judge(
        tmp_path / "in.jsonl",
        [
            {"id": "a", "sql": "SELECT * FROM outer_v"},
            {"id": "b", "sql": 'SELECT 1 FROM "visit log"'},
        ],
        *("--policy", str(policy), "--catalog", str(catalog), "--as", "kim", "--groups", ""),
    )

    assert [column["mask"] for column in answer["columns"]] == ["null", None]
    assert denied["verdict"] == "deny"


@pytest.mark.parametrize("given", ["", None, 10**30, {"a": [1]}, "\ud800", "ü\n"])
def test_an_id_comes_back_as_it_came(tmp_path: Path, given: object) -> None:
    [answer] = judge(tmp_path / "in.jsonl", [{"id": given, "sql": "SELECT 1"}])

    assert answer["id"] == given


def test_half_a_character_is_refused_and_the_lines_after_it_are_judged(tmp_path: Path) -> None:
    items = [{"id": 1, "sql": "SELECT '\udfff'"}, {"id": 2, "sql": "SELECT 1"}]

    answers = judge(tmp_path / "in.jsonl", items)

    assert [answer["verdict"] for answer in answers] == ["deny", "allow"]


def test_views_that_never_end_are_not_known(tmp_path: Path) -> None:
    catalog = json.loads((REFERENCE / "catalog.json").read_text())
    catalog["views"] |= {
        "CRM.PUBLIC.ROUND": "SELECT * FROM ABOUT",
        "CRM.PUBLIC.ABOUT": "SELECT * FROM ROUND",
        "CRM.PUBLIC.GONE": "SELECT * FROM NO_SUCH_TABLE",
        "CRM.PUBLIC.LONG_0": "SELECT * FROM CUSTOMERS",
        **{f"CRM.PUBLIC.LONG_{n}": f"SELECT * FROM LONG_{n - 1}" for n in range(1, 20)},
    }
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))

    answers = judge(
        tmp_path / "in.jsonl",
        [{"id": name, "sql": f"SELECT email FROM {name}"} for name in ("round", "gone", "long_19")],
        *("--policy", str(REFERENCE / "policy.yaml"), "--as", "analyst"),
        *("--catalog", str(tmp_path / "catalog.json")),
    )

    assert [answer["verdict"] for answer in answers] == ["deny", "deny", "mask"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"id": NaN, "sql": "SELECT 1"}', "in.jsonl:1: is no JSON: NaN"),
        ("[" * 100_000, "in.jsonl:1: is nested too deep"),
        ("[]", "in.jsonl:1: sql: must be a text"),
        ("{", "in.jsonl:1: is no JSON"),
        ('{"id": 1}', "in.jsonl:1: sql: must be a text"),
        ('{"id": 1, "sql": []}', "in.jsonl:1: sql: must be a text"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(line + "\n")

    answer = run(
        path,
        *("--policy", str(REFERENCE / "policy.yaml")),
        *("--catalog", str(REFERENCE / "catalog.json"), "--as", "analyst"),
    )

    assert answer.returncode != 0
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr
