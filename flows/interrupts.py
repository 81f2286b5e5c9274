"""Resend signals that Python loses when they arrive during a callback of the garbage collector.

Python prints such an exception as "Exception ignored in" and continues: a Ctrl-C or a cancellation would do nothing.
"""

import os
import signal
import sys
import threading

AGAIN_S = 0.05


def hear_again() -> None:
    """Send the signal behind an ignored exception to this process again, until it takes effect."""
    before = sys.unraisablehook

    def ignored(what: "sys.UnraisableHookArgs") -> None:
        number = _signal_of(what.exc_value) if what.exc_value is not None else None
        if number is None:
            before(what)
        else:
            threading.Timer(AGAIN_S, os.kill, (os.getpid(), number)).start()

    sys.unraisablehook = ignored


def _signal_of(error: BaseException) -> int | None:
    """Return the signal behind an exception: SIGINT, or the one behind Prefect's TerminationSignal."""
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT
    return error.signal if type(error).__name__ == "TerminationSignal" and hasattr(error, "signal") else None
