"""Keeps the catalog: reads it at start, on a timer, and what changed after every DDL that passed.

    start, half of max_age, a change whose objects nobody can name ──► everything is read
    a DDL ended ──► its objects are read, with the views that show them, and all routines

A catalog older than `max_age` is worth nothing, since a view may have been redefined meanwhile:
statements are then denied until it can be read again (F8). What a DDL changed stays in quarantine
until a reading that began after its outcome is in force.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import groupby
from typing import Any

import trio

from snowgate.config import Catalog as Settings
from snowgate.control.current import Current
from snowgate.control.drift import PatternWatch, moved_outside, tagged
from snowgate.control.labels import Labels
from snowgate.control.last import LastCatalog
from snowgate.control.overlays import Overlays
from snowgate.control.quarantine import Quarantine
from snowgate.control.references import Tagged, TagReferences
from snowgate.errors import SnowgateError, UpstreamError
from snowgate.model.ports import Recorder, UpstreamReader
from snowgate.model.statement import ObjectName
from snowgate.sql.catalog import NOTHING, Catalog
from snowgate.sql.catalog_reader import read_catalog, read_objects
from snowgate.sql.codec import change_between
from snowgate.sql.routine_reader import read_routines
from snowgate.sql.routines import mismatches

log = logging.getLogger(__name__)

# A refresh takes a while, so it begins well before the catalog is too old.
REFRESH_AT = 0.5
RETRY_S = 2.0
# The gate waits for the catalog after a DDL, but not for ever: the statement has run already.
CHANGE_LIMIT_S = 4.0
# More objects than these, and reading everything is as good.
OBJECTS_AT_ONCE = 200


class CatalogKeeper:
    """Answers `catalog_changed` and `statement_over`, and refreshes the catalog in the background.

    Args:
        current: Where a new catalog is put in force.
        reader: Runs the gateway's own statements.
        settings: Which databases, and how old they may get.
        labels: Tags that statements have moved; put on whatever is read.
        quarantine: What is being changed; each reading lifts what had ended before it.
        overlays: Temporary objects of each session, which no reading shows.
        references: Snowflake's tags; put on whatever is read.
        last: The catalog in force before; what it held tells what somebody has changed since.
        recorder: Takes alerts about tags that found nothing any more.
    """

    def __init__(
        self,
        current: Current,
        reader: UpstreamReader,
        settings: Settings,
        labels: Labels,
        quarantine: Quarantine,
        overlays: Overlays,
        references: TagReferences,
        last: LastCatalog,
        recorder: Recorder,
    ) -> None:
        self._current = current
        self._reader = reader
        self._settings = settings
        self._labels = labels
        self._quarantine = quarantine
        self._overlays = overlays
        self._references = references
        self._last = last
        self._recorder = recorder
        self._watch = PatternWatch()
        self._watched = False
        self._mismatches: frozenset[str] = frozenset()
        self._wanted = trio.Event()
        self._was_read = trio.Event()
        # As it was read, without tags.
        self._read = NOTHING
        # When the last reading of everything began, by trio's clock; and the last reading at all,
        # by the quarantine's marks.
        self._read_at_s = -float("inf")
        self._read_mark = 0
        # Why the last reading that failed did so.
        self._problem = "snowflake did not answer in time"
        self._wanted_mark = 0
        # Readings that began before this are not put in force.
        self._not_before = 0
        # A change was heard of, and nobody knows of which objects.
        self._whole_wanted = True

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read once, report readiness whether or not that worked, then keep it fresh."""
        await self._try()
        if self._current.catalog is None:
            await self._tell_unreadable()
        self._current.tried.set()
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._expire)
            while True:
                with trio.move_on_after(self._pause_s()):
                    await self._wanted.wait()
                self._wanted = trio.Event()
                await self._try()

    async def _expire(self) -> None:
        """Put a catalog that is too old out of force, also while a reading hangs."""
        while True:
            left_s = self._read_at_s + self._settings.max_age_s - trio.current_time()
            if left_s > 0:
                await trio.sleep(left_s)
                continue
            # Taken first: a reading may come while the alert is written.
            was_read = self._was_read
            if self._current.catalog is not None:
                self._current.replace_catalog(None)
                await self._tell_unreadable()
            await was_read.wait()

    def _pause_s(self) -> float:
        """How long to wait for a wish before the next reading."""
        done = self._fresh_s() > 0 and self._read_mark >= self._wanted_mark
        return self._fresh_s() if done else RETRY_S

    def _fresh_s(self) -> float:
        """How long everything that was read is still new."""
        refresh_s = self._settings.max_age_s * REFRESH_AT
        return self._read_at_s + refresh_s - trio.current_time()

    async def changed(self, question: dict[str, Any]) -> dict[str, Any]:
        """Read the catalog again after a DDL, before its client goes on.

        Whether the DDL succeeded makes no difference: what it was to do is in force already. An
        outcome that is not `settled` leaves its objects in quarantine.
        """
        reference, settled = str(question["reference"]), bool(question["settled"])
        succeeded = bool(question["succeeded"])
        temporary = self._overlays.ended(reference, succeeded=succeeded, settled=settled)
        known = self._quarantine.ended(reference, settled=settled)
        if temporary and not known:
            return {"ok": True}
        self._wanted_mark = mark = self._quarantine.mark()
        self._whole_wanted |= not known
        self._wanted.set()
        with trio.move_on_after(CHANGE_LIMIT_S):
            # One reading serves all who asked before it began.
            while self._read_mark < mark:
                await self._was_read.wait()
        if self._read_mark < mark and not known:
            # What the DDL made of the tables is not known: nothing is judged by what they were, and
            # by no reading that began before.
            self._not_before = mark
            self._current.replace_catalog(None)
        return {"ok": True}

    async def over(self, question: dict[str, Any]) -> None:
        """Note that a statement is over that no `catalog_changed` came of: it was never sent."""
        reference = str(question["reference"])
        self._overlays.forget(reference)
        if self._quarantine.ended(reference, settled=True):
            self._wanted_mark = self._quarantine.mark()
            self._wanted.set()

    async def confirm(self, names: frozenset[ObjectName]) -> bool:
        """Read back procedures that are about to be called (F18).

        Cancel-safe: what was read is put in force as a whole or not at all.

        Returns:
            Whether they are what the catalog in force says. If not, what they are is in force now.

        Raises:
            UpstreamError: They could not be read.
        """
        registry = self._current.policy.registry
        databases = sorted({name.database for name in names})
        read = await read_routines(self._reader, databases, registry, names)
        before = self._current.catalog
        if before is None:
            return False
        now = before.with_procedures({name: read.get(name, ()) for name in names}, registry)
        if now.routines == before.routines:
            return True
        self._current.replace_catalog(now)
        await self._tell_mismatches(now)
        return False

    async def _tell_mismatches(self, catalog: Catalog) -> None:
        """Alert once about each routine that is not what the registry vetted."""
        found = frozenset(mismatches(catalog))
        new, self._mismatches = found - self._mismatches, found
        for detail in sorted(new):
            await self._alert("registry-mismatch", detail)

    async def _try(self) -> None:
        """Read the catalog, or what is due of it; on failure what is in force stays."""
        began_s, mark = trio.current_time(), self._quarantine.mark()
        due = self._quarantine.due(mark)
        named = 0 < len(due) <= OBJECTS_AT_ONCE and all(one.name for one in due)
        whole = self._whole_wanted or self._fresh_s() <= 0 or not named
        self._whole_wanted = False
        try:
            databases, registry = self._settings.databases, self._current.policy.registry
            read = await (read_catalog(self._reader, databases) if whole else self._read_some(due))
            routines = await read_routines(self._reader, databases, registry)
            await self._put(replace(read, routines=routines), mark)
        except SnowgateError as error:
            self._problem = str(error)
            self._whole_wanted |= whole
            log.warning("the catalog could not be read: %s", error)
            return
        self._read_mark = mark
        if whole:
            self._read_at_s = began_s
        self._quarantine.read(mark, whole=whole)
        self._was_read.set()
        self._was_read = trio.Event()
        try:
            await self._quarantine.forget()
            await self._last.keep(self._current.catalog)
        except SnowgateError as error:
            log.warning("what was read could not be kept: %s", error)

    async def _read_some(self, names: frozenset[ObjectName]) -> Catalog:
        """What was read last, with these objects as they are now."""
        ours = {one for one in names if one.database in self._settings.databases}
        now = await read_objects(self._reader, ours)
        return self._read.replacing(
            {one: now.tables.get(one) for one in ours}, {one: now.views.get(one) for one in ours}
        )

    async def _put(self, read: Catalog, mark: int) -> None:
        """Put a catalog in force as it was read, with all its tags.

        Raises:
            UpstreamError: Snowflake's tags cannot be read, or somebody changed something meanwhile.
            StoreError: A tag could not be kept.
        """
        policy = self._current.policy
        said = await self._references.onto(read, policy, self._reader, self._quarantine.names)
        found, matches = await tagged(said.catalog, policy)
        before = self._current.catalog or self._last.catalog
        if not self._watched:
            self._watch.look((await tagged(before, policy))[1])
            self._watched = True
        lost = self._watch.look(matches)
        for one in lost:
            await self._labels.keep(one.labels())
        renamed = moved_outside(before, found, self._quarantine.names)
        if await self._labels.keep(renamed):
            await self._alert(
                "tag-followed", f"renamed outside, tags kept: {', '.join(map(str, renamed))}"
            )
        for one in lost:
            columns = ", ".join(f"{name}.{column}" for name, column in sorted(one.places))
            await self._alert(
                "tag-pattern",
                f"the pattern `{one.pattern.columns}` of tag `{one.pattern.tag}` matches nothing"
                f" any more; it last matched {columns}",
            )
            self._watch.told(one)
        await self._tell_tags(said)
        await self._tell_mismatches(found)
        if mark < self._not_before:
            raise UpstreamError("catalog", "something changed while the catalog was read")
        # From here on nothing waits: labels moved meanwhile are on the catalog as well.
        self._read = read
        catalog = self._labels.onto(found)
        present = self._current.catalog
        if present is None:
            self._current.replace_catalog(catalog)
            return
        change = change_between(present, catalog)
        # An equal catalog keeps the epoch, and with it every verdict the gate has cached.
        if not change.empty:
            self._current.replace_catalog(change.onto(present))

    async def _tell_tags(self, said: Tagged) -> None:
        for source in said.missing:
            log.warning("the policy names the tag %s, which no column carries yet", source)
        for table, taken in groupby(said.taken, key=lambda one: one.table):
            columns = [*taken]
            names = ", ".join(f"{one.column} ({', '.join(sorted(one.tags))})" for one in columns)
            await self._alert(
                "tag-taken",
                f"Snowflake no longer tags {table}: {names}; the columns keep their tags until"
                " `except:` of the tag names them",
            )
            self._references.told(columns)

    async def _tell_unreadable(self) -> None:
        await self._alert(
            "catalog-unreadable",
            f"statements are denied until the catalog can be read: {self._problem}",
        )

    async def _alert(self, kind: str, detail: str) -> None:
        log.error("alert", extra={"alert": f"{kind}: {detail}"})
        try:
            await self._recorder.record("alert", {"alert": kind, "detail": detail})
        except SnowgateError as error:
            log.warning("an alert was not recorded: %s", error)
