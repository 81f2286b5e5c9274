"""Show the progress of a remote operation on the terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flows.client.records import RunState
from flows.client.transfers.progress import Moved, ProgressLine, nobody


@contextmanager
def shown(*, quiet: bool) -> Iterator[tuple[Moved, Callable[[RunState], None]]]:
    """Yield the callbacks for progress and for states: to a line on the terminal, or to nothing."""
    if quiet or not sys.stderr.isatty():
        yield nobody, nobody
        return
    line = ProgressLine(sys.stderr)
    try:
        yield line, lambda state: _show(line, state)
    finally:
        line.end()


def _show(line: ProgressLine, state: RunState) -> None:
    if progress := state.progress:
        line(progress.done_bytes, progress.total_bytes, progress.step or state.state)
    elif not state.finished:
        line.say(" ".join(f"{state.operation}: {state.state} {state.message}".split()))
