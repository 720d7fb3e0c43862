"""Decides what may run and what of it may be seen; knows no clock, socket, file or SQL text.

    compile_policy(tags, rules, …) ──► Policy ──► judge(policy, statement, subject) ──► Verdict

Rule at the door: a verdict is a function of policy, statement and subject, and of nothing else. The
file format, and every message about a mistake in it, is `snowgate.config`'s.

Sources: XACML 3.0 appendix C.2; Cedar (deny by default, order-free); NIST SP 800-162.
"""

from snowgate.policy.engine import foresee, judge
from snowgate.policy.matching import Subject
from snowgate.policy.rules import (
    Allow,
    BudgetRule,
    Deny,
    HoldFor,
    Limit,
    Mask,
    Match,
    Policy,
    Rule,
    SnowflakeTag,
    TagPattern,
    Who,
    compile_policy,
)

__all__ = [
    "Allow",
    "BudgetRule",
    "Deny",
    "HoldFor",
    "Limit",
    "Mask",
    "Match",
    "Policy",
    "Rule",
    "SnowflakeTag",
    "Subject",
    "TagPattern",
    "Who",
    "compile_policy",
    "foresee",
    "judge",
]
