"""Runs a command of `snowgate` from its entry point, without a process for each."""

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from snowgate.cli import main

# A configuration up to its issuers and roles.
GATEWAY = """\
data_dir: ./data
name: gw-1
account: CRMDEMO
listen: {address: 127.0.0.1, port: 8443}
api: {address: 127.0.0.1, port: 8444}
upstream:
  account: xy12345
  credential: {key_pair: {user: svc_gateway, private_key: "file:snowflake.p8"}}
  catalog: {role: snowgate, databases: [crm], \
credential: {key_pair: {user: svc_catalog, private_key: "file:catalog.p8"}}}
"""


@dataclass(frozen=True)
class Answer:
    """What a user sees."""

    returncode: int
    stdout: str
    stderr: str


def snowgate(*arguments: object) -> Answer:
    """Run it as the shell does; what would be a traceback there is an error of the test."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main([*map(str, arguments)])
    except SystemExit as end:
        return Answer(int(end.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("main() ends with a status")
