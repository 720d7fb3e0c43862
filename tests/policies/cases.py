"""Cases beside a policy, run as `snowgate test` runs them."""

from pathlib import Path

from snowgate.config import Case
from snowgate.review.cases import run_case
from snowgate.review.setting import Setting, load_setting

from .shipped import path_of


def setting_of(policy: Path) -> Setting:
    """A policy and the catalog that is shipped."""
    return load_setting(policy=policy, catalog=path_of("catalog.json"))


def check(setting: Setting, case: Case) -> None:
    """Run a case.

    Raises:
        AssertionError: Something is otherwise than it expects.
    """
    ran = run_case(setting, case)
    assert not ran.differences, "\n".join(ran.lines())
