"""Turns what pydantic says into errors with file, line, key and remedy."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Annotated, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from snowgate.config.fields import Mistakes, Wrong
from snowgate.config.reader import Document, Location
from snowgate.config.text import shown, suggest

_SAYINGS = {
    "bool_type": ("must be true or false", "write it without quotes"),
    "int_type": ("must be a whole number", "write it without quotes"),
    "string_type": ("must be text", "put it in quotes"),
    "list_type": ("must be a list", "write `[…]`, or one entry a line with `- `"),
    "dict_type": ("must be a mapping", "write `key: value`"),
    "model_type": ("must be a mapping", "write `key: value`"),
    "model_attributes_type": ("must be a mapping", "write `key: value`"),
    "too_short": ("must not be empty", "leave it out, or name at least one"),
}

S = TypeVar("S", bound=BaseModel)


def validate(document: Document, shape: type[S]) -> S | None:
    """Bring a document into a shape; None, with all mistakes noted, if it does not fit."""
    if document.root.entries is None:
        document.blame((), "must be a mapping", f"begin with `{next(iter(_keys(shape)))}:`")
        return None
    try:
        return shape.model_validate(document.root.plain())
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            _note(document, shape, detail)
        return None


def _note(document: Document, shape: type[BaseModel], detail: ErrorDetails) -> None:
    location = tuple(step for step in detail["loc"] if step != "[key]")
    kind, context = detail["type"], detail.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, Wrong | Mistakes):
        for wrong in cause.wrongs if isinstance(cause, Mistakes) else [cause]:
            document.blame((*location, *wrong.at), wrong.problem, wrong.remedy)
    elif kind == "extra_forbidden":
        around, key = location[:-1], str(location[-1])
        document.blame(location, "unknown key", suggest(key, _keys_at(shape, around)))
    elif kind == "missing":
        document.blame(location, "is missing", f"add `{shown(str(location[-1]))}:`")
    elif kind == "literal_error":
        document.blame(location, f"must be {context.get('expected', 'another word')}")
    elif kind in {"greater_than_equal", "less_than_equal"}:
        bound = f"at least {context.get('ge')}" if "ge" in context else f"at most {context['le']}"
        document.blame(location, f"must be {bound}")
    elif kind == "too_long":
        document.blame(location, f"must have at most {context['max_length']} entries")
    else:
        problem, remedy = _SAYINGS.get(kind, (f"is not valid ({kind})", ""))
        document.blame(location, problem, remedy)


def _keys(shape: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in shape.model_fields.items()]


def _keys_at(shape: type[BaseModel], location: Location) -> Sequence[str]:
    """The keys known at a location: those of the model that its annotations lead to."""
    here: object = shape
    for step in location:
        here = _bare(here)
        if isinstance(step, int):
            here = get_args(here)[0] if get_origin(here) is list else here
        elif isinstance(here, type) and issubclass(here, BaseModel):
            fields = here.model_fields.items()
            here = next(
                (one.annotation for name, one in fields if step == (one.alias or name)), None
            )
        elif get_origin(here) is dict:
            here = get_args(here)[1]
    here = _bare(here)
    if get_origin(here) is list:
        here = _bare(get_args(here)[0])
    return _keys(here) if isinstance(here, type) and issubclass(here, BaseModel) else []


def _bare(annotation: object) -> object:
    """An annotation without `Annotated` and without `| None`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _bare(get_args(annotation)[0])
    if origin in {Union, types.UnionType}:
        return _bare(next(one for one in get_args(annotation) if one is not type(None)))
    return annotation
