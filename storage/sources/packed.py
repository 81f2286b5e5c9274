"""A source that is unpacked as it is read: compressed files and the disk inside an OVA, found by their first bytes.

A broken connection goes on in the middle of the packed file as long as this process lives: decoder and digest are
kept beside the offset. Another process reads the packed file again from its start and drops what is kept already.
"""

import hashlib
from contextlib import AbstractContextManager, ExitStack, closing

from catalog.errors import TransferInterrupted
from catalog.settings import Settings
from storage.protocols import SourceInfo, SourceStream
from storage.sources.decoders import Packing, packing_of
from storage.sources.streams import ClosableStream, PeekableSource, read_up_to, skip
from storage.sources.tar import BLOCK, TarDiskStream, is_tar
from storage.sources.unpack import UnpackedStream


class PackedSource:
    """Wraps a source; one whose bytes are no packing passes through untouched.

    algorithm: hash the packed bytes too, for a checksum that was published for the packed file.
    """

    def __init__(
        self, source: PeekableSource, settings: Settings, masked: str, algorithm: str | None
    ) -> None:
        self._source, self._settings, self._masked, self._algorithm = source, settings, masked, algorithm
        self._running: _Unpacking | None = None

    @property
    def packed_checksum(self) -> str | None:
        """`sha256:…` of the packed file once it was read to its end; None if it is not packed or not whole."""
        return self._running.checksum if self._running is not None else None

    def probe(self) -> SourceInfo:
        """Ask the source, and look at its first bytes."""
        info = self._source.probe()
        head = self._source.peek(BLOCK) if info.size_bytes != 0 else b""
        packing = "tar" if is_tar(head) else packing_of(head)
        if packing is None:
            return info
        return info.model_copy(
            update={"packing": packing, "size_bytes": None, "packed_size_bytes": info.size_bytes}
        )

    def peek(self, size: int) -> bytes:
        """Return the first unpacked bytes."""
        with self.open(0, self.probe()) as stream:
            return read_up_to(stream, size)

    def open(self, offset: int, info: SourceInfo) -> AbstractContextManager[SourceStream]:
        """Read unpacked bytes from `offset` on."""
        if not info.packing:
            return self._source.open(offset, info)
        packed = info.model_copy(update={"packing": "", "size_bytes": info.packed_size_bytes})
        packing = None if info.packing == "tar" else info.packing
        if self._running is None or not self._running.goes_on_at(offset, packed):
            self._running = _Unpacking(
                self._source, packed, packing, self._settings, self._masked, self._algorithm
            )
        return closing(self._running.advance(offset))


class _Unpacking:
    """One pass over the packed file, through as many connections as it takes."""

    def __init__(
        self, source: PeekableSource, info: SourceInfo, packing: Packing | None, settings: Settings, masked: str,
        algorithm: str | None,
    ) -> None:  # fmt: skip
        self._link = _Link(source, info, algorithm)
        self._info, self._packing, self._settings, self._masked = info, packing, settings, masked
        self._stream: ClosableStream | None = None
        self._unpacked: UnpackedStream | None = None
        self._head = bytearray()
        self._offset, self._broken, self._ended = 0, False, False

    @property
    def checksum(self) -> str | None:
        return self._link.checksum if self._ended else None

    def goes_on_at(self, offset: int, info: SourceInfo) -> bool:
        """Tell whether nothing but the connection was lost on the way to `offset`."""
        return not self._broken and not self._ended and self._offset <= offset and info.same_file(self._info)

    def advance(self, offset: int) -> "_Unpacking":
        """Drop the bytes before `offset`."""
        skip(self, offset - self._offset, self._masked)
        return self

    def readinto(self, buffer: memoryview, /) -> int:
        # Anything that goes wrong spoils this pass, but a lost connection where the read can be repeated.
        self._broken = True
        try:
            self._stream = self._stream or self._unpack()
            size = self._stream.readinto(buffer)
        except TransferInterrupted:
            self._broken = isinstance(self._stream, TarDiskStream) and self._stream.torn
            raise
        self._broken = False
        self._offset += size
        self._ended = not size
        return size

    def close(self) -> None:
        self._link.hang_up()

    def _unpack(self) -> ClosableStream:
        """Put the layers on top of each other; after a broken connection this may be called again."""
        if self._packing is None:
            return TarDiskStream(self._link, self._masked)
        if self._unpacked is None:
            known = self._info.size_bytes is not None
            self._unpacked = UnpackedStream(
                self._link, self._packing, self._settings, self._masked, whole=known
            )
        room = memoryview(bytearray(BLOCK))
        while len(self._head) < BLOCK and (size := self._unpacked.readinto(room[len(self._head) :])):
            self._head += room[len(self._head) : len(self._head) + size]
        stream = _Headed(bytes(self._head), self._unpacked)
        return TarDiskStream(stream, self._masked) if is_tar(self._head) else stream


class _Link:
    """The packed bytes in order; opens the source where it broke off. A read that fails may be repeated."""

    def __init__(self, source: PeekableSource, info: SourceInfo, algorithm: str | None) -> None:
        self._source, self._info, self._offset = source, info, 0
        self._hash = hashlib.new(algorithm, usedforsecurity=False) if algorithm else None
        self._algorithm = algorithm
        self._open = ExitStack()
        self._stream: SourceStream | None = None

    @property
    def checksum(self) -> str | None:
        return f"{self._algorithm}:{self._hash.hexdigest()}" if self._hash is not None else None

    def readinto(self, buffer: memoryview, /) -> int:
        try:
            if self._stream is None:
                self._stream = self._open.enter_context(self._source.open(self._offset, self._info))
            size = self._stream.readinto(buffer)
        except BaseException:
            self.hang_up()
            raise
        if self._hash is not None:
            self._hash.update(buffer[:size])
        self._offset += size
        return size

    def hang_up(self) -> None:
        """Close the connection; the next read opens another."""
        self._stream = None
        self._open.close()

    def close(self) -> None:
        self.hang_up()


class _Headed:
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, rest: ClosableStream) -> None:
        self._head, self._rest = memoryview(head), rest

    def readinto(self, buffer: memoryview, /) -> int:
        if not self._head:
            return self._rest.readinto(buffer)
        size = min(len(self._head), len(buffer))
        buffer[:size] = self._head[:size]
        self._head = self._head[size:]
        return size

    def close(self) -> None:
        self._rest.close()
