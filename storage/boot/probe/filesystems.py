"""File systems: told by their signatures, read by The Sleuth Kit (ext, FAT, NTFS), libfsxfs (XFS) and our own (ISO 9660)."""

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import Protocol

import pyfsxfs
import pytsk3

from storage.boot.probe.iso9660 import IsoFiles
from storage.boot.probe.walking import Listed
from storage.formats.blocks import Bytes

MAX_NAMES = 4096
NANOSECONDS = 1_000_000_000
_SIGNATURES = (
    ("xfs", 0, b"XFSB"),
    ("btrfs", 0x10040, b"_BHRfS_M"),
    ("ntfs", 3, b"NTFS    "),
    ("exfat", 3, b"EXFAT   "),
    ("bitlocker", 3, b"-FVE-FS-"),
    ("luks", 0, b"LUKS\xba\xbe"),
    ("lvm", 0x218, b"LVM2 001"),
    ("swap", 4086, b"SWAPSPACE2"),
    ("squashfs", 0, b"hsqs"),
    ("f2fs", 1024, b"\x10\x20\xf5\xf2"),
    ("iso9660", 0x8001, b"CD001"),
    ("vfat", 0x36, b"FAT12   "),
    ("vfat", 0x36, b"FAT16   "),
    ("vfat", 0x52, b"FAT32   "),
)
# Told the type: guessing alone makes it read 400 places (50 MB) for the sake of YAFFS.
_SLEUTH_KIT = {
    "ext2": pytsk3.TSK_FS_TYPE_EXT_DETECT,
    "ext3": pytsk3.TSK_FS_TYPE_EXT_DETECT,
    "ext4": pytsk3.TSK_FS_TYPE_EXT_DETECT,
    "vfat": pytsk3.TSK_FS_TYPE_FAT_DETECT,
    "ntfs": pytsk3.TSK_FS_TYPE_NTFS,
}


class Files(Protocol):
    """Files of one file system. Paths are absolute; links are not followed."""

    def open(self, path: str) -> Bytes | None:
        """Return a regular file, None if there is none."""
        ...

    def names(self, path: str) -> list[str]:
        """Return names in a folder, at most MAX_NAMES; none if there is no such folder."""
        ...


def read(files: Files, path: str, limit: int) -> bytes | None:
    """Return at most `limit` bytes from the start of a regular file, None if there is none or it can't be read."""
    try:
        file = files.open(path)
        return None if file is None else file.read_at(0, limit)
    except OSError:
        return None


def signature(part: Bytes) -> str | None:
    """Name the file system, or what else fills the part, by its signature."""
    head = part.read_at(0, 0x10048)
    if head[1080:1082] == b"\x53\xef":
        incompatible, compatible = head[1120], head[1116]
        return "ext4" if incompatible & 0x40 else "ext3" if compatible & 4 else "ext2"
    return next((name for name, at, magic in _SIGNATURES if head.startswith(magic, at)), None)


@contextlib.contextmanager
def opened(part: Bytes, kind: str) -> Iterator[Files | None]:
    """Open the files of a part, or None where its kind can't be read or it is damaged."""
    try:
        files = _open(part, kind)
    except (OSError, RuntimeError):
        files = None
    yield files


def _open(part: Bytes, kind: str) -> Files | None:
    if kind == "xfs":
        return XfsFiles(part)
    if kind == "iso9660":
        return IsoFiles(part)
    return TskFiles(part, _SLEUTH_KIT[kind]) if kind in _SLEUTH_KIT else None


