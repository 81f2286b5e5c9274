"""A stored file as a source: moves between storages are read and resumed like any fetch."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Protocol, runtime_checkable

from catalog.records import Replica
from storage.formats.convert import data_bytes
from storage.protocols import ImageReader, ImageStorage, SourceInfo

BLOCK_BYTES = 4 << 20
AHEAD = 3  # blocks being read: 12 MiB


@runtime_checkable
class Closable(Protocol):
    """A reader that holds a connection."""

    def close(self) -> None:
        """Release the connection."""
        ...


class ReaderStream:
    """Bytes of a reader in order from an offset, read a few blocks ahead, each in its own thread."""

    def __init__(self, reader: ImageReader, offset: int = 0) -> None:
        self._reader, self._next = reader, offset
        self._pool = ThreadPoolExecutor(AHEAD, thread_name_prefix="read-replica")
        self._ahead: deque[Future[bytes]] = deque()
        self._block = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the front of `buffer`; 0 at the end. Raises the reader's errors."""
        if not len(self._block):
            self._look_ahead()
            if not self._ahead:
                return 0
            self._block = memoryview(self._ahead.popleft().result())
        count = min(len(buffer), len(self._block))
        buffer[:count] = self._block[:count]
        self._block = self._block[count:]
        return count

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _look_ahead(self) -> None:
        while len(self._ahead) < AHEAD and self._next < self._reader.size_bytes:
            self._ahead.append(self._pool.submit(self._reader.read_at, self._next, BLOCK_BYTES))
            self._next += BLOCK_BYTES


@contextmanager
def _closed_after(reader: ImageReader) -> Iterator[ImageReader]:
    """Yield a reader and release its connection afterwards, if it holds one."""
    try:
        yield reader
    finally:
        if isinstance(reader, Closable):
            reader.close()


@contextmanager
def stream_of(reader: ImageReader, offset: int = 0) -> Iterator[ReaderStream]:
    """Yield the bytes of a reader in order; the reader stays open."""
    with closing(ReaderStream(reader, offset)) as stream:
        yield stream


class ReplicaSource:
    """A Source (see the protocol) over a replica."""

    def __init__(self, storage: ImageStorage, replica: Replica) -> None:
        self._storage, self._replica = storage, replica

    def probe(self) -> SourceInfo:
        """Return the catalog's description of the replica; the digest is the validator."""
        digest = self._replica.sha256
        return SourceInfo(
            url=f"imagewright:{self._storage.name}/{self._replica.image_id}",
            size_bytes=self._replica.size_bytes,
            etag=f'"{digest}"' if digest else None,
            last_modified=self._replica.created_at.isoformat(),
            resumable=True,
        )

    @contextmanager
    def open(self, offset: int, info: SourceInfo) -> Iterator[ReaderStream]:  # noqa: ARG002  # a replica never changes
        """Read from `offset` on."""
        with reader_of(self._storage, self._replica.image_id) as reader, stream_of(reader, offset) as stream:
            yield stream


@contextmanager
def reader_of(storage: ImageStorage, image_id: str) -> Iterator[ImageReader]:
    """Open a replica for the block. Raises ImageNotFound."""
    with _closed_after(storage.open(image_id)) as reader:
        yield reader


@contextmanager
def landing_reader(storage: ImageStorage, landing_id: str) -> Iterator[ImageReader]:
    """Open a finished landing for the block."""
    with closing(storage.landing(landing_id)) as landing, _closed_after(landing.open()) as reader:
        yield reader


def held_bytes(storage: ImageStorage, image_id: str) -> int:
    """Return the bytes of a replica outside its holes. Raises ImageNotFound."""
    with reader_of(storage, image_id) as reader:
        return data_bytes(reader)
