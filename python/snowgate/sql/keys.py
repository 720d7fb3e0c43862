"""Names of objects as keys of a catalog file: exact stored names, joined by dots.

CRM.PUBLIC.CUSTOMERS
LABDB.Trial Data.Visit Log
"LABDB"."Trial Data"."Visit.Log"      also LABDB.Trial Data."Visit.Log"
LABDB.Trial Data.Visit.Log            whichever of its names is meant
"""

from __future__ import annotations

import re
from itertools import combinations

from snowgate.model.statement import ObjectName

_PART = r'(?:"((?:[^"]|"")*)"|([^."]+))'
_QUOTED = re.compile(rf"{_PART}\.{_PART}\.{_PART}")
# A name with more dots than that is a mistake.
_MOST_PARTS = 6


def key_of(name: ObjectName) -> str:
    """A name as a key. Those with a dot in them have more than two, so none is taken for another.

    The parts are not quoted otherwise: the file holds names as stored.
    """
    parts = (name.database, name.schema, name.name)
    if not any("." in part for part in parts):
        return ".".join(parts)
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def names_of(key: str) -> list[ObjectName]:
    """The names that a key can mean: one, or several if dots in names are not quoted.

    Whichever of those there is in Snowflake is the object of the key; nobody can use the others.

    Raises:
        ValueError: It is no name.
    """
    parts = key.split(".")
    if len(parts) == 3:
        return [ObjectName(*parts)]
    quoted = _QUOTED.fullmatch(key)
    if quoted is not None:
        return [ObjectName(*map(_stored, _pairs(quoted)))]
    if '"' in key or not 3 < len(parts) <= _MOST_PARTS or "" in parts:
        raise ValueError(f"`{key}` is no name of the form DATABASE.SCHEMA.NAME")
    return [
        ObjectName(".".join(parts[:one]), ".".join(parts[one:two]), ".".join(parts[two:]))
        for one, two in combinations(range(1, len(parts)), 2)
    ]


def _stored(part: tuple[str | None, str | None]) -> str:
    inner, bare = part
    return bare or "" if inner is None else inner.replace('""', '"')


def _pairs(match: re.Match[str]) -> list[tuple[str | None, str | None]]:
    groups = match.groups()
    return [(groups[at], groups[at + 1]) for at in (0, 2, 4)]
