"""Where the processor time of an add goes, a row for each kind of thread: `python -m tests.performance.profile_add PLACE FILE`."""

import re
import sys
import time
from collections import defaultdict
from threading import Thread
from unittest.mock import patch

from tests.performance.engine import Measured
from tests.performance.engine import main as engine


def profile(place: str, name: str) -> tuple[Measured, dict[str, float]]:
    """Add a file to the store at `place`; return what it took, and the CPU seconds of its threads by their names."""
    used: dict[str, float] = defaultdict(float)
    run = Thread.run

    def counted(thread: Thread) -> None:
        try:
            run(thread)
        finally:
            used[re.sub(r"[_-]\d+$", "", thread.name)] += time.thread_time()

    with patch.object(Thread, "run", counted):
        measured = engine("add", place, name, "0")
    used["read, and hand over"] = measured.cpu - sum(used.values())
    return measured, used


if __name__ == "__main__":
    measured, used = profile(*sys.argv[1:])
    for thread, seconds in sorted(used.items(), key=lambda item: -item[1]):
        sys.stdout.write(f"{seconds:6.2f}  {thread}\n")
    sys.stdout.write(f"{measured.cpu:6.2f}  all, in {measured.wall:.2f} s\n")
