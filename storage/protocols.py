"""The roles of storages and sources, one small Protocol each, with their guarantees in words.

Offsets and sizes are bytes; intervals are `[start, end)`. Every method may raise the errors of `catalog.errors`; vendor
errors are translated once, in the implementation. Deleting something absent is a no-op.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from catalog.records import CachedImage, Capacity, Image, ImageFormat, PrimaryKind, Record, Replica, StorageKind

Progress = Callable[[int, int | None], None]
"""Called with (bytes done, total bytes or None if unknown); never backwards, from any thread, must be cheap."""


class SourceInfo(Record):
    """The result of probing a source. `url` is masked; validators guard a resumption."""

    url: str
    size_bytes: int | None = None
    etag: str | None = None  # strong ETag only
    last_modified: str | None = None  # as the server wrote it; mtime in ns for files
    resumable: bool = False  # can be read from an offset
    local: bool = False  # reading bytes again costs only a copy
    address: str | None = None  # the address actually connected to
    packing: Literal["", "gz", "xz", "zst", "bz2", "lzma", "tar", "zip"] = (
        ""  # how the source is packed; its bytes are read unpacked
    )
    packed_size_bytes: int | None = None  # of the file as the server has it, if `packing` is set

    def same_file(self, other: "SourceInfo") -> bool:
        """Tell whether both probes describe the same bytes, as far as validators can tell."""
        return (self.size_bytes, self.etag, self.last_modified) == (other.size_bytes, other.etag, other.last_modified)


class SourceStream(Protocol):
    """Bytes of a source in order."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the front of `buffer`, return the number of bytes; 0 only at the true end of the source.

        Raises TransferInterrupted if the connection broke, stalled past the read timeout or ended early.
        """
        ...


class Source(Protocol):
    """A place from which an image can be fetched."""

    def probe(self) -> SourceInfo:
        """Query existence, size and validators without moving the body. Raises SourceNotFound, SourceForbidden."""
        ...

    def open(self, offset: int, info: SourceInfo) -> AbstractContextManager[SourceStream]:
        """Read from `offset` on. Raises SourceChanged if the source is not the file that `info` describes."""
        ...


class ImageReader(Protocol):
    """Random access to a stored file. Every returned byte was verified. Thread-safe, without a position."""

    size_bytes: int

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end. Raises DigestMismatch, ObjectMissing."""
        ...

    def extents(self) -> Iterator[tuple[int, int, bool]]:
        """Yield (start, end, is_hole) over the whole file in order; holes read as zeros."""
        ...


class StoredFile(Record):
    """A file that a landing holds completely and durably."""

    size_bytes: int
    stored_bytes: int  # newly written; data already there costs nothing


class Landing(Protocol):
    """Bytes on their way into an image storage, under a landing name, with a journal beside them.

    One writer at a time. After a death, another process opens the same landing and resumes it.
    """

    landing_id: str

    def begun_with(self) -> SourceInfo | None:
        """Return what `begin` recorded, or None if nothing was begun."""
        ...

    def begin(self, info: SourceInfo) -> None:
        """Discard everything kept and record the source that is read from now on."""
        ...

    def restore(self, feed: Callable[[memoryview], None]) -> int:
        """Read back and prove all that was kept, feeding it in order; return its length. Writing resumes there."""
        ...

    def write(self, block: memoryview) -> None:
        """Take the next bytes. The caller never changes the buffer afterwards; work may continue in the background."""
        ...

    def finish(self) -> StoredFile:
        """Make everything durable. No write may follow; `open` works from here on. Safe to repeat."""
        ...

    def open(self) -> ImageReader:
        """Read a finished landing."""
        ...

    def close(self) -> None:
        """Stop background work and keep what can be kept; the landing can be opened again."""
        ...

    def discard(self) -> None:
        """Delete the landing and its bytes."""
        ...


class LandingInfo(Record):
    """An unpublished landing found on a storage."""

    landing_id: str
    kept_bytes: int
    source: SourceInfo | None = None


class StoredImage(Record):
    """A storage's own description of an image it holds, from which the catalog's row can be rebuilt."""

    image: Image
    replica: Replica


class Digests(Record):
    """Size and digests of a byte stream, bare hex."""

    size_bytes: int
    md5: str
    sha256: str


@runtime_checkable
class ImageStorage(Protocol):
    """A storage of images. Holds no operation state: two calls never influence each other through the object."""

    name: str
    kind: StorageKind

    def stored_format(self, added: ImageFormat) -> ImageFormat:
        """Return the format in which a file of format `added` is stored."""
        ...

    def check(self) -> None:
        """Prove that the storage answers and accepts us. Raises StorageUnavailable, StorageRefused."""
        ...

    def capacity(self) -> Capacity:
        """Return the room available now."""
        ...

    def landing(self, landing_id: str) -> Landing:
        """Open a landing, new or kept."""
        ...

    def landings(self) -> Iterator[LandingInfo]:
        """List unpublished landings."""
        ...

    def publish(self, landing_id: str, image: Image, digests: Digests | None) -> Replica:
        """Name a finished landing as the image's replica, in one atomic step. Safe to repeat.

        The landing is gone afterwards.
        digests: of the stored file; None only for a result of `convert_landing`.
        Raises DigestMismatch if the landing's size differs.
        """
        ...

    def contains(self, image_id: str) -> bool:
        """Tell whether a published replica exists (not whether it is undamaged)."""
        ...

    def stored(self, image_id: str) -> StoredImage:
        """Return what the storage says about an image it holds, looking at no other. Raises ImageNotFound, DigestMismatch."""
        ...

    def images(self) -> Iterator[StoredImage]:
        """List published images by the storage's own description."""
        ...

    def open(self, image_id: str) -> ImageReader:
        """Open a replica for reading. Raises ImageNotFound."""
        ...

    def export(self, image_id: str, target: Path, progress: Progress) -> Digests:
        """Write the complete file, sparse and verified, to `target` (under a temporary name, then renamed)."""
        ...

    def delete(self, image_id: str) -> None:
        """Withdraw the replica. An ImageStore's chips stay until reclaim."""
        ...


