"""Proposes the rules that a history needed, and nothing else.

Accesses of one group become `allow` rules by class, kind and object. Where a group touched many
objects of a schema, the rule names the schema: a build makes names that nobody saw before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from snowgate.audit.render import visible_json
from snowgate.model.statement import ObjectName
from snowgate.policy.matching import Access
from snowgate.policy.pattern import Glob, NamePattern
from snowgate.review.kinds import is_kind
from snowgate.review.needs import Grantee, Need

# From that many objects of one schema on, a rule names the schema.
MANY = 20
_WIDTH = 96
# What belongs to a rule begins there at the earliest.
_INNER = 8
# Text that needs no quotes, wherever it stands.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_CONSTANTS = frozenset({"true", "false", "null"})

Rule = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Row:
    """Accesses that one rule can stand for, but for class and place."""

    kind: str
    unbounded: bool | None
    launders: frozenset[str]


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """Where a rule applies: patterns of one key, anywhere, or where there is no object at all."""

    key: str
    patterns: tuple[str, ...] = ()

    def keys(self) -> dict[str, Any]:
        """The same as the file has it."""
        match self.key:
            case "any":
                return {}
            case "none":
                # Whatever has an object has it in some database.
                return {"not": {"database": "*"}}
            case key:
                return {key: list(self.patterns)}


def propose(needs: Iterable[Need], taken: Iterable[str] = ()) -> list[Rule]:
    """The allow rules, as the file has them.

    Args:
        needs: What was needed.
        taken: Names that other rules have.
    """
    by_grantee: dict[Grantee, list[Need]] = {}
    for need in needs:
        by_grantee.setdefault(need.grantee, []).append(need)
    names = _Names(taken)
    rules: list[Rule] = []
    for grantee in sorted(by_grantee, key=lambda one: (one.group, one.issuer, one.subject)):
        for match in _matches(by_grantee[grantee]):
            who = _who(grantee)
            rules.append({"name": names.of(grantee), "match": {**who, **match}, "allow": True})
    return rules


def yaml_lines(value: object, indent: int = 0) -> Iterator[str]:
    """A value of a configuration as YAML that its strict reader reads back."""
    space = " " * indent
    if isinstance(value, Mapping):
        for key, inner in value.items():
            at = indent + len(str(key)) + 2
            if _fits(inner, at):
                yield f"{space}{key}: {_flow(inner)}"
            else:
                yield f"{space}{key}:"
                yield from yaml_lines(inner, indent + 2)
    elif isinstance(value, list):
        for inner in value:
            first, *rest = yaml_lines(inner, indent + 2)
            yield f"{space}- {first[indent + 2 :]}"
            yield from rest
    else:
        yield space + _flow(value)


def _fits(value: object, at: int) -> bool:
    """Whether a value stands on the line of its key: if it is short, and inside of a rule."""
    if not isinstance(value, Mapping | list) or not value:
        return True
    nested = isinstance(value, list) and any(isinstance(one, Mapping) for one in value)
    return at >= _INNER and not nested and at + len(_flow(value)) <= _WIDTH


def _flow(value: object) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value not in _CONSTANTS:
        return value
    return visible_json(value)


def _matches(needs: list[Need]) -> Iterator[dict[str, Any]]:
    rows: dict[_Row, dict[str, set[Access]]] = {}
    for need in needs:
        kind = need.access.object_kind if is_kind(need.access.object_kind) else ""
        row = _Row(kind, need.unbounded, need.launders)
        rows.setdefault(row, {}).setdefault(need.access.kind.value, set()).add(need.access)
    for row in sorted(rows, key=lambda one: (one.kind, str(one.unbounded), sorted(one.launders))):
        # Classes that go to the same places are one rule.
        together: dict[_Place, list[str]] = {}
        for word, found in sorted(rows[row].items()):
            for place in _places(access.place for access in found):
                together.setdefault(place, []).append(word)
        for place, words in sorted(
            together.items(), key=lambda each: (each[0].key, each[0].patterns)
        ):
            yield {
                "class": words,
                **({"kind": row.kind.lower()} if row.kind else {}),
                **({} if row.unbounded is None else {"unbounded": row.unbounded}),
                **({"launders": sorted(row.launders)} if row.launders else {}),
                **place.keys(),
            }


def _places(places: Iterable[ObjectName | None]) -> Iterator[_Place]:
    """The keys that say where, for all of these places; each result is a rule of its own."""
    found = set(places)
    anywhere = {place for place in found if place is not None and not place.database}
    if None in found:
        yield _Place("none")
    if anywhere:
        yield _Place("any")
    databases = {p.database for p in found if p and p.database and not p.schema}
    schemas = {
        (p.database, p.schema) for p in found if p and p.database and p.schema and not p.name
    }
    objects: dict[tuple[str, str], set[str]] = {}
    for place in found:
        if place and place.database and place.schema and place.name:
            objects.setdefault((place.database, place.schema), set()).add(place.name)
    for schema in [each for each, listed in objects.items() if len(listed) >= MANY]:
        schemas.add(schema)
        del objects[schema]
    if databases:
        yield _Place("database", tuple(sorted(_pattern(each) for each in databases)))
    if schemas:
        yield _Place("schema", tuple(sorted(_pattern(*each) for each in schemas)))
    if objects:
        named = (_pattern(*schema, name) for schema, listed in objects.items() for name in listed)
        yield _Place("object", tuple(sorted(named)))


def _pattern(*parts: str) -> str:
    """A pattern that fits this name and no other."""
    return str(NamePattern(tuple(Glob((part,)) for part in parts)))


def _who(grantee: Grantee) -> dict[str, Any]:
    if grantee.group:
        return {"group": grantee.group}
    return {"principal": {"issuer": grantee.issuer, "subject": grantee.subject}}


class _Names:
    """Names of rules after who they are for, that no other rule has."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._used = set(taken)

    def of(self, grantee: Grantee) -> str:
        """The next one."""
        who = grantee.group or grantee.subject
        word = re.sub(r"[^a-z0-9]+", "-", who.lower()).strip("-")[:40] or "somebody"
        names = (f"learnt-{word}-{number}" for number in count(1))
        name = next(name for name in names if name not in self._used)
        self._used.add(name)
        return name
