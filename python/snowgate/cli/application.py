"""The tree of commands. Their modules are imported when run, so that `--help` stays quick."""

from __future__ import annotations

from importlib.metadata import version

from cyclopts import App

application = App(
    name="snowgate",
    help="An identity-aware gateway between machine identities and Snowflake.",
    version=lambda: version("snowgate"),
)
_policy = App(name="policy", help="Policies to start from.")
_ledger = App(name="ledger", help="Read a ledger.")
_approvals = App(name="approvals", help="See and decide held statements.")
_demo = App(name="demo", help="Talk to the running demo.")

# Where a command goes, its name, where its function is, and what the overview says of it: the
# function's own words would need its module.
_COMMANDS = (
    (application, "serve", "serve:serve", "Run the gateway."),
    (application, "check", "check:check_", "Check a configuration or policy."),
    (application, "test", "cases:cases_", "Run the cases of a policy."),
    (application, "explain", "explain:explain_", "Say why a statement gets its verdict."),
    (application, "what-if", "past:what_if_", "Judge the past by another policy."),
    (application, "learn", "past:learn_", "Propose the least policy for the past."),
    (application, "judge", "judge:judge_", "Judge statements offline."),
    (application, "verify", "ledger:verify", "Check a ledger against its signed tree."),
    (application, "replay", "ledger:replay", "Show what happened in a session."),
    (_policy, "list", "policies:list_", "List the policies to start from."),
    (_policy, "init", "policies:init", "Write one of them, with its cases."),
    (_ledger, "cat", "ledger:cat", "Print entries as JSON lines."),
    (_approvals, "list", "approvals:list_", "List approvals."),
    (_approvals, "show", "approvals:show_", "Show one approval."),
    (_approvals, "approve", "approvals:approve_", "Vote for a held statement."),
    (_approvals, "deny", "approvals:deny_", "Vote against a held statement."),
    (_demo, "token", "demo:token", "Print a token of a demo principal."),
)
for _app, _name, _place, _help in _COMMANDS:
    _app.command(f"snowgate.cli.{_place}", name=_name, help=_help)
for _group in (_policy, _ledger, _approvals, _demo):
    application.command(_group)
