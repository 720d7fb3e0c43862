"""What the gateway says about itself while it runs: structured logs.

Rule at the door: a log line never holds a token, a key, a statement, or a value.
"""

from snowgate.telemetry.log import log_to_stderr

__all__ = ["log_to_stderr"]
