"""The one composition root: `async with snowgate.Gateway(config) as gateway`.

    config ──► store, desk, judge, logins ──► control plane ◄── bridge ──► gate (Rust)
                                                │
                                       API listener, catalog, timers

The command line, the tests and embedding programs all start the gateway here. Entering the context
returns once it serves; leaving it drains the gate, writes the last checkpoint and closes the store.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson
import trio

from snowgate._core import Bridge, Gate, GateError
from snowgate.approval.desk import ApprovalDesk
from snowgate.approval.quota import Quota
from snowgate.audit.entries import read_entries
from snowgate.config import Config, load_config
from snowgate.console import serve_api
from snowgate.control.analysts import Analysts
from snowgate.control.calls import GateCalls
from snowgate.control.catalogs import CatalogKeeper
from snowgate.control.counted import ValueHasher
from snowgate.control.current import Current
from snowgate.control.grants import report_missing_roles
from snowgate.control.heads import HeadKeeper
from snowgate.control.holding import Holding
from snowgate.control.judging import Judge
from snowgate.control.labels import Labels
from snowgate.control.last import LastCatalog
from snowgate.control.logins import Logins
from snowgate.control.overlays import Overlays
from snowgate.control.plane import ControlPlane
from snowgate.control.quarantine import Quarantine
from snowgate.control.references import TagReferences
from snowgate.control.sessions import SessionRows
from snowgate.control.snapshots import CatalogCopy
from snowgate.control.startup import DataDir, gate_document, ledger_origin
from snowgate.errors import StartError, reason_of
from snowgate.identity.verifier import open_verifier
from snowgate.store import Store

log = logging.getLogger(__name__)

# Streams that run when the gateway is told to stop get this long; drivers fetch a chunk in seconds.
DRAIN_S = 10.0
# Ended approvals stay in the store that long, for `approvals list`; the ledger keeps them for good.
KEEP_APPROVALS_S = 90 * 24 * 3600.0
# As many questions as the bridge holds.
JUDGED_AT_ONCE = 16_384
# After the drain the ledger writes its last checkpoint and tells `stopped`.
STOP_LIMIT_S = DRAIN_S + 10.0


class Gateway:
    """A running gateway.

    ```python
    async with snowgate.Gateway("snowgate.yaml") as gateway:
        print(gateway.address)
        await trio.sleep_forever()
    ```

    Args:
        config: A loaded configuration, or the path of its file.

    Raises:
        ConfigError: The file is wrong; on construction.
        StartError: The gateway cannot start; on entering.
    """

    def __init__(self, config: Config | Path | str) -> None:
        self.config = config if isinstance(config, Config) else load_config(Path(config))
        self.address: tuple[str, int] = ("", 0)
        self.api_address: tuple[str, int] | None = None
        self._context: AbstractAsyncContextManager[None] | None = None
        self._gate: Gate | None = None

    async def reload_certificate(self) -> None:
        """Use the certificate and key that are in their files now, for new connections.

        Raises:
            StartError: They cannot be used; the ones in use stay.
        """
        if self._gate is not None:
            try:
                await trio.to_thread.run_sync(self._gate.reload_certificate)
            except GateError as error:
                raise StartError(str(error)) from error

    async def __aenter__(self) -> Self:
        self._context = self._run()
        try:
            await self._context.__aenter__()
        except BaseExceptionGroup as group:
            reason = reason_of(group)
            if reason is None:
                raise
            raise reason from None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        if self._context is None:
            return None
        return await self._context.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def _run(self) -> AsyncGenerator[None]:
        config = self.config
        paths = DataDir(config.data_dir)
        key = paths.prepare()
        # Whatever this process writes is for its owner only.
        os.umask(0o077)
        bridge, calls, current = Bridge(), GateCalls(), Current(config.policy)
        with Store.open(paths.store, key) as store:
            async with (
                trio.open_nursery() as nursery,
                open_verifier(config.issuers, nursery) as verifier,
            ):
                head = store.ledger_head(ledger_origin(config))
                document = gate_document(config, paths, head, store.sessions.load_all())
                analysts = Analysts(current)
                async with trio.open_nursery() as starting:
                    starting.start_soon(nursery.start, analysts.run)
                    gate = self._gate = await _start(document, bridge)
                calls.attach(gate)
                current.attach(gate)
                store.approvals.prune(time.time() - KEEP_APPROVALS_S)
                quota = Quota(config.limits.pending_holds, config.limits.new_holds_per_minute)
                desk = await ApprovalDesk.open(store.approvals, calls, gate.wake, quota=quota)
                await _witness(desk, paths.ledger)
                labels = Labels(store.labels)
                quarantine = Quarantine(store.changes)
                overlays = Overlays()
                keeper = CatalogKeeper(
                    current,
                    calls,
                    config.upstream.catalog,
                    labels,
                    quarantine,
                    overlays,
                    TagReferences(store.references),
                    LastCatalog(store.catalog),
                    calls,
                )
                judge = Judge(
                    current,
                    analysts,
                    labels,
                    quarantine,
                    overlays,
                    ValueHasher(key),
                    keeper.confirm,
                )
                logins = Logins(verifier, config.account, config.roles, config.issuers)
                holding = Holding(desk, judge)
                rows = SessionRows(store.sessions, overlays)
                stopped = trio.Event()

                async def on_stopped(_: object) -> None:
                    stopped.set()

                plane = ControlPlane(
                    bridge,
                    {
                        "login": logins.login,
                        "renew": logins.renew,
                        "judge": judge.judge,
                        "hold": holding.hold,
                        "consume": holding.consume,
                        "held": holding.held,
                        "cancel_hold": holding.cancel,
                        "catalog_changed": keeper.changed,
                        "statement_over": keeper.over,
                        "session_opened": rows.open,
                        "session_changed": rows.change,
                        "session_closed": rows.close,
                        "alert": _alert,
                        "done": calls.done,
                        "stopped": on_stopped,
                    },
                    # Statements queue by principal, where one that floods fills its own line only.
                    {"judge": JUDGED_AT_ONCE},
                )
                await nursery.start(plane.run)
                heads = HeadKeeper(gate, store, ledger_origin(config))
                nursery.start_soon(desk.run)
                nursery.start_soon(heads.run)
                await nursery.start(keeper.run)
                await nursery.start(CatalogCopy(current, paths.catalog).run)
                nursery.start_soon(report_missing_roles, calls, calls, config.roles)
                if config.api is not None:
                    self.api_address = await nursery.start(
                        serve_api, config.api.listen, desk, verifier, config.account
                    )
                self.address = gate.local_addr()
                try:
                    yield
                finally:
                    with trio.CancelScope(shield=True, deadline=trio.current_time() + STOP_LIMIT_S):
                        gate.shutdown(DRAIN_S)
                        await stopped.wait()
                        await heads.save()
                    bridge.stop()
                    nursery.cancel_scope.cancel()


async def _witness(desk: ApprovalDesk, ledger: Path) -> None:
    """Show the desk what the ledger says of its approvals: votes count only if it has them (F7)."""

    def read() -> list[tuple[int, Mapping[str, object]]]:
        return [
            (entry.seq, entry.fields) for entry in read_entries(ledger) if entry.kind == "approval"
        ]

    if desk.open_count:
        for seq, fields in await trio.to_thread.run_sync(read):
            desk.witness(seq, fields)


async def _start(document: bytes, bridge: Bridge) -> Gate:
    """Start the gate in a thread: it reads the ledger first.

    Raises:
        StartError: It says why.
    """
    try:
        return await trio.to_thread.run_sync(Gate, document, bridge)
    except GateError as error:
        raise StartError(str(error)) from error


async def _alert(question: dict[str, object]) -> None:
    """Something an operator should look at; the ledger has it too."""
    log.error("alert", extra={"alert": orjson.dumps(question).decode()})
