"""The `registry:` of the file: functions and procedures that were vetted, one by one."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema, model_validator

from snowgate.config.fields import Many, Shape, Wrong, one_of, raise_all
from snowgate.config.text import shown
from snowgate.model.routine import (
    RoutineEffect,
    RoutineKind,
    Signature,
    Vetted,
    parse_signature,
)
from snowgate.model.statement import ObjectName
from snowgate.policy.pattern import Glob, PatternError, parse_pattern

_EFFECTS = {effect.value: effect for effect in RoutineEffect}
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_EVERYTHING = Glob(("", ""))
_HOW = "docs/policy/registry.md says how to get it"


def _signature(value: object) -> Signature:
    if not isinstance(value, str):
        raise Wrong("must be a signature", "such as `DATABASE.SCHEMA.NAME(VARCHAR)`, in quotes")
    try:
        return parse_signature(value)
    except ValueError as error:
        raise Wrong(f"`{shown(value)}` {error}", "name it in full, with its types") from None


def _place(value: object) -> tuple[ObjectName, ...]:
    """Objects, or a whole schema. Who vets a body knows the names in it, so other stars are out."""
    if not isinstance(value, str):
        raise Wrong("must be the name of an object", "write `DATABASE.SCHEMA.OBJECT` in quotes")
    try:
        patterns = parse_pattern(value, 3, "`DATABASE.SCHEMA.OBJECT`")
    except PatternError as error:
        raise Wrong(f"`{shown(value)}` {error}", "such as `DATABASE.SCHEMA.OBJECT`") from None
    places: list[ObjectName] = []
    for database, schema, name in (pattern.parts for pattern in patterns):
        last = Glob(("",)) if name == _EVERYTHING else name
        if any(len(glob.pieces) > 1 for glob in (database, schema, last)):
            raise Wrong(
                f"`{shown(value)}` has a star inside a name",
                "name the objects, or a whole schema as `DATABASE.SCHEMA.*`",
            )
        places.append(ObjectName(*(glob.pieces[0] for glob in (database, schema, last))))
    return tuple(places)


def _digest(value: object) -> str:
    found = _DIGEST.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise Wrong("is no digest", f"write `sha256:` and 64 hexadecimal digits; {_HOW}")
    return found[1]


def _effect(value: object) -> RoutineEffect:
    return one_of(value if isinstance(value, str) else "", _EFFECTS, "effect")


RoutineName = Annotated[Signature, PlainValidator(_signature), WithJsonSchema({"type": "string"})]
Place = Annotated[
    tuple[ObjectName, ...], PlainValidator(_place), WithJsonSchema({"type": "string"})
]
BodyDigest = Annotated[
    str,
    BeforeValidator(_digest),
    WithJsonSchema({"type": "string", "pattern": f"^{_DIGEST.pattern}$"}),
]
Effect = Annotated[
    RoutineEffect, PlainValidator(_effect), WithJsonSchema({"enum": sorted(_EFFECTS)})
]


class RoutineShape(Shape):
    """One function or procedure: what it does at most, and the digest of its text."""

    function: RoutineName | None = None
    procedure: RoutineName | None = None
    effect: Effect
    reads: Many[Place] = Field([], validate_default=False)
    writes: Many[Place] = Field([], validate_default=False)
    body: BodyDigest

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        wrongs: list[Wrong] = []
        if (self.function is None) == (self.procedure is None):
            wrongs.append(Wrong("must have either `function` or `procedure`", "keep one of them"))
        effect, kind = self.effect, "function" if self.procedure is None else "procedure"
        reads = effect in (RoutineEffect.READS, RoutineEffect.WRITES, RoutineEffect.EXTERNAL)
        writes = kind == "procedure" and effect in (RoutineEffect.WRITES, RoutineEffect.EXTERNAL)
        if self.reads and not reads:
            wrongs.append(_unlike(effect, "reads", "`reads`, `writes` or `external`"))
        if self.writes and not writes:
            right = "`writes` or `external`, of a procedure"
            wrongs.append(_unlike(effect, "writes", right))
        if effect is RoutineEffect.READS and not self.reads:
            wrongs.append(Wrong("names nothing that it reads", "add `reads:`", ("effect",)))
        if effect is RoutineEffect.WRITES and not self.writes:
            right = "add `writes:`" if kind == "procedure" else "a function writes nothing"
            wrongs.append(Wrong("names nothing that it writes to", right, ("effect",)))
        raise_all(wrongs)
        return self

    @property
    def kind(self) -> RoutineKind:
        """Function or procedure."""
        return RoutineKind.PROCEDURE if self.function is None else RoutineKind.FUNCTION

    @property
    def signature(self) -> Signature:
        """Which one."""
        named = self.function or self.procedure
        if named is None:
            raise Wrong("must have either `function` or `procedure`")
        return named

    def compiled(self) -> Vetted:
        """The entry as the policy takes it."""
        reads = {name for places in self.reads for name in places}
        writes = {name for places in self.writes for name in places}
        return Vetted(
            self.kind,
            self.signature,
            self.effect,
            tuple(sorted(reads)),
            tuple(sorted(writes)),
            self.body,
        )


def _unlike(effect: RoutineEffect, key: str, right: str) -> Wrong:
    return Wrong(f"does not go with effect `{effect.value}`", f"{key} go with {right}", (key,))
