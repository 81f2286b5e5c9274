"""file:/// sources: regular files of this host below the configured roots, never through a symlink out of them."""

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from catalog.errors import SourceChanged, SourceForbidden, SourceNotFound, TransferInterrupted
from catalog.settings import Settings
from storage.protocols import SourceInfo, SourceStream
from storage.sources.credentials import Credentials
from storage.sources.same_file import describe
from storage.sources.urls import SourceUrl


class FileSource:
    """A file of this host. Validators: inode, modification time in ns, size."""

    def __init__(self, url: SourceUrl, settings: Settings, _credentials: Credentials) -> None:
        self.url, self.roots = url, settings.file_roots
        if url.query:
            raise SourceForbidden(url.masked, "a file has no query; write a ? in a name as %3F")

    @property
    def path(self) -> str:
        """The file's path on this host."""
        return self.url.decoded_path

    def probe(self) -> SourceInfo:
        """Return the file's size and validators."""
        number = self._open()
        try:
            return self.describe_open(number)
        finally:
            os.close(number)

    def peek(self, size: int) -> bytes:
        """Return up to `size` first bytes."""
        number = self._open()
        try:
            return os.pread(number, size, 0)
        finally:
            os.close(number)

    def open(self, offset: int, info: SourceInfo) -> AbstractContextManager[SourceStream]:
        """Read from `offset` on."""
        stream = FileStream(self._open(), offset, info, self)
        try:
            stream.require_unchanged()
            stream.prepare()
        except BaseException:
            stream.close()
            raise
        return closing(stream)

    def is_folder(self) -> bool:
        """Tell whether the path is a folder below the roots. Raises as `probe` for unreadable ones."""
        with self._permitted(self.path) as place:
            return stat.S_ISDIR(os.fstat(place).st_mode)

    @contextmanager
    def folder(self) -> Iterator[int]:
        """Open the folder and yield its descriptor."""
        with self._permitted(self.path) as place:
            try:
                number = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError as error:
                raise SourceForbidden(self.url.masked, f"it cannot be opened: {error.strerror}") from error
        try:
            yield number
        finally:
            os.close(number)

    def _open(self) -> int:
        """Open the file once and return its descriptor.

        It is opened first as a mere path (O_PATH: nothing is read, no device woken, no pipe waited for), then the same
        inode for reading, so that swapping a path component between check and use can't lead elsewhere.
        """
        with self._permitted(self.path) as place:
            if not stat.S_ISREG(os.fstat(place).st_mode):
                raise SourceForbidden(self.url.masked, "it is not a regular file")
            try:
                return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC)
            except PermissionError as error:
                raise SourceForbidden(self.url.masked, "this worker may not read it") from error

    @contextmanager
    def _permitted(self, path: str) -> Iterator[int]:
        """Open a path below the roots, and yield its descriptor."""
        place = self._place(path)
        try:
            self._require_permitted(place)
            yield place
        finally:
            os.close(place)

    def _place(self, path: str) -> int:
        try:
            return os.open(path, os.O_PATH | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SourceNotFound(self.url.masked, "no such file on this host") from error
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise SourceForbidden(self.url.masked, f"it cannot be opened: {reason}") from error

    def _require_permitted(self, place: int) -> None:
        real = Path(f"/proc/self/fd/{place}").readlink()
        roots = [Path(os.path.realpath(root)) for root in self.roots]
        if not any(real.is_relative_to(root) for root in roots):
            shown = ", ".join(str(root) for root in self.roots)
            raise SourceForbidden(self.url.masked, f"it is not below IMAGEWRIGHT_FILE_ROOTS ({shown})")

    def describe_open(self, number: int) -> SourceInfo:
        """Return the validators of the open file with descriptor `number`."""
        facts = os.fstat(number)
        return SourceInfo(
            url=self.url.masked,
            size_bytes=facts.st_size,
            etag=f'"inode {facts.st_ino}"',  # not the device: it differs between hosts that mount one share
            last_modified=str(facts.st_mtime_ns),
            resumable=True,
            local=True,
        )


class FileStream:
    """An open file, read from `offset` on; a change of it is detected at the end at the latest."""

    def __init__(self, number: int, offset: int, info: SourceInfo, source: FileSource) -> None:
        self._number, self._offset, self._expected, self._source = number, offset, info, source

    def prepare(self) -> None:
        """Seek to the offset and request read-ahead."""
        os.lseek(self._number, self._offset, os.SEEK_SET)
        os.posix_fadvise(self._number, self._offset, 0, os.POSIX_FADV_SEQUENTIAL)

    def readinto(self, buffer: memoryview, /) -> int:
        """Read available bytes; 0 at the end of an unchanged file."""
        try:
            size = os.readv(self._number, [buffer])
        except OSError as error:
            raise TransferInterrupted(self._source.url.masked, self._offset, str(error.strerror)) from error
        self._offset += size
        if not size:
            self.require_unchanged()
        return size

    def require_unchanged(self) -> None:
        """Raise SourceChanged if inode, time or size differ from the initial ones."""
        now = self._source.describe_open(self._number)
        if not now.same_file(self._expected):
            raise SourceChanged(self._source.url.masked, describe(self._expected), describe(now))

    def close(self) -> None:
        """Close the file."""
        if self._number >= 0:
            os.close(self._number)
            self._number = -1
