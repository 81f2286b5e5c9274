"""A complete file from pieces: fetched and written in parallel, hashed in order, compared, then named."""

import os
from pathlib import Path
from uuid import uuid4

from catalog.errors import CapacityExceeded, DigestMismatch
from storage.chips.reader import PieceReader
from storage.digests import Digester
from storage.protocols import Digests, Progress


def export_pieces(
    reader: PieceReader, expected: Digests, target: Path, progress: Progress, what: str
) -> Digests:
    """Write the file aside, prove it against `expected` and rename it to `target`; nothing is left after a failure."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{uuid4().hex}.part")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        digests = _write(reader, fd, progress)
        if digests != expected:
            raise DigestMismatch(what, f"sha256:{expected.sha256}", f"sha256:{digests.sha256}")
        os.fsync(fd)
        aside.rename(target)
    except OSError as error:
        raise CapacityExceeded(str(target.parent), reader.size_bytes, 0) from error
    finally:
        os.close(fd)
        aside.unlink(missing_ok=True)
    return digests


def _write(reader: PieceReader, fd: int, progress: Progress) -> Digests:
    os.ftruncate(fd, reader.size_bytes)
    digester = Digester()
    offset = 0
    try:
        for length, data in reader.pieces(lambda at, chip: _pwrite(fd, chip, at)):
            for block in reader.filled(length, data):
                digester.feed(block)
            offset += length
            progress(offset, reader.size_bytes)
    finally:
        digester.close()
    return digester.result()


def _pwrite(fd: int, chip: bytes | memoryview, offset: int) -> None:
    view = memoryview(chip)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
