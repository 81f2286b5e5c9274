"""How the disk in a stored file is divided, read in the confined process."""

import json
from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import ValidationError

from catalog.records import Record
from storage.boot.probing import Bounds, looked
from storage.protocols import ImageReader


class DiskPart(Record):
    """A partition, or the whole of a disk that has none. holds: the kind of its file system, or what else fills it; "": not known."""

    start: int
    size_bytes: int
    holds: str = ""
    role: Literal["", "BIOS boot", "EFI system"] = ""


class Layout(Record):
    """A disk of `size_bytes`, as its guest sees it, and its parts in the order of the table."""

    table: Literal["gpt", "mbr", "none", "iso"]
    size_bytes: int
    parts: tuple[DiskPart, ...] = ()


def layout_of(reader: ImageReader, image_format: str, timeout_s: float = 10) -> Layout | None:
    """Return how a disk is divided, as far as it could be told; None where nothing could. Raises only the reader's own errors."""
    first, *others = looked("layout", reader, image_format, Bounds(timeout_s)).splitlines() or [b""]
    try:
        found = Layout.model_validate_json(first)
    except ValidationError:
        return None
    return found.model_copy(update={"parts": tuple(_parts(others, found.size_bytes))})


def _parts(lines: Sequence[bytes], disk_bytes: int) -> Iterator[DiskPart]:
    """Yield the parts that lie on the disk, up to where the process was killed."""
    for line in lines:
        try:
            part = DiskPart.model_validate(json.loads(line))
        except (ValueError, ValidationError):
            return
        if 0 <= part.start < disk_bytes and part.size_bytes > 0:
            yield part
