"""Exit codes of the command, and the sentence on stderr."""

import sys

INTERRUPTED = 130


FAILED, WRONG_USAGE, UNREAD = 1, 2, 141


def fail(message: str, code: int) -> None:
    """Print the reason on stderr and exit."""
    print(f"imagewright: {message}", file=sys.stderr)
    sys.exit(code)
