"""The reference names every key, class and mask of a policy, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snowgate.config import policy_schema
from snowgate.model.verdict import MaskKind
from snowgate.policy.rules import CLASS_WORDS

PAGE = (Path(__file__).parents[2] / "docs" / "policy" / "reference.md").read_text()
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def first_cells(section: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", SECTIONS[section], re.MULTILINE)


def keys(node: dict[str, Any], schema: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Dotted paths of every key; a match inside a match has the keys of any."""
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[-1]
        if name == "MatchShape" and path != ("match",):
            return
        node = schema["$defs"][name]
    inside = [*node.get("anyOf", ()), *node.get("patternProperties", {}).values()]
    for other in (*inside, *([node["items"]] if "items" in node else ())):
        yield from keys(other, schema, path)
    for name, inner in node.get("properties", {}).items():
        here = () if path == ("rules",) else path
        yield ".".join((*here, name))
        yield from keys(inner, schema, (*here, name))


def test_every_key_is_on_the_page_once() -> None:
    schema = policy_schema()
    known = set(keys(schema, schema, ()))
    shown = [
        key
        for section in SECTIONS
        if section not in ("Patterns", "Classes", "Masks", "Elsewhere")
        for key in first_cells(section)
    ]

    assert sorted(shown) == sorted(known)


def test_every_word_of_a_class_is_on_the_page() -> None:
    assert sorted(first_cells("Classes")) == sorted(CLASS_WORDS)


def test_every_mask_is_on_the_page_in_order_of_strictness() -> None:
    words = [word for word in first_cells("Masks") if not word.startswith("{")]

    assert words == [kind.value for kind in MaskKind if kind is not MaskKind.PASS]


def test_every_pattern_of_the_page_is_one() -> None:
    for text in first_cells("Patterns"):
        assert text.strip("\"'").count(".") in (2, 3)
