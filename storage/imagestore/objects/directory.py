"""An ObjectStore in a directory: write to a temporary file, fsync, rename.

Written bytes survive a SIGKILL, published ones a power cut.
"""

import errno
import mmap
import os
import shutil
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from catalog.errors import CapacityExceeded, ObjectMissing, StorageRefused, StorageUnavailable
from catalog.files import FULL, REFUSED, locked, open_locked, sync, take_place, write_at
from catalog.privacy import file_mode, make_folder
from catalog.records import Capacity
from storage.protocols import ObjectInfo, ObjectWriter

ASIDE = "aside"


class DirectoryObjects:
    """Objects are files; logs are files of framed pieces."""

    piece_bytes = 1 << 20  # a piece costs 20 us

    def __init__(self, root: Path) -> None:
        self.location = f"file://{root}"
        self.root = root
        self._checked_logs: set[str] = set()

    def prepare(self) -> None:
        """Make the directory, delete temporary files of dead processes. Raises StorageUnavailable, StorageRefused."""
        with self._translated(""):
            make_folder(self.root)
            asides = list((self.root / ASIDE).iterdir()) if (self.root / ASIDE).is_dir() else []
            for path in asides:
                _delete_if_dead(path)

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return bytes `[start, end)`. Raises ObjectMissing."""
        with self._translated(name):
            fd = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                stop = os.fstat(fd).st_size if end is None else end
                return _pread_full(fd, start, stop)
            finally:
                os.close(fd)

    def mapped(self, name: str) -> memoryview:
        """Return an object that never changes, memory-mapped. Raises ObjectMissing."""
        with self._translated(name), self._path(name).open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def put(self, name: str, data: bytes) -> None:
        """Create or replace, atomically and durably."""
        path = self._path(name)
        with self._translated(name), self._aside(data) as aside:
            self.ensure_folder(path.parent)
            take_place(aside, path)

    def create(self, name: str, data: bytes) -> bool:
        """Create, or return False if the name exists; a hard link decides between several callers."""
        path = self._path(name)
        with self._translated(name), self._aside(data) as aside:
            self.ensure_folder(path.parent)
            try:
                os.link(aside, path)
            except FileExistsError:
                return False
            sync(path.parent)
        return True

    @contextmanager
    def _aside(self, data: bytes) -> Iterator[Path]:
        """Write a durable temporary file, locked while in use: a lock ends with its process, a file does not."""
        folder = self.root / ASIDE
        self.ensure_folder(folder)
        fd, path = _locked_file(folder)
        try:
            _write_full(fd, memoryview(data))
            os.fsync(fd)
            yield path
        finally:
            path.unlink(missing_ok=True)
            os.close(fd)

    def append(self, name: str, data: bytes) -> None:
        """Append a piece, after cutting off the torn last piece of a dead writer."""
        path = self._path(name)
        with self._translated(name):
            if name not in self._checked_logs:
                self.ensure_folder(path.parent)
                _cut_torn_tail(path)
                self._checked_logs.add(name)
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, file_mode())
            try:
                _write_full(fd, memoryview(frame(data)))
            except OSError:
                # a full disk also tears pieces, and later ones would be ignored
                self._checked_logs.discard(name)
                raise
            finally:
                os.close(fd)

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the pieces of a log, without a torn last one."""
        try:
            data = self.get(name)
        except ObjectMissing:
            return
        yield from frames(data)

    def writer(self, aside: str) -> ObjectWriter:
        """Start a temporary file; `get(aside)` reads what was written so far."""
        return _Writer(self, aside)

    def size(self, name: str) -> int | None:
        """Return the object's size, or None."""
        with self._translated(name):
            try:
                return self._path(name).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List files below `prefix`, sorted by name; files that vanish meanwhile are left out."""
        folder = prefix.rsplit("/", 1)[0] if "/" in prefix else ""
        with self._translated(prefix):
            found = sorted(_walk(self.root / folder, f"{folder}/" if folder else ""))
        for name, size in found:
            if name.startswith(prefix) and not name.startswith(f"{ASIDE}/"):
                yield ObjectInfo(name=name, size_bytes=size)

    def delete(self, name: str) -> None:
        """Delete a file, and its folder if that becomes empty."""
        path = self._path(name)
        with self._translated(name):
            self._checked_logs.discard(name)
            path.unlink(missing_ok=True)
            with suppress(OSError):
                if path.parent != self.root:
                    path.parent.rmdir()

    def capacity(self) -> Capacity | None:
        """Return the capacity of the file system."""
        with self._translated(""):
            usage = shutil.disk_usage(self.root)
        return Capacity(total_bytes=usage.total, used_bytes=usage.used, available_bytes=usage.free)

    def _path(self, name: str) -> Path:
        parts = name.split("/")
        if not name or ".." in parts or "" in parts:
            raise StorageRefused(self.location, f"{name!r} is not a name of an object")
        return self.root / name

    def ensure_folder(self, folder: Path) -> None:
        """Make a folder of the store, never the store itself: an unmounted disk would leave another folder there."""
        if folder.is_dir():
            return
        if not self.root.is_dir():
            raise StorageUnavailable(self.location, "its directory is gone; see whether its disk is mounted")
        make_folder(folder)
        sync(folder.parent)

    @contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        """Translate errors of the operating system into ours."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ObjectMissing(f"{self.location}/{name}") from error
        except OSError as error:
            if error.errno in FULL:
                raise CapacityExceeded(self.location, 1, 0) from error
            if error.errno in REFUSED:
                raise StorageRefused(self.location, f"{error.strerror}: {name}") from error
            raise StorageUnavailable(self.location, f"{error.strerror}: {name}") from error


