"""`snowgate learn`: a policy that allows the past, and nothing else."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from snowgate.audit.render import visible
from snowgate.config import examine as examine_file
from snowgate.config import load_policy
from snowgate.config.reader import read_document
from snowgate.model.identity import Principal
from snowgate.model.statement import Namespace
from snowgate.policy import Subject, judge
from snowgate.review.check import check_file
from snowgate.review.history import Answer, Left
from snowgate.review.history import Past as Statement
from snowgate.review.learn import Learnt
from snowgate.review.needs import Needs, needs_of
from snowgate.review.proposal import MANY, propose, yaml_lines
from snowgate.review.report import word_of
from snowgate.review.setting import Setting, load_setting
from snowgate.sql.analysis import analyse, examine

from .command import snowgate
from .conftest import REFERENCE, Past

VECTORS = REFERENCE.parent


def learnt(past: Past, *options: object) -> tuple[str, Path]:
    """What the command prints, and the file that it is."""
    answer = snowgate("learn", "--config", past.config, *options)
    assert answer.returncode == 0, answer.stderr
    path = past.root / "learnt.yaml"
    path.write_text(answer.stdout)
    return answer.stdout, path


def word(path: Path, sql: str, group: str, role: str, name: str = "x") -> str:
    setting = load_setting(policy=path, catalog=REFERENCE / "catalog.json")
    issuer = "https://ci.example.com"
    subject = Subject(Principal("CRMDEMO", issuer, name, name), frozenset({group}), role)
    here = Namespace("CRM", "PUBLIC")
    return word_of(judge(setting.policy, analyse(sql, here, setting.catalog, role=role), subject))


def fill(past: Past) -> None:
    past.login("ana", "analysts", "ANALYST")
    past.login("etl", "etl-writers", "ETL")
    past.ran("ana", "SELECT id, email FROM customers", objects=["CRM.PUBLIC.CUSTOMERS"])
    past.ran("ana", "SELECT CURRENT_DATE")
    past.ran("ana", "USE SCHEMA crm.public", "use")
    past.ran("ana", "SHOW TABLES IN SCHEMA crm.public", "show")
    past.ran("ana", "DESCRIBE TABLE orders", "describe")
    past.ran("etl", "INSERT INTO products SELECT * FROM orders", "insert")
    past.ran("etl", "UPDATE orders SET status = 'x' WHERE id = 1", "update")
    past.ran("etl", "SELECT * FROM events", status="error")
    past.held("etl", "DROP TABLE orders")
    past.ran("etl", "DROP TABLE orders", "drop", decision="hold")
    past.denied("ana", "SELECT id FROM customers ORDER BY email", "select", rules=["pii_order"])


def test_the_proposal_is_a_policy_that_passes_check(past: Past) -> None:
    fill(past)

    text, path = learnt(past)

    checked = check_file(path, catalog=REFERENCE / "catalog.json")
    assert checked.value is not None, [*checked.lines()]
    assert checked.passes(strict=True), [*checked.lines()]
    assert "# Learnt from 7 statements that were allowed and succeeded." in text
    assert "#   1 × ana: select by pii_order" in text
    assert "1 waited for approval" in text
    assert "1 failed" in text


def test_the_past_is_allowed_and_masked_as_it_was(past: Past) -> None:
    fill(past)

    _, path = learnt(past)

    ana, etl = ("analysts", "ANALYST"), ("etl-writers", "ETL")
    assert word(path, "SELECT id, email FROM customers", *ana) == "mask"
    assert word(path, "SELECT CURRENT_DATE + 1", *ana) == "allow"
    assert word(path, "USE SCHEMA crm.public", *ana) == "allow"
    assert word(path, "SHOW TABLES IN SCHEMA crm.public", *ana) == "allow"
    assert word(path, "DESCRIBE TABLE orders", *ana) == "allow"
    assert word(path, "INSERT INTO products SELECT * FROM orders", *etl) == "allow"
    assert word(path, "UPDATE orders SET status = 'y' WHERE id = 2", *etl) == "allow"


def test_what_was_not_seen_is_denied_and_what_was_held_stays_held(past: Past) -> None:
    fill(past)

    _, path = learnt(past)

    ana, etl = ("analysts", "ANALYST"), ("etl-writers", "ETL")
    for sql in ("SELECT * FROM orders", "SHOW USERS", "INSERT INTO products SELECT * FROM orders"):
        assert word(path, sql, *ana) == "deny", sql
    for sql in (
        "SELECT * FROM events",
        "SELECT email FROM customers",
        "SELECT * FROM products",
        "INSERT INTO orders SELECT * FROM orders",
    ):
        assert word(path, sql, *etl) == "deny", sql
    assert word(path, "UPDATE orders SET status = 'x'", *etl) == "hold"
    assert word(path, "DROP TABLE orders", *etl) == "hold"
    assert word(path, "COPY INTO @x FROM orders", *etl) == "deny"


def test_grants_are_quoted_text_for_each_role(past: Past) -> None:
    fill(past)
    past.ran("etl", "DELETE FROM orders WHERE id = 3", "delete")

    document = json.loads(snowgate("learn", "--config", past.config, "--json").stdout)

    assert document["grants"]["ANALYST"] == [
        'GRANT USAGE ON WAREHOUSE "DEMO_WH" TO ROLE "ANALYST";',
        'GRANT USAGE ON DATABASE "CRM" TO ROLE "ANALYST";',
        'GRANT USAGE ON SCHEMA "CRM"."PUBLIC" TO ROLE "ANALYST";',
        'GRANT SELECT ON TABLE "CRM"."PUBLIC"."CUSTOMERS" TO ROLE "ANALYST";',
    ]
    etl = document["grants"]["ETL"]
    assert 'GRANT USAGE ON WAREHOUSE "etl wh" TO ROLE "ETL";' in etl
    assert 'GRANT DELETE, SELECT, UPDATE ON TABLE "CRM"."PUBLIC"."ORDERS" TO ROLE "ETL";' in etl
    # What is deleted by a condition is read.
    assert 'GRANT INSERT ON TABLE "CRM"."PUBLIC"."PRODUCTS" TO ROLE "ETL";' in etl
    assert document["revokes"]["ETL"][0] == (
        'REVOKE ALL PRIVILEGES ON ALL TABLES IN SCHEMA "CRM"."PUBLIC" FROM ROLE "ETL";'
    )
    assert document["denied"] == [
        {"principal": "ana", "class": "select", "rules": ["pii_order"], "count": 1}
    ]
    assert document["policy"].startswith("tags:\n  pii: ")


def test_one_principal_or_group_alone_revokes_nothing(past: Past) -> None:
    fill(past)

    text, path = learnt(past, "--principal", "ana")
    other, _ = learnt(past, "--group", "etl-writers")

    assert "learnt-analysts-1" in text
    assert "learnt-etl-writers" not in text
    assert "REVOKE" not in text
    assert "learnt-analysts" not in other
    assert load_policy(path)


def test_who_has_no_group_is_named_by_identity(past: Past) -> None:
    past.login("bot", "analysts", "ANALYST", groups=[])
    past.ran("bot", "SELECT id FROM orders")

    _, path = learnt(past)

    assert word(path, "SELECT id FROM orders", "none", "ANALYST", "bot") == "allow"
    assert word(path, "SELECT id FROM orders", "none", "ANALYST", "other") == "deny"


def test_a_destroyed_text_is_learnt_from_what_the_entry_says(past: Past) -> None:
    past.login("etl", "etl-writers", "ETL")
    past.ran(
        "etl",
        "INSERT INTO products SELECT * FROM orders",
        "insert",
        objects=["CRM.PUBLIC.ORDERS", "CRM.PUBLIC.PRODUCTS"],
    )
    shutil.rmtree(past.root / "data" / "text-keys")

    text, path = learnt(past)

    assert "1 were learnt from classes and objects alone" in text
    sql = "INSERT INTO products SELECT * FROM orders"
    assert word(path, sql, "etl-writers", "ETL") == "allow"


def test_many_objects_of_a_schema_become_the_schema(past: Past) -> None:
    past.login("etl", "etl-writers", "ETL")
    for number in range(MANY):
        past.ran("etl", f"SELECT * FROM crm.tmp.t{number}")
    past.ran("etl", "SELECT id FROM orders")

    text, _ = learnt(past)

    assert "schema: [CRM.TMP]" in text
    assert "object: [CRM.PUBLIC.ORDERS]" in text


def test_f29_names_of_the_past_neither_act_nor_become_sql(past: Past) -> None:
    past.login("ana", "analysts", "ANALYST", principal="ana\x1b[2J")
    past.denied("ana", "SELECT 1", "select", rules=["x\u202e"])
    past.ran("ana", 'SELECT * FROM "a""; DROP TABLE x; --"."b\u00a0c"."d.e"')
    past.ran("ana", "SELECT 1", "insert", objects=['C"R.P\nQ.T', "C\u202eM.P.T"])

    text, path = learnt(past)

    assert load_policy(path)
    for line in text.splitlines():
        assert line == visible(line)
    assert not any(line.startswith("DROP") for line in text.splitlines())
    assert "#   -- by hand, for a name that does not show" in text


@pytest.mark.parametrize("catalog", ["reference", "staff"])
def test_the_proposal_judges_every_statement_that_it_was_learnt_from_as_allowed(
    catalog: str, tmp_path: Path
) -> None:
    folder = VECTORS / catalog
    setting = load_setting(policy=folder / "policy.yaml", catalog=folder / "catalog.json")
    history = [*allowed(setting, folder.rglob("*.jsonl"))]
    assert len(history) > 30

    needs = needs_of(history, setting)

    assert needs.guessed == 0
    path = tmp_path / "learnt.yaml"
    tags: dict[str, list[str]] = {each.tag: [] for each in setting.policy.tags}
    for each in setting.policy.tags:
        tags[each.tag].append(str(each.columns))
    whole = Learnt(needs, Left(), {"tags": tags}, [], [], propose(needs.counts), {}, {})
    path.write_text("\n".join(whole.lines()))
    proposed = load_setting(policy=path, catalog=folder / "catalog.json")
    for past in history:
        statement = analyse(past.text or "", past.namespace, setting.catalog, role="R")
        verdict = judge(proposed.policy, statement, past.subject)
        # Without the mask rules its tags are void for everybody, and no less is allowed.
        assert word_of(verdict) in ("allow", "mask"), (past.text, verdict)


def allowed(setting: Setting, files: Iterable[Path]) -> Iterable[Statement]:
    """The statements of the vectors that a policy lets run by itself, as a history."""
    catalog = setting.catalog
    here = Namespace(catalog.database, catalog.schema)
    groups = frozenset({"analysts", "etl-writers"})
    subject = Subject(Principal("A", "https://i.example.com", "1", "n"), groups, "R", at_s=0.0)
    for path in files:
        for line in path.read_text().splitlines():
            sql = json.loads(line).get("sql")
            for text in sql if isinstance(sql, list) else [sql] if isinstance(sql, str) else []:
                statement = examine(text, here, catalog, role="R").statement
                answer = word_of(judge(setting.policy, statement, subject))
                if answer in ("allow", "mask"):
                    yield Statement(
                        at_s=0.0,
                        reference="r",
                        subject=subject,
                        namespace=here,
                        kind=statement.kind.value,
                        objects=(),
                        complete=True,
                        rules=(),
                        answer=Answer(answer),
                        text=text,
                        succeeded=True,
                    )


@pytest.mark.parametrize("name", ["reference", "staff"])
def test_a_policy_that_is_written_out_is_the_same(name: str, tmp_path: Path) -> None:
    examined = examine_file(VECTORS / name / "policy.yaml")
    assert examined.source is not None
    beside, rules = examined.source.plain()
    path = tmp_path / "written.yaml"
    odd = ["", "true", "no", "1", "a: b", "- x", "#", "\u202e\n", "'", '"', "é", "[", "{a}", "*a"]

    path.write_text("\n".join(yaml_lines({**beside, "rules": rules})) + "\n")
    assert load_policy(path).policy.digest == examined.loaded().policy.digest

    path.write_text("\n".join(yaml_lines({"rules": odd, "x": {"y": odd, "z": {}, "w": []}})))
    plain = read_document("f", path.read_bytes()).root.plain()
    assert plain == {"rules": odd, "x": {"y": odd, "z": {}, "w": []}}


def test_a_limit_that_is_not_taken_over_is_told(past: Past) -> None:
    text = past.config.read_text()
    past.config.write_text(text.replace("allow: true\n", "allow: true\n    limit: {rows: 7}\n", 1))

    told, _ = learnt(past)

    assert "# No learnt rule has the `limit:` of reads: add it by hand." in told


def test_nothing_seen_allows_nothing(past: Past) -> None:
    text, path = learnt(past)

    assert "Learnt from 0 statements" in text
    assert word(path, "SELECT 1", "analysts", "ANALYST") == "deny"


def test_needs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snowgate.review.needs.MAX_NEEDS", 2)
    setting = load_setting(policy=REFERENCE / "policy.yaml", catalog=REFERENCE / "catalog.json")
    history = [*allowed(setting, [VECTORS / "reference" / "benign.jsonl"])]

    needs: Needs = needs_of(history, setting)

    assert len(needs.counts) == 2
    assert needs.overflows