class Opened:
    """A file of a file system that a C library reads: `fetch(offset, size)` must stay within it."""

    def __init__(self, size_bytes: int, fetch: Callable[[int, int], bytes], keep: object) -> None:
        self.size_bytes, self._fetch, self._keep = size_bytes, fetch, keep

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end. Raises OSError where the file is damaged."""
        size = max(min(size, self.size_bytes - offset), 0)
        return bytes(self._fetch(offset, size)) if size else b""


class _Image(pytsk3.Img_Info):  # type: ignore[misc]  # pytsk3 has no types
    def __init__(self, part: Bytes) -> None:
        self._part = part
        super().__init__(url="", type=pytsk3.TSK_IMG_TYPE_EXTERNAL)

    def read(self, offset: int, size: int) -> bytes:
        return self._part.read_at(offset, size)

    def get_size(self) -> int:
        return self._part.size_bytes


class TskFiles:
    """Files of ext, FAT and NTFS."""

    def __init__(self, part: Bytes, kind: int) -> None:
        """kind: one of the library's file system types."""
        self._image = _Image(part)  # must outlive the file system
        self._fs = pytsk3.FS_Info(self._image, 0, kind)

    def open(self, path: str) -> Bytes | None:
        """Return a regular file, None if there is none."""
        try:
            file = self._fs.open(path)
        except OSError:
            return None
        meta = file.info.meta
        is_file = meta is not None and meta.type == pytsk3.TSK_FS_META_TYPE_REG
        return Opened(meta.size, file.read_random, file) if is_file else None

    def listed(self, at: object) -> Iterator[Listed]:
        """Yield the entries of a folder, deleted ones left out. Raises OSError."""
        for entry in self._fs.open_dir("/") if at is None else self._fs.open_dir(inode=at):
            name, meta = entry.info.name, entry.info.meta
            if meta is None or name is None or int(name.flags) & int(pytsk3.TSK_FS_NAME_FLAG_UNALLOC):
                continue
            yield Listed(
                name=name.name.decode("utf-8", "replace"),
                is_folder=meta.type == pytsk3.TSK_FS_META_TYPE_DIR,
                is_file=meta.type == pytsk3.TSK_FS_META_TYPE_REG,
                size_bytes=meta.size,
                changed=meta.mtime,
                number=meta.addr,
                at=meta.addr,
            )

    def names(self, path: str) -> list[str]:
        """Return names in a folder, at most MAX_NAMES; none if there is no such folder."""
        found: list[str] = []
        try:
            for entry in self._fs.open_dir(path):
                found.append(entry.info.name.name.decode("utf-8", "replace"))
                if len(found) >= MAX_NAMES:
                    break
        except (OSError, AttributeError):  # an entry without a name
            pass
        return found


class Stream(io.RawIOBase):
    """A part as a Python file object, as the libyal libraries want it."""

    def __init__(self, part: Bytes) -> None:
        self._part, self._at = part, 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read at any place."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move, and return the new place."""
        self._at = offset + (0, self._at, self._part.size_bytes)[whence]
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def get_size(self) -> int:
        """Return the size in bytes."""
        return self._part.size_bytes

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes from the place on."""
        data = self._part.read_at(self._at, self._part.size_bytes - self._at if size < 0 else size)
        self._at += len(data)
        return data


class XfsFiles:
    """Files of XFS."""

    def __init__(self, part: Bytes) -> None:
        self._volume = pyfsxfs.volume()
        self._volume.open_file_object(Stream(part))

    def open(self, path: str) -> Bytes | None:
        """Return a regular file, None if there is none."""
        try:
            entry = self._volume.get_file_entry_by_path(path)
        except OSError:
            return None
        if entry is None or entry.file_mode & 0o170000 != 0o100000:
            return None
        return Opened(entry.size, lambda offset, size: entry.read_buffer_at_offset(size, offset), entry)

    def names(self, path: str) -> list[str]:
        """Return names in a folder, at most MAX_NAMES; none if there is no such folder."""
        try:
            entry = self._volume.get_file_entry_by_path(path)
            if entry is None or entry.file_mode & 0o170000 != 0o040000:
                return []
            count = min(entry.number_of_sub_file_entries, MAX_NAMES)
            return [entry.get_sub_file_entry(number).name for number in range(count)]
        except OSError:
            return []

    def listed(self, at: object) -> Iterator[Listed]:
        """Yield the entries of a folder. Raises OSError."""
        folder = self._volume.get_root_directory() if at is None else self._volume.get_file_entry_by_inode(at)
        for number in range(folder.number_of_sub_file_entries if folder else 0):
            entry = folder.get_sub_file_entry(number)
            kind = entry.file_mode & 0o170000
            yield Listed(
                name=entry.name,
                is_folder=kind == 0o040000,
                is_file=kind == 0o100000,
                size_bytes=entry.size,
                changed=entry.get_modification_time_as_integer() // NANOSECONDS,
                number=entry.inode_number,
                at=entry.inode_number,
            )
