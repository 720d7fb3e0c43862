"""The steps of the demo: what a newcomer sees.

The driver is the real connector in the stand-in's virtual environment, a process that knows nothing
of Snowgate. The approver is the CLI in another process. Every value printed is real.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from snowgate.demo import layout as names
from snowgate.demo.tokens import mint_token

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from snowgate.demo.world import World

APPROVAL_APPEARS_S = 30.0
# The token travels in the environment: other users of a machine can read an argv.
TOKEN_VARIABLE = "DEMO_TOKEN"  # noqa: S105 - a name


class StepFailed(Exception):
    """The demo saw something else than it promises; the message says what."""


@dataclass(slots=True)
class Stage:
    """Prints steps with their time."""

    out: TextIO
    number: int = 0
    started_s: float = 0.0

    def open(self, title: str) -> None:
        """Begin a step."""
        self.number += 1
        self.started_s = time.monotonic()
        self.out.write(f"\n{self.number}. {title}\n")
        self.out.flush()

    def say(self, line: str) -> None:
        """Print one line of a step."""
        self.out.write(f"   {line}\n")
        self.out.flush()

    def close(self) -> None:
        """End a step with its time."""
        self.out.write(f"   ({time.monotonic() - self.started_s:.2f} s)\n")
        self.out.flush()


class Driver:
    """The real connector, one process per session."""

    def __init__(self, world: World) -> None:
        self._world = world

    def command(self, statements: Sequence[str], options: Sequence[str] = ()) -> list[str]:
        """Argv of a client process that runs statements in one session."""
        connection = self._world.connection()
        return [
            *(str(self._world.standin_python), "-m", "snowgate_standin.demo_client"),
            *("--host", connection["host"], "--port", str(connection["port"])),
            *("--protocol", connection["protocol"], "--account", connection["account"]),
            *("--warehouse", connection["warehouse"]),
            *("--database", connection["database"], "--schema", connection["schema"]),
            *("--ca-file", connection["ca_file"], "--token-env", TOKEN_VARIABLE),
            *options,
            *statements,
        ]

    def start(
        self, name: str, statements: Sequence[str], options: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        """Start a client as a principal; its token travels in the environment, never in argv."""
        environment = {**os.environ, TOKEN_VARIABLE: mint_token(self._world.layout, name)}
        return subprocess.Popen(
            self.command(statements, options),
            cwd=self._world.layout.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, name: str, statements: Sequence[str], options: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """Run statements as a principal and return one result for each.

        Args:
            name: The principal.
            statements: Run in one session.
            options: Further arguments of the client, such as `--rows 100`.
        """
        with self.start(name, statements, options) as client:
            return list(results(client))


def results(client: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """The results a client prints, as they come.

    Raises:
        StepFailed: It ended with an error of its own.
    """
    if client.stdout is None or client.stderr is None:
        raise StepFailed("the client has no output")
    for line in client.stdout:
        yield json.loads(line)
    problem = client.stderr.read()
    if client.wait() not in (0, 1):
        raise StepFailed(f"the client failed: {problem[-800:]}")


def cli(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the `snowgate` command in a process of its own."""
    return subprocess.run(
        [world.gateway_command[0], *arguments],
        cwd=world.layout.root,
        capture_output=True,
        text=True,
        check=False,
    )


def expect(condition: bool, message: str) -> None:
    """Stop the demo when it sees something else than it promises.

    Raises:
        StepFailed: The condition is false.
    """
    if not condition:
        raise StepFailed(message)


def play(world: World, out: TextIO = sys.stdout) -> None:
    """Run all steps.

    Raises:
        StepFailed: One of them did not go as promised.
    """
    stage, driver = Stage(out), Driver(world)
    login(stage, driver)
    masked_select(stage, driver)
    refused_unload(stage, driver)
    held_drop(stage, driver, world)
    session = etl_session(world)
    replay(stage, world, session)
    verified(stage, world)
    tampered(stage, world)


def login(stage: Stage, driver: Driver) -> None:
    """A login with an OIDC token: one role, and an upstream user the client has no secret of."""
    stage.open("analyst logs in with an OIDC token")
    sql = "SELECT CURRENT_USER() AS upstream_user, CURRENT_ROLE() AS role"
    stage.say(f"> {sql}")
    [result] = driver.run("analyst", [sql])
    expect("error" not in result, f"the login failed: {result}")
    stage.say("  " + " | ".join(result["columns"]))
    stage.say("  " + " | ".join(str(cell) for cell in result["rows"][0]))
    expect(result["rows"][0][1] == "ANALYST", "the role is not the mapped one")
    stage.close()


def masked_select(stage: Stage, driver: Driver) -> None:
    """A SELECT over tagged columns, masked in every chunk of an Arrow result."""
    stage.open("analyst reads customers")
    sql = "SELECT id, full_name, email, country, signup_date FROM customers ORDER BY id"
    stage.say(f"> {sql}")
    [result] = driver.run("analyst", [sql])
    expect("error" not in result, f"the SELECT failed: {result}")
    expect(result["rowcount"] == 2000, f"2,000 rows were expected: {result['rowcount']}")
    stage.say("  " + " | ".join(result["columns"]))
    for row in result["rows"][:3]:
        stage.say("  " + " | ".join(str(cell) for cell in row))
    expect(all(row[1] == row[2] == "***" for row in result["rows"]), "a tagged column is clear")
    stage.say(f"  … {result['rowcount']} rows; FULL_NAME and EMAIL are masked on the wire")
    stage.close()


