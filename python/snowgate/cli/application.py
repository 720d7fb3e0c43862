"""The tree of commands. Their modules are imported when run, so that `--help` stays quick."""

from __future__ import annotations

from importlib.metadata import version

from cyclopts import App

application = App(
    name="snowgate",
    help="An identity-aware gateway between machine identities and Snowflake.",
    version=lambda: version("snowgate"),
)

application.command("snowgate.cli.serve:serve")
application.command("snowgate.cli.serve:check")
application.command("snowgate.cli.ledger:verify")
application.command("snowgate.cli.ledger:replay")

_ledger = App(name="ledger", help="Read a ledger.")
_ledger.command("snowgate.cli.ledger:cat")
application.command(_ledger)

_approvals = App(name="approvals", help="See and decide held statements.")
for _name in ("list", "show", "approve", "deny"):
    _approvals.command(f"snowgate.cli.approvals:{_name}_", name=_name)
application.command(_approvals)

_demo = App(name="demo", help="Talk to the running demo.")
_demo.command("snowgate.cli.demo:token")
application.command(_demo)
