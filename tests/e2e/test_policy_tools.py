"""What-if and learn on the ledger of a real driver's statements, and check of its gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snowgate.demo.configuration import policy_text

from .connector import DriverError, rows_of
from .rig import Rig, soon

HELD = "CREATE TABLE crm.public.made_here (id INT)"
# A role that nobody has made upstream.
MISSING = "  - {group: fraud-team, role: NOT_THERE}\n"


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A world of its own, in which an analyst and a writer have worked."""
    rig = Rig.start(
        tmp_path_factory.mktemp("tools"),
        *("--big-rows", "1000"),
        config_edit=lambda text: text.replace("roles:\n", f"roles:\n{MISSING}", 1),
    )
    with rig.driver("analyst") as session:
        session.run("SELECT id, email FROM customers WHERE email = 'canary@example.com'")
        for number in (4711, 4712, 4713):
            session.run(f"SELECT id, status FROM orders WHERE id = {number}")
        session.run("SELECT CURRENT_DATE")
        session.run("USE SCHEMA crm.public")
        session.run("SHOW TABLES IN SCHEMA crm.public")
        with pytest.raises(DriverError):
            session.run("SELECT id FROM customers ORDER BY email")
        with pytest.raises(DriverError):
            session.run("SELECT nothing FROM orders")
    with rig.driver("etl") as session:
        session.run("DELETE FROM events WHERE id = -1")
        session.run("INSERT INTO products SELECT * FROM products WHERE id = -1")
        waiting = session.start(HELD)
        rig.approve(HELD)
        rows_of(waiting)
    yield rig
    rig.stop()


def document(rig: Rig, *arguments: str) -> dict[str, Any]:
    answer = rig.cli(*arguments, "--config", str(rig.layout.config_file), "--json")
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def policy(folder: Path, added: str = "") -> str:
    path = folder / "policy.yaml"
    path.write_text(policy_text() + added)
    return str(path)


def test_a_role_that_upstream_does_not_have_is_told_at_start(used: Rig) -> None:
    def told() -> list[str]:
        return [
            str(entry.fields["detail"])
            for entry in used.entries()
            if entry.kind == "alert" and entry.fields.get("alert") == "role-missing"
        ]

    assert soon(told)
    [detail] = told()
    assert "role `NOT_THERE`" in detail
    assert "`fraud-team`" in detail
    assert "role `NOT_THERE` does not exist upstream" in used.layout.log("gateway").read_text()


def test_the_policy_in_force_judges_its_own_past_as_it_did(used: Rig, tmp_path: Path) -> None:
    found = document(used, "what-if", policy(tmp_path))

    assert found["policy"] == found["present"]
    assert found["judged"] >= 10
    assert (found["changed"], found["elsewhere"]) == (0, 0)
    assert set(found["not_judged"].values()) == {0}


def test_what_another_policy_changes_is_told_without_values(used: Rig, tmp_path: Path) -> None:
    added = (
        "\n  - {name: no-orders, match: {class: select, object: CRM.PUBLIC.ORDERS},"
        " deny: not yours}\n"
    )

    found = document(used, "what-if", policy(tmp_path, added))
    page = used.cli(
        "what-if", policy(tmp_path, added), "--config", str(used.layout.config_file)
    ).stdout

    form = "SELECT ID, STATUS FROM ORDERS WHERE ID = ?"
    [change] = [each for each in found["changes"] if each["template"] == form]
    assert change["count"] == 3
    assert change["principal"] == "analyst"
    assert (change["was"]["verdict"], change["would"]["verdict"]) == ("allow", "deny")
    references = {entry.fields.get("reference") for entry in used.entries()}
    assert set(change["references"]) <= references
    assert "allow → deny    3 × by analyst, select" in page
    assert "4711" not in page + json.dumps(found)
    assert "canary" not in page + json.dumps(found)


def test_what_is_learnt_allows_the_past_and_nothing_else(used: Rig, tmp_path: Path) -> None:
    config = str(used.layout.config_file)
    learnt = tmp_path / "learnt.yaml"

    answer = used.cli("learn", "--config", config)
    learnt.write_text(answer.stdout)

    assert answer.returncode == 0, answer.stderr
    assert 'GRANT SELECT ON TABLE "CRM"."PUBLIC"."ORDERS" TO ROLE "ANALYST";' in answer.stdout
    assert "× analyst: select by pii_order" in answer.stdout
    assert "# 1 waited for approval" in answer.stdout
    checked = used.cli("check", str(learnt), "--strict")
    assert checked.returncode == 0, checked.stdout
    tried = document(used, "what-if", str(learnt))
    changed = {each["template"] for each in tried["changes"]}
    # What upstream refused was not learnt.
    assert changed <= {"SELECT NOTHING FROM ORDERS"}
    for sql, wanted in (
        ("SELECT id, email FROM customers WHERE id = 1", "mask"),
        ("SELECT * FROM events", "deny"),
        ("DELETE FROM events WHERE id = 7", "deny"),
    ):
        told = used.cli(
            *("explain", sql, "--policy", str(learnt), "--json", "--database", "CRM"),
            *("--schema", "PUBLIC", "--catalog", str(used.layout.data_dir / "catalog.json")),
            *("--as", "analyst", "--groups", "analysts", "--role", "ANALYST"),
        )
        assert json.loads(told.stdout)["verdict"] == wanted, (sql, told.stdout)


def test_check_knows_the_catalog_of_the_gateway(used: Rig) -> None:
    found = document(used, "check")

    assert (found["kind"], found["errors"], found["warnings"]) == ("configuration", 0, 0)
