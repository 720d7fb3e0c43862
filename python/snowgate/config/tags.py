"""The `tags:` of the file: which columns carry a tag, by name and by what Snowflake says of them.

    pii: ["CRM.PUBLIC.CUSTOMERS.{EMAIL,PHONE}"]        patterns of columns, alone
    pii:
      columns: ["CRM.PUBLIC.CUSTOMERS.{EMAIL,PHONE}"]
      snowflake: [GOVERNANCE.TAGS.PII, {tag: SNOWFLAKE.CORE.PRIVACY_CATEGORY, values: [IDENTIFIER]}]
      except: [CRM.PUBLIC.CUSTOMERS.COUNTRY]           columns that Snowflake's tags do not reach

Patterns of the other places, which rules name, are read here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from snowgate.config.fields import Many, Shape, Text, Wrong, raise_all
from snowgate.config.text import shown
from snowgate.model.statement import ObjectName
from snowgate.policy.pattern import NamePattern, PatternError, parse_pattern
from snowgate.policy.rules import SnowflakeTag, TagPattern

_TAG_FORM = "`DATABASE.SCHEMA.TAG`"


def _patterns(parts: int, form: str) -> PlainValidator:
    def parse(value: object) -> tuple[NamePattern, ...]:
        if not isinstance(value, str):
            raise Wrong("must be a pattern of names", f"write {form} in quotes")
        try:
            return parse_pattern(value, parts, form)
        except PatternError as error:
            raise Wrong(f"`{shown(value)}` {error}", f"such as {form}") from None

    return PlainValidator(parse)


_PATTERN = WithJsonSchema({"type": "string"})
Database = Annotated[tuple[NamePattern, ...], _patterns(1, "`DATABASE`"), _PATTERN]
Schema = Annotated[tuple[NamePattern, ...], _patterns(2, "`DATABASE.SCHEMA`"), _PATTERN]
Object = Annotated[tuple[NamePattern, ...], _patterns(3, "`DATABASE.SCHEMA.OBJECT`"), _PATTERN]
Column = Annotated[
    tuple[NamePattern, ...], _patterns(4, "`DATABASE.SCHEMA.OBJECT.COLUMN`"), _PATTERN
]


def _source(value: object) -> ObjectName:
    """One tag of Snowflake; no pattern, since a tag that anybody may create decides nothing."""
    if not isinstance(value, str):
        raise Wrong("must be the name of a tag in Snowflake", f"write {_TAG_FORM}")
    try:
        patterns = parse_pattern(value, 3, _TAG_FORM)
    except PatternError as error:
        raise Wrong(f"`{shown(value)}` {error}", f"such as {_TAG_FORM}") from None
    parts = [glob.pieces for glob in patterns[0].parts]
    if len(patterns) > 1 or any(len(pieces) > 1 for pieces in parts):
        raise Wrong(f"`{shown(value)}` is more than one tag", f"write {_TAG_FORM} for each")
    return ObjectName(*(pieces[0] for pieces in parts))


def _written(value: object) -> object:
    """A name alone stands for every value."""
    return {"tag": value} if isinstance(value, str) else value


class SourceShape(Shape):
    """A tag of Snowflake, and the values of it that count."""

    tag: Annotated[ObjectName, PlainValidator(_source), _PATTERN]
    values: Many[Text] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.values is None and "values" in self.model_fields_set:
            raise Wrong("must not be empty", "leave the key out for every value", ("values",))
        return self


class _OrName:
    """Tells editors that the name alone will do."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(core)]}


Source = Annotated[SourceShape, BeforeValidator(_written), _OrName()]


class TagShape(Shape):
    """Where a tag comes from."""

    columns: Many[Column] | None = None
    snowflake: Many[Source] | None = None
    excluding: Many[Column] | None = Field(None, alias="except")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        wrongs = [
            Wrong("must not be empty", "leave the key out", (field.alias or name,))
            for name, field in sorted(TagShape.model_fields.items())
            if name in self.model_fields_set and getattr(self, name) is None
        ]
        if not wrongs and not self.columns and not self.snowflake:
            wrongs.append(Wrong("says of no column", "add `columns:`, `snowflake:`, or both"))
        if self.excluding and not self.snowflake:
            wrongs.append(
                Wrong(
                    "leaves out what Snowflake tags, and no tag of Snowflake is named",
                    "narrow the patterns of `columns:` instead",
                    ("except",),
                )
            )
        raise_all(wrongs)
        return self

    def patterns(self, tag: str) -> Iterator[TagPattern]:
        """Its patterns, as the policy takes them."""
        for patterns in self.columns or ():
            for pattern in patterns:
                yield TagPattern(tag, pattern)

    def sources(self, tag: str) -> Iterator[SnowflakeTag]:
        """Its tags of Snowflake, as the policy takes them."""
        excluding = tuple(sorted({one for each in self.excluding or () for one in each}))
        for source in self.snowflake or ():
            values = tuple(sorted(set(source.values or ())))
            yield SnowflakeTag(tag, source.tag, values, excluding)


_COLUMNS: TypeAdapter[list[tuple[NamePattern, ...]]] = TypeAdapter(Many[Column])


def _tag(value: object, handler: ValidatorFunctionWrapHandler) -> TagShape:
    if isinstance(value, dict):
        shape: TagShape = handler(value)
        return shape
    # Not by way of `columns:`, so that a mistake is named at the place it has in the file.
    return TagShape.model_construct({"columns"}, columns=_COLUMNS.validate_python(value))


class _OrColumns:
    """Tells editors that patterns of columns alone will do."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        pattern = {"type": "string"}
        columns = {"type": "array", "items": pattern, "minItems": 1}
        return {"anyOf": [columns, pattern, handler(core)]}


Tag = Annotated[TagShape, WrapValidator(_tag), _OrColumns()]
