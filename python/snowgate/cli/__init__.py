"""The `snowgate` command: a module per noun, imported when it is asked for.

Rule at the door: parse arguments, call a room, print. Every error raised on purpose is one line on
stderr and a status other than 0; nothing here prints a traceback or a secret.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from snowgate.cli.application import application
from snowgate.errors import SnowgateError, reason_of

# An error in what the user gave: the shell's own convention.
USAGE = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status.

    Args:
        arguments: What the user wrote after `snowgate`; by default those of this process.
    """
    given = sys.argv[1:] if arguments is None else [*arguments]
    try:
        status = application(given, result_action="return_value")
    except SnowgateError as error:
        print(f"snowgate: {error}", file=sys.stderr)
        status = USAGE
    except BaseExceptionGroup as group:
        reason = reason_of(group)
        if reason is None:
            raise
        print(f"snowgate: {reason}", file=sys.stderr)
        status = USAGE
    except BrokenPipeError:
        status = 1
    sys.exit(status if isinstance(status, int) else 0)
