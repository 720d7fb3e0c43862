"""A gateway that cannot start says why in one line, and leaves no trace of a half start."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from snowgate.demo.layout import Layout
from snowgate.demo.world import World

from .rig import ROOT

LIMIT_S = 40.0


def prepared(folder: Path, edit: Callable[[str], str] | None = None) -> World:
    """A configuration with its keys; nothing runs, no issuer and no upstream either."""
    world = World(Layout(ROOT, folder), config_edit=edit)
    world.prepare()
    return world


def replaced(old: str, new: str) -> Callable[[str], str]:
    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return edit


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a gateway that has served and was stopped."""
    folder = tmp_path_factory.mktemp("stopped")
    world = prepared(folder)
    world.start_gateway()
    assert world.stop_gateway() == 0
    world.layout.path("gateway.pid").unlink()
    return folder


@pytest.fixture
def served(stopped: Path, tmp_path: Path) -> World:
    """A copy of it, to be spoiled."""
    world = World(Layout(ROOT, tmp_path / "served"))
    shutil.copytree(stopped, world.layout.path())
    return world


def assert_refuses(world: World, *words: str) -> str:
    """Start it; it ends with one line of why."""
    ended = subprocess.run(
        world.gateway_command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ended.returncode not in (0, -9, -15)
    assert "Traceback" not in ended.stderr
    assert "ExceptionGroup" not in ended.stderr
    assert ended.stdout == ""
    # Beside the log, which is JSON. Only a configuration may have several mistakes, a line each.
    complaint, *more = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert complaint.startswith("snowgate: ")
    assert all("snowgate.yaml:" in line for line in more), ended.stderr
    for word in words:
        assert word in ended.stderr
    assert not world.layout.path("gateway.pid").exists()
    return ended.stderr


@pytest.mark.parametrize("which", ["gateway", "api"])
def test_a_port_in_use_is_named(tmp_path: Path, which: str) -> None:
    world = prepared(tmp_path)
    with socket.socket() as taken:
        port = getattr(world.ports, which)
        taken.bind(("127.0.0.1", port))
        taken.listen()

        assert_refuses(world, str(port))


def test_a_data_dir_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    world = prepared(tmp_path / "w", replaced("data_dir: ../data", f"data_dir: {tmp_path}/file"))

    assert_refuses(world, f"{tmp_path}/file", "what to do")


def test_a_data_dir_under_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    world = prepared(tmp_path / "w", replaced("data_dir: ../data", f"data_dir: {tmp_path}/file/d"))

    assert_refuses(world, "data_dir", "what to do")


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("listen:", "lissten:", "lissten"),
        ("  port: ", "  prot: ", "prot"),
        ("class: dml", "class: dmll", "dmll"),
        ("mask: redact", "mask: redacted", "redacted"),
        ("approvers: data-platform", "approvers: data-plattform", "data-plattform"),
        ("protocol: https", "protocol: ftp", "protocol"),
    ],
)
def test_a_mistake_in_the_configuration_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, word: str
) -> None:
    world = prepared(tmp_path, replaced(old, new))
    text = world.layout.config_file.read_text().splitlines()
    line = next(number for number, content in enumerate(text, 1) if new in content)

    complaint = assert_refuses(world, word, "snowgate.yaml")

    assert f"snowgate.yaml:{line}:" in complaint


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path) -> None:
    world = prepared(tmp_path)
    world.layout.config_file.unlink()

    assert_refuses(world, "snowgate.yaml")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tls.crt", None),
        ("tls.crt", "not PEM\n"),
        ("tls.key", "not PEM\n"),
        ("snowflake.p8", "not PEM\n"),
        ("ca.pem", "not PEM\n"),
    ],
)
def test_a_key_or_certificate_that_cannot_be_used_is_named(
    tmp_path: Path, name: str, content: str | None
) -> None:
    world = prepared(tmp_path)
    path = world.layout.path("config", name)
    path.unlink()
    if content is not None:
        path.write_text(content)

    complaint = assert_refuses(world)

    assert name in complaint or "key" in complaint or "certificate" in complaint


def test_an_emptied_ledger_is_not_taken_for_a_new_one(served: World) -> None:
    ledger = served.layout.data_dir / "ledger"
    shutil.rmtree(ledger)
    ledger.mkdir()

    assert_refuses(served, "ledger")

    assert not [*ledger.rglob("*.seg")]


def test_a_ledger_that_is_gone_is_not_taken_for_a_new_one(served: World) -> None:
    shutil.rmtree(served.layout.data_dir / "ledger")

    assert_refuses(served, "ledger")


def test_a_ledger_of_another_gateway_is_refused(served: World) -> None:
    config = served.layout.config_file
    config.write_text(config.read_text().replace("name: demo", "name: other", 1))

    assert_refuses(served, "ledger", "origin")


def test_an_older_copy_of_the_ledger_is_refused(served: World) -> None:
    ledger, copy = served.layout.data_dir / "ledger", served.layout.path("older")
    shutil.copytree(ledger, copy)
    served.start_gateway()
    assert served.stop_gateway() == 0
    served.layout.path("gateway.pid").unlink()
    shutil.rmtree(ledger)
    shutil.copytree(copy, ledger)

    assert_refuses(served, "ledger")


def test_a_ledger_that_somebody_else_made_is_refused(served: World, tmp_path: Path) -> None:
    other = prepared(tmp_path / "other")
    other.start_gateway()
    assert other.stop_gateway() == 0
    ledger = served.layout.data_dir / "ledger"
    shutil.rmtree(ledger)
    shutil.copytree(other.layout.data_dir / "ledger", ledger)

    assert_refuses(served, "ledger")


def test_an_edited_ledger_is_refused(served: World) -> None:
    segment = next((served.layout.data_dir / "ledger" / "segments").iterdir())
    content = bytearray(segment.read_bytes())
    content[content.find(b'"kind"') + 9] ^= 1
    segment.write_bytes(bytes(content))

    assert_refuses(served, "ledger")


@pytest.mark.parametrize("content", [None, b"x" * 31])
def test_a_lost_root_key_is_not_made_anew(served: World, content: bytes | None) -> None:
    key = served.layout.data_dir / "keys" / "store.key"
    key.unlink()
    if content is not None:
        key.write_bytes(content)

    assert_refuses(served, "store.key")


def test_two_gateways_do_not_share_a_data_dir(tmp_path: Path) -> None:
    world = prepared(tmp_path)
    world.start_gateway()
    try:
        config = world.layout.config_file
        other = World(Layout(ROOT, tmp_path)).ports
        text = config.read_text()
        text = text.replace(f"port: {world.ports.gateway}", f"port: {other.gateway}")
        config.write_text(text.replace(f"port: {world.ports.api}", f"port: {other.api}"))
        pid = world.layout.path("gateway.pid")
        pid.unlink()

        assert_refuses(world, "data_dir")
    finally:
        assert world.stop_gateway() == 0


def test_the_gateway_serves_without_its_upstream_and_says_so(tmp_path: Path) -> None:
    world = prepared(tmp_path)
    world.start_gateway()

    assert world.running("gateway")
    assert world.stop_gateway() == 0
    assert "Traceback" not in world.layout.log("gateway").read_text()


def test_files_are_for_their_owner_only(served: World) -> None:
    for path in [served.layout.data_dir, *served.layout.data_dir.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0 or path.name.endswith(".pub"), path
