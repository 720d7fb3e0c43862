"""Faults on demand: what the next matching requests and replies suffer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from snowgate_standin.http import Drop, Response

KINDS = {
    "http": "answer with `status` and do nothing",
    "delay": "wait `seconds` before anything is done",
    "close": "close the connection: `when` is before (nothing is run) or after (it was run)",
    "set": "set `key` (dotted, below the reply) to `value`; adds unknown keys too",
    "final_role": "answer `value` as finalRoleName",
    "rowtype": "`op` rename, drop or add a rowtype entry at `index`, `name` for the new name",
    "storage": "chunk GETs: `status`, or `cut` bytes and close, or `corrupt` true",
    "expire": "at once: tokens of `session` (or of all) answer 390112; `master` too: 390114",
    "end": "at once: `session` (or all) is gone: 390111",
    "reset": "forget all faults",
}


@dataclass(slots=True)
class Fault:
    """One switch; `count` matching requests suffer it, then it is gone."""

    kind: str
    count: int = 1
    path: str = ""
    sql: str = ""
    given: dict[str, Any] = field(default_factory=dict)

    def matches(self, path: str, sql: str | None) -> bool:
        return self.path in path and self.sql.lower() in (sql or "").lower()


class Faults:
    """The switches that are set, in the order they were given."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []

    def add(self, given: dict[str, Any]) -> None:
        """Set a switch from its JSON form.

        Raises:
            ValueError: there is no such kind.
        """
        given = dict(given)
        kind = given.pop("kind", "")
        if kind not in KINDS:
            raise ValueError(f"no fault {kind!r}; there are {', '.join(KINDS)}")
        if kind == "reset":
            self.waiting.clear()
            return
        default = "/queries/v1/query-request" if kind not in ("http", "delay", "close") else ""
        self.waiting.append(
            Fault(
                kind,
                int(given.pop("count", 1)),
                str(given.pop("path", "" if kind == "storage" else default)),
                str(given.pop("sql", "")),
                given,
            )
        )

    def _take(self, kinds: tuple[str, ...], path: str, sql: str | None) -> list[Fault]:
        taken = []
        for fault in list(self.waiting):
            if fault.kind in kinds and fault.matches(path, sql):
                taken.append(fault)
                fault.count -= 1
                if fault.count <= 0:
                    self.waiting.remove(fault)
        return taken

    async def before(self, path: str, sql: str | None) -> Response | None:
        """Delay, refuse or drop a request before anything is done for it."""
        for fault in self._take(("delay",), path, sql):
            await asyncio.sleep(float(fault.given.get("seconds", 1)))
        for fault in list(self.waiting):
            early = fault.kind == "close" and fault.given.get("when", "before") == "before"
            if early and fault.matches(path, sql):
                self._spend(fault)
                raise Drop
        for fault in self._take(("http",), path, sql):
            return Response(int(fault.given.get("status", 503)), b"")
        return None

    def _spend(self, fault: Fault) -> None:
        fault.count -= 1
        if fault.count <= 0:
            self.waiting.remove(fault)

    def after(self, path: str, sql: str | None, reply: dict[str, Any]) -> None:
        """Change a reply in place, or drop the connection instead of sending it."""
        for fault in self._take(("set", "final_role", "rowtype"), path, sql):
            _change(fault, reply)
        if self._take(("close",), path, sql):
            raise Drop

    def storage(self, path: str) -> Fault | None:
        taken = self._take(("storage",), path, None)
        return taken[0] if taken else None


def _change(fault: Fault, reply: dict[str, Any]) -> None:
    given = fault.given
    if fault.kind == "final_role":
        (reply.get("data") or {})["finalRoleName"] = given.get("value")
        return
    if fault.kind == "set":
        *path, last = str(given["key"]).split(".")
        place = reply
        for name in path:
            place = place.setdefault(name, {})
        place[last] = given.get("value")
        return
    rowtype = (reply.get("data") or {}).get("rowtype") or []
    index = int(given.get("index", 0))
    if given.get("op") == "drop":
        del rowtype[index]
    elif given.get("op") == "add":
        rowtype.insert(index, {**rowtype[index], "name": given.get("name", "STANDIN_ADDED")})
    else:
        rowtype[index]["name"] = given.get("name", "STANDIN_RENAMED")
