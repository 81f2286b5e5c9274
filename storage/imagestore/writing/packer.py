"""Write packs: records go to a temporary part at once, full parts are published in the background."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple
from uuid import uuid4

from storage.imagestore.format import pack
from storage.imagestore.format.codec import BASES, GOING_ON, LEANING
from storage.imagestore.format.index import Table, table_of
from storage.imagestore.format.pack import Entry
from storage.protocols import ObjectStore, ObjectWriter

UPLOADS = 2  # packs being published at once; limits the backlog of a slow store


class Encoded(NamedTuple):
    """A chip ready to be written."""

    digest: bytes
    codec: int
    raw: int
    payload: bytes | memoryview


class Packer:
    """Writes the new chips of one landing. Used by one thread; others publish.

    pin: records a pack's name before it exists.
    sealed: called, in the publishing thread, with the table of each pack that became durable.
    leaning: added chains may lean on chips elsewhere, each after the record of its bases.
    """

    def __init__(
        self,
        objects: ObjectStore,
        folder: str,
        pack_bytes: int,
        pin: Callable[[bytes], None],
        sealed: Callable[[Table], None],
        *,
        leaning: bool = False,
    ) -> None:
        self._leaning, self._bases = leaning, list[bytes | memoryview]()
        self._objects, self._folder, self._pack_bytes = objects, folder, pack_bytes
        self._pin, self._sealed = pin, sealed
        self._pool = ThreadPoolExecutor(UPLOADS, thread_name_prefix="publish-pack")
        self._publishing: list[Future[None]] = []
        self._part = ""
        self._unpublished: set[ObjectWriter] = set()
        self._writer: ObjectWriter | None = None
        self._entries: list[Entry] = []
        self._at = 0
        self._chain = 0  # start of the chain that the next chip may continue
        self.stored_bytes = 0

    def add(self, chips: Sequence[Encoded]) -> None:
        """Append chips to the current part; close it when it is full. A chain must lie whole within one call."""
        if not chips:
            return
        writer = self._writer or self._start()
        parts: list[bytes | memoryview] = []
        for chip in chips:
            stored = len(chip.payload)
            parts += (pack.record_head(chip.digest, chip.codec, chip.raw, stored), chip.payload)
            if chip.codec not in GOING_ON and chip.codec != LEANING:
                self._chain = self._at
            if chip.codec == BASES:
                self._bases.append(chip.payload)
            self._entries.append(Entry(chip.digest, chip.codec, chip.raw, stored, self._at, self._at - self._chain))
            self._at += pack.RECORD.size + stored
        writer.write(*parts)
        if self._at >= self._pack_bytes:
            self.close_part()

    def close_part(self) -> None:
        """Publish the current part in the background; waits while too many are being published."""
        if self._writer is None:
            return
        self._raise_failures(keep=UPLOADS - 1)
        bases = b"".join(self._bases)
        self._publishing.append(self._pool.submit(self._publish, self._writer, self._entries, bases))
        self.stored_bytes += self._at
        self._writer, self._entries, self._bases, self._at = None, [], [], 0

    def wait(self) -> None:
        """Wait until every closed part is durable; raises any failure."""
        self._raise_failures(keep=0)

    def keep(self) -> None:
        """Publish the open part if the store keeps no temporary objects; otherwise it can be salvaged in place."""
        if self._writer is not None and self._objects.size(self._part) is None:
            self.close_part()
            self.wait()

    def stop(self) -> None:
        """Stop the threads; open parts stay as they are, and free their room when deleted."""
        self._pool.shutdown(wait=True)
        for writer in self._unpublished:
            writer.leave()

    def _start(self) -> ObjectWriter:
        # A unique name: a part left by a dead process is salvaged, never overwritten.
        self._part = f"{self._folder}/{uuid4().hex}.part"
        self._writer = self._objects.writer(self._part)
        self._unpublished.add(self._writer)
        self._writer.write(pack.header(leaning=self._leaning))
        self._at = pack.HEADER.size
        return self._writer

    def _publish(self, writer: ObjectWriter, entries: list[Entry], bases: bytes) -> None:
        name, closing = pack.closing(entries, uuid4().bytes, bases)
        self._pin(name)
        writer.write(closing)
        writer.publish(pack.object_name(name))
        self._unpublished.discard(writer)
        self._sealed(table_of([(name, entries)]))

    def _raise_failures(self, keep: int) -> None:
        while len(self._publishing) > keep:
            self._publishing.pop(0).result()
