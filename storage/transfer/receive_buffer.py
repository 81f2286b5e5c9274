"""A buffer of received but not yet stored bytes in this machine's memory, which outlives the process.

It is a ring in a file on a RAM disk, written before a block is passed on. A process that resumes the add on the same
machine continues from there; on another one, or after a restart, those bytes are fetched again. So blocks may be large
without being lost.
"""

import contextlib
import hashlib
import os
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from catalog.files import open_locked
from catalog.settings import Settings
from storage.protocols import SourceInfo
from storage.transfer.transfer import LARGE_BLOCK_BYTES, NOTE_BYTES

RING_BYTES = 32 << 20  # more than is ever in transit in large blocks
WORTH_BYTES = 8 << 20  # fetching a smaller file again costs less than a ring
LEFT_S = 24 * 3600.0
"""Age at which a dead process's leftovers are deleted if the add was not resumed."""
LEAVES = 2  # rings that must be free to take one: others on the machine need such memory too, a container has 64 MiB
_HEADER = struct.Struct("<32sQQ")  # identity of the source, offset of the first byte kept, offset after the last
_DATA_AT = 4096


class ReceiveBuffer:
    """The last bytes of one add. If it fails, the add continues without it; nothing is raised.

    The file is locked while in use: the ring of a process wrongly taken for dead is never read.
    """

    def __init__(self, file: Path | None, ring_bytes: int = RING_BYTES) -> None:
        """file: see `place`; None: nothing is kept."""
        self._file, self._ring_bytes = file, ring_bytes
        self._descriptor = -1
        self._identity = b""
        self._start = self._end = 0

    @property
    def active(self) -> bool:
        """Tell whether anything is kept."""
        return self._descriptor >= 0

    def open(self, info: SourceInfo) -> None:
        """Prepare for a source. Bytes that a dead process kept of this very source remain, all others are dropped."""
        self._give_up()
        boot = _boot_id()
        if self._file is None or not boot or info.local or not info.resumable or (info.size_bytes or 0) < WORTH_BYTES:
            return
        of = repr((boot, info.size_bytes, info.etag, info.last_modified))
        self._identity = hashlib.sha256(of.encode()).digest()
        with self._or_without():
            self._descriptor = _locked(self._file)
            self._take_over()

    def since(self, offset: int) -> Iterator[memoryview]:
        """Yield the kept bytes from `offset` on, in order; `note` continues after them."""
        with self._or_without():
            if self.active and not self._start <= offset <= self._end:
                self._begin(offset)
            while self.active and offset < self._end:
                block = self._read(offset)
                yield memoryview(block)
                offset += len(block)

    def note(self, offset: int, piece: memoryview) -> None:
        """Keep a piece of the file, of NOTE_BYTES at most, that begins at `offset`."""
        if self.active and piece:
            with self._or_without():
                if not self._start <= offset <= self._end:
                    self._begin(offset)
                at = offset % self._ring_bytes
                self._write(piece[: self._ring_bytes - at], at)
                self._write(piece[self._ring_bytes - at :], 0)
                self._end = offset + len(piece)
                # One piece less than there is room: a death while it is written spoils the oldest bytes.
                self._start = max(self._start, self._end - self._ring_bytes + NOTE_BYTES)
                self._write_header()

    def close(self) -> None:
        """Delete the kept bytes, which are stored by now or unwanted, and unused ones of a dead process."""
        if self.active:
            self._give_up()
        elif self._file is not None:
            _delete_left(self._file)

    def _give_up(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0 and self._file is not None:
            with contextlib.suppress(OSError):
                self._file.unlink()
            os.close(descriptor)

    @contextlib.contextmanager
    def _or_without(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            self._give_up()

    def _take_over(self) -> None:
        """Read the header left by another process; start anew if the file is of another source."""
        header = os.pread(self._descriptor, _HEADER.size, 0)
        if os.fstat(self._descriptor).st_size == _DATA_AT + self._ring_bytes and len(header) == _HEADER.size:
            identity, self._start, self._end = _HEADER.unpack(header)
            if identity == self._identity and 0 <= self._end - self._start < self._ring_bytes:
                return
        os.ftruncate(self._descriptor, 0)
        room = os.fstatvfs(self._descriptor)
        if room.f_blocks and room.f_bavail * room.f_frsize < LEAVES * self._ring_bytes:  # no blocks: no limit
            raise OSError("there is too little memory")
        os.posix_fallocate(self._descriptor, 0, _DATA_AT + self._ring_bytes)  # a lack of room is detected here
        self._begin(0)

    def _begin(self, offset: int) -> None:
        self._start = self._end = offset
        self._write_header()

    def _write_header(self) -> None:
        header = _HEADER.pack(self._identity, self._start, self._end)
        if os.pwrite(self._descriptor, header, 0) < len(header):
            raise OSError("a header was cut short")

    def _write(self, piece: memoryview, at: int) -> None:
        if os.pwrite(self._descriptor, piece, _DATA_AT + at) < len(piece):
            raise OSError("a piece was cut short")

    def _read(self, offset: int) -> bytes:
        at = offset % self._ring_bytes
        block = os.pread(
            self._descriptor, min(LARGE_BLOCK_BYTES, self._end - offset, self._ring_bytes - at), _DATA_AT + at
        )
        if not block:
            raise OSError("the file ends early")
        return block


def place(settings: Settings, landing_id: str) -> Path | None:
    """Return the file for a landing of this catalog; None if there is no folder safe from other users.

    Leftovers of dead processes that are a day old are deleted there.
    """
    folder = _folder(settings)
    return folder and folder / _name(settings, landing_id)


def forget_all_but(settings: Settings, landing_ids: Iterable[str]) -> None:
    """Delete dead processes' leftovers of this catalog's adds on this machine, except of resumable ones.

    Files of living processes stay, and so do another catalog's for a day.
    """
    kept, folder = {_name(settings, landing_id) for landing_id in landing_ids}, _folder(settings)
    for file in folder.glob(f"{_of_catalog(settings)}*") if folder else ():
        if file.name not in kept:
            _delete_left(file)


def forget(settings: Settings, landing_id: str) -> None:
    """Delete a dead process's leftovers of an abandoned add."""
    file = place(settings, landing_id)
    if file is not None:
        _delete_left(file)


def _folder(settings: Settings) -> Path | None:
    folder = settings.receiving / f"imagewright-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if found.st_uid != os.getuid() or found.st_mode & 0o777 != 0o700 or folder.is_symlink():
            return None
        _sweep(folder)
    except OSError:
        return None
    return folder


def _name(settings: Settings, landing_id: str) -> str:
    return _of_catalog(settings) + hashlib.sha256(landing_id.encode()).hexdigest()[:32]


def _of_catalog(settings: Settings) -> str:
    """Return the prefix of a catalog's file names: several may share the machine."""
    return hashlib.sha256(settings.catalog_address.encode()).hexdigest()[:32] + "-"


def _sweep(folder: Path) -> None:
    for file in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - file.stat().st_mtime > LEFT_S:
                _delete_left(file)


def _delete_left(file: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = _locked(file, create=False)
        file.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(file: Path, *, create: bool = True) -> int:
    """Return a descriptor that holds the file's lock until it is closed. Raises OSError if another process holds it."""
    flags = os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    descriptor = open_locked(file, flags, wait=False, mode=0o600)
    if os.fstat(descriptor).st_nlink != 1:
        os.close(descriptor)
        raise FileNotFoundError(file)  # its owner deleted it after we opened and before we locked it
    return descriptor


def _boot_id() -> str:
    """Return an id that changes with each start of the machine; empty if the kernel gives none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
