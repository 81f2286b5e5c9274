"""A bounded number of concurrent operations on a pool."""

import threading

from catalog.errors import StorageUnavailable
from storage.ceph.client.bindings import Completion, RbdImage
from storage.ceph.client.connection import fault

DEPTH = 16  # operations in flight: at most 64 MiB


class InFlight:
    """A bounded number of concurrent operations; the first failure is raised in the thread that starts further ones."""

    def __init__(self, storage: str, subject: str, wait_s: float) -> None:
        self._storage, self._subject, self._wait_s = storage, subject, wait_s
        self._slots = threading.Semaphore(DEPTH)
        self._failure = 0

    def enter(self) -> None:
        """Wait for a free slot."""
        if not self._slots.acquire(timeout=self._wait_s):
            raise StorageUnavailable(self._storage, "writing got no answer in time")
        if self._failure:
            self._slots.release()
            self._raise()

    def write(self, image: RbdImage, offset: int, data: bytes) -> None:
        """Start writing bytes to an image as soon as a slot is free."""
        self.enter()
        image.aio_write(data, offset, self.done)

    def done(self, completion: Completion) -> None:
        """Record the end of an operation; called from Ceph's threads."""
        result = completion.get_return_value()
        if result < 0 and not self._failure:
            self._failure = result
        self._slots.release()

    def drain(self) -> None:
        """Wait until nothing is running."""
        for _ in range(DEPTH):
            if not self._slots.acquire(timeout=self._wait_s):
                raise StorageUnavailable(self._storage, "writing got no answer in time")
        self._slots.release(DEPTH)
        if self._failure:
            self._raise()

    def _raise(self) -> None:
        raise fault(self._storage, "writing", self._failure, self._subject)