class _Writer:
    """A temporary file, written through plain descriptors because every write is large."""

    def __init__(self, store: DirectoryObjects, aside: str) -> None:
        self._store, self._aside = store, aside
        self._path = store._path(aside)  # noqa: SLF001  # same module
        self._at = 0
        self._fd: int | None = None  # set also if opening fails
        with store._translated(aside):  # noqa: SLF001
            store.ensure_folder(self._path.parent)
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, file_mode())

    def write(self, *parts: bytes | memoryview) -> None:
        if self._fd is not None:
            with self._store._translated(self._aside):  # noqa: SLF001
                self._at = write_at(self._fd, parts, self._at)

    def publish(self, name: str) -> None:
        if self._fd is None:
            return
        target = self._store._path(name)  # noqa: SLF001
        with self._store._translated(name):  # noqa: SLF001
            os.fsync(self._fd)
            self._store.ensure_folder(target.parent)
            take_place(self._path, target)
        self.leave()

    def abandon(self) -> None:
        if self._fd is not None:
            self.leave()
            self._path.unlink(missing_ok=True)

    def leave(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __del__(self) -> None:
        self.leave()


def _pread_full(fd: int, start: int, stop: int) -> bytes:
    data = os.pread(fd, max(0, stop - start), start)
    while len(data) < stop - start:
        more = os.pread(fd, stop - start - len(data), start + len(data))
        if not more:
            break
        data += more
    return data


def _write_full(fd: int, data: memoryview) -> None:
    while len(data):
        data = data[os.write(fd, data) :]


def _locked_file(folder: Path) -> tuple[int, Path]:
    while True:
        path = folder / uuid4().hex
        fd = open_locked(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        if path.exists():
            return fd, path
        os.close(fd)  # it was deleted as a dead one between the two calls above


def _delete_if_dead(path: Path) -> None:
    try:
        with locked(path, wait=False):
            path.unlink()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EAGAIN, *REFUSED):  # a read-only store is still read
            raise


def _cut_torn_tail(path: Path) -> None:
    if path.exists():
        data = path.read_bytes()
        whole = whole_bytes(data)
        if whole < len(data):
            os.truncate(path, whole)


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
        elif (size := _file_size(entry)) is not None:
            yield f"{prefix}{entry.name}", size


def _file_size(entry: "os.DirEntry[str]") -> int | None:
    """Return a file's size; None if it vanished, is a symlink loop or no regular file (a pipe would block)."""
    try:
        facts = entry.stat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return None
        raise
    return facts.st_size if stat.S_ISREG(facts.st_mode) else None


HEAD = struct.Struct("<II")


def frame(data: bytes) -> bytes:
    """Frame one piece."""
    return HEAD.pack(len(data), zlib.crc32(data)) + data


def frames(data: bytes) -> Iterator[bytes]:
    """Yield the whole pieces from the front."""
    at = 0
    while (piece := _piece_at(data, at)) is not None:
        yield piece
        at += HEAD.size + len(piece)


def whole_bytes(data: bytes) -> int:
    """Return how many bytes of the front are whole pieces."""
    return sum(HEAD.size + len(piece) for piece in frames(data))


def _piece_at(data: bytes, at: int) -> bytes | None:
    if at + HEAD.size > len(data):
        return None
    length, crc = HEAD.unpack_from(data, at)
    piece = data[at + HEAD.size : at + HEAD.size + length]
    return piece if len(piece) == length and zlib.crc32(piece) == crc else None