def refused_unload(stage: Stage, driver: Driver) -> None:
    """`COPY INTO @stage` is denied, with the message the user sees."""
    stage.open("analyst tries to unload the table to a stage")
    sql = "COPY INTO @~/out FROM customers"
    stage.say(f"> {sql}")
    [result] = driver.run("analyst", [sql])
    error = result.get("error", {})
    expect(error.get("errno") == 3001, f"the unload was not denied: {result}")
    stage.say(f"  {error['errno']:06d} ({error['sqlstate']}): {error['msg']}")
    stage.close()


def held_drop(stage: Stage, driver: Driver, world: World) -> None:
    """DDL waits until a second person approves it with the CLI, then runs once."""
    stage.open("etl makes and drops a table: each is held until a second person approves")
    statements = ["CREATE TABLE crm.public.scratch (id INT)", "DROP TABLE crm.public.scratch"]
    with driver.start("etl", statements) as client:
        answers = results(client)
        for sql in statements:
            stage.say(f"> {sql}")
            approve(stage, world, sql)
            result = next(answers)
            expect("error" not in result, f"the approved statement failed: {result}")
            stage.say(f"  driver: {result['rows'][0][0]}")
    stage.close()


def approve(stage: Stage, world: World, sql: str) -> None:
    """Approve a held text as the second person, in another process."""
    approval = _wait_for_approval(world, sql)
    stage.say(f"  held as {approval['id']}, asked by {approval['principal']}")
    stage.say(f"$ snowgate approvals approve {approval['id']}")
    token = mint_token(world.layout, "approver")
    arguments = ("--config", str(world.layout.config_file), "--token", token, "--json")
    answer = cli(world, "approvals", "approve", approval["id"], *arguments)
    expect(answer.returncode == 0, f"the approval failed: {answer.stderr or answer.stdout}")
    stage.say(f"  {json.loads(answer.stdout)['state']} by approver")


def etl_session(world: World) -> str:
    """The session of the newest login of `etl`, from the ledger."""
    listing = cli(world, "ledger", "cat", str(world.layout.data_dir / "ledger"))
    logins = [
        entry
        for entry in map(json.loads, listing.stdout.splitlines())
        if entry["kind"] == "login" and entry["principal"] == "etl"
    ]
    expect(bool(logins), "the ledger has no login of etl")
    return str(logins[-1]["session"])


def replay(stage: Stage, world: World, session: str) -> None:
    """What happened in the session, from the ledger alone."""
    stage.open("an auditor replays the session from the ledger")
    answer = cli(world, "replay", session, "--config", str(world.layout.config_file))
    expect(answer.returncode == 0, f"the replay failed: {answer.stderr}")
    for line in answer.stdout.splitlines():
        stage.say(line)
    expect("DROP TABLE crm.public.scratch" in answer.stdout, "the replay lacks the statement")
    stage.close()


def verified(stage: Stage, world: World) -> None:
    """`snowgate verify` over the live ledger."""
    stage.open("the ledger verifies")
    time.sleep(2.0)  # the newest checkpoint is at most two seconds behind the last entry
    ledger = world.layout.data_dir / "ledger"
    stage.say(f"$ snowgate verify {_shown(world, ledger)} --key {_shown(world, _key(world))}")
    answer = cli(world, "verify", str(ledger), "--key", str(_key(world)))
    expect(answer.returncode == 0, f"the ledger does not verify: {answer.stdout}{answer.stderr}")
    for line in answer.stdout.splitlines():
        stage.say(f"  {line}")
    stage.close()


def tampered(stage: Stage, world: World) -> None:
    """One byte of a copy is changed; `verify` names the broken entry."""
    stage.open("one byte of a copy of the ledger is changed")
    copy = world.layout.path("tampered")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(world.layout.data_dir / "ledger", copy)
    victim = min((copy / "segments").iterdir())
    content = bytearray(victim.read_bytes())
    at = content.find(b'"verdict":"allow"')
    expect(at > 0, "the ledger holds no login")
    content[at + 11] ^= 1
    victim.write_bytes(bytes(content))
    answer = cli(world, "verify", str(copy), "--key", str(_key(world)))
    expect(answer.returncode != 0, "a changed ledger verifies")
    stage.say(f"$ snowgate verify {_shown(world, copy)} --key {_shown(world, _key(world))}")
    for line in (answer.stdout + answer.stderr).splitlines():
        stage.say(f"  {line}")
    stage.close()


def _wait_for_approval(world: World, sql: str) -> dict[str, Any]:
    """The pending approval of a text, once the API lists it."""
    token = mint_token(world.layout, "approver")
    deadline = time.monotonic() + APPROVAL_APPEARS_S
    arguments = ("--config", str(world.layout.config_file), "--token", token, "--json")
    while time.monotonic() < deadline:
        answer = cli(world, "approvals", "list", *arguments)
        expect(answer.returncode == 0, f"the list failed: {answer.stderr or answer.stdout}")
        for approval in json.loads(answer.stdout):
            if approval["sql"] == sql and approval["state"] == "pending":
                return dict(approval)
        time.sleep(0.1)
    raise StepFailed(f"no approval of `{sql}` appeared")


def _key(world: World) -> Path:
    return world.layout.data_dir / "keys" / "ledger.pub"


def _shown(world: World, path: Path) -> str:
    return os.path.relpath(path, world.layout.root)


def driver_lines(world: World) -> list[str]:
    """The three lines with which the reader's own driver connects."""
    connection = world.connection()
    return [
        "export REQUESTS_CA_BUNDLE=" + connection["ca_file"],
        "export TOKEN=$(.venv/bin/snowgate demo token analyst)",
        f"snowflake.connector.connect(host='{connection['host']}', port={connection['port']}, "
        f"account='{names.ACCOUNT}', authenticator='oauth', token=os.environ['TOKEN'], "
        f"warehouse='{names.WAREHOUSE}', database='{names.DATABASE}', schema='{names.SCHEMA}')",
    ]
