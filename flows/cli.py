"""The entry of the `imagewright` command: it answers Ctrl-C before anything that takes time is loaded."""

import gc
import os
import signal
import sys

from flows.command.exits import INTERRUPTED
from flows.interrupts import hear_again


def main() -> None:
    """Load the command and run it. Ctrl-C is one line and exit 130 at any moment, while loading and leaving as well."""
    _fill_descriptors()
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        _run()  # whoever started us, such as nohup, does not want us to hear it
        return
    signal.signal(signal.SIGINT, _leave)
    hear_again()
    try:
        try:
            _run()
        finally:
            signal.signal(signal.SIGINT, _leave)
    except KeyboardInterrupt:  # it came between the command's own answer and that line
        _leave(signal.SIGINT, None)


def _fill_descriptors() -> None:
    """Open what a caller closed (`>&-`) to nowhere: otherwise the catalog gets the number that messages are written to."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def _run() -> None:
    gc.disable()  # all that is loaded stays: looking through it again and again is a tenth of the time it takes
    from flows.command.app import run

    gc.freeze()
    gc.enable()
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _leave(_number: int, _frame: object) -> None:
    """End at once: nothing is under way that would have to be put in order, and an import may swallow an exception."""
    os.write(2, b"imagewright: interrupted\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
