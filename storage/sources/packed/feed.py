"""An archive read in order: exact pieces of it, pushed-back bytes, and the errors for its rules."""

from catalog.errors import UnsafeImage
from storage.sources.streams import ClosableStream

_PIECE = 256 << 10


class Feed:
    """The bytes of an archive. An early end is refused here; callers that know the size detect a cut before.

    kind: the prefix of its rules, `tar` or `zip`.
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
        """Return exactly `size` bytes."""
        data = bytearray()
        while len(data) < size:
            data += self.piece(size - len(data))
        return bytes(data)

    def skip(self, size: int) -> None:
        """Read and drop exactly `size` bytes."""
        while size:
            size -= self.readinto(self._room[:size])

    def give_back(self, data: bytes) -> None:
        """Push these bytes back, the last ones read."""
        self._back = data + self._back
        self.place -= len(data)

    def drain(self) -> None:
        """Read the rest, so that the source is known to be complete."""
        while self._read(self._room):
            pass

    def close(self) -> None:
        """Close the archive."""
        self._stream.close()

    def unsafe(self, rule: str, sentence: str) -> UnsafeImage:
        """Return the error for a defect found here."""
        return UnsafeImage([f"{self._kind}.{rule} at byte {self.place}: {self._masked}: {sentence}"])

    def _read(self, buffer: memoryview) -> int:
        if self._back:
            size = min(len(self._back), len(buffer))
            buffer[:size], self._back = self._back[:size], self._back[size:]
        else:
            size = self._stream.readinto(buffer)
        self.place += size
        return size
