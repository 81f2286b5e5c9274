"""A source unpacked as it is read: compressed files and the disk in an OVA, tar or zip, detected by their first bytes.

Layers may be stacked: a tar in gzip, a gzipped disk in an OVA, an OVA in a zip, a gzip in a gzip.

A broken connection resumes in the middle of the packed file as long as this process lives: decoder and digest are kept
beside the offset. Another process reads the packed file again from its start and drops the bytes already kept.
"""

from contextlib import AbstractContextManager, ExitStack, closing
from typing import Literal

from catalog.errors import TransferInterrupted, UnsafeImage
from catalog.settings import Settings
from storage.hashes import new_hash
from storage.protocols import SourceInfo, SourceStream
from storage.sources.packed.archive import DiskInArchive
from storage.sources.packed.decoders import Packing, packing_of
from storage.sources.packed.feed import Feed
from storage.sources.packed.tar import TarMembers, is_tar
from storage.sources.packed.unpack import UnpackedStream, over_caps
from storage.sources.packed.zip import ZipMembers, is_zip
from storage.sources.streams import ClosableStream, HeadedStream, PeekableSource, read_up_to, skip

HEAD = 512
MAX_LAYERS = 4


Layer = Packing | Literal["tar", "zip"]


def layer_of(head: bytes | bytearray) -> Layer | None:
    """Return how a file is packed, from its first 512 bytes; None if it is not."""
    if is_tar(head):
        return "tar"
    return "zip" if is_zip(head) else packing_of(head)


