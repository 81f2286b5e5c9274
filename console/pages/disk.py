"""A picture of an image's file: where it has data and where holes; and of its disk: where what boots lies."""

from collections.abc import Iterable
from dataclasses import dataclass

from catalog.records import Image

WIDTH, COLUMNS = 800, 400


@dataclass(frozen=True, slots=True)
class Column:
    """A stretch of the file. height: 0 to 1, how much of it is data."""

    x: float
    height: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on the disk that is known. x: of WIDTH."""

    x: float
    name: str
    offset: int


@dataclass(frozen=True, slots=True)
class Disk:
    """The picture. storage, format: which file it is; data_bytes: of its size_bytes."""

    storage: str
    format: str
    size_bytes: int
    data_bytes: int
    columns: tuple[Column, ...]
    marks: tuple[Mark, ...]
    virtual_bytes: int


def disk_of(
    image: Image, storage: str, format_: str, extents: Iterable[tuple[int, int, bool]], size_bytes: int
) -> Disk:
    """Draw a file of some extents, (start, end, is_hole) each, of `size_bytes` in all."""
    filled, data, column = [0] * COLUMNS, 0, max(1, -(-size_bytes // COLUMNS))
    for start, end, is_hole in extents:
        if not is_hole:
            data += end - start
            _fill(filled, column, start, end)
    wide = WIDTH / COLUMNS
    columns = tuple(Column(round(n * wide, 2), round(min(1, b / column), 3)) for n, b in enumerate(filled) if b)
    return Disk(storage, format_, size_bytes, data, columns, tuple(_marks(image)), image.virtual_size_bytes or 0)


def _fill(filled: list[int], column: int, start: int, end: int) -> None:
    while start < end:
        number = start // column
        until = min(end, (number + 1) * column)
        filled[min(number, COLUMNS - 1)] += until - start
        start = until


def _marks(image: Image) -> Iterable[Mark]:
    """Yield what the record says of places on the disk: the guest's file system, and those of boot loaders."""
    boot, size = image.boot, image.virtual_size_bytes
    if boot is None or not size:
        return
    places = {one.offset: one.path.rpartition("/")[2] for one in reversed(boot.loaders)}
    if boot.guest_at is not None:
        places[boot.guest_at] = boot.guest_os or "guest"
    for offset, name in sorted(places.items()):
        yield Mark(round(WIDTH * min(1, offset / size), 1), name, offset)
