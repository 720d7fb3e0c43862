"""What the README shows is what happens."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from snowgate.config import load_config
from snowgate.demo.layout import Layout
from snowgate.demo.world import World

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    fence = re.compile(rf"^( *)```{language}\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
    return [
        "\n".join(line.removeprefix(indent) for line in text.splitlines()) + "\n"
        for indent, text in fence.findall(README)
    ]


def test_the_configuration_in_the_readme_is_valid(tmp_path: Path) -> None:
    [text] = blocks("yaml")
    path = tmp_path / "snowgate.yaml"
    path.write_text(text)

    config = load_config(path, files=False)

    assert config.warnings == ()
    assert {rule.name for rule in config.policy.rules} == {"mask-pii", "reads", "ddl"}


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    world = World(Layout(ROOT, tmp_path))
    world.prepare()
    world.layout.config_file.rename(world.layout.config_file.with_name("snowgate.yaml"))
    return world.layout.path("config")


# Whoever runs the tests in the background has them ignore interrupts, and so what they start.
INTERRUPTIBLE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"


def test_the_embedding_example_serves(configured: Path) -> None:
    [program] = blocks("python")
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE + program],
        cwd=configured,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        # Without its upstream the gateway serves too, and denies what it cannot judge.
        assert process.stdout.readline().startswith("drivers connect to ('127.0.0.1', ")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=40)
