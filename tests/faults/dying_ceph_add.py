"""Adds by flow, each in a process of its own that is killed at the Nth change it makes to a Ceph pool.

    python -m tests.faults.dying_ceph_add

Reads lines `N REQUEST`, N 0 for an add that nobody kills, and answers each with one line of JSON: the changes that the add
made, by name, or the code that its process ended with. The libraries are loaded once, then every add is a fork.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from flows import add_volume_image
from flows.requests import AddVolumeImage
from storage.ceph.client.bindings import load

IMAGE_CALLS = (
    "aio_write", "create_snap", "lock_acquire", "lock_break", "metadata_remove", "metadata_set", "protect_snap",
    "remove_snap", "resize", "unprotect_snap",
)  # fmt: skip
POOL_CALLS = ("create", "remove", "rename", "trash_remove")
Result = TypeVar("Result")


class Death:
    """Counts changes of a pool and kills the process just before number `at`."""

    def __init__(self, at: int) -> None:
        self.at, self.calls = at, list[str]()
        self._lock = threading.Lock()

    def before(self, name: str) -> None:
        """Note a change that is about to be made."""
        with self._lock:
            self.calls.append(name)
            if len(self.calls) == self.at:
                os.kill(os.getpid(), signal.SIGKILL)

    def noting(self, name: str, call: Callable[..., Result]) -> Callable[..., Result]:
        """Return a method that notes its calls."""

        def noted(*given: object, **options: object) -> Result:
            self.before(name)
            return call(*given, **options)

        return noted

    def watch(self) -> None:
        """Note the calls of librbd in this process from now on."""
        rbd = vars(load().rbd)
        rbd["Image"] = self._watched(rbd["Image"], IMAGE_CALLS)
        rbd["RBD"] = self._watched(rbd["RBD"], POOL_CALLS)

    def _watched(self, parent: type, names: tuple[str, ...]) -> type:
        return type(parent.__name__, (parent,), {n: self.noting(n, getattr(parent, n)) for n in names})


def add(at: int, request: str) -> None:
    """Add an image, unless death comes first; print the changes made."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    death = Death(at)
    death.watch()
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        add_volume_image(AddVolumeImage.model_validate_json(request))
    print(json.dumps(death.calls), flush=True)


def main() -> None:
    """Answer lines until there are no more."""
    for line in sys.stdin:
        at, request = line.split(maxsplit=1)
        child = os.fork()
        if child == 0:
            try:
                add(int(at), request)
            finally:
                os._exit(0 if sys.exc_info()[0] is None else 1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            print(code, flush=True)


if __name__ == "__main__":
    main()
