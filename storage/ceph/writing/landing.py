"""A landing in a pool: an RBD image under a landing name that proves itself object by object."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from blake3 import blake3

from catalog.errors import CapacityExceeded, ImageBusy, ImageNotFound, StaleLanding, StorageUnavailable
from storage.ceph.client.bindings import RbdImage
from storage.ceph.client.connection import Connection, translated
from storage.ceph.layout import (
    FINISHED_KEY,
    SOURCE_KEY,
    UNFOLDED_KEY,
    VERSION,
    VERSION_KEY,
    Finished,
    Unfolded,
    landing_name,
)
from storage.ceph.rbd_images import check_version, create, opened, read_record, read_undamaged, remove, take_lock
from storage.ceph.reading.reader import CephReader, open_reader
from storage.ceph.rows import KeptPrefix
from storage.ceph.writing.resume import Feed, keep_tail, restore
from storage.ceph.writing.stream_writer import StreamWriter
from storage.protocols import SourceInfo, StoredFile


class CephLanding:
    """A landing in a pool, with its own connection.

    The connection is not shared because taking a landing over blocklists the former writer's whole connection.
    """

    def __init__(self, connect: Callable[[], Connection], storage: str, landing_id: str, wait_s: float) -> None:
        self.landing_id = landing_id
        self.name = landing_name(landing_id)
        self._connect, self._storage, self._wait_s = connect, storage, wait_s
        self._connection: Connection | None = None
        self._image: RbdImage | None = None  # open for writing, lock held
        self._writer: StreamWriter | None = None

    def begun_with(self) -> SourceInfo | None:
        """Return what `begin` recorded, or None if nothing was begun."""
        with opened(self._connected(), self.name) as image:
            if image is None:
                return None
            check_version(self._storage, image, self.name)
            return read_undamaged(image, SOURCE_KEY, SourceInfo)

    def begin(self, info: SourceInfo) -> None:
        """Discard everything kept and record the source to be read.

        The image is new each time: late writes of a former writer then go to objects that nothing reads.
        """
        self.discard()
        with self._leaving_nothing():
            create(self._connected(), self.name, info.size_bytes or 0)
            image = self._writable()
            with translated(self._storage, "beginning the landing", self.landing_id):
                image.metadata_set(VERSION_KEY, VERSION)
                image.metadata_set(SOURCE_KEY, info.model_dump_json())
            self._writer = StreamWriter(self._connected(), image, self.landing_id, KeptPrefix(), self._wait_s)

    def restore(self, feed: Feed) -> int:
        """Read back and prove all that was kept, feeding it in order; return its length. Writing resumes there."""
        self._writer = None
        with self._leaving_nothing():
            image = self._writable()
            unfolded = read_record(image, UNFOLDED_KEY, Unfolded)
            if unfolded is None:
                kept, disk = restore(self._connected(), image, feed, self._wait_s), None
            else:
                from storage.ceph.qcow2 import landing as qcow2_landing

                kept, disk = qcow2_landing.restore(self._connected(), image, unfolded, feed)
            self._writer = StreamWriter(self._connected(), image, self.landing_id, kept, self._wait_s, disk)
        return kept.size_bytes

    def write(self, block: memoryview) -> None:
        """Take the next bytes."""
        with self._leaving_nothing():
            self._open_writer().write(block)

    def write_zeros(self, length: int) -> None:
        """Take the next bytes, all zeros."""
        with self._leaving_nothing():
            self._open_writer().write_zeros(length)

    def finish(self) -> StoredFile:
        """Make everything durable and record completion. Safe to repeat."""
        finished = self._finished()
        if finished is None:
            with self._leaving_nothing():
                finished = self._finish(self._open_writer())
        return StoredFile(size_bytes=finished.size_bytes, stored_bytes=finished.stored_bytes)

    def open(self) -> CephReader:
        """Open a finished landing for reading. Raises StaleLanding if it is absent or unfinished."""
        try:
            return open_reader(self._connect(), self.name, None, self._wait_s, self.landing_id)
        except ImageNotFound as error:
            raise StaleLanding(self.landing_id) from error

    def finished(self) -> Finished | None:
        """Return the description of a finished landing, None for any other."""
        return self._finished()

    def is_unfolded(self) -> bool:
        """Tell whether the landing is a qcow2 file that was unfolded as it arrived."""
        with opened(self._connected(), self.name) as image:
            return image is not None and read_record(image, UNFOLDED_KEY, Unfolded) is not None

    def exclusive(self) -> tuple[Connection, RbdImage]:
        """Return the image, open for writing by us alone until `close`."""
        return self._connected(), self._writable()

    def root(self) -> str:
        """Return the digest over all digests of a finished landing, which identifies its bytes. Raises StaleLanding."""
        finished = self._finished()
        if finished is None:
            raise StaleLanding(self.landing_id)
        return finished.root

    def close(self) -> None:
        """Keep what can be kept, release the lock, and leave the cluster; the landing can be opened again."""
        writer, self._writer = self._writer, None
        try:
            # a failed writer reported it at the time; the next restore omits what it could not keep
            if writer is not None and self._image is not None:
                with suppress(StorageUnavailable, ImageBusy, CapacityExceeded):
                    keep_tail(self._storage, self._image, writer)
        finally:
            self._leave()

    def discard(self) -> None:
        """Delete the landing and its bytes."""
        self._leave()
        remove(self._connected(), self.name, self.landing_id)

    def _finish(self, writer: StreamWriter) -> Finished:
        """Write rows and objects first, then the size, and last the record that makes the landing count."""
        image = self._writable()
        rows = writer.end()
        with translated(self._storage, "finishing", self.landing_id):
            base, disk_bytes = 0, 0
            if writer.disk is not None:
                from storage.ceph.qcow2 import landing as qcow2_landing

                qcow2_landing.complete(self._connected(), image, writer.disk, self._wait_s)
                base, disk_bytes = writer.disk.base, writer.disk.stored_bytes
            if image.size() != base + writer.size_bytes:
                image.resize(base + writer.size_bytes)
            finished = Finished(
                size_bytes=writer.size_bytes,
                stored_bytes=writer.stored_bytes + disk_bytes,
                root=blake3(rows).hexdigest(),
            )
            image.metadata_set(FINISHED_KEY, finished.model_dump_json())
        self._writer = None
        self._let_go()
        return finished

    def _finished(self) -> Finished | None:
        if self._writer is not None:
            return None
        with opened(self._connected(), self.name) as image:
            return None if image is None else read_record(image, FINISHED_KEY, Finished)

    def _open_writer(self) -> StreamWriter:
        if self._writer is None:
            self._writer = StreamWriter(
                self._connected(), self._writable(), self.landing_id, KeptPrefix(), self._wait_s
            )
        return self._writer

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _writable(self) -> RbdImage:
        """Return the image, open for writing by us alone; create an empty one if nothing was begun."""
        if self._image is None:
            image = self._connected().image(self.name, read_only=False)
            if image is None:
                create(self._connected(), self.name, 0)
                return self._writable()
            self._image = image
            check_version(self._storage, image, self.name)
            take_lock(self._connected(), image, self.landing_id)
        return self._image

    def _let_go(self) -> None:
        """Close the image and thereby release its lock."""
        image, self._image = self._image, None
        if image is not None:
            self._connected().close_image(image)

    def _leave(self) -> None:
        self._writer = None
        try:
            # failures here have no consequence: the next writer takes the lock over
            with suppress(StorageUnavailable, ImageBusy):
                self._let_go()
        finally:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    @contextmanager
    def _leaving_nothing(self) -> Iterator[None]:
        """Delete the landing if the pool is full: kept for later, it would keep the pool full."""
        try:
            yield
        except CapacityExceeded:
            self.discard()
            raise
