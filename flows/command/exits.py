"""How the command ends: exit codes and the sentence on stderr."""

import sys

INTERRUPTED = 130


FAILED, WRONG_USAGE, UNREAD = 1, 2, 141


def fail(message: str, code: int) -> None:
    """Say why on stderr and end the process."""
    print(f"imagewright: {message}", file=sys.stderr)
    sys.exit(code)
