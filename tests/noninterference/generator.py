"""Random sessions of Snowflake's SQL over the reference catalog: one seed, one session.

    sessions ──► statements ──► queries ──► sources, clauses ──► expressions
                                `queries`                        `writer`, `words`

A third of the sessions are probes: one small statement with a tagged expression in one place.
"""

from __future__ import annotations

from collections.abc import Callable

from . import probes, words
from .queries import From, QueryWriter
from .words import Column
from .writer import Heat, Scope, Site, columns_of


def session(seed: int) -> list[str]:
    """The session of a seed."""
    return _Generator(seed).session()


class _Generator(QueryWriter):
    def session(self) -> list[str]:
        if self.chance(0.3):
            return [self._probe()]
        kind = self.rng.random()
        if kind < 0.08:
            return self._made_first()
        if kind < 0.20 or self.often(Site.STORE, 0.0, 0.7):
            return [self._dml()]
        if kind < 0.24:
            return [self._dml(), self.query(self.size, ()).text]
        return [self.query(self.size, ()).text]

    def _probe(self) -> str:
        """A small query in which one tagged expression, or two, stand where they must not."""
        source, listed, tagged = self.pick(probes.SOURCES)
        columns = words.columns(listed, tagged)
        return self.probe(self.pick(probes.PROBES), source, Scope(columns_of("C", columns)))

    def _made_first(self) -> list[str]:
        """CREATE … AS, and a query of what it makes."""
        made = self.query(1, ())
        name = self.pick(("S1", "SAVED"))
        kind = self.pick(("TABLE", "TEMP TABLE", "VIEW"))
        self.tables[name] = made.columns
        body = f"CREATE {kind} {name} AS {made.text}"
        alias = self.alias()
        scope = From(f"{name} {alias}", columns_of(alias, made.columns))
        return [body, self.select(scope, 1, None, []).text]

    def _dml(self) -> str:
        kinds: tuple[Callable[[], str], ...] = (
            self._insert,
            self._update,
            self._delete,
            self._merge,
        )
        return self.pick(kinds)()

    def _target(self) -> tuple[str, tuple[Column, ...]]:
        name = self.pick(("ORDERS", "PRODUCTS", "CUSTOMERS"))
        return name, words.TABLES[name]

    def _assigned(self, column: Column, scope: Scope) -> str:
        """A value for a column: raw for a tagged one, else cold."""
        heat = Heat.RAW if column.raw else self.cold(Site.STORE)
        if column.raw and self.chance(0.3):
            heat = Heat.COLD
        return self.expression(column.type, scope, heat, 1).text

    def _insert(self) -> str:
        name, columns = self._target()
        chosen = self.rng.sample(columns, self.pick((1, 2, 3)))
        shape = [
            (
                c.type,
                (Heat.RAW if self.chance(0.7) else Heat.COLD) if c.raw else self.cold(Site.STORE),
            )
            for c in chosen
        ]
        body = self.query(self.size, (), shape)
        return f"INSERT INTO {name} ({', '.join(c.name for c in chosen)}) {body.text}"

    def _update(self) -> str:
        name, columns = self._target()
        scope = Scope(columns_of(name, columns))
        from_ = ""
        key = f"{name}.ID"
        where = self.predicate(scope, 2)
        if self.chance(0.5):
            text, added = self.source(1, ())
            scope = Scope([*scope.columns, *added])
            from_ = f" FROM {text}"
            keys = [c.ref for c in added if c.type == "N" and not c.hot] or ["3"]
            where = f"{key} = {self.pick(keys)}"
            if self.chance(0.5):
                where += f" AND {self.predicate(scope, 1)}"
        chosen = self.pick(columns[1:])
        value = self._assigned(chosen, scope)
        return f"UPDATE {name} SET {chosen.name} = {value}{from_} WHERE {where}"

    def _delete(self) -> str:
        name, columns = self._target()
        scope = Scope(columns_of(name, columns))
        if self.chance(0.4):
            text, added = self.source(1, ())
            keys = [c.ref for c in added if c.type == "N" and not c.hot] or ["3"]
            both = Scope([*scope.columns, *added])
            where = f"{name}.ID = {self.pick(keys)} AND {self.predicate(both, 1)}"
            return f"DELETE FROM {name} USING {text} WHERE {where}"
        return f"DELETE FROM {name} WHERE {self.where(scope, self.size)}"

    def _merge(self) -> str:
        name, columns = self._target()
        text, added = self.source(1, ())
        own = columns_of("T0", columns)
        both = Scope([*own, *added])
        on = self.on(own, added)
        parts: list[str] = []
        if self.chance(0.8):
            more = f" AND {self.predicate(both, 1)}" if self.chance(0.4) else ""
            chosen = self.pick(columns[1:])
            then = f"UPDATE SET {chosen.name} = {self._assigned(chosen, both)}"
            parts.append(f"WHEN MATCHED{more} THEN {'DELETE' if self.chance(0.3) else then}")
        if self.chance(0.5) or not parts:
            chosen = self.pick(columns)
            more = f" AND {self.predicate(Scope(added), 1)}" if self.chance(0.3) else ""
            value = self._assigned(chosen, Scope(added))
            parts.append(f"WHEN NOT MATCHED{more} THEN INSERT ({chosen.name}) VALUES ({value})")
        return f"MERGE INTO {name} T0 USING {text} ON {on} {' '.join(parts)}"
