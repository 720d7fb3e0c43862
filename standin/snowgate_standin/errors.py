"""Refusals in Snowflake's words: code, SQLSTATE and message, raised anywhere, rendered once."""

from __future__ import annotations

import re

import duckdb
import snowflake.connector.errors
from sqlglot.errors import ParseError, SqlglotError


class SnowflakeError(Exception):
    """A refusal the client sees with HTTP 200 and `success: false`."""

    def __init__(self, code: str, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.sqlstate = sqlstate
        self.message = message


def insufficient(kind: str, name: str) -> SnowflakeError:
    """A privilege is missing on an object the role may see."""
    return SnowflakeError(
        "003001",
        "42501",
        f"SQL access control error:\nInsufficient privileges to operate on {kind} '{name}'",
    )


def missing(kind: str, name: str) -> SnowflakeError:
    """An object that is not there, or that the role may not see: Snowflake does not say which."""
    return SnowflakeError(
        "002003",
        "02000",
        f"SQL compilation error:\n{kind} '{name}' does not exist or not authorized.",
    )


def exists(name: str) -> SnowflakeError:
    return SnowflakeError(
        "002002", "42710", f"SQL compilation error:\nObject '{name}' already exists."
    )


def unsupported(what: str) -> SnowflakeError:
    """What the stand-in does not do, said clearly instead of pretended."""
    return SnowflakeError("000002", "0A000", f"Unsupported feature '{what}' in the stand-in.")


def canceled() -> SnowflakeError:
    return SnowflakeError("000604", "57014", "SQL execution canceled")


def syntax(line: int, position: int, unexpected: str) -> SnowflakeError:
    return SnowflakeError(
        "001003",
        "42000",
        "SQL compilation error:\n"
        f"syntax error line {line} at position {position} unexpected '{unexpected}'.",
    )


def _parse_error(error: ParseError) -> SnowflakeError:
    first = error.errors[0] if error.errors else {}
    unexpected = str(first.get("highlight") or "<EOF>")
    return syntax(int(first.get("line") or 1), int(first.get("col") or 0), unexpected)


_MISSING_TABLE = re.compile(r"Table with name (\S+) does not exist")
_MISSING_SCHEMA = re.compile(r"Schema with name (\S+) does not exist")
_MISSING_FUNCTION = re.compile(r"Function with name (\S+) does not exist")
_MISSING_COLUMN = re.compile(r'(?:Referenced column|column named) "([^"]+)"')
_EXISTS = re.compile(r'with name "?([^"!\s]+)"? already exists')
_UNCONVERTIBLE = re.compile(
    r"Could not (?:convert|cast) string ['\"](.*?)['\"] to|invalid date field format: \"(.*?)\"",
    re.DOTALL,
)


def _duckdb_error(error: duckdb.Error) -> SnowflakeError:
    text = str(error)
    if isinstance(error, duckdb.InterruptException):
        return canceled()
    if match := _MISSING_TABLE.search(text):
        return missing("Object", match[1].upper())
    if match := _MISSING_SCHEMA.search(text):
        return missing("Schema", match[1].upper())
    if match := _MISSING_FUNCTION.search(text):
        return SnowflakeError(
            "002140", "42601", f"SQL compilation error:\nUnknown function {match[1].upper()}"
        )
    if match := _MISSING_COLUMN.search(text):
        return SnowflakeError(
            "000904", "42000", f"SQL compilation error:\ninvalid identifier '{match[1].upper()}'"
        )
    if match := _EXISTS.search(text):
        return exists(match[1].upper())
    if "Division by zero" in text:
        return SnowflakeError("100051", "22012", "Division by zero")
    if isinstance(error, duckdb.ConversionException):
        # Snowflake quotes the value, and so does the stand-in: a gateway must cope with it
        match = _UNCONVERTIBLE.search(text)
        value = next((group for group in match.groups() if group is not None), "") if match else ""
        return SnowflakeError("100038", "22018", f"Numeric value '{value}' is not recognized")
    if isinstance(error, duckdb.ConstraintException):
        return SnowflakeError("100072", "22000", "NULL result in a non-nullable column")
    first = text.split("\n", 1)[0]
    if isinstance(error, duckdb.ParserException):
        return SnowflakeError("001003", "42000", f"SQL compilation error:\n{first}")
    return SnowflakeError("000904", "42000", f"SQL compilation error:\n{first}")


def translate(error: Exception) -> SnowflakeError:
    """The refusal for anything a statement raised."""
    if isinstance(error, SnowflakeError):
        return error
    if isinstance(error, ParseError):
        return _parse_error(error)
    cause = error.__cause__
    if isinstance(error, snowflake.connector.errors.Error):
        if isinstance(cause, duckdb.Error):
            return _duckdb_error(cause)
        if isinstance(error.__context__, ParseError):
            return _parse_error(error.__context__)
        return SnowflakeError(
            f"{error.errno or 904:06d}", error.sqlstate or "42000", str(error.msg)
        )
    if isinstance(error, duckdb.Error):
        return _duckdb_error(error)
    if isinstance(error, SqlglotError):
        return SnowflakeError("000904", "42000", f"SQL compilation error:\n{error}")
    return unsupported(f"{type(error).__name__}: {error}"[:300])
