"""An archive read in order: exact pieces of it, bytes given back, and the place for sentences."""

from catalog.errors import UnsafeImage
from storage.sources.streams import ClosableStream

_PIECE = 256 << 10


class Feed:
    """The bytes of an archive. What ends too early is refused: whoever knows the archive's size knows a cut before.

    kind: what its rules are called, `tar` or `zip`.
    """

    def __init__(self, stream: ClosableStream, kind: str, masked: str) -> None:
        self._stream, self._kind, self._masked = stream, kind, masked
        self._back = b""
        self._room = memoryview(bytearray(_PIECE))
        self.place = 0

    def readinto(self, buffer: memoryview, /) -> int:
        """Read some bytes, at least one."""
        size = self._read(buffer)
        if not size:
            raise self.unsafe("cut", "the archive is cut short")
        return size

    def piece(self, limit: int | None = None) -> bytes:
        """Return some bytes, at least one."""
        room = self._room if limit is None else self._room[:limit]
        return bytes(room[: self.readinto(room)])

    def take(self, size: int) -> bytes:
        """Return exactly so many bytes."""
        data = bytearray()
        while len(data) < size:
            data += self.piece(size - len(data))
        return bytes(data)

    def skip(self, size: int) -> None:
        """Read and drop exactly so many bytes."""
        while size:
            size -= self.readinto(self._room[:size])

    def give_back(self, data: bytes) -> None:
        """Have these bytes, the last ones read, come again."""
        self._back = data + self._back
        self.place -= len(data)

    def drain(self) -> None:
        """Read what is left, so that the source is known to be whole."""
        while self._read(self._room):
            pass

    def close(self) -> None:
        """Close the archive."""
        self._stream.close()

    def unsafe(self, rule: str, sentence: str) -> UnsafeImage:
        """Make the error for what is wrong here."""
        return UnsafeImage([f"{self._kind}.{rule} at byte {self.place}: {self._masked}: {sentence}"])

    def _read(self, buffer: memoryview) -> int:
        if self._back:
            size = min(len(self._back), len(buffer))
            buffer[:size], self._back = self._back[:size], self._back[size:]
        else:
            size = self._stream.readinto(buffer)
        self.place += size
        return size
