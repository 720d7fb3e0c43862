"""The `rules:` of the file, and what they compile to.

The shapes of a rule. Each finds what is wrong with itself; what needs the rest of the file (does a
tag exist, may anybody give a group) is in `checks`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from snowgate.config.fields import (
    Client,
    DaysOfWeek,
    Duration,
    Group,
    HoursOfDay,
    Identifier,
    IssuerUrl,
    Kind,
    Many,
    Shape,
    Size,
    SourceNetwork,
    TagName,
    Text,
    Word,
    Wrong,
    between,
    one_of,
    raise_all,
    sized,
)
from snowgate.config.tags import Database, Object, Schema
from snowgate.config.text import suggest
from snowgate.model.statement import StatementClass
from snowgate.model.verdict import MaskKind
from snowgate.policy.builtin import RESERVED
from snowgate.policy.moments import When
from snowgate.policy.pattern import NamePattern
from snowgate.policy.rules import (
    CLASS_WORDS,
    NEVER_ALLOWED,
    NEVER_HELD,
    WRITING,
    Allow,
    Deny,
    HoldFor,
    Limit,
    Mask,
    Match,
    Rule,
    Who,
)

DEFAULT_REMEDY = "ask the policy's owner, or write a statement that the rule does not match"
# The last four characters tell a person which card or number is meant; Rust never shows over half.
DEFAULT_PARTIAL = Mask(MaskKind.PARTIAL, 0, 4)
MAX_KEPT = 8
MAX_QUORUM = 10
# More than any account holds; a number this large is a slip.
MAX_AMOUNT = 10**12

_MASKS = {
    "redact": Mask(MaskKind.REDACT),
    "null": Mask(MaskKind.NULL),
    "void": Mask(MaskKind.VOID),
    "partial": DEFAULT_PARTIAL,
}
_MASK_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"enum": [None, *sorted(_MASKS)]},
            {
                "type": "object",
                "properties": {
                    "partial": {
                        "type": "array",
                        "items": {"type": "integer", "minimum": 0, "maximum": MAX_KEPT},
                        "minItems": 2,
                        "maxItems": 2,
                    }
                },
                "required": ["partial"],
                "additionalProperties": False,
            },
        ]
    }
)
_ALLOW_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"const": True},
            {
                "type": "object",
                "properties": {"propagate": {"type": "boolean"}},
                "additionalProperties": False,
            },
        ]
    }
)
_ACTIONS = ("deny", "hold", "allow", "mask")
READER_KEYS = {"group", "role", "principal", "client", "source", "hours", "days"}


def _classes(value: object) -> frozenset[StatementClass]:
    if not isinstance(value, str):
        raise Wrong("must be the name of a statement class", suggest("", CLASS_WORDS))
    return one_of(value, CLASS_WORDS, "statement class")


def _mask(value: object) -> Mask:
    match value:
        case None:  # `mask: null` is the mask, not its absence
            return _MASKS["null"]
        case str():
            return one_of(value, _MASKS, "mask")
        case {"partial": [int() as first, int() as last], **rest} if not rest:
            if not all(type(one) is int and 0 <= one <= MAX_KEPT for one in (first, last)):
                raise Wrong(f"partial keeps 0 to {MAX_KEPT} characters at each end")
            return Mask(MaskKind.PARTIAL, first, last)
        case _:
            raise Wrong("is no mask", f"{suggest('', _MASKS)}, or `{{partial: [0, 4]}}`")


def _deny(value: object) -> object:
    if isinstance(value, str):
        return {"reason": value}
    if isinstance(value, dict):
        return value
    raise Wrong("must be the reason that clients read", 'write `deny: "why"`')


def _allow(value: object) -> object:
    if value is True:
        return {}
    if isinstance(value, dict):
        return value
    raise Wrong(
        "must be `true` or `{propagate: true}`",
        "what no rule allows is denied; to say why, use `deny:`",
    )


Classes = Annotated[
    frozenset[StatementClass],
    PlainValidator(_classes),
    WithJsonSchema({"enum": sorted(CLASS_WORDS)}),
]


class PrincipalShape(Shape):
    """One identity, by what it is; its display name is never a key."""

    issuer: IssuerUrl
    subject: Text


class MatchShape(Shape):
    """What a rule is about: all keys must agree; of a list, one value is enough."""

    classes: Many[Classes] | None = Field(None, alias="class")
    kind: Many[Kind] | None = None
    database: Many[Database] | None = None
    schemas: Many[Schema] | None = Field(None, alias="schema")
    objects: Many[Object] | None = Field(None, alias="object")
    tag: Many[TagName] | None = None
    launders: Many[TagName] | None = None
    group: Many[Group] | None = None
    role: Many[Identifier] | None = None
    principal: Many[PrincipalShape] | None = None
    client: Many[Client] | None = None
    source: Many[SourceNetwork] | None = None
    hours: Many[HoursOfDay] | None = None
    days: Many[DaysOfWeek] | None = None
    unbounded: bool | None = None
    excluding: Many[MatchShape] | None = Field(None, alias="not")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        # A key left empty asks nothing, and a rule that asks less than it seems to is a hole.
        raise_all(empty_keys(self))
        return self

    def compiled(self) -> Match:
        """The match as the policy takes it."""
        principals = ((one.issuer, one.subject) for one in self.principal or ())
        return Match(
            who=Who(
                groups=frozenset(self.group or ()),
                roles=frozenset(self.role or ()),
                principals=frozenset(principals),
                clients=frozenset(self.client or ()),
                sources=frozenset(self.source or ()),
            ),
            classes=frozenset().union(*(self.classes or ())),
            kinds=frozenset(self.kind or ()),
            databases=_flat(self.database),
            schemas=_flat(self.schemas),
            objects=_flat(self.objects),
            tags=frozenset(self.tag or ()),
            launders=frozenset(self.launders or ()),
            unbounded=self.unbounded,
            when=When(frozenset(self.hours or ()), frozenset().union(*(self.days or ()))),
            excluding=tuple(other.compiled() for other in self.excluding or ()),
        )


class DenyShape(Shape):
    """Why, and what the client can do."""

    reason: Text
    remedy: Text = DEFAULT_REMEDY


class AllowShape(Shape):
    """That it runs, and whether tagged values may go where it writes."""

    propagate: bool = False


class HoldShape(Shape):
    """Who may release the statement, and how long it waits for them."""

    approvers: Many[Group]
    quorum: int = Field(1, ge=1, le=MAX_QUORUM)
    expires: Annotated[Duration, between("1s", "7d")] = 4 * 3600.0

    def compiled(self) -> HoldFor:
        """The terms as the policy takes them."""
        return HoldFor(frozenset(self.approvers), self.quorum, self.expires)


class RuleHoldShape(HoldShape):
    """The same, and which tags an approval shows in clear."""

    unmask: Many[TagName] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        raise_all(empty_keys(self))
        return self

    def compiled(self) -> HoldFor:
        """The terms as the policy takes them."""
        return replace(super().compiled(), unmask=frozenset(self.unmask or ()))


class LimitShape(Shape):
    """The largest result that a rule lets through."""

    rows: int | None = Field(None, ge=1, le=MAX_AMOUNT)
    bytes: Annotated[Size, sized("1KiB", "1024GiB")] | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        raise_all(empty_keys(self))
        if not self.model_fields_set:
            raise Wrong("limits nothing", "give it `rows` or `bytes`")
        return self


class RuleShape(Shape):
    """One rule: a name, a match, and exactly one of `deny`, `hold`, `allow`, `mask`."""

    name: Word
    match: MatchShape
    exceptions: Many[MatchShape] = Field([], alias="except", validate_default=False)
    enforce: bool = True
    deny: Annotated[DenyShape | None, BeforeValidator(_deny)] = None
    hold: RuleHoldShape | None = None
    allow: Annotated[AllowShape | None, BeforeValidator(_allow), _ALLOW_SCHEMA] = None
    mask: Annotated[Mask | None, PlainValidator(_mask), _MASK_SCHEMA] = None
    limit: LimitShape | None = None

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        wrongs: list[Wrong] = []
        actions = [action for action in _ACTIONS if action in self.model_fields_set]
        if self.name in RESERVED:
            wrongs.append(Wrong(f"`{self.name}` is the name of a built-in rule", at=("name",)))
        if len(actions) != 1:
            wrongs.append(
                Wrong(
                    f"has {' and '.join(f'`{one}`' for one in actions) or 'no action'}",
                    "give it exactly one of `deny`, `hold`, `allow` and `mask`",
                )
            )
        if "hold" in actions:
            wrongs += self._check_hold()
        if "allow" in actions:
            wrongs += self._check_allow()
        if "mask" in actions:
            wrongs += self._check_mask()
        if "limit" in self.model_fields_set:
            wrongs += self._check_limit(actions)
        raise_all(wrongs)
        return self

    def _check_hold(self) -> list[Wrong]:
        if self.hold is None:
            return [Wrong("must not be empty", "name its `approvers`", ("hold",))]
        return self._check_classes(NEVER_HELD, "held")

    def _check_allow(self) -> list[Wrong]:
        if not self.match.classes:
            return [
                Wrong("allows every class of statement", "name the classes in `class:`", ("match",))
            ]
        wrongs = self._check_classes(NEVER_ALLOWED, "allowed")
        if self.allow is None or not self.allow.propagate:
            return wrongs
        if not all(map(_narrow, (*_flat(self.match.schemas), *_flat(self.match.objects)))) or not (
            self.match.schemas or self.match.objects
        ):
            wrongs.append(
                Wrong(
                    "would let tagged values go to any schema",
                    "name the schemas they may go to, such as `schema: ANALYTICS.DBT`",
                    ("match",),
                )
            )
        return wrongs + [
            Wrong(
                f"class `{kind.value}` writes no values",
                "give it a rule of its own, without `propagate`",
                ("match", "class", at),
            )
            for at, kinds in enumerate(self.match.classes)
            for kind in sorted(kinds - WRITING, key=lambda kind: kind.value)
        ]

    def _check_limit(self, actions: list[str]) -> list[Wrong]:
        if self.limit is None:
            return [Wrong("must not be empty", "give it `rows` or `bytes`", ("limit",))]
        if actions in (["allow"], ["hold"]):
            return []
        return [Wrong("limits what an `allow` or `hold` lets through", "remove it", ("limit",))]

    def _check_classes(self, never: frozenset[StatementClass], what: str) -> list[Wrong]:
        return [
            Wrong(f"class `{kind.value}` cannot be {what}", "leave it out", ("match", "class", at))
            for at, kinds in enumerate(self.match.classes or ())
            for kind in sorted(kinds & never, key=lambda kind: kind.value)
        ]

    def _check_mask(self) -> list[Wrong]:
        wrongs: list[Wrong] = []
        if not self.match.tag:
            wrongs.append(Wrong("a mask rule names its tags", "add `tag:`", ("match",)))
        readers: list[tuple[tuple[str | int, ...], MatchShape, set[str]]] = [
            (("match",), self.match, READER_KEYS | {"tag", "excluding"})
        ]
        others = enumerate(self.match.excluding or ())
        readers += [(("match", "not", at), one, READER_KEYS) for at, one in others]
        readers += [(("except", at), one, READER_KEYS) for at, one in enumerate(self.exceptions)]
        for where, shape, may in readers:
            wrongs += [
                Wrong(
                    "a mask rule asks only for tags, readers and times",
                    "remove it; give the columns that are meant a tag of their own",
                    (*where, key_of(MatchShape, name)),
                )
                for name in sorted(shape.model_fields_set - may)
            ]
        return wrongs

    def compiled(self) -> Rule:
        """The rule as the policy takes it."""
        return Rule(
            self.name,
            self.match.compiled(),
            self._action(),
            tuple(exception.compiled() for exception in self.exceptions),
            self.enforce,
            Limit(self.limit.rows, self.limit.bytes) if self.limit else Limit(),
        )

    def _action(self) -> Allow | Deny | HoldFor | Mask:
        if self.deny is not None:
            return Deny(self.deny.reason, self.deny.remedy)
        if self.hold is not None:
            return self.hold.compiled()
        if self.mask is not None:
            return self.mask
        return Allow(propagate=self.allow is not None and self.allow.propagate)


def empty_keys(shape: Shape) -> list[Wrong]:
    """What is wrong with keys that stand there without a value."""
    kind = type(shape)
    empty = sorted(name for name in shape.model_fields_set if getattr(shape, name) is None)
    return [
        Wrong("must not be empty", "leave the key out", (key_of(kind, name),)) for name in empty
    ]


def key_of(shape: type[BaseModel], name: str) -> str:
    """The key in the file of a field."""
    return shape.model_fields[name].alias or name


def _narrow(pattern: NamePattern) -> bool:
    """Whether it names a database and a schema, at least in part."""
    return "*" not in map(str, pattern.parts[:2])


def _flat(patterns: list[tuple[NamePattern, ...]] | None) -> frozenset[NamePattern]:
    return frozenset(pattern for alternatives in patterns or () for pattern in alternatives)
