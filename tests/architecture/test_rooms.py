"""The dependency rule of CONTRIBUTING.md, on both sides, and the size of modules."""

import ast
import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "snowgate"

# Each row may import the rows before it, never its own neighbours.
ROWS: list[set[str]] = [
    {"errors", "_core"},
    {"model"},
    {"identity", "sql", "policy", "approval", "config"},
    {"store", "audit", "telemetry"},
    {"control", "console", "review"},
    {"app"},
    {"cli", "demo", "testing"},
]
# What is joined by design, with its reason.
EXCEPTIONS = {
    ("config", "identity"),  # the file is parsed into the settings each room takes
    ("config", "policy"),
    ("cli", "demo"),  # `snowgate demo token`
    ("demo", "testing"),  # the demo runs the issuer that the tests use
    ("demo", "cli"),
}

RUST = {
    "snowgate-sql": set(),
    "snowgate-wire": set(),
    "snowgate-mask": set(),
    "snowgate-ledger": set(),
    "snowgate-session": {"snowgate-wire", "snowgate-mask", "snowgate-ledger", "snowgate-sql"},
    "snowgate-upstream": {"snowgate-wire", "snowgate-mask", "snowgate-ledger", "snowgate-sql"},
}
RUST["snowgate-gate"] = set(RUST)
RUST["snowgate-core"] = set(RUST)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py").removesuffix(".pyi")


def imported_rooms(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module == "snowgate":
                names |= {f"snowgate.{alias.name}" for alias in node.names}
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("snowgate.")}


def allowed(room: str) -> set[str]:
    for place, row in enumerate(ROWS):
        if room in row:
            below: set[str] = set().union(*ROWS[:place])
            return below | {room} | {to for of, to in EXCEPTIONS if of == room}
    return set()


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_rooms_below_it(path: Path) -> None:
    room = room_of(path)
    assert any(room in row for row in ROWS), f"`{room}` has no row in CONTRIBUTING.md"
    assert imported_rooms(path) <= allowed(room)


def test_a_crate_depends_only_on_crates_below_it() -> None:
    answer = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    packages = json.loads(answer.stdout)["packages"]
    found = {
        package["name"]: {
            dependency["name"]
            for dependency in package["dependencies"]
            if dependency["name"].startswith("snowgate-") and dependency["kind"] is None
        }
        for package in packages
    }
    assert found.keys() == RUST.keys()
    for name, dependencies in found.items():
        assert dependencies <= RUST[name] - {name}, name


def test_only_core_knows_python_and_only_the_gate_opens_listeners() -> None:
    for manifest in (ROOT / "rust").glob("*/Cargo.toml"):
        crate, text = manifest.parent.name, manifest.read_text()
        assert ("pyo3" in text) == (crate == "core"), manifest
        if crate not in {"gate", "upstream", "core"}:
            assert "tokio" not in text, manifest


SOURCES = [
    path
    for folder, pattern in (("python", "*.py"), ("rust", "*.rs"), ("standin", "*.py"))
    for path in (ROOT / folder).rglob(pattern)
    if "target" not in path.relative_to(ROOT).parts
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_outgrows_its_room(path: Path) -> None:
    code = path.read_text().split("#[cfg(test)]")[0]
    assert len(code.splitlines()) <= 600
    first = code.lstrip().splitlines()[:1]
    assert first == [] or first[0].startswith(('"""', "//!", "#!")), (
        "no first line that says what it is"
    )
