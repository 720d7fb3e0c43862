"""A power cut takes what was not synced, and nothing upstream is without its record even then.

`kill -9` leaves every byte that was written, synced or not; a missing sync shows only here.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from snowgate.audit.entries import open_keys, read_entries, with_texts
from snowgate.demo.layout import Layout
from snowgate.demo.world import World

from .aftermath import Aftermath, open_intents, verified
from .disk import Synced, recorded_syncs
from .load import Load

ROOT = Path(__file__).parents[2]


def power_cut(synced: Synced, data: Path, left: Path) -> None:
    """What is left of the ledger and of the keys of its texts."""
    left.mkdir()
    for name in ("ledger", "text-keys"):
        synced.power_cut(data / name, left / name)


def check_each_moment(synced: Synced, data: Path, scratch: Path) -> None:
    """No entry is on the disk before its text, and the key of that (F23)."""
    whole = set()
    for what, _, path in (line.partition(" ") for line in synced.lines):
        if what != "name":
            whole.add(path.removesuffix(".new"))
        elif path.endswith((".key", ".seg")):
            assert path in whole, f"a name before its bytes: {path}"
    texts = 0
    for number, moment in enumerate(synced.moments()):
        left = scratch / str(number)
        power_cut(moment, data, left)
        keys = open_keys(left / "text-keys", data / "keys" / "store.key")
        for entry in read_entries(left / "ledger"):
            read = with_texts(entry, keys)
            assert not read.lost, f"after sync {number}: {read}"
            texts += len(read.texts)
        shutil.rmtree(left)
    assert texts > 0


def test_a_power_cut_takes_nothing_that_was_forwarded(tmp_path: Path) -> None:
    world = World(Layout(ROOT, tmp_path / "world"), upstream_options=("--big-rows", "1000"))
    data, left = world.layout.data_dir, tmp_path / "left"
    with recorded_syncs(tmp_path) as record:
        try:
            world.start()
            with Load(world, "power") as load:
                load.wait_until_told(2, "ok")
                world.kill_gateway()
                power_cut(Synced.read(record), data, left)
                check_each_moment(Synced.read(record), data, tmp_path)
                for folder in left.iterdir():
                    shutil.rmtree(data / folder.name)
                    folder.rename(data / folder.name)
                verified(world)
                cut_short = open_intents(world)
                world.start_gateway()
                load.wait_until_told(2, "ok")
                after = Aftermath.of(world, load.finish())
        finally:
            world.stop()

    after.check(cut_short)
