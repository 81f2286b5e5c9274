"""The file of an image, whatever the form of its pieces, and a reader that continues when that form changes."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from catalog.errors import DigestMismatch, ObjectMissing
from storage.imagestore.format.manifest import ManifestHeader, Pieces
from storage.imagestore.reading.fetch import ChipSource
from storage.imagestore.reading.member_reader import MemberReader, front_of
from storage.imagestore.reading.reader import PieceReader
from storage.imagestore.reading.recipe_reader import RecipeReader

T = TypeVar("T")
Reader = PieceReader | RecipeReader | MemberReader


def reader_of(source: ChipSource, header: ManifestHeader, pieces: Pieces, where: str) -> Reader:
    """Return the reader of an image's file. Raises StorageRefused if this host can't follow its recipe."""
    reader = unpacked_reader(source, header, pieces, where)
    return reader if header.recipe is None else RecipeReader(reader, header.recipe, where)


def unpacked_reader(
    source: ChipSource, header: ManifestHeader, pieces: Pieces, where: str
) -> PieceReader | MemberReader:
    """Return the reader of the file stored in an image's pieces, with its members packed again."""
    reader = PieceReader(source, pieces)
    if header.members is None:
        return reader
    front = PieceReader(source, front_of(pieces, header.members.size_bytes))
    return MemberReader(reader, front, header.members, where)


class FollowingReader:
    """An ImageReader (see the protocol) over an image whose form may change while the file stays the same.

    reopen: returns a new reader if the form changed since `reader` was made, else None.
    """

    def __init__(self, reader: Reader, reopen: Callable[[], Reader | None]) -> None:
        self.size_bytes = reader.size_bytes
        self._reader, self._reopen = reader, reopen

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end. Raises DigestMismatch, ObjectMissing."""
        return followed(self._reader, self._turned, lambda reader: reader.read_at(offset, size))

    def extents(self) -> Iterator[tuple[int, int, bool]]:
        """Yield (start, end, is_hole), adjacent ranges of one kind joined."""
        return self._reader.extents()

    def _turned(self) -> Reader | None:
        again = self._reopen()
        self._reader = again or self._reader
        return again


def followed(reader: Reader, reopen: Callable[[], Reader | None], work: Callable[[Reader], T]) -> T:
    """Return the result of `work`, retried once if chips are gone because the image has another form now."""
    try:
        return work(reader)
    except (DigestMismatch, ObjectMissing):
        again = reopen()
        if again is None:
            raise
        return work(again)
