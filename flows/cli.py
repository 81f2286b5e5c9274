"""The entry point of the `imagewright` command: it handles Ctrl-C before it loads anything slow."""

import gc
import os
import signal
import sys

from flows.command.exits import INTERRUPTED
from flows.interrupts import hear_again


def main() -> None:
    """Load the command and run it. Ctrl-C gives one line and exit 130 at any moment, also while loading and exiting."""
    _fill_descriptors()
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        _run()  # the parent, e.g. nohup, wants SIGINT ignored
        return
    signal.signal(signal.SIGINT, _leave)
    hear_again()
    try:
        try:
            _run()
        finally:
            signal.signal(signal.SIGINT, _leave)
    except KeyboardInterrupt:  # raised between the command's own handler and that line
        _leave(signal.SIGINT, None)


def _fill_descriptors() -> None:
    """Open standard streams that the caller closed (`>&-`) on /dev/null: else the catalog's file would be stderr."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def _run() -> None:
    gc.disable()  # all loaded objects stay: collecting meanwhile takes a tenth of the loading time
    from flows.command.app import run

    gc.freeze()
    gc.enable()
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _leave(_number: int, _frame: object) -> None:
    """Exit at once: there is nothing to clean up yet, and an import may swallow an exception."""
    os.write(2, b"imagewright: interrupted\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
