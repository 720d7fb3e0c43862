"""Every error Snowgate raises on purpose.

Decided here and nowhere else: who is at fault and, for errors a driver sees, its code and SQLSTATE.
An exception outside this tree is a bug: the control plane answers the question with a denial and
logs it.
Messages are lower-case, without full stop, user input in backticks, and never hold SQL literals,
secrets or row values.
"""

from __future__ import annotations

from typing import ClassVar


class SnowgateError(Exception):
    """Base of all errors raised on purpose."""


def reason_of(group: BaseExceptionGroup) -> SnowgateError | None:
    """The first error raised on purpose in a group, at whatever depth; None if there is none.

    What keeps the gateway from starting is one error, however many tasks it went through.
    """
    for error in group.exceptions:
        found = reason_of(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, SnowgateError):
            return found
    return None


class ConfigError(SnowgateError):
    """The configuration is wrong; nothing was started or changed.

    Args:
        path: File that holds the mistake, as the user named it.
        line: 1-based line, or 0 where the file as a whole is meant.
        key: Dotted key, such as `rules[2].match.class`; empty where no key is meant.
        problem: What is wrong.
        remedy: How to mend it.
    """

    def __init__(self, path: str, line: int, key: str, problem: str, remedy: str = "") -> None:
        place = f"{path}:{line}" if line else path
        parts = [f"{place}: {key}: {problem}" if key else f"{place}: {problem}"]
        if remedy:
            parts.append(f"what to do: {remedy}")
        super().__init__("; ".join(parts))
        self.path, self.line, self.key = path, line, key
        self.problem, self.remedy = problem, remedy


class ConfigErrors(ConfigError):
    """Several mistakes in one configuration; each is a line of the message.

    Attributes:
        errors: All of them, in the order of the file. The attributes of `ConfigError` are the
            first one's.
    """

    def __init__(self, errors: tuple[ConfigError, ...]) -> None:
        first = errors[0]
        super().__init__(first.path, first.line, first.key, first.problem, first.remedy)
        self.errors = errors
        self.args = ("\n".join(str(error) for error in errors),)


class UsageError(SnowgateError):
    """A command was asked for something in a way that it cannot be done; the message says how."""


class StartError(SnowgateError):
    """The gateway cannot start: port in use, unwritable directory, ledger that does not fit."""


class LoginRefused(SnowgateError):
    """The client may not log in. Nothing was sent upstream.

    Attributes:
        code: Six digits the driver shows (Snowflake's own login codes, protocol note section 2.4).
        reason: A word for the ledger and the metrics, such as `expired` or `no_role`.
        principal: Display name where the token itself was valid, else None.
    """

    code: ClassVar[str] = "390100"

    def __init__(self, reason: str, message: str, principal: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.principal = principal


class TokenInvalid(LoginRefused):
    """The token is malformed, forged, or for somebody else."""

    code = "390303"


class TokenExpired(LoginRefused):
    """The token was good once."""

    code = "390318"


class NotAuthorized(LoginRefused):
    """The token is good, but nothing maps its holder to a role (Snowflake: role not granted)."""

    code = "390189"


class IssuerUnavailable(LoginRefused):
    """The issuer's keys cannot be fetched and none usable are held: fail closed."""

    code = "390201"


class ApprovalError(SnowgateError):
    """A decision on an approval was refused."""

    status: ClassVar[int] = 409


class ApprovalNotFound(ApprovalError):
    """No approval has this id, or the reader may not see it."""

    status = 404


class NotAnApprover(ApprovalError):
    """The decider has no right to decide: not a person, not an approver, or part of the request."""

    status = 403


class ApprovalClosed(ApprovalError):
    """The approval is no longer pending."""

    status = 409


class HoldRefused(ApprovalError):
    """A statement may not even wait for approval: too many do, or its terms cannot be met.

    Attributes:
        rule: Built-in rule the denial names.
        reason: What is wrong.
        remedy: What the caller can do.
    """

    status = 429

    def __init__(self, rule: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.rule, self.reason, self.remedy = rule, reason, remedy


class StoreError(SnowgateError):
    """The store cannot be reached, or a row in it is not as Snowgate wrote it."""


class LedgerError(SnowgateError):
    """The ledger does not verify, or cannot be read; the message names the broken entry."""


class UpstreamError(SnowgateError):
    """Snowflake refused or failed one of the gateway's own statements.

    Attributes:
        code: Snowflake's code, such as `002003`, or a word where no reply came.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
