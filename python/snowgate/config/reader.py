"""Reads YAML strictly, and remembers where everything stands.

    bytes ──► size, UTF-8 ──► events of libyaml ──► Node tree ──► plain values, line of any key

The file says what may run, so it is read as an attacker's (F26): 1 MiB, 32 levels, no anchors,
aliases or tags, no key twice, one document. Events are walked one by one, since `yaml.compose`
recurses and a file of brackets kills the process. Only `true`, `false`, `null`, whole numbers and
decimals are not
text: `no`, `12:30` and `0x10` stay what was written.

Source: YAML 1.2.2 section 10.3 (core schema), cut down.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import yaml

from snowgate.config.text import shown
from snowgate.errors import ConfigError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
# A file that is wrong in more places is no configuration.
MAX_MISTAKES = 100

_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "": None}
# Bounded, so that no conversion of digits takes long.
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}")

Scalar = str | int | float | bool | None
Plain = Scalar | list["Plain"] | dict[str, "Plain"]
Location = Sequence[str | int]


@dataclass(slots=True)
class Node:
    """A value and where it stands.

    Attributes:
        line: 1-based line of its key, or of the value where it has none.
        scalar: The value, for neither mapping nor sequence.
        entries: Set for a mapping.
        items: Set for a sequence.
        broken: Its value was refused, so nothing else is said of it.
    """

    line: int
    scalar: Scalar = None
    entries: dict[str, Node] | None = None
    items: list[Node] | None = None
    broken: bool = False

    def plain(self) -> Plain:
        """The value without positions."""
        if self.entries is not None:
            return {key: node.plain() for key, node in self.entries.items()}
        if self.items is not None:
            return [node.plain() for node in self.items]
        return self.scalar


@dataclass(frozen=True, slots=True)
class Place:
    """The node nearest to a location, and the location as far as it exists.

    Attributes:
        node: The node itself, or the innermost one around what is missing.
        key: The whole location, dotted, such as `rules[2].match.class`.
    """

    node: Node
    key: str


@dataclass(slots=True)
class Document:
    """A file that was read. Later steps find more mistakes, and warnings."""

    path: str
    root: Node
    mistakes: list[ConfigError] = field(default_factory=list)
    warnings: list[ConfigError] = field(default_factory=list)

    def find(self, location: Location) -> Place:
        """The place of a location such as `("rules", 2, "match", "class")`."""
        node, key = self.root, ""
        missing = False
        for step in location:
            inner: Node | None = None
            if isinstance(step, int):
                if not missing and node.items is None:
                    continue  # one value where a list of one is meant
                inner = node.items[step] if node.items and step < len(node.items) else None
                key += f"[{step}]"
            else:
                inner = (node.entries or {}).get(step)
                key += f".{shown(step)}" if key else shown(step)
            if inner is None or missing:
                missing = True
            else:
                node = inner
        return Place(node, key)

    def blame(self, location: Location, problem: str, remedy: str = "") -> None:
        """Note one mistake, unless its place was refused already."""
        place = self.find(location)
        if not place.node.broken:
            self.mistakes.append(
                ConfigError(self.path, place.node.line, place.key, problem, remedy)
            )

    def warn(self, location: Location, problem: str, remedy: str) -> None:
        """Note what is allowed and probably not meant."""
        place = self.find(location)
        self.warnings.append(ConfigError(self.path, place.node.line, place.key, problem, remedy))


def read_document(path: str, data: bytes) -> Document:
    """Read a file's bytes.

    Args:
        path: The file, as the user named it.
        data: Its content.

    Returns:
        The tree, with the mistakes that do not keep it from being read further.

    Raises:
        ConfigError: It is no readable YAML: size, encoding, syntax, depth.
    """
    if len(data) > MAX_BYTES:
        raise ConfigError(path, 0, "", "is larger than 1 MiB", "split or shorten the file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(path, line, "", "is not UTF-8", "save the file as UTF-8") from None
    document = Document(path, Node(1))
    try:
        _Builder(document).build(yaml.parse(text, Loader=yaml.CSafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(
            path,
            mark.line + 1 if mark else 0,
            "",
            f"is not YAML: {error.problem or error.context or 'cannot be read'}",
            "text that holds `{ } [ ] , #` or `: ` needs quotes",
        ) from None
    except yaml.YAMLError:
        raise ConfigError(
            path, _odd_line(text), "", "holds a control character", "remove it"
        ) from None
    return document


def _odd_line(text: str) -> int:
    """The line of the first character that YAML forbids."""
    for number, line in enumerate(text.split("\n"), start=1):
        if any(not one.isprintable() and one not in "\t\r" for one in line):
            return number
    return 0


class _Builder:
    """Builds the tree of a document from events, without recursion."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: list[Node] = []
        self._keys: list[tuple[str, int] | None] = []  # of each open node: the key that waits
        self._roots = 0

    def build(self, events: Iterator[yaml.Event]) -> None:
        for event in events:
            match event:
                case yaml.ScalarEvent():
                    self._scalar(event)
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    self._start(event)
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._open.pop()
                    self._keys.pop()
                case yaml.AliasEvent():
                    line = _line(event)
                    self._blame(line, "aliases are not allowed", "write the value out")
                    self._place(Node(line, broken=True))
            if len(self._document.mistakes) > MAX_MISTAKES:
                return
        if not self._roots:
            raise ConfigError(self._document.path, 0, "", "is empty")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._check(event)
        line = _line(event)
        if self._expects_key():
            self._keys[-1] = (event.value, line)
            return
        plain = event.implicit[0] and not event.style
        self._place(Node(line, scalar=_resolve(event.value) if plain else event.value))

    def _start(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        self._check(event)
        line = _line(event)
        if self._expects_key():
            raise ConfigError(
                self._document.path, line, "", "a key must be text", "put `:` after a plain word"
            )
        if len(self._open) >= MAX_DEPTH:
            raise ConfigError(
                self._document.path,
                line,
                "",
                f"is nested deeper than {MAX_DEPTH} levels",
                "no setting needs that: look for a bracket that is never closed",
            )
        mapping = isinstance(event, yaml.MappingStartEvent)
        node = Node(line, entries={} if mapping else None, items=None if mapping else [])
        self._place(node)
        self._open.append(node)
        self._keys.append(None)

    def _expects_key(self) -> bool:
        return bool(self._open) and self._open[-1].entries is not None and not self._keys[-1]

    def _place(self, node: Node) -> None:
        if not self._open:
            self._roots += 1
            if self._roots > 1:
                raise ConfigError(
                    self._document.path, node.line, "", "holds a second document", "remove `---`"
                )
            self._document.root = node
            return
        around = self._open[-1]
        if around.items is not None:
            around.items.append(node)
            return
        key = self._keys[-1]
        if around.entries is None or key is None:
            raise ConfigError(self._document.path, node.line, "", "a key must be text")
        self._keys[-1] = None
        name, node.line = key
        first = around.entries.setdefault(name, node)
        if first is not node:
            self._blame(
                node.line,
                f"key `{shown(name)}` stands here and on line {first.line}",
                "keep one of them",
            )

    def _check(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        line = _line(event)
        if event.anchor is not None:
            self._blame(line, "anchors are not allowed", f"remove `&{shown(event.anchor)}`")
        if event.tag is not None:
            self._blame(
                line,
                "YAML tags are not allowed",
                f"remove `{shown(event.tag)}`; use quotes for text",
            )

    def _blame(self, line: int, problem: str, remedy: str) -> None:
        self._document.mistakes.append(ConfigError(self._document.path, line, "", problem, remedy))


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _resolve(text: str) -> Scalar:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return text
