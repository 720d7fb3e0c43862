"""The kinds of value in the file: each knows its form, its bounds, and what to say of a wrong one.

A parser raises `Wrong`, or `Mistakes` where it found several; `translate` turns them into errors
with file and line. No parser reads a file or the environment: a reference is a name until start-up
(F26).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from snowgate._core import object_kinds
from snowgate.config.text import nearest, shown, suggest
from snowgate.identity.settings import ALGORITHMS, ClaimValue, safe_url
from snowgate.policy.moments import MINUTES, Hours
from snowgate.policy.pattern import Glob, PatternError, parse_name
from snowgate.policy.rules import Network

_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]{1,9})(B|KiB|MiB|GiB)")
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_HOURS = re.compile(r"([0-9]{2}):([0-5][0-9])-([0-9]{2}):([0-5][0-9])")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAYS_FORM = f"^({'|'.join(DAYS)})(-({'|'.join(DAYS)}))?$"
_HOST = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*"
)
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_WORD = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
# RFC 6901 section 3: `~` only as `~0` or `~1`.
_POINTER = re.compile(r"(/([^/~]|~[01])*)+")
_MAX_TEXT = 1000
KINDS = frozenset(object_kinds())
# Secret stores are read at start-up by their own clients; only files are built so far.
_LATER = ("env", "exec", "vault", "aws", "gcp", "azure", "keyring")


class Wrong(ValueError):
    """A value is wrong: the problem, how to mend it, and where below the value it stands."""

    def __init__(self, problem: str, remedy: str = "", at: tuple[str | int, ...] = ()) -> None:
        super().__init__(problem)
        self.problem, self.remedy, self.at = problem, remedy, at


class Mistakes(ValueError):
    """Several of them."""

    def __init__(self, wrongs: list[Wrong]) -> None:
        super().__init__("; ".join(str(wrong) for wrong in wrongs))
        self.wrongs = wrongs


class Shape(BaseModel):
    """A mapping of the file: exactly these keys, exactly these types."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)


def raise_all(wrongs: list[Wrong]) -> None:
    """Raise what was found, if anything was."""
    if wrongs:
        raise Mistakes(wrongs)


def _text(value: object, what: str, remedy: str = "") -> str:
    if not isinstance(value, str):
        raise Wrong(f"must be {what}", remedy or "put it in quotes")
    if not value.strip() or len(value) > _MAX_TEXT or not value.isprintable():
        raise Wrong(f"must be {what}: printable, at most {_MAX_TEXT} characters", remedy)
    return value


