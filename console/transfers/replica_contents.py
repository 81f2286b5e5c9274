"""Read an image's bytes directly from its storages, with readers shared by requests, and failover to other replicas."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Lock

from catalog.errors import ImageNotFound, ImagewrightError
from catalog.records import Image, Replica, ReplicaStatus
from catalog.repository.reading.reading import Reading
from catalog.rules.images.transitions import status_after
from storage.protocols import ImageReader
from storage.replicas.source import Closable
from tasks.runtime.resources import open_image_storage, open_resources

IDLE_S, MOST_IDLE = 30.0, 8
"""How long, and how many, unused readers stay open: a client that resumes comes back soon."""


def same_file(catalog: Reading, image: Image) -> Sequence[Replica]:
    """Return the whole replicas of one and the same file, preferably the file as it was added.

    Raises IllegalTransition for an image that is not whole, ImageNotFound if no storage holds it.
    """
    status_after(image, "export")
    ready = [replica for replica in catalog.replicas(image.id) if replica.status is ReplicaStatus.READY]
    ready.sort(key=lambda replica: (replica.format != image.format, replica.sha256 is None))
    if not ready:
        raise ImageNotFound(image.id, "on any image storage")
    first = ready[0]
    return [one for one in ready if one is first or (one.sha256 is not None and one.sha256 == first.sha256)]


@dataclass
class _Open:
    """An open reader with its users."""

    reader: ImageReader
    users: int = 0
    idle_since: float = field(default_factory=time.monotonic)


class OpenReaders:
    """Shared readers of replicas: each caches some MiB, so twenty downloads of one image cost as much as one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: dict[str, _Open] = {}

    @contextmanager
    def reading(self, replica: Replica) -> Iterator[ImageReader]:
        """Read a replica for the block. Raises StorageUnavailable, StorageRefused, ImageNotFound."""
        name = f"{replica.image_id}@{replica.image_storage} {replica.sha256} {replica.created_at}"
        held = self._taken(name) or self._opened(name, replica)
        try:
            yield held.reader
        finally:
            self._left(held)

    def _taken(self, name: str) -> _Open | None:
        with self._lock:
            held = self._open.get(name)
            if held is not None:
                held.users += 1
            return held

    def _opened(self, name: str, replica: Replica) -> _Open:
        with open_resources() as (settings, catalog):
            storage = open_image_storage(catalog.image_storage(replica.image_storage), settings)
        made = _Open(storage.open(replica.image_id), users=1)
        with self._lock:
            other = self._open.setdefault(name, made)
            if other is not made:
                other.users += 1
        if other is not made:
            _close(made)
        return other

    def _left(self, held: _Open) -> None:
        with self._lock:
            held.users, held.idle_since = held.users - 1, time.monotonic()
            idle = sorted(((one.idle_since, name) for name, one in self._open.items() if not one.users), reverse=True)
            old = [
                name for place, (at, name) in enumerate(idle) if place >= MOST_IDLE or time.monotonic() - at > IDLE_S
            ]
            going = [self._open.pop(name) for name in old]
        for one in going:
            _close(one)


def _close(held: _Open) -> None:
    if isinstance(held.reader, Closable):
        held.reader.close()


class WholeFile:
    """A file on several storages. If one is damaged or unavailable, the next one is read. One read at a time."""

    def __init__(self, readers: OpenReaders, replicas: Sequence[Replica]) -> None:
        self._readers, self._replicas, self.size_bytes = readers, list(replicas), replicas[0].size_bytes
        self._held = ExitStack()
        self._reader: ImageReader | None = None

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end. Raises the last storage's error."""
        while True:
            try:
                return self._opened().read_at(offset, size)
            except ImagewrightError:
                if len(self._replicas) == 1:
                    raise
                self.close()
                del self._replicas[0]

    def extents(self) -> Iterator[tuple[int, int, bool]]:
        """Yield (start, end, is_hole) over the whole file. Raises as `read_at`."""
        yield from self._opened().extents()

    def close(self) -> None:
        """Release the reader to others."""
        self._reader = None
        self._held.close()

    def _opened(self) -> ImageReader:
        if self._reader is None:
            self._reader = self._held.enter_context(self._readers.reading(self._replicas[0]))
        return self._reader


@contextmanager
def whole_file(readers: OpenReaders, replicas: Sequence[Replica]) -> Iterator[WholeFile]:
    """Yield a file for as long as it is read."""
    file = WholeFile(readers, replicas)
    try:
        yield file
    finally:
        file.close()
