"""dbt builds models through the gateway, by the policy that is shipped for it.

dbt itself builds a project; and what it sends, one by one with the real connector: tables, views,
incremental models over temporary objects. Tags go along into its schema, and nowhere else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from snowgate.demo.tokens import mint_token

from .canary import Canaries
from .connector import DriverError, Session
from .rig import ROOT, Rig

# The demo's writers are the ones who run dbt here.
GROUP = "etl-writers"


def policy(text: str) -> str:
    """The demo's configuration with the shipped policy, and analysts who read."""
    shipped = files("snowgate").joinpath("policies", "dbt.yaml").read_text()
    reads = """
  - name: analysts-read
    match: {class: [select, show, describe, session], group: analysts}
    allow: true
"""
    mine = shipped.replace("group: dbt", f"group: {GROUP}")
    return text[: text.index("\ntags:")] + mine[mine.index("\ntags:") :] + reads


@pytest.fixture(scope="module")
def dbt_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig.start(tmp_path_factory.mktemp("dbt"), "--big-rows", "1000", config_edit=policy)
    with rig.driver("etl") as dbt:
        dbt.run("CREATE SCHEMA IF NOT EXISTS crm.dbt")
    yield rig
    rig.stop()


@pytest.fixture
def dbt(dbt_rig: Rig) -> Iterator[Session]:
    with dbt_rig.driver("etl") as session:
        session.run("""ALTER SESSION SET QUERY_TAG = '{"app": "dbt"}'""")
        yield session


def read(rig: Rig, sql: str) -> list[list[str | None]]:
    """Rows as an analyst sees them."""
    with rig.driver("analyst") as analyst:
        return analyst.run(sql).rows


def test_a_model_of_tagged_columns_is_masked_for_who_reads_it(dbt_rig: Rig, dbt: Session) -> None:
    dbt.run(
        "create or replace transient table CRM.DBT.dim_customers as"
        " (select id, full_name, left(email, 4) as e4, country from CRM.PUBLIC.customers)"
    )
    dbt.run(
        "create or replace view CRM.DBT.contacts as"
        " (with source as (select * from CRM.PUBLIC.customers) select id, email from source)"
    )

    [row] = read(dbt_rig, "SELECT full_name, e4, country FROM crm.dbt.dim_customers WHERE id = 1")
    assert row == ["***", "***", "FR"]
    assert read(dbt_rig, "SELECT email FROM crm.dbt.contacts WHERE id = 1") == [["***"]]


def test_the_label_is_kept_before_the_statement_is_sent(dbt_rig: Rig, dbt: Session) -> None:
    dbt.run("create or replace transient table CRM.DBT.notes (id int, note varchar)")
    assert read(dbt_rig, "SELECT note FROM crm.dbt.notes") == []

    dbt.run("insert into CRM.DBT.notes (id, note) (select id, email from CRM.PUBLIC.customers)")

    assert read(dbt_rig, "SELECT note FROM crm.dbt.notes LIMIT 3") == [["***"]] * 3


def test_an_incremental_model_is_merged_from_a_temporary_view(dbt_rig: Rig, dbt: Session) -> None:
    columns = "select id, full_name, left(email, 4) as e4 from CRM.PUBLIC.customers"
    dbt.run(f"create or replace transient table CRM.DBT.inc as ({columns} where id < 10)")
    dbt.run(f"create or replace temporary view CRM.DBT.inc__dbt_tmp as ({columns} where id < 20)")
    dbt.run("describe table CRM.DBT.inc__dbt_tmp")
    dbt.run(
        "merge into CRM.DBT.inc as DBT_INTERNAL_DEST"
        " using CRM.DBT.inc__dbt_tmp as DBT_INTERNAL_SOURCE"
        " on (DBT_INTERNAL_SOURCE.id = DBT_INTERNAL_DEST.id)"
        " when matched then update set"
        ' "FULL_NAME" = DBT_INTERNAL_SOURCE."FULL_NAME", "E4" = DBT_INTERNAL_SOURCE."E4"'
        ' when not matched then insert ("ID", "FULL_NAME", "E4")'
        ' values (DBT_INTERNAL_SOURCE."ID", DBT_INTERNAL_SOURCE."FULL_NAME",'
        ' DBT_INTERNAL_SOURCE."E4")'
    )
    dbt.run("drop view if exists CRM.DBT.inc__dbt_tmp cascade")

    assert read(dbt_rig, "SELECT COUNT(*) FROM crm.dbt.inc") == [["19"]]
    assert read(dbt_rig, "SELECT full_name, e4 FROM crm.dbt.inc WHERE id = 15") == [["***"] * 2]