def parse_duration(value: object) -> float:
    """Seconds of `500ms`, `30s`, `10m`, `4h` or `1d`."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise Wrong(
            f"`{shown(str(value))}` is no duration",
            "write a whole number with its unit, such as `30s`, `10m`, `4h` or `1d`",
        )
    return int(found[1]) * _SECONDS[found[2]]


def parse_size(value: object) -> int:
    """Bytes of `512B`, `64KiB`, `1MiB` or `2GiB`."""
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise Wrong(
            f"`{shown(str(value))}` is no size",
            "write a whole number with its unit, such as `64KiB` or `1MiB`",
        )
    return int(found[1]) * _BYTES[found[2]]


def between(low: str, high: str) -> AfterValidator:
    """Bounds of a duration, both included."""
    least, most = parse_duration(low), parse_duration(high)

    def check(value: float) -> float:
        if not least <= value <= most:
            raise Wrong(f"must be between {low} and {high}")
        return value

    return AfterValidator(check)


def sized(low: str, high: str) -> AfterValidator:
    """Bounds of a size, both included."""
    least, most = parse_size(low), parse_size(high)

    def check(value: int) -> int:
        if not least <= value <= most:
            raise Wrong(f"must be between {low} and {high}")
        return value

    return AfterValidator(check)


def _reference(value: object) -> str:
    """The path of `file:PATH`. A wrong one is never shown: it may be the secret itself."""
    scheme, colon, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not colon or not rest or not rest.isprintable():
        raise Wrong(
            "is no reference", "name the file that holds it, such as `file:/run/secrets/key.p8`"
        )
    if scheme in _LATER:
        raise Wrong(f"`{scheme}:` references are not supported yet", "use `file:`")
    if scheme != "file":
        raise Wrong("is no `file:` reference", "write `file:` and the path of the file")
    return rest


def _path(value: object) -> str:
    text = _text(value, "the path of a file")
    if text.startswith("file:"):
        raise Wrong("is a path, not a reference", "leave `file:` out")
    return text


def _address(value: object) -> str:
    try:
        return str(ipaddress.ip_address(_text(value, "an IP address")))
    except ValueError as error:
        if isinstance(error, Wrong):
            raise
        raise Wrong("must be an IP address", "such as `127.0.0.1` or `0.0.0.0`") from None


def _host(value: object) -> str:
    text = _text(value, "a host name")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    if len(text) > 253 or _HOST.fullmatch(text) is None:
        raise Wrong(f"`{shown(text)}` is no host name", "leave out scheme, port and path")
    return text.lower()


def _account(value: object) -> str:
    text = _text(value, "an account name")
    if _ACCOUNT.fullmatch(text) is None:
        raise Wrong(f"`{shown(text)}` is no account name", "such as `xy12345` or `org-account`")
    return text


def _word(value: object) -> str:
    text = _text(value, "a name")
    if _WORD.fullmatch(text) is None:
        raise Wrong(f"`{shown(text)}` is no name", "use lower-case letters, digits and `-`")
    return text


def _tag(value: object) -> str:
    text = _text(value, "the name of a tag")
    if _TAG.fullmatch(text) is None:
        raise Wrong(f"`{shown(text)}` is no tag name", "use letters, digits, `-` and `_`")
    return text


def _identifier(value: object) -> str:
    text = _text(value, "a name in Snowflake")
    try:
        return parse_name(text)
    except PatternError as error:
        raise Wrong(
            f"`{shown(text)}` {error}", """write it as '"my name"', with both pairs of quotes"""
        ) from None


def _pointer(value: object) -> str:
    text = _text(value, "a JSON pointer")
    if _POINTER.fullmatch(text) is None:
        raise Wrong(
            f"`{shown(text)}` is no JSON pointer", "begin with `/`, such as `/sub` or `/a/groups`"
        )
    return text


def _issuer_url(value: object) -> str:
    text = _text(value, "the URL of an issuer")
    if not safe_url(text) or "?" in text:
        raise Wrong(
            f"`{shown(text)}` is no issuer URL",
            "use the exact `iss` of its tokens: https (http only on loopback), without user,"
            " query or fragment",
        )
    return text


def _algorithm(value: object) -> str:
    text = _text(value, "the name of an algorithm")
    if text not in ALGORITHMS:
        raise Wrong(
            f"algorithm `{shown(text)}` is not allowed",
            f"choose from {', '.join(sorted(ALGORITHMS))}: the gateway can check these, and"
            " not make them",
        )
    return text


def _claim(value: object) -> ClaimValue:
    if isinstance(value, str | bool | int):
        return value
    raise Wrong("must be text, a whole number, true or false")


def _client(value: object) -> Glob:
    text = _text(value, "the name of a client, such as `PythonConnector` or `dbt*`")
    pieces = text.upper().split("*")
    return Glob((pieces[0], *filter(None, pieces[1:-1]), *pieces[1:][-1:]))


def _kind(value: object) -> str:
    """A kind that the classifier knows: a rule with a misspelt one would match nothing."""
    kind = " ".join(_text(value, "a kind of object, such as `schema`").upper().split())
    if kind not in KINDS:
        raise Wrong(
            f"`{shown(kind.lower())}` is no kind of object",
            nearest(kind, KINDS).lower()
            or "write what follows CREATE, SHOW or DESCRIBE, such as `schema` or `users`",
        )
    return kind


def _hours(value: object) -> Hours:
    found = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise Wrong(
            f"`{shown(str(value))}` is no part of a day", "write it as `08:00-18:00`, in UTC"
        )
    start, end = (int(found[at]) * 60 + int(found[at + 1]) for at in (1, 3))
    if start >= MINUTES or end > MINUTES:
        raise Wrong(f"`{shown(str(value))}` is no part of a day", "a day ends at `24:00`")
    if start >= end:
        raise Wrong(
            f"`{value}` ends before it begins",
            f"write two: `{found[1]}:{found[2]}-24:00` and `00:00-{found[3]}:{found[4]}`",
        )
    return Hours(start, end)


def _days(value: object) -> frozenset[int]:
    first, dash, last = value.partition("-") if isinstance(value, str) else ("", "", "")
    ends = [first, last] if dash else [first]
    if not all(end in DAYS for end in ends):
        raise Wrong(f"`{shown(str(value))}` is no day", "write `mon`, or `mon-fri`")
    start, end = DAYS.index(ends[0]), DAYS.index(ends[-1])
    return frozenset((start + step) % 7 for step in range((end - start) % 7 + 1))


def _network(value: object) -> Network:
    text = _text(value, "a network")
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Wrong(
            f"`{shown(text)}` is no network", "such as `10.0.0.0/8`, `192.0.2.7` or `2001:db8::/32`"
        ) from None
    raise Wrong(f"`{shown(text)}` has bits beyond its prefix", f"write `{network}`")


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


class _OrOne:
    """Tells editors that one value may stand for a list of one."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core)
        return {"anyOf": [schema["items"], schema]}