class Converted(Record):
    """A landing converted from the format that was added, with the same guest content."""

    landing_id: str
    format: ImageFormat
    size_bytes: int
    stored_bytes: int


@runtime_checkable
class LandingConverter(Protocol):
    """An image storage that converts a landing itself, without a scratch file on the worker."""

    def convert_landing(
        self, landing_id: str, from_format: ImageFormat, target_landing_id: str, progress: Progress
    ) -> Converted:
        """Convert a finished landing that passed the inspector to the stored format, and prove the result.

        Resumes a former attempt; safe to repeat. The original can be restored from the first landing, which stays. The
        result, that landing itself or the target, is published with `publish(converted.landing_id, image, None)`: its
        MD5 and SHA-256 are measured when they are first needed.
        Raises ConversionFailed, CapacityExceeded, MissingProgram.
        """
        ...


class CachedFile(Record):
    """A complete image on a primary storage, from which volumes are made."""

    location: str
    format: ImageFormat
    size_bytes: int  # occupied on the primary storage; 0 if volumes are made from the replica itself


class VolumeFile(Record):
    """A volume on a primary storage: its writes, over a cached image."""

    location: str
    backing: str
    size_bytes: int  # as its machine sees it


@runtime_checkable
class PrimaryStorage(Protocol):
    """A storage of volumes made from cached images. Holds no operation state; callers take turns per image."""

    name: str
    kind: PrimaryKind

    def check(self) -> None:
        """Prove that the storage answers and accepts us. Raises StorageUnavailable, StorageRefused."""
        ...

    def capacity(self) -> Capacity:
        """Return the room available now."""
        ...

    def shares(self, source: ImageStorage) -> bool:
        """Tell whether volumes can be made from the source's replicas in place."""
        ...

    def cache(
        self, source: ImageStorage, image: Image, replica: Replica, scratch: Path, progress: Progress
    ) -> CachedFile:
        """Copy an image here, proven against its recorded digests; an unproven copy is never visible. Safe to repeat.

        Raises DigestMismatch, CapacityExceeded, ConversionFailed and the errors of the source.
        """
        ...

    def holds(self, cached: CachedImage) -> CachedFile | None:
        """Return the cached image if it still exists, complete."""
        ...

    def cached_ids(self) -> Iterator[str]:
        """List the images that have a copy here, by the storage's own records."""
        ...

    def evict(self, image_id: str) -> None:
        """Delete the copy of an image. Raises ReplicaInUse, with nothing changed, while a volume is made from it."""
        ...

    def clone(self, volume_id: str, cached: CachedFile, size_bytes: int) -> VolumeFile:
        """Make a volume in O(1), whatever the image's size; a repeated call empties it again.

        size_bytes: at least the image's virtual size.
        """
        ...

    def delete_volume(self, location: str) -> None:
        """Delete a volume."""
        ...


class ObjectInfo(Record):
    """An object in an object store. modified_at: by the server's clock, if a listing reports it."""

    name: str
    size_bytes: int
    modified_at: datetime | None = None


class ObjectWriter(Protocol):
    """An object being written, invisible under its final name until published."""

    def write(self, *parts: "bytes | memoryview") -> None:
        """Append all parts in order, preferably without joining them."""
        ...

    def publish(self, name: str) -> None:
        """Make it durable and visible under `name` in one atomic step, replacing an equal one."""
        ...

    def abandon(self) -> None:
        """Delete it. A no-op after `publish`."""
        ...

    def leave(self) -> None:
        """Release it as it is; no more writes are possible. Safe to repeat, a no-op after `publish`."""
        ...


class ObjectStore(Protocol):
    """Flat, durable objects under `/`-separated names: the base of a chip store.

    Reads see the newest finished write (strong consistency); `put` and `publish` are atomic and durable when they
    return.
    """

    location: str  # for messages, without secrets
    piece_bytes: int  # stream bytes per piece of a log: balances the loss by a death against the cost of a piece

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return bytes `[start, end)`. Raises ObjectMissing."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Create or replace."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Create, or return False if the name exists; exactly one of several concurrent callers gets True."""
        ...

    def append(self, name: str, data: bytes) -> None:
        """Append a piece to a log. One writer; `pieces` returns pieces whole and in order."""
        ...

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the pieces of a log; a torn last piece is left out. Nothing if there is no such log."""
        ...

    def writer(self, aside: str) -> ObjectWriter:
        """Start an unpublished object under the working name `aside`.

        If the store's written bytes survive a SIGKILL, `get(aside)` reads them afterwards.
        """
        ...

    def size(self, name: str) -> int | None:
        """Return the object's size, or None if there is none."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects whose names start with `prefix`, sorted by name, requesting page by page."""
        ...

    def delete(self, name: str) -> None:
        """Delete an object or a log."""
        ...

    def capacity(self) -> Capacity | None:
        """Return the capacity of the medium, or None if it has no limit."""
        ...