def test_an_incremental_model_is_replaced_from_a_temporary_table(
    dbt_rig: Rig, dbt: Session
) -> None:
    columns = "select id, email from CRM.PUBLIC.customers"
    dbt.run(f"create or replace transient table CRM.DBT.rep as ({columns} where id < 10)")
    dbt.run(f"create or replace temporary table CRM.DBT.rep__dbt_tmp as ({columns} where id < 20)")
    dbt.run(
        "delete from CRM.DBT.rep as DBT_INTERNAL_DEST"
        " where (id) in (select distinct id from CRM.DBT.rep__dbt_tmp as DBT_INTERNAL_SOURCE)"
    )
    dbt.run(
        'insert into CRM.DBT.rep ("ID", "EMAIL") (select "ID", "EMAIL" from CRM.DBT.rep__dbt_tmp)'
    )

    assert read(dbt_rig, "SELECT COUNT(*), COUNT(DISTINCT email) FROM crm.dbt.rep") == [
        ["19", "19"]
    ]
    assert read(dbt_rig, "SELECT email FROM crm.dbt.rep WHERE id = 15") == [["***"]]


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        (
            "create or replace table CRM.MARTS.dim as (select id, email from CRM.PUBLIC.customers)",
            "tagged-data-stays",
        ),
        ("create or replace view CRM.PUBLIC.w as (select ssn from CRM.PUBLIC.customers)", "tagged"),
        ("create or replace table CRM.PUBLIC.w clone CRM.PUBLIC.customers", "tagged-data-stays"),
        (
            "insert into CRM.PUBLIC.products (id, name) select id, email from CRM.PUBLIC.customers",
            "rule `dbt-models` lets tags propagate only into `CRM.DBT`",
        ),
    ],
)
def test_tagged_data_is_not_built_elsewhere(
    dbt_rig: Rig, dbt: Session, sql: str, rule: str
) -> None:
    since = dbt_rig.mark()

    with pytest.raises(DriverError) as caught:
        dbt.run(sql)

    assert rule in caught.value.msg
    assert sql not in since.statements()


def test_a_model_elsewhere_waits_for_the_data_platform(dbt_rig: Rig, dbt: Session) -> None:
    sql = "create or replace table CRM.PUBLIC.dbt_orders as (select id, amount from orders)"
    waiting = dbt.start(sql)

    dbt_rig.approve(sql)

    waiting.result(60)
    assert read(dbt_rig, "SELECT COUNT(*) FROM crm.public.dbt_orders") != [["0"]]


# -- dbt itself --------------------------------------------------------------------------------


@pytest.fixture
def run_dbt(dbt_rig: Rig, tmp_path: Path) -> Callable[..., str]:
    """Runs a command of dbt on a copy of the project; what it printed."""
    project = tmp_path / "project"
    shutil.copytree(ROOT / "tests" / "drivers" / "dbt_project", project)
    ca_file = str(dbt_rig.layout.ca_file)
    environment = os.environ | {
        "GATEWAY_PORT": str(dbt_rig.world.ports.gateway),
        "GATEWAY_TOKEN": mint_token(dbt_rig.layout, "etl"),
        "REQUESTS_CA_BUNDLE": ca_file,
        "SSL_CERT_FILE": ca_file,
        "DBT_PROFILES_DIR": str(project),
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            [ROOT / ".venvs" / "dbt" / "bin" / "dbt", "--no-use-colors", *command],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout + (project / "logs" / "dbt.log").read_text()

    return run


def test_dbt_builds_a_project_tests_it_and_builds_it_again(
    dbt_rig: Rig, run_dbt: Callable[..., str], canaries: Canaries
) -> None:
    since = dbt_rig.mark()

    # The second time incremental models and the snapshot are merged into.
    told = [run_dbt("build"), run_dbt("build")]
    told.append(run_dbt("docs", "generate"))
    told.append(run_dbt("show", "--select", "dim_customers"))

    assert all("Done. PASS=13 WARN=0 ERROR=0" in each for each in told[:2])
    assert "***" in told[-1]
    assert not canaries.found_in("\n".join(told).encode())
    assert not since.entries("denial")
    [row] = read(dbt_rig, "select full_name, email, country from crm.dbt.dim_customers limit 1")
    assert row[:2] == ["***", "***"]
    for made in ("customers_replaced", "customers_snapshot", "stg_customers"):
        assert read(dbt_rig, f"select email from crm.dbt.{made} limit 1") == [["***"]]
