"""Change the format of a stored image, and prove that a guest sees the same bytes.

A scratch file on the worker is written from the stored one (sparse), converted, compared, and removed. Whatever goes wrong
nothing stays in the scratch folder.
"""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog.errors import CapacityExceeded, ConversionFailed, ProgramFailed
from catalog.privacy import closed, make_folder
from storage.programs import qemu_img
from storage.protocols import ImageReader, Progress

BLOCK = 4 << 20


def convert_reader(reader: ImageReader, from_format: str, to_format: str, scratch: Path, progress: Progress) -> Path:
    """Convert a stored file that the inspector has passed; return a new file in `scratch`, which the caller removes.

    progress: bytes over all three steps: the file is written, converted, compared.
    Raises ConversionFailed, CapacityExceeded, MissingProgram and the reader's errors.
    """
    make_folder(scratch)
    stem = scratch / f"convert-{uuid.uuid4().hex}"
    source, target = stem.with_suffix(".input"), stem.with_suffix(f".{to_format}")
    with _removed(source), _removed(target, on_success=False):
        write_sparse(reader, source, lambda done, _: progress(done, None))
        steps = _Steps(progress, reader.size_bytes, qemu_size(source, from_format, to_format))
        qemu_img.convert(source, from_format, to_format, target, steps.converting)
        prove_equal(source, from_format, target, to_format, steps.comparing)
    return target


def write_sparse(reader: ImageReader, target: Path, progress: Progress) -> None:
    """Write the stored file to `target`, holes kept. Raises CapacityExceeded where it does not fit."""
    needed = data_bytes(reader)
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise CapacityExceeded(str(target.parent), needed, free)
    with open(target, "wb", opener=closed) as file:
        file.truncate(reader.size_bytes)
        for start, end in _data_blocks(reader):
            os.pwrite(file.fileno(), reader.read_at(start, end - start), start)
            progress(end, reader.size_bytes)


def data_bytes(reader: ImageReader) -> int:
    """Return how many bytes of a stored file are no hole."""
    return sum(end - start for start, end, is_hole in reader.extents() if not is_hole)


def prove_equal(
    source: Path, from_format: str, target: Path, to_format: str, progress: Callable[[int, int | None], None]
) -> None:
    """Compare the guest-visible content of two files. Raises ConversionFailed if it differs or can't be compared."""
    try:
        equal = qemu_img.compare(source, from_format, target, to_format, progress)
    except ProgramFailed as failed:
        raise ConversionFailed(from_format, to_format, failed.reason) from failed
    if not equal:
        raise ConversionFailed(from_format, to_format, "a guest would not see the same bytes before and after")


def qemu_size(source: Path, from_format: str, to_format: str) -> int:
    """Return the virtual size that qemu sees, bytes. Raises ConversionFailed, MissingProgram."""
    try:
        return qemu_img.info(source, from_format).virtual_size_bytes
    except ProgramFailed as failed:
        raise ConversionFailed(from_format, to_format, failed.reason) from failed


class _Steps:
    """One bar for the two passes over the guest content that follow the writing of the file."""

    def __init__(self, progress: Progress, written: int, virtual: int) -> None:
        self._progress, self._written, self._virtual = progress, written, virtual

    def converting(self, done: int, _: int | None) -> None:
        self._progress(self._written + done, self._written + 2 * self._virtual)

    def comparing(self, done: int, _: int | None) -> None:
        self._progress(self._written + self._virtual + done, self._written + 2 * self._virtual)


def _data_blocks(reader: ImageReader) -> Iterator[tuple[int, int]]:
    for start, end, is_hole in reader.extents():
        if not is_hole:
            yield from ((at, min(at + BLOCK, end)) for at in range(start, end, BLOCK))


@contextmanager
def _removed(path: Path, *, on_success: bool = True) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    if on_success:
        path.unlink(missing_ok=True)