class PackedSource:
    """Wraps a source; one that is not packed passes through unchanged.

    algorithm: also hash the packed bytes, for a checksum published for the packed file.
    """

    def __init__(self, source: PeekableSource, settings: Settings, masked: str, algorithm: str | None) -> None:
        self._source, self._settings, self._masked, self._algorithm = source, settings, masked, algorithm
        self._running: _Unpacking | None = None

    @property
    def packed_checksum(self) -> str | None:
        """`sha256:…` of the packed file once it was read to its end; None if it is not packed or incomplete."""
        return self._running.checksum if self._running is not None else None

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks for people on how it was packed, once it was read to its end."""
        return self._running.remarks if self._running is not None else ()

    def probe(self) -> SourceInfo:
        """Probe the source, and examine its first bytes."""
        info = self._source.probe()
        packing = layer_of(self._source.peek(HEAD)) if info.size_bytes != 0 else None
        if packing is None:
            return info
        return info.model_copy(update={"packing": packing, "size_bytes": None, "packed_size_bytes": info.size_bytes})

    def peek(self, size: int) -> bytes:
        """Return the first unpacked bytes."""
        with self.open(0, self.probe()) as stream:
            return read_up_to(stream, size)

    def open(self, offset: int, info: SourceInfo) -> AbstractContextManager[SourceStream]:
        """Read unpacked bytes from `offset` on."""
        if not info.packing:
            return self._source.open(offset, info)
        packed = info.model_copy(update={"packing": "", "size_bytes": info.packed_size_bytes})
        if self._running is None or not self._running.goes_on_at(offset, packed):
            self._running = _Unpacking(self._source, packed, self._settings, self._masked, self._algorithm)
        return closing(self._running.advance(offset))


class _Unpacking:
    """One pass over the packed file, over as many connections as necessary."""

    def __init__(
        self, source: PeekableSource, info: SourceInfo, settings: Settings, masked: str, algorithm: str | None
    ) -> None:
        self._link = _Link(source, info, algorithm)
        self._info, self._settings, self._masked = info, settings, masked
        self._layers: list[UnpackedStream | DiskInArchive] = []
        self._top: ClosableStream = self._link
        self._stream: ClosableStream | None = None
        self._head = bytearray()
        self._offset, self._broken, self._ended = 0, False, False

    @property
    def checksum(self) -> str | None:
        return self._link.checksum if self._ended else None

    @property
    def remarks(self) -> tuple[str, ...]:
        return tuple(remark for layer in self._layers for remark in layer.remarks) if self._ended else ()

    def goes_on_at(self, offset: int, info: SourceInfo) -> bool:
        """Tell whether only the connection was lost on the way to `offset`."""
        return not self._broken and not self._ended and self._offset <= offset and info.same_file(self._info)

    def advance(self, offset: int) -> "_Unpacking":
        """Drop the bytes before `offset`."""
        skip(self, offset - self._offset, self._masked)
        return self

    def readinto(self, buffer: memoryview, /) -> int:
        # Any failure spoils this pass, except a lost connection where the read can be repeated.
        self._broken = True
        try:
            self._stream = self._stream or self._unpack()
            size = self._stream.readinto(buffer)
        except TransferInterrupted:
            self._broken = any(isinstance(layer, DiskInArchive) and layer.torn for layer in self._layers)
            raise
        self._offset += size
        self._hold_to_caps()
        self._broken = False
        self._ended = not size
        return size

    def close(self) -> None:
        self._link.hang_up()

    def _hold_to_caps(self) -> None:
        """Apply the limit on the ratio of one compression to several together."""
        packed = sum(isinstance(layer, UnpackedStream) for layer in self._layers)
        broken = over_caps(self._offset, self._link.taken, self._settings) if packed > 1 else None
        if broken:
            raise self._unsafe(*broken)

    def _unpack(self) -> ClosableStream:
        """Stack the layers; may be called again after a broken connection."""
        while True:
            room = memoryview(bytearray(HEAD))
            while len(self._head) < HEAD and (size := self._top.readinto(room[len(self._head) :])):
                self._head += room[len(self._head) : len(self._head) + size]
            packing, headed = layer_of(self._head), HeadedStream(bytes(self._head), self._top)
            if packing is None:
                return headed
            if len(self._layers) == MAX_LAYERS:
                raise self._unsafe("layers", f"it is packed more than {MAX_LAYERS} times over; unpack it")
            self._layers.append(self._layer(packing, headed))
            self._top = self._layers[-1]
            self._head.clear()

    def _layer(self, packing: Layer, packed: ClosableStream) -> UnpackedStream | DiskInArchive:
        feed = Feed(packed, packing, self._masked)
        if packing == "tar":
            return DiskInArchive(TarMembers(feed, self._settings))
        if packing == "zip":
            return DiskInArchive(ZipMembers(feed, self._settings))
        whole = bool(self._layers) or self._info.size_bytes is not None
        return UnpackedStream(packed, packing, self._settings, self._masked, whole=whole)

    def _unsafe(self, rule: str, sentence: str) -> UnsafeImage:
        return UnsafeImage([f"unpack.{rule} at byte {self._link.taken}: {self._masked}: {sentence}"])


class _Link:
    """The packed bytes in order; reopens the source where it broke off. A failed read may be repeated."""

    def __init__(self, source: PeekableSource, info: SourceInfo, algorithm: str | None) -> None:
        self._source, self._info, self.taken = source, info, 0
        self._hash = new_hash(algorithm) if algorithm else None
        self._algorithm = algorithm
        self._open = ExitStack()
        self._stream: SourceStream | None = None

    @property
    def checksum(self) -> str | None:
        return f"{self._algorithm}:{self._hash.hexdigest()}" if self._hash is not None else None

    def readinto(self, buffer: memoryview, /) -> int:
        try:
            if self._stream is None:
                self._stream = self._open.enter_context(self._source.open(self.taken, self._info))
            size = self._stream.readinto(buffer)
        except BaseException:
            self.hang_up()
            raise
        if self._hash is not None:
            self._hash.update(buffer[:size])
        self.taken += size
        return size

    def hang_up(self) -> None:
        """Close the connection; the next read opens another one."""
        self._stream = None
        self._open.close()

    def close(self) -> None:
        self.hang_up()
