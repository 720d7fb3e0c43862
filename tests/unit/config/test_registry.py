"""The `registry:` of a policy: what it means, and what is said of a wrong entry."""

from pathlib import Path

import pytest

from snowgate.config import load_policy, policy_schema
from snowgate.errors import ConfigError, ConfigErrors
from snowgate.model.routine import RoutineEffect, RoutineKind, Vetted
from snowgate.model.statement import ObjectName
from snowgate.policy.rules import Policy

DIGEST = "sha256:" + "0123456789abcdef" * 4
HEAD = "rules: []\nregistry:\n"


def load(tmp_path: Path, *entries: str) -> Policy:
    file = tmp_path / "policy.yaml"
    file.write_text(HEAD + "".join(f"  - {{{entry}}}\n" for entry in entries))
    return load_policy(file).policy


def mistakes(tmp_path: Path, *entries: str) -> list[ConfigError]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, *entries)
    error = caught.value
    return [*error.errors] if isinstance(error, ConfigErrors) else [error]


def function(name: str = "crm.public.f(varchar)", more: str = "effect: pure") -> str:
    return f"function: '{name}', {more}, body: '{DIGEST}'"


def test_an_entry_is_a_vetted_routine(tmp_path: Path) -> None:
    policy = load(
        tmp_path,
        f'procedure: \'CRM."my ops".P(string, decimal(10, 2))\', effect: writes, body: "{DIGEST}",'
        " reads: ['CRM.PUBLIC.{A,B}', CRM.REF.*], writes: CRM.OPS.T",
        function(),
    )

    first, second = policy.registry
    assert (first.kind, str(first.signature)) == (RoutineKind.FUNCTION, "CRM.PUBLIC.F(VARCHAR)")
    assert second == Vetted(
        RoutineKind.PROCEDURE,
        second.signature,
        RoutineEffect.WRITES,
        (
            ObjectName("CRM", "PUBLIC", "A"),
            ObjectName("CRM", "PUBLIC", "B"),
            ObjectName("CRM", "REF", ""),
        ),
        (ObjectName("CRM", "OPS", "T"),),
        DIGEST.removeprefix("sha256:"),
    )
    assert second.signature.name == ObjectName("CRM", "my ops", "P")
    assert second.signature.arguments == ("VARCHAR", "NUMBER")


def test_the_digest_of_the_policy_is_over_its_registry_whatever_the_order(tmp_path: Path) -> None:
    one, two = function(), function("crm.public.f(number)")

    assert load(tmp_path, one, two).digest == load(tmp_path, two, one).digest
    assert load(tmp_path, one).digest != load(tmp_path, two).digest
    other = one.replace("abcdef'", "abcde0'")
    assert load(tmp_path, one).digest != load(tmp_path, other).digest


@pytest.mark.parametrize(
    ("entry", "key", "problem"),
    [
        (function("f(varchar)"), "registry[0].function", "has no name of three parts"),
        (function("crm.public.f"), "registry[0].function", "has no list of types"),
        (function("crm.public.f(1)"), "registry[0].function", "something else than a type"),
        (function("crm.public.f(a,)"), "registry[0].function", "something else than a type"),
        (function("crm.public.f(x) y"), "registry[0].function", "has no list of types"),
        (function("crm.public.*(x)"), "registry[0].function", "has no name of three parts"),
        (function("crm..f(x)"), "registry[0].function", "has no name of three parts"),
        (function(more="effect: harmless"), "registry[0].effect", "is no effect"),
        (function(more="effect: reads"), "registry[0].effect", "names nothing that it reads"),
        (function(more="effect: writes"), "registry[0].effect", "names nothing that it writes"),
        (
            function(more="effect: writes, writes: A.B.C"),
            "registry[0].writes",
            "does not go with effect",
        ),
        (
            function(more="effect: pure, reads: A.B.C"),
            "registry[0].reads",
            "does not go with effect `pure`",
        ),
        (function(more="effect: reads, reads: A.B"), "registry[0].reads", "dotted part"),
        (
            function(more="effect: reads, reads: A.B.C*"),
            "registry[0].reads",
            "has a star inside a name",
        ),
        (
            function(more="effect: reads, reads: A.*.*"),
            "registry[0].reads",
            "has a star inside a name",
        ),
        (
            f"effect: pure, body: '{DIGEST}'",
            "registry[0]",
            "either `function` or `procedure`",
        ),
        (
            function(more="procedure: 'a.b.c()', effect: pure"),
            "registry[0]",
            "either `function` or `procedure`",
        ),
        (function().replace("sha256:", "sha1:"), "registry[0].body", "is no digest"),
        (function().replace("abcdef'", "abcde'"), "registry[0].body", "is no digest"),
        (function().replace("abcdef'", "ABCDEF'"), "registry[0].body", "is no digest"),
        ("function: 'a.b.c()', effect: pure", "registry[0].body", "is missing"),
        (function(more="effect: pure, trust: true"), "registry[0].trust", "unknown key"),
    ],
)
def test_a_wrong_entry_is_named_with_line_and_key(
    tmp_path: Path, entry: str, key: str, problem: str
) -> None:
    found = mistakes(tmp_path, entry)

    assert any(
        error.key.startswith(key) and problem in str(error) and error.path.endswith("policy.yaml")
        for error in found
    ), [str(error) for error in found]
    if problem:
        assert {error.line for error in found} == {3}


def test_a_routine_stands_in_the_registry_once(tmp_path: Path) -> None:
    [error] = mistakes(tmp_path, function(), function("CRM.PUBLIC.F(TEXT)"))

    assert (error.line, error.key) == (4, "registry[1].function")
    assert "entry 1 is about this function too" in str(error)


def test_a_function_and_a_procedure_may_share_a_name(tmp_path: Path) -> None:
    procedure = function().replace("function", "procedure")

    assert len(load(tmp_path, function(), procedure).registry) == 2


def test_editors_know_the_keys() -> None:
    assert "registry" in str(policy_schema())
