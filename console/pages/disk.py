"""Draw an image's file, with data and holes, and the disk inside, with its partitions and their contents."""

from collections.abc import Iterable
from dataclasses import dataclass

from catalog.records import Image, Replica
from storage.boot.layout import DiskPart, Layout

WIDTH, COLUMNS, NARROWEST = 800, 400, 3


@dataclass(frozen=True, slots=True)
class Column:
    """A section of the file. height: 0 to 1, the share of data in it."""

    x: float
    height: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """A part of the disk. x, width: out of WIDTH; number: from 1; guest: its operating system, if known."""

    x: float
    width: float
    number: int
    part: DiskPart
    guest: str


@dataclass(frozen=True, slots=True)
class Disk:
    """The picture. storage, format: of the file; data_bytes: out of size_bytes; table, virtual_bytes: of the disk."""

    storage: str
    format: str
    size_bytes: int
    data_bytes: int
    columns: tuple[Column, ...]
    table: str
    parts: tuple[Drawn, ...]
    virtual_bytes: int


def disk_of(image: Image, replica: Replica, extents: Iterable[tuple[int, int, bool]], layout: Layout | None) -> Disk:
    """Draw a storage's file from extents, (start, end, is_hole) each, and the disk inside."""
    size_bytes = replica.size_bytes
    filled, data, column = [0] * COLUMNS, 0, max(1, -(-size_bytes // COLUMNS))
    for start, end, is_hole in extents:
        if not is_hole:
            data += end - start
            _fill(filled, column, start, end)
    wide = WIDTH / COLUMNS
    columns = tuple(Column(round(n * wide, 2), round(min(1, b / column), 3)) for n, b in enumerate(filled) if b)
    inside = layout or Layout(table="none", size_bytes=image.virtual_size_bytes or 0)
    parts = tuple(_drawn(image, inside))
    return Disk(
        replica.image_storage, replica.format, size_bytes, data, columns, inside.table, parts, inside.size_bytes
    )


def _fill(filled: list[int], column: int, start: int, end: int) -> None:
    while start < end:
        number = start // column
        until = min(end, (number + 1) * column)
        filled[min(number, COLUMNS - 1)] += until - start
        start = until


def _drawn(image: Image, layout: Layout) -> Iterable[Drawn]:
    """Yield the parts of a disk for drawing, each wide enough to be seen."""
    boot, scale = image.boot, WIDTH / max(1, layout.size_bytes)
    for number, part in enumerate(layout.parts, 1):
        guest = boot.guest_os if boot and boot.guest_at == part.start else None
        x = min(part.start * scale, WIDTH - NARROWEST)
        width = min(max(part.size_bytes * scale, NARROWEST), WIDTH - x)
        yield Drawn(round(x, 1), round(width, 1), number, part, guest or "")
