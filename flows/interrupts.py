"""Signals that have to be heard: one that falls into a callback of the garbage collector is lost in Python, and is sent again here.

Python prints such an exception as "Exception ignored in" and goes on: a Ctrl-C or a cancellation would do nothing.
"""

import os
import signal
import sys
import threading

AGAIN_S = 0.05


def hear_again() -> None:
    """Have the signal behind an exception that was ignored be sent to this process once more, until it is heard."""
    before = sys.unraisablehook

    def ignored(what: "sys.UnraisableHookArgs") -> None:
        number = _signal_of(what.exc_value) if what.exc_value is not None else None
        if number is None:
            before(what)
        else:
            threading.Timer(AGAIN_S, os.kill, (os.getpid(), number)).start()

    sys.unraisablehook = ignored


def _signal_of(error: BaseException) -> int | None:
    """Return the signal that an exception stands for: Ctrl-C, or what Prefect raises for the one that ends a run."""
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT
    return error.signal if type(error).__name__ == "TerminationSignal" and hasattr(error, "signal") else None
