"""Reads the configuration file: strict YAML in, frozen values out, every mistake with its line.

    bytes ──► reader (tree with lines) ──► shape, rules (pydantic) ──► checks ──► Config

Rule at the door: the file is data. Nothing in it runs, no reference is followed but to see that a
file is there, and what is not understood is an error, never a default (F26).
"""

from snowgate.config.cases import Case, CasesFile, Expected, load_cases
from snowgate.config.load import (
    Examined,
    config_schema,
    examine,
    load_config,
    load_policy,
    policy_schema,
)
from snowgate.config.source import Source
from snowgate.config.values import (
    Api,
    Catalog,
    Config,
    Credential,
    Limits,
    Listen,
    PolicyFile,
    Tls,
    Upstream,
)

__all__ = [
    "Api",
    "Case",
    "CasesFile",
    "Catalog",
    "Config",
    "Credential",
    "Examined",
    "Expected",
    "Limits",
    "Listen",
    "PolicyFile",
    "Source",
    "Tls",
    "Upstream",
    "config_schema",
    "examine",
    "load_cases",
    "load_config",
    "load_policy",
    "policy_schema",
]
