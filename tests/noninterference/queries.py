"""Writes queries: sources, joins, clauses, set operations, WITH.

Every query knows of each of its columns whether tagged values reach it, as far as that needs no
thought; this only steers which statements are likely to run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from . import words
from .words import Column
from .writer import Expression, Heat, Scope, Site, Writer, columns_of, quoted

Shape = Sequence[tuple[str, Heat]]


@dataclass(frozen=True, slots=True)
class Query:
    """A text and its outputs."""

    text: str
    columns: tuple[Column, ...]


@dataclass(slots=True)
class From:
    """A FROM clause while it grows."""

    text: str
    columns: list[Column] = field(default_factory=list)


class QueryWriter(Writer):
    """Writes queries of some size: how deep they may nest."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.size = self.pick((0, 0, 1, 1, 2, 2, 3))

    def query(self, size: int, outer: Sequence[Column], shape: Shape | None = None) -> Query:
        """A query: SELECT, set operation, or either behind WITH."""
        kind = self.rng.random()
        if size > 1 and kind < 0.2 and not outer:
            return self._with(size, shape)
        if size > 0 and (kind < 0.35 or self.often(Site.SET, 0.0, 0.5)):
            return self._set_operation(size, outer, shape)
        return self.select(self._from(size, outer), size, shape, list(outer))

    def _with(self, size: int, shape: Shape | None) -> Query:
        if self.chance(0.25):
            return self._recursive(shape)
        parts: list[str] = []
        before = dict(self.tables)
        for _ in range(self.pick((1, 1, 2))):
            name = self.pick(words.CTE_NAMES)
            body = self._dictionary() if self.chance(0.2) else self.query(size - 1, ())
            columns = body.columns
            listed = ""
            if self.chance(0.2):
                columns = self._renamed(columns)
                listed = f" ({', '.join(column.name for column in columns)})"
            if any(part.startswith(f"{name} ") for part in parts):
                continue
            parts.append(f"{name}{listed} AS ({body.text})")
            self.tables[name] = columns
        main = self.query(size - 1, (), shape)
        self.tables = before
        return Query(f"WITH {', '.join(parts)} {main.text}", main.columns)

    def _recursive(self, shape: Shape | None) -> Query:
        alias = self.alias()
        start = Scope(columns_of(alias, self.tables["CUSTOMERS"]))
        first = self.expression("T", start, Heat.ANY, 1)
        inner = [Column("N", "N", "N"), Column("X", "X", "T", first.hot)]
        step = self.expression("T", Scope(inner), Heat.ANY, 1)
        stop = f" AND {self.predicate(Scope(inner), 1)}" if self.chance(0.4) else ""
        where = f" WHERE {self.predicate(start, 1)}" if self.chance(0.5) else ""
        text = (
            f"WITH RECURSIVE R (N, X) AS (SELECT {alias}.ID, {first.text}"
            f" FROM CUSTOMERS {alias}{where}"
            f" UNION ALL SELECT N + 4, {step.text} FROM R WHERE N < 10{stop})"
        )
        columns = (inner[0], replace(inner[1], hot=first.hot or step.hot))
        source = From("R", columns_of("R", columns))
        main = self.select(source, 1, shape, [])
        return Query(f"{text} {main.text}", main.columns)

    def _set_operation(self, size: int, outer: Sequence[Column], shape: Shape | None) -> Query:
        word = self.pick(("UNION ALL", "UNION ALL", "UNION", "INTERSECT", "EXCEPT", "MINUS"))
        heats = (Heat.COLD, Heat.RAW) if word != "UNION ALL" else (Heat.COLD, Heat.RAW, Heat.ANY)
        if shape is None:
            shape = [(self.pick("TTN"), self.pick(heats)) for _ in range(self.pick((1, 2, 2, 3)))]
            shape = [("T", heat) if heat is Heat.RAW else (kind, heat) for kind, heat in shape]
        if any(heat in (Heat.ANY, Heat.HOT) for _, heat in shape) and not self.slips(Site.SET):
            word = "UNION ALL"
        other = [(kind, Heat.HOT if self.slips(Site.SET) else heat) for kind, heat in shape]
        left = self.select(self._from(size - 1, outer), size - 1, shape, list(outer), ends=False)
        guessed = self.chance(0.12) and all(kind == "T" for kind, _ in shape)
        tagged = word != "UNION ALL" and any(heat is not Heat.COLD for _, heat in shape)
        if guessed and (not tagged or self.slips(Site.SET)):
            right = self._dictionary(len(shape))
        else:
            right = self.select(
                self._from(size - 1, outer), size - 1, other, list(outer), ends=False
            )
        columns = tuple(
            replace(one, hot=one.hot or two.hot, raw=one.raw and two.raw)
            for one, two in zip(left.columns, right.columns, strict=False)
        )
        tail = ""
        if self.chance(0.3):
            cold = [at for at, c in enumerate(columns, 1) if not c.hot or self.slips(Site.ORDER)]
            if cold:
                tail = f" ORDER BY {self.pick(cold)}"
        return Query(f"{left.text} {word} {right.text}{tail}", columns)

    def _dictionary(self, width: int = 1) -> Query:
        """Values that somebody guesses."""
        guesses = [
            ", ".join(quoted(self.pick(words.GUESSES)) for _ in range(width))
            for _ in range(self.pick((1, 3, 6)))
        ]
        if self.chance(0.5):
            names = [f"COLUMN{at + 1}" for at in range(width)]
            rows = ", ".join(f"({guess})" for guess in guesses)
            text = f"SELECT {', '.join(names)} FROM VALUES {rows}"
        else:
            names = [f"G{at + 1}" for at in range(width)]
            shown = [
                ", ".join(
                    f"{value} AS {name}"
                    for value, name in zip(guess.split(", "), names, strict=True)
                )
                for guess in guesses
            ]
            text = " UNION ALL ".join(f"SELECT {row}" for row in shown)
        return Query(text, tuple(Column(name, name, "T") for name in names))

    def _renamed(self, columns: Sequence[Column]) -> tuple[Column, ...]:
        names = self._names(len(columns))
        return tuple(
            replace(column, name=name, ref=name)
            for column, name in zip(columns, names, strict=True)
        )

    def _names(self, count: int) -> list[str]:
        """Different names for outputs."""
        names = list(words.NAMES)
        self.rng.shuffle(names)
        return [*names, *(f"COL{at}" for at in range(count))][:count]

    # FROM

    def _from(self, size: int, outer: Sequence[Column]) -> From:
        text, columns = self.source(size, outer)
        made = From(text, columns)
        more = (
            1
            if self.often(Site.JOIN, 0.0, 0.6)
            else self.pick((0, 0, 1, 1, 2))
            if size > 1
            else self.pick((0, 0, 0, 0, 1))
        )
        for _ in range(more):
            self._join(made, size - 1, outer)
        if self.often(Site.ROWS, 0.12, 0.6):
            self._lateral(made, outer)
        return made

    def source(self, size: int, outer: Sequence[Column]) -> tuple[str, list[Column]]:
        """One item of FROM, under an alias."""
        kind = self.rng.random()
        alias = self.alias()
        if size > 0 and kind < 0.25:
            inner = self.query(size - 1, outer if self.chance(0.1) else ())
            columns, listed = inner.columns, ""
            if self.chance(0.15):
                columns = self._renamed(columns)
                listed = f" ({', '.join(column.name for column in columns)})"
            return f"({inner.text}) {alias}{listed}", columns_of(alias, columns)
        if kind < 0.30:
            guessed = self._dictionary(self.pick((1, 1, 2)))
            return f"({guessed.text}) {alias}", columns_of(alias, guessed.columns)
        if kind < 0.34:
            rows = self.rng.randrange(1, 6)
            table = f"TABLE(GENERATOR(ROWCOUNT => {rows}))"
            text = f"(SELECT SEQ4() AS N, SEQ4()::VARCHAR AS S FROM {table})"
            return f"{text} {alias}", columns_of(
                alias, (Column("N", "N", "N"), Column("S", "S", "T"))
            )
        if kind < 0.38:
            return self._unpivot(alias)
        if kind < 0.42:
            return self._pivot(alias)
        names = list(self.tables)
        weights = [5 if name in ("CUSTOMERS", "V_CUSTOMERS") else 2 for name in names]
        name = self.rng.choices(names, weights)[0]
        return f"{name} {alias}", columns_of(alias, self.tables[name])

    def _unpivot(self, alias: str) -> tuple[str, list[Column]]:
        heat = self.cold(Site.ROWS)
        chosen = (
            ("CITY", "SEGMENT") if heat is Heat.COLD else ("EMAIL", self.pick(("CITY", "PHONE")))
        )
        hot = heat is Heat.HOT
        nulls = "INCLUDE NULLS " * self.chance(0.2)
        text = (
            f"(SELECT * FROM (SELECT ID, {', '.join(chosen)} FROM CUSTOMERS)"
            f" UNPIVOT {nulls}(VAL FOR KEY IN ({', '.join(chosen)}))) {alias}"
        )
        columns = (
            Column("ID", "ID", "N"),
            Column("KEY", "KEY", "T"),
            Column("VAL", "VAL", "T", hot),
        )
        return text, columns_of(alias, columns)

    def _pivot(self, alias: str) -> tuple[str, list[Column]]:
        hot = self.chance(self.heat)
        key, values = ("EMAIL", words.CONSTANTS[:2]) if hot else ("SEGMENT", ("vip", "std"))
        value = self.pick(("COUNT(ID)", "MAX(ID)", "MIN(ID)"))
        kept = self.pick(("COUNTRY", "CITY", "PHONE"))
        listed = ", ".join(map(quoted, values))
        text = (
            f"(SELECT * FROM (SELECT {key}, {kept}, ID FROM CUSTOMERS)"
            f" PIVOT ({value} FOR {key} IN ({listed})) AS P (KEPT, ONE, TWO)) {alias}"
        )
        raw = kept == "PHONE"
        columns = (
            Column("KEPT", "KEPT", "T", raw, raw),
            Column("ONE", "ONE", "N", hot),
            Column("TWO", "TWO", "N", hot),
        )
        return text, columns_of(alias, columns)

    def _join(self, made: From, size: int, outer: Sequence[Column]) -> None:
        text, columns = self.source(size, outer)
        kind = self.rng.random()
        word = self.pick(("JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "INNER JOIN"))
        common = sorted({c.name for c in made.columns} & {c.name for c in columns})
        if kind < 0.12:
            made.text += f", {text}"
        elif kind < 0.18:
            made.text += f" CROSS JOIN {text}"
        elif kind < 0.30 and common:
            name = self.pick(common)
            if sum(column.name == name for column in made.columns) > 1:
                made.text += f", {text}"
            else:
                made.text += f" {word} {text} USING ({name})"
        elif (
            kind < 0.36 and common and (self.slips(Site.JOIN) or not _risky(made.columns, columns))
        ):
            made.text += f" NATURAL JOIN {text}"
        else:
            condition = self.on(made.columns, columns)
            made.text += f" {word} {text} ON {condition}"
        made.columns = made.columns + columns

    def on(self, left: Sequence[Column], right: Sequence[Column]) -> str:
        """Keys of one type, or any predicate."""
        if self.chance(0.15):
            return self.predicate(Scope([*left, *right]), 2)
        ones = [column for column in left if column.type in "TN"]
        pairs = [
            (one, two)
            for one in ones
            for two in right
            if one.type == two.type
            and (one.raw, one.hot) == (two.raw, two.hot)
            and (one.raw or not one.hot)
        ]
        keys = [(a, b) for a, b in pairs if {a.name, b.name} <= _KEYS or a.raw]
        if keys and self.chance(0.75):
            pairs = keys
        if not pairs or self.slips(Site.JOIN):
            return self.expression("B", Scope([*left, *right]), self.cold(Site.JOIN), 1).text
        one, two = self.pick(pairs)
        more = ""
        if self.chance(0.25):
            more = f" AND {self.predicate(Scope([*left, *right]), 1)}"
        return f"{one.ref} = {two.ref}{more}"

    def _lateral(self, made: From, outer: Sequence[Column]) -> None:
        alias = self.alias()
        scope = Scope(made.columns)
        kind = self.rng.random()
        if kind < 0.4:
            given = self.expression("V", scope, self.cold(Site.ROWS), 2)
            made.text += f", LATERAL FLATTEN(INPUT => {given.text}) {alias}"
            columns = [
                Column("VALUE", "VALUE", "V", given.hot),
                Column("INDEX", "INDEX", "N", given.hot),
            ]
        elif kind < 0.55:
            given = self.expression("T", scope, self.cold(Site.ROWS), 1)
            made.text += f", LATERAL SPLIT_TO_TABLE({given.text}, '-') {alias}"
            columns = [
                Column("VALUE", "VALUE", "T", given.hot),
                Column("INDEX", "INDEX", "N", given.hot),
            ]
        elif kind < 0.75:
            value = self.expression("T", scope, Heat.ANY, 2)
            made.text += f", LATERAL (SELECT {value.text} AS L) {alias}"
            columns = [Column("L", "L", "T", value.hot, value.raw)]
        else:
            table = self.pick(("CUSTOMERS", "ORDERS"))
            inner = self.alias()
            own = columns_of(inner, self.tables[table])
            both = Scope(own, list(made.columns))
            value = self.expression("T", both, Heat.ANY, 1)
            keys = [c for c in made.columns if c.type == "N" and not c.hot] or [
                Column("1", "1", "N")
            ]
            more = f" AND {self.predicate(both, 1)}" if self.chance(0.4) else ""
            made.text += (
                f", LATERAL (SELECT {value.text} AS L FROM {table} {inner}"
                f" WHERE {inner}.ID = {self.pick(keys).ref}{more}) {alias}"
            )
            columns = [Column("L", "L", "T", value.hot, value.raw)]
        made.columns = made.columns + columns_of(alias, columns)

    # SELECT

    def select(
        self,
        source: From,
        size: int,
        shape: Shape | None,
        outer: list[Column],
        *,
        ends: bool = True,
    ) -> Query:
        """A SELECT over a FROM clause. Without `ends` it has no ORDER BY and LIMIT."""
        scope = Scope(source.columns, outer)
        kind = self.rng.random()
        if shape is None and kind < 0.15:
            starred = self._starred(source)
            if starred is not None:
                where = f" WHERE {self.where(scope, size)}" if self.chance(0.5) else ""
                return Query(f"SELECT {starred.text} FROM {source.text}{where}", starred.columns)
        if shape is None and (kind < 0.4 or self.often(Site.GROUP, 0.0, 0.5)):
            return self._grouped(source, scope, size, ends=ends)
        free = shape is None
        if shape is None:
            shape = [(self.type(), Heat.ANY) for _ in range(self.pick((1, 2, 2, 3, 4)))]
        items: list[Expression] = []
        for kind_, heat in shape:
            if heat is Heat.ANY and self.chance(0.12):
                items.append(self.windowed(kind_, scope))
            else:
                items.append(self.expression(kind_, scope, heat, 0 if heat is Heat.RAW else 2))
        if free and self.chance(0.6):
            # Something to see beside what is masked.
            items.append(self.expression(self.pick("NNT"), scope, Heat.COLD, 0))
        if free and self.often(Site.ERROR, 0.02, 0.6):
            heat = self.cold(Site.ERROR)
            items.append(self.expression_of(self.pick(words.FALLIBLE), "N", scope, heat))
        distinct = self.often(Site.GROUP, 0.1, 0.3) and (
            self.slips(Site.GROUP) or all(i.raw or not i.hot for i in items)
        )
        text, columns = self._items(items)
        clauses = self._clauses(scope, size)
        qualify = (
            self._qualify(scope, columns)
            if self.often(Site.WINDOW, 0.12, 0.4) and not distinct
            else ""
        )
        tail = self._tail(scope, columns, ends=ends, distinct=distinct)
        word = "SELECT DISTINCT" if distinct else "SELECT"
        return Query(f"{word} {text} FROM {source.text}{clauses}{qualify}{tail}", columns)

    def _items(self, items: Sequence[Expression]) -> tuple[str, tuple[Column, ...]]:
        shown: list[str] = []
        columns: list[Column] = []
        for item, name in zip(items, self._names(len(items)), strict=True):
            plain = item.text.rpartition(".")[2]
            taken = {column.name for column in columns}
            if item.text.isidentifier() or (
                item.text.replace(".", "_").isidentifier()
                and plain not in taken
                and self.chance(0.6)
            ):
                name = plain
            if name in taken:
                name = f"{name}{len(columns)}"
            alias = "" if name == plain else f" AS {name}"
            shown.append(f"{item.text}{alias}")
            columns.append(Column(name, name, item.type, item.hot, item.raw))
        return ", ".join(shown), tuple(columns)

    def where(self, scope: Scope, size: int) -> str:
        """A predicate, or a subquery in one."""
        if size > 1 and self.chance(0.2):
            return self._membership(scope, size)
        return self.predicate(scope, 2)

    def _membership(self, scope: Scope, size: int) -> str:
        """IN and EXISTS over a query."""
        if self.chance(0.5):
            heat = Heat.RAW if self.chance(0.3) else Heat.COLD
            kind = "T" if heat is Heat.RAW else self.pick("NT")
            one = self.expression(kind, scope, heat, 0)
            other = (
                self.cold(Site.JOIN)
                if heat is Heat.COLD
                else (Heat.HOT if self.slips(Site.JOIN) else Heat.RAW)
            )
            inner = self.query(size - 2, scope.columns if self.chance(0.2) else (), [(kind, other)])
            return f"{one.text} {'NOT ' * self.chance(0.2)}IN ({inner.text})"
        inner = self.select(
            self._from(max(size - 2, 0), ()), 0, [("N", Heat.ANY)], scope.columns, ends=False
        )
        return f"{'NOT ' * self.chance(0.3)}EXISTS ({inner.text})"

    def _clauses(self, scope: Scope, size: int) -> str:
        if self.often(Site.ERROR, 0.05, 0.6):
            # Few rows, so that what fails on some of them need not fail on all twins.
            ids = [column.ref for column in scope.columns if column.name == "ID"]
            if ids:
                return f" WHERE {self.pick(ids)} = {self.rng.randrange(1, 12)}"
        return f" WHERE {self.where(scope, size)}" if self.often(Site.FILTER, 0.3, 0.8) else ""

    def _qualify(self, scope: Scope, columns: Sequence[Column]) -> str:
        made = self.windowed("N", scope, self.cold(Site.WINDOW))
        return f" QUALIFY {made.text} {self.pick(('=', '<=', '>'))} {self.rng.randrange(1, 4)}"

    def _tail(self, scope: Scope, columns: Sequence[Column], *, ends: bool, distinct: bool) -> str:
        if not ends or not self.often(Site.ORDER, 0.45, 0.8):
            return ""
        named = [c.ref for c in columns if not c.hot]
        if self.chance(0.3):
            named = [str(at) for at, column in enumerate(columns, 1) if not column.hot]
        if distinct:
            keys = [self.pick(named)] if named else []
        else:
            key = self.expression(self.pick("NTD"), scope, self.cold(Site.ORDER), 1).text
            keys = [self.pick([*named, key])]
            keys += [
                c.ref for c in scope.columns if c.name == "ID" and not c.hot and self.chance(0.8)
            ]
        keys = [key for key in keys if not key.startswith("'")]
        if not keys:
            return ""
        order = ", ".join(key + self.pick(("", "", " DESC", " NULLS LAST")) for key in keys)
        limit = f" LIMIT {self.rng.randrange(1, 6)}" if self.chance(0.4) else ""
        offset = f" OFFSET {self.rng.randrange(0, 3)}" if limit and self.chance(0.2) else ""
        return f" ORDER BY {order}{limit}{offset}"

    def _starred(self, source: From) -> Query | None:
        """`*` with what Snowflake lets one say of it; None where names would clash."""
        names = [column.name for column in source.columns]
        if len(set(names)) < len(names) or "USING" in source.text or "NATURAL" in source.text:
            return None
        columns = [replace(column, ref=column.name) for column in source.columns]
        kind = self.rng.random()
        if kind < 0.4:
            return Query("*", tuple(columns))
        if kind < 0.6 and len(columns) > 1:
            out = self.pick(columns)
            left = tuple(column for column in columns if column is not out)
            return Query(f"* EXCLUDE ({out.name})", left)
        if kind < 0.7:
            pattern = self.pick(("%a%", "c%", "%id", "%e%", "_i%"))
            fits = re.compile(pattern.replace("%", ".*").replace("_", "."), re.IGNORECASE)
            shown = tuple(column for column in columns if fits.fullmatch(column.name))
            return Query(f"* ILIKE '{pattern}'", shown) if shown else Query("*", tuple(columns))
        if kind < 0.85:
            old, new = self.pick(columns), self.pick(("K", "CITY", "EMAIL", "W"))
            if new in names:
                return Query("*", tuple(columns))
            done = [replace(c, name=new, ref=new) if c is old else c for c in columns]
            return Query(f"* RENAME ({old.name} AS {new})", tuple(done))
        old = self.pick(columns)
        made = self.expression(old.type, Scope(source.columns), Heat.ANY, 1)
        done = [replace(c, hot=made.hot, raw=False) if c is old else c for c in columns]
        return Query(f"* REPLACE ({made.text} AS {old.name})", tuple(done))

    def _grouped(self, source: From, scope: Scope, size: int, *, ends: bool) -> Query:
        keys: list[Expression] = []
        for _ in range(self.pick((0, 1, 1, 2))):
            heat = Heat.RAW if self.chance(0.35) else self.cold(Site.GROUP)
            depth = 0 if heat is Heat.RAW or self.chance(0.6) else 1
            key = self.expression(self.pick("TTN"), scope, heat, depth)
            if key.text[0] not in "'0123456789" and key.text not in [k.text for k in keys]:
                keys.append(key)
        aggregates = [Expression(self.pick(("COUNT(*)", "COUNT(*)", "MIN(1)")), "N")]
        aggregates *= self.chance(0.5)
        aggregates += [self.aggregate(self.type(), scope) for _ in range(self.pick((1, 1, 2)))]
        text, columns = self._items([*keys, *aggregates])
        where = self._clauses(scope, size)
        group = ""
        if keys:
            kind = self.rng.random()
            if kind < 0.25:
                listed = ", ".join(str(at) for at in range(1, len(keys) + 1))
            elif kind < 0.32:
                listed = "ALL"
            elif kind < 0.4:
                listed = f"{self.pick(('ROLLUP', 'CUBE'))} ({', '.join(k.text for k in keys)})"
            else:
                listed = ", ".join(key.text for key in keys)
            group = f" GROUP BY {listed}"
        having = ""
        if keys and self.chance(0.25):
            made = self.aggregate("N", scope, self.cold(Site.FILTER))
            having = f" HAVING {made.text} {self.pick(('>', '<=', '='))} {self.rng.randrange(0, 4)}"
        tail = ""
        if ends and self.chance(0.4):
            cold = [c.ref for c in columns if not c.hot or self.slips(Site.ORDER)]
            if cold:
                tail = f" ORDER BY {', '.join(cold)}"
                tail += f" LIMIT {self.rng.randrange(1, 4)}" if self.chance(0.3) else ""
        return Query(f"SELECT {text} FROM {source.text}{where}{group}{having}{tail}", columns)


# Columns that hold ids, so that a join on them finds rows.
_KEYS = {"ID", "CUSTOMER_ID", "USER_ID"}


def _risky(left: Sequence[Column], right: Sequence[Column]) -> bool:
    """Whether a natural join would compare hot columns with others."""
    return any(
        one.name == two.name and (one.hot or two.hot) and not (one.raw and two.raw)
        for one in left
        for two in right
    )
