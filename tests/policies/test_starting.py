"""The policies that users start from keep what their cases promise."""

import subprocess
import sys
from pathlib import Path

import pytest

from snowgate.cli.policies import CATALOG, STARTING, policy_files
from snowgate.config import Case, load_cases, load_policy
from snowgate.review.explain import explain
from snowgate.review.page import page
from snowgate.review.setting import Asker

from .cases import check, setting_of
from .shipped import path_of

ALL = [
    pytest.param(name, case, id=f"{name}: {case.name}")
    for name in STARTING
    for case in load_cases(path_of(policy_files(name)[1])).cases
]


@pytest.mark.parametrize(("name", "case"), ALL)
def test_a_starting_policy_keeps_its_promise(name: str, case: Case) -> None:
    check(setting_of(path_of(policy_files(name)[0])), case)


@pytest.mark.parametrize("name", STARTING)
def test_a_starting_policy_is_valid_as_it_stands(name: str) -> None:
    assert load_policy(path_of(policy_files(name)[0])).warnings == ()


def test_an_agent_takes_little_at_a_time_whatever_it_reads() -> None:
    setting = setting_of(path_of("ai-agent.yaml"))
    subject = Asker("agent", ("ai-agents",)).subject_in(setting)

    for sql in (
        "SELECT id FROM customers WHERE email = 'ada@example.com'",
        "SELECT SEQ4() FROM TABLE(GENERATOR(ROWCOUNT => 1000000))",
        "SELECT table_name FROM crm.information_schema.tables",
    ):
        explanation = explain(setting, sql, subject)
        assert explanation.verdict.limit.rows is not None
        assert explanation.verdict.limit.bytes is not None
        assert "agent-hour" in [budget.name for budget in explanation.verdict.budgets]
        assert "limit     5000 rows, by agent-" in "\n".join(page(explanation))


def test_every_shipped_file_belongs_to_a_policy_of_the_list() -> None:
    known = {CATALOG, *(file for name in STARTING for file in policy_files(name))}

    assert {path.name for path in path_of("").iterdir()} == known


def snowgate(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = "from snowgate.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", command, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_policy_is_written_once_and_never_over_another(tmp_path: Path) -> None:
    first = snowgate("policy", "init", "dbt", cwd=tmp_path)
    (tmp_path / "dbt.yaml").write_text("mine")
    second = snowgate("policy", "init", "dbt", cwd=tmp_path)
    other = snowgate("policy", "init", "analyst", cwd=tmp_path)

    assert first.stdout.splitlines() == ["dbt.yaml", "dbt.cases.yaml", "catalog.json"]
    assert second.returncode == 2
    assert "dbt.yaml is there already" in second.stderr
    assert (tmp_path / "dbt.yaml").read_text() == "mine"
    assert other.stdout.splitlines() == ["analyst.yaml", "analyst.cases.yaml"]


@pytest.mark.parametrize("name", STARTING)
def test_a_policy_that_was_written_passes_its_own_cases(name: str, tmp_path: Path) -> None:
    snowgate("policy", "init", name, cwd=tmp_path)

    tested = snowgate("test", f"{name}.yaml", cwd=tmp_path)
    checked = snowgate("check", f"{name}.yaml", "--strict", cwd=tmp_path)

    assert (tested.returncode, tested.stderr) == (0, "")
    assert "cases passed" in tested.stdout
    assert checked.returncode == 0, checked.stdout


def test_the_list_names_every_policy(tmp_path: Path) -> None:
    listed = snowgate("policy", "list", cwd=tmp_path)
    unknown = snowgate("policy", "init", "nosuch", cwd=tmp_path)

    assert [line.split()[0] for line in listed.stdout.splitlines()] == [*STARTING]
    assert unknown.returncode == 2
    assert "choose from analyst, dbt" in unknown.stderr