T = TypeVar("T")
# One value where a list of one is meant. An empty list would ask nothing, so it is refused.
Many = Annotated[list[T], BeforeValidator(_listed), Field(min_length=1), _OrOne()]


def _form(kind: str, pattern: str, example: object) -> WithJsonSchema:
    return WithJsonSchema({"type": kind, "pattern": pattern, "examples": [example]})


Duration = Annotated[
    float, BeforeValidator(parse_duration), _form("string", f"^{_DURATION.pattern}$", "30s")
]
Size = Annotated[int, BeforeValidator(parse_size), _form("string", f"^{_SIZE.pattern}$", "1MiB")]
Reference = Annotated[
    str, BeforeValidator(_reference), _form("string", "^file:.+$", "file:/run/secrets/key.p8")
]
FilePath = Annotated[str, BeforeValidator(_path)]
Address = Annotated[str, BeforeValidator(_address)]
Port = Annotated[int, Field(ge=0, le=65535)]
Host = Annotated[str, BeforeValidator(_host)]
Account = Annotated[str, BeforeValidator(_account)]
Word = Annotated[str, BeforeValidator(_word), _form("string", f"^{_WORD.pattern}$", "gw-1")]
TagName = Annotated[str, BeforeValidator(_tag), _form("string", f"^{_TAG.pattern}$", "pii")]
Identifier = Annotated[str, BeforeValidator(_identifier)]
Pointer = Annotated[str, BeforeValidator(_pointer), _form("string", "^/", "/sub")]
IssuerUrl = Annotated[str, BeforeValidator(_issuer_url)]
Text = Annotated[str, BeforeValidator(lambda value: _text(value, "text"))]
Group = Annotated[str, BeforeValidator(lambda value: _text(value, "the name of a group"))]
Algorithm = Annotated[
    str, BeforeValidator(_algorithm), WithJsonSchema({"enum": sorted(ALGORITHMS)})
]
Claim = Annotated[
    ClaimValue,
    PlainValidator(_claim),
    WithJsonSchema({"type": ["string", "integer", "boolean"]}),
]
Client = Annotated[Glob, PlainValidator(_client), WithJsonSchema({"type": "string"})]
HoursOfDay = Annotated[
    Hours, PlainValidator(_hours), _form("string", f"^{_HOURS.pattern}$", "08:00-18:00")
]
DaysOfWeek = Annotated[
    frozenset[int], PlainValidator(_days), _form("string", _DAYS_FORM, "mon-fri")
]
SourceNetwork = Annotated[Network, PlainValidator(_network), WithJsonSchema({"type": "string"})]
Kind = Annotated[
    str, BeforeValidator(_kind), WithJsonSchema({"type": "string", "examples": ["schema"]})
]


def one_of(value: str, words: dict[str, T], what: str) -> T:
    """The meaning of a word."""
    if value not in words:
        raise Wrong(f"`{shown(value)}` is no {what}", suggest(value, words))
    return words[value]
