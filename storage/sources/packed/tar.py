"""The files in a tar stream: an OVA, or a raw disk packed by some clouds (v7, ustar, POSIX.1-2001 pax, GNU).

By hand because the tarfile module reads pax and long-name records into memory whole, and a hostile archive chooses
their size.
"""

import tarfile
from array import array

from catalog.errors import UnsafeImage
from catalog.settings import Settings
from storage.sources.packed.archive import Member
from storage.sources.packed.feed import Feed
from storage.sources.packed.tar_sparse import BLOCK, MalformedMap, Spans, is_sparse, read_spans
from storage.sources.packed.unpack import over_caps

_RECORD_MAX = 1 << 20  # of a pax or long-name record
_HEADERS_MAX = 4096  # of one archive, including folders and links
_PAX, _LONG_NAME, _IGNORED = (b"x", b"X"), b"L", (b"g", b"K")
_MARKS = (b"ustar\0", b"ustar ")
_HOLE = bytes(256 << 10)


def is_tar(head: bytes | bytearray) -> bool:
    """Tell whether a file begins with a valid tar header; head: its first 512 bytes.

    Before 1988 tar had no magic; its checksum and the octal fields around it make more than 17 bits, which no disk
    begins with.
    """
    if len(head) < BLOCK or not head[0]:
        return False
    try:
        tarfile.TarInfo.frombuf(bytes(head[:BLOCK]), "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return bytes(head[257:263]) in _MARKS or (not any(head[257:BLOCK]) and _is_octal(head[100:108]))


def _is_octal(field: bytes | bytearray) -> bool:
    digits = bytes(field).strip(b" \0")
    return bool(digits) and not digits.strip(b"01234567")


class _Extended:
    """The extended headers' data on the member after them."""

    def __init__(self) -> None:
        self.name, self.size = "", -1
        self.pax: dict[str, str] = {}
        self.spots = array("Q")  # of PAX 0.0, whose records repeat


class TarMembers:
    """The regular files of a tar, with holes of sparse ones filled with zeros."""

    def __init__(self, feed: Feed, settings: Settings) -> None:
        self.feed, self._settings = feed, settings
        self._headers, self._left, self._padding = 0, 0, 0
        self._spans: Spans | None = None

    def next(self) -> Member | None:
        """Go to the next regular file; None at the end of the archive."""
        while True:
            self.feed.skip(self._left + self._padding)
            self._left = self._padding = 0
            self._spans = None
            found = self._header()
            if found is None:
                self.feed.drain()
                return None
            member, header, extended = found
            if member.isreg():
                self._left, self._padding = member.size, -member.size % BLOCK
                return self._entered(member, header, extended)

    def readinto(self, buffer: memoryview, /) -> int:
        """Read bytes of the current file; 0 at its end."""
        stored, run = self._spans.run() if self._spans else (True, self._left)
        size = min(run, len(buffer), len(buffer) if stored else len(_HOLE))
        if size and stored:
            size = self.feed.readinto(buffer[:size])
            self._left -= size
        elif size:
            buffer[:size] = _HOLE[:size]
        if self._spans:
            self._spans.advance(size)
        return size

    def _entered(self, member: tarfile.TarInfo, header: bytes, extended: _Extended) -> Member:
        if not is_sparse(member, extended.pax):
            return Member(member.name, member.size)
        try:
            self._spans, size, used = read_spans(member, header, extended.pax, extended.spots, self.feed.take)
        except MalformedMap as error:
            raise self.feed.unsafe(
                "sparse", f"{member.name[-80:]!r} is stored sparse, and its map is damaged: {error}"
            ) from error
        self._left -= used
        broken = over_caps(size, self._left, self._settings)
        return Member(extended.pax.get("GNU.sparse.name", member.name), size, broken)

    def _header(self) -> tuple[tarfile.TarInfo, bytes, _Extended] | None:
        """Read headers up to that of a real member, with extended records applied; None at the end."""
        extended = _Extended()
        while True:
            head = self.feed.take(BLOCK)
            if not head.strip(b"\0"):
                return None
            member = self._parse(head)
            if member.type not in (*_PAX, *_IGNORED, _LONG_NAME):
                member.name = extended.name or member.name
                member.size = member.size if extended.size < 0 else extended.size
                return member, head, extended
            self._extend(extended, member)

    def _extend(self, extended: _Extended, member: tarfile.TarInfo) -> None:
        if member.size > _RECORD_MAX:
            raise self.feed.unsafe("record", "an extended header is larger than 1 MiB")
        record = self.feed.take(member.size)
        self.feed.skip(-member.size % BLOCK)
        if member.type == _LONG_NAME:
            extended.name = record.rstrip(b"\0").decode("utf-8", "replace")
        elif member.type in _PAX:
            self._pax(record, extended)

    def _parse(self, head: bytes) -> tarfile.TarInfo:
        try:
            member = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise self._damaged(f"a header in the archive is damaged ({error})") from error
        if member.size < 0:
            raise self._damaged("a header in the archive has a negative size")
        self._headers += 1
        if self._headers > _HEADERS_MAX:
            raise self.feed.unsafe("members", f"the archive has more than {_HEADERS_MAX} members")
        return member

    def _pax(self, record: bytes, extended: _Extended) -> None:
        """Apply a pax record: lines of `LENGTH KEY=VALUE`."""
        at = 0
        while at < len(record):
            length, _, _ = record[at : at + 20].partition(b" ")
            if not length.isdigit() or not len(length) + 1 < int(length) <= len(record) - at:
                raise self._damaged("an extended header in the archive is damaged")
            key, _, value = record[at + len(length) + 1 : at + int(length) - 1].partition(b"=")
            self._apply(key.decode("utf-8", "replace"), value.decode("utf-8", "replace"), extended)
            at += int(length)

    def _apply(self, key: str, value: str, extended: _Extended) -> None:
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 19 else -1
        if key == "path":
            extended.name = value
        elif key == "size" and number >= 0:
            extended.size = number
        elif key in ("GNU.sparse.offset", "GNU.sparse.numbytes") and number >= 0:
            extended.spots.append(number)
            extended.pax[key] = ""
        elif key.startswith("GNU.sparse."):
            extended.pax[key] = value

    def _damaged(self, sentence: str) -> UnsafeImage:
        return self.feed.unsafe("corrupt", sentence)
