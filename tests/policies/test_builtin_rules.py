"""The page of built-in rules names every one of them, and its examples are true."""

import re
from pathlib import Path

import pytest

from snowgate.model.statement import Violation
from snowgate.policy import Subject, judge
from snowgate.policy.builtin import RESERVED
from snowgate.review.setting import Asker, Setting
from snowgate.sql.functions import Effect
from snowgate.sql.session import analyse_session
from snowgate.sql.state import Knob

from .cases import setting_of
from .shipped import path_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "policy" / "builtin-rules.md").read_text()
SECTION = re.compile(r"^### `([\w-]+)`\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = {found[1]: found[2] for found in SECTION.finditer(PAGE)}
ROWS = set(re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE))
FENCE = re.compile(r"```sql (denied|instead)( generated)?(?: policy=(\w+))?\n(.*?)```", re.DOTALL)

GATE = re.compile(r"(?:Refusal|Self)::(?:denied|with)\([^\"]*?\"([a-z-]+)\"", re.DOTALL)
# Where the other rooms name a rule of their own.
SOURCES = (
    ("python", "*.py", re.compile(r"\bRefus(?:ed|al)\(\s*\"([a-z-]+)\"")),
    ("python", "*.py", re.compile(r"\bdenial\(\s*\"([a-z-]+)\"")),
    ("rust/sql/src", "*.rs", re.compile(r"\brule: \"([a-z-]+)\"")),
    (
        "rust/gate/src",
        "*.rs",
        re.compile(r"(?:Refusal|Self)::(?:denied|with)\([^\"]*?\"([a-z-]+)\"", re.DOTALL),
    ),
)


def named_in_sources() -> set[str]:
    return {
        name
        for folder, files, pattern in SOURCES
        for path in (ROOT / folder).rglob(files)
        for name in pattern.findall(path.read_text())
    }


KNOWN = (
    RESERVED
    | {knob.value for knob in Knob}
    | {f"function-{effect.value}" for effect in (Effect.READS_BY_NAME, Effect.EXTERNAL)}
    | {f"function-{Effect.DELAY.value}"}
    | named_in_sources()
)


def test_the_page_names_every_built_in_rule_once_and_no_other() -> None:
    assert SECTIONS.keys() | ROWS == KNOWN
    assert SECTIONS.keys().isdisjoint(ROWS)


def test_no_rule_of_a_policy_may_take_the_name_of_a_built_in_one() -> None:
    assert RESERVED <= KNOWN
    # About a connection, and natural names of rules: `session`.
    assert {name for name in KNOWN - RESERVED if "-" in name or "_" in name} == set()


@pytest.mark.parametrize("knob", Knob)
def test_a_knob_says_how_to_rewrite_the_statement(knob: Knob) -> None:
    assert len(knob.remedy) > 40
    assert knob.remedy == knob.remedy.strip(" .")
    assert not knob.remedy[:1].isupper()
    assert knob.value in SECTIONS


def examples() -> list[object]:
    found = []
    for rule, text in SECTIONS.items():
        for kind, generated, policy, block in FENCE.findall(text):
            statements = block.strip().splitlines()
            if generated:
                values = ", ".join(f"'{number}@example.com'" for number in range(51))
                statements = [each.replace("{51 constants}", values) for each in statements]
            found += [
                pytest.param(rule, kind, policy or "analyst", sql, id=f"{rule} {kind}: {sql[:60]}")
                for sql in statements
            ]
    return found


@pytest.mark.parametrize(("rule", "kind", "policy", "sql"), examples())
def test_an_example_of_the_page_is_judged_as_it_says(
    rule: str, kind: str, policy: str, sql: str
) -> None:
    setting = setting_of(path_of(f"{policy}.yaml"))
    groups = {"analyst": "analysts"}.get(policy, policy)
    subject = Asker(policy, (groups,)).subject_in(setting)
    made = "CREATE TABLE crm.dbt.contacts (id INT, mail VARCHAR)"
    statement = analyse_session([made, sql], setting.catalog, role=subject.role)[-1]

    verdict = judge(setting.policy, statement, subject)

    if kind == "denied":
        assert rule in verdict.rules, (verdict.rules, verdict.reason)
    else:
        assert verdict.decision.value == "allow", (verdict.rules, verdict.reason)


def test_every_knob_has_examples_of_both_kinds() -> None:
    for knob in Knob:
        kinds = {kind for kind, *_ in FENCE.findall(SECTIONS[knob.value])}
        assert kinds == {"denied", "instead"}, knob


def test_the_message_on_the_page_is_the_message_of_the_gateway() -> None:
    setting = setting_of(path_of("analyst.yaml"))
    subject = Asker("analyst", ("analysts",)).subject_in(setting)
    told = denial_of(setting, subject, "SELECT id FROM customers ORDER BY ssn")

    assert " ".join(f"denied by rule pii_order: {told.reason};".split()) in " ".join(PAGE.split())
    assert told.remedy in " ".join(PAGE.split())


def denial_of(setting: Setting, subject: Subject, sql: str) -> Violation:
    (statement,) = analyse_session([sql], setting.catalog, role=subject.role)
    (violation,) = statement.violations
    return violation
