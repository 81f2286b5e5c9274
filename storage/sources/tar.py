"""The one disk inside a tar stream: an OVA, or the tar that some clouds pack a raw disk into (POSIX.1-2001 pax, ustar).

By hand because the tarfile module reads pax and long-name records of any size into memory, and a hostile archive
decides that size.
"""

import tarfile

from catalog.errors import UnsafeImage
from storage.sources.streams import ClosableStream, read_up_to

BLOCK = 512
DISKS = (".vmdk", ".qcow2", ".raw", ".img", ".vhd", ".vdi")
_RECORD_MAX = 1 << 20  # of a pax or long-name record
_HEADERS_MAX = (
    4096  # in one archive: an appliance has a handful, a server that never ends sends them for ever
)
_SHOWN = 80  # characters of a name that somebody else chose
_PAX, _LONG_NAME = (b"x", b"X"), b"L"


def is_tar(head: bytes | bytearray) -> bool:
    """Tell whether a file begins with a valid tar header; head: its first 512 bytes."""
    if len(head) < BLOCK or head[257:262] != b"ustar":
        return False
    try:
        tarfile.TarInfo.frombuf(bytes(head[:BLOCK]), "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


class TarDiskStream:
    """The bytes of the only disk in a tar. Raises UnsafeImage if there is none, or a second one comes."""

    def __init__(self, archive: ClosableStream, masked: str) -> None:
        self._archive, self._masked = archive, masked
        self.torn = False  # broke off between disks, where a read cannot be repeated
        self._place, self._headers = 0, 0  # in the archive; read so far
        self._disk = ""
        self._left, self._padding = 0, 0
        self._ended = False

    def readinto(self, buffer: memoryview, /) -> int:
        """Read what is there of the disk; 0 only when the archive has been read to its end, however often."""
        if not self._left and not self._ended:
            self.torn = True
            self._ended = not self._advance()
            self.torn = False
        if self._ended:
            return 0
        size = self._archive.readinto(buffer[: self._left])
        if not size:
            raise self._unsafe("cut", "the archive is cut short")
        self._left -= size
        self._place += size
        return size

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()

    def _advance(self) -> bool:
        """Go to the next disk's bytes; False at the end of the archive."""
        while not self._left:
            self._skip(self._padding)
            self._padding = 0
            member = self._member()
            if member is None:
                if not self._disk:
                    raise self._unsafe("no-disk", f"there is no {', '.join(DISKS)} in the archive")
                return False
            self._enter(member)
        return True

    def _enter(self, member: tarfile.TarInfo) -> None:
        padding = -member.size % BLOCK
        if not (member.isreg() and member.name.lower().endswith(DISKS)):
            self._skip((member.size if member.isreg() else 0) + (padding if member.isreg() else 0))
            return
        if self._disk:
            raise self._unsafe(
                "two-disks",
                f"it has the disks {self._disk[:_SHOWN]!r} and {member.name[:_SHOWN]!r}; add them one by one",
            )
        if member.type == tarfile.GNUTYPE_SPARSE:
            raise self._unsafe("sparse", f"{member.name[:_SHOWN]!r} is stored sparse; pack it plainly")
        self._disk, self._left, self._padding = member.name, member.size, padding

    def _member(self) -> tarfile.TarInfo | None:
        """Read headers up to that of a real member, extended records applied; None at the end."""
        name, size = "", None
        while True:
            head = self._take(BLOCK)
            if not head.strip(b"\0"):
                self._drain()
                return None
            member = self._parse(head)
            if member.type not in (*_PAX, b"g", _LONG_NAME, b"K"):
                member.name = name or member.name
                member.size = member.size if size is None else size
                return member
            if member.size > _RECORD_MAX:
                raise self._unsafe("record", "an extended header is larger than 1 MiB")
            record = self._take(member.size)
            self._skip(-member.size % BLOCK)
            if member.type == _LONG_NAME:
                name = record.rstrip(b"\0").decode("utf-8", "replace")
            elif member.type in _PAX:
                name, size = self._pax(record, name, size)

    def _parse(self, head: bytes) -> tarfile.TarInfo:
        try:
            member = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise self._unsafe("corrupt", f"a header in the archive is damaged ({error})") from error
        if member.size < 0:
            raise self._unsafe("corrupt", "a header in the archive has a negative size")
        self._headers += 1
        if self._headers > _HEADERS_MAX:
            raise self._unsafe("members", f"the archive has more than {_HEADERS_MAX} members")
        return member

    def _pax(self, record: bytes, name: str, size: int | None) -> tuple[str, int | None]:
        """Apply a pax record: lines of `LENGTH KEY=VALUE`."""
        while record:
            length, _, _ = record.partition(b" ")
            if not length.isdigit() or not 0 < int(length) <= len(record):
                raise self._unsafe("corrupt", "an extended header in the archive is damaged")
            key, _, value = record[len(length) + 1 : int(length) - 1].partition(b"=")
            if key == b"path":
                name = value.decode("utf-8", "replace")
            elif key == b"size" and value.isdigit() and len(value) < 19:
                size = int(value)
            elif key.startswith(b"GNU.sparse"):
                raise self._unsafe("sparse", "a disk is stored sparse; pack it plainly")
            record = record[int(length) :]
        return name, size

    def _take(self, size: int) -> bytes:
        data = read_up_to(self._archive, size)
        self._place += len(data)
        if len(data) < size:
            raise self._unsafe("cut", "the archive is cut short")
        return data

    def _skip(self, size: int) -> None:
        left, scrap = size, memoryview(bytearray(min(size, 1 << 20)))
        while left and (taken := self._archive.readinto(scrap[:left])):
            left -= taken
            self._place += taken
        if left:
            raise self._unsafe("cut", "the archive is cut short")

    def _drain(self) -> None:
        """Read what follows the end mark, so that the source is known to be whole."""
        scrap = memoryview(bytearray(64 << 10))
        while size := self._archive.readinto(scrap):
            self._place += size

    def _unsafe(self, rule: str, sentence: str) -> UnsafeImage:
        return UnsafeImage([f"tar.{rule} at byte {self._place}: {self._masked}: {sentence}"])
