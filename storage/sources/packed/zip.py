"""The files in a zip stream, read by their local headers (APPNOTE.TXT 6.3.10), little-endian.

Local header: 0 "PK" 3 4   6 flags 2 (1: encrypted, 8: sizes follow the data)   8 method 2   14 CRC-32 4   18 packed 4   22 size 4
26 name length 2   28 extra length 2; sizes of all ones are in extra field 1, 8 bytes each, the size first. The directory at
the end must list the same number of files, since other programs rely on it.
"""

import bz2
import struct
import zlib
from collections.abc import Callable, Mapping

from catalog.settings import Settings
from storage.sources.packed.archive import Member
from storage.sources.packed.decoders import DECODERS, Decoder, decoder_errors, deflate_decoder
from storage.sources.packed.feed import Feed
from storage.sources.packed.unpack import over_caps

LOCAL = b"PK\x03\x04"
_DESCRIPTOR = b"PK\x07\x08"
_ENCRYPTED, _SIZES_BEHIND, _UTF8 = 1, 8, 0x800
_STORED = 0
_METHODS: Mapping[int, Callable[[], Decoder]] = {
    8: deflate_decoder,
    12: bz2.BZ2Decompressor,
    93: DECODERS["zst"],
    95: DECODERS["xz"],
}
_NAMES: Mapping[int, str] = {9: "Deflate64", 14: "LZMA", 98: "PPMd", 99: "AES encryption"}
_ONES = 0xFFFFFFFF
_RECORDS_MAX = 65_536  # in the directory


def is_zip(head: bytes | bytearray) -> bool:
    """Tell whether a file begins with a zip's first member."""
    return len(head) >= 30 and head.startswith(LOCAL)


class ZipMembers:
    """The regular files of a zip."""

    def __init__(self, feed: Feed, settings: Settings, most: int = _RECORDS_MAX) -> None:
        """most: largest number of files allowed."""
        self.feed, self._settings, self._most = feed, settings, most
        self._count, self._current = 0, _Nothing()

    def next(self) -> Member | None:
        """Go to the next file; None at the end of the archive."""
        while True:
            self._current.end()
            mark = self.feed.take(4)
            if mark != LOCAL:
                self._directory(mark)
                self.feed.drain()
                return None
            self._count += 1
            if self._count > self._most:  # folders only, else the caller would have stopped
                raise self.feed.unsafe("members", f"the archive has more than {self._most} members")
            entry = _Entry(self.feed, self._settings)
            self._current = entry
            if not entry.name.endswith("/"):
                return Member(entry.name, entry.size, entry.refusal)

    def readinto(self, buffer: memoryview, /) -> int:
        """Read bytes of the current file; 0 at its end."""
        return self._current.readinto(buffer)

    def _directory(self, mark: bytes) -> None:
        """Read the directory, and compare its number of files with what was found."""
        listed = 0
        for _ in range(self._most + 3):  # its end may take three records
            if mark == b"PK\x05\x06":
                self.feed.skip(int(struct.unpack_from("<H", self.feed.take(18), 16)[0]))
                break
            listed += mark == b"PK\x01\x02"
            self._record(mark)
            mark = self.feed.take(4)
        if listed != self._count:
            raise self.feed.unsafe(
                "corrupt", f"the archive holds {self._count} files, its directory lists {listed}; it is damaged"
            )

    def _record(self, mark: bytes) -> None:
        if mark == b"PK\x01\x02":
            self.feed.skip(sum(struct.unpack_from("<HHH", self.feed.take(42), 24)))
        elif mark == b"PK\x06\x06":
            self.feed.skip(min(int(struct.unpack("<Q", self.feed.take(8))[0]), 1 << 32))
        elif mark == b"PK\x06\x07":
            self.feed.skip(16)
        else:
            raise self.feed.unsafe("corrupt", "the archive is damaged: neither a file nor its directory follows")


class _Nothing:
    """The state before the first file."""

    def readinto(self, _buffer: memoryview, /) -> int:
        return 0

    def end(self) -> None:
        return None


class _Entry(_Nothing):
    """One file whose header was read; its bytes come next."""

    def __init__(self, feed: Feed, settings: Settings) -> None:
        self._feed, self._settings = feed, settings
        head = feed.take(26)
        self._flags, self._method = struct.unpack_from("<HH", head, 2)
        self._crc, packed, size, name, extra = struct.unpack_from("<IIIHH", head, 10)
        self.name = feed.take(name).decode("utf-8" if self._flags & _UTF8 else "cp437", "replace").replace("\\", "/")
        size, packed = _real_sizes(feed.take(extra), size, packed)
        self._behind = bool(self._flags & _SIZES_BEHIND)
        self._left = None if self._behind else packed
        self.size = None if self._behind else size
        self.refusal = self._why_refused()
        self._decoder = _METHODS[self._method]() if self._method in _METHODS else None
        self._packed, self._given, self._check, self._begun = 0, 0, 0, False
        self._errors = decoder_errors()

    def readinto(self, buffer: memoryview, /) -> int:
        self._begun = True
        size = self._stored(buffer) if self._decoder is None else self._inflate(self._decoder, buffer)
        self._given += size
        self._check = zlib.crc32(buffer[:size], self._check)
        broken = over_caps(self._given, self._packed, self._settings)
        if broken:
            raise self._feed.unsafe(*broken)
        return size

    def end(self) -> None:
        """Skip the rest of the file's bytes, and compare them with its checksum."""
        if self._left is not None and not (self._begun and self._is_over()):
            self._feed.skip(self._left)
            return
        if self._left is None and self.refusal:
            raise self._feed.unsafe(*self.refusal)
        scrap = memoryview(bytearray(64 << 10))
        while self.readinto(scrap):
            pass
        if self._behind:
            self._sizes_behind()
        elif self._given != self.size or self._check != self._crc or self._left:
            raise self._damaged()

    def _is_over(self) -> bool:
        return self._decoder.eof if self._decoder else not self._left

    def _stored(self, buffer: memoryview) -> int:
        if self._left is None:
            raise self._feed.unsafe(*(self.refusal or ("corrupt", "its size is not known")))
        size = self._feed.readinto(buffer[: self._left]) if self._left else 0
        self._left, self._packed = self._left - size, self._packed + size
        return size

    def _inflate(self, decoder: Decoder, buffer: memoryview) -> int:
        out = b""
        while not out and not decoder.eof:
            data = self._piece() if decoder.needs_input else b""
            try:
                out = decoder.decompress(data, min(len(buffer), 1 << 20))
            except self._errors as error:
                raise self._feed.unsafe("corrupt", f"the data of {self.name[-80:]!r} is damaged ({error})") from error
            if decoder.eof:
                self._give_back(decoder.unused_data)
        buffer[: len(out)] = out
        return len(out)

    def _piece(self) -> bytes:
        if self._left == 0:
            raise self._damaged()
        data = self._feed.piece(self._left)
        self._packed += len(data)
        self._left = None if self._left is None else self._left - len(data)
        return data

    def _give_back(self, data: bytes) -> None:
        self._feed.give_back(data)
        self._packed -= len(data)
        self._left = None if self._left is None else self._left + len(data)

    def _sizes_behind(self) -> None:
        """Read the record after the data: with or without a signature, numbers of 4 or 8 bytes."""
        data = self._feed.take(24)
        for mark in (_DESCRIPTOR, b""):
            for form in ("<IQQ", "<III"):
                mask = (1 << 64) - 1 if form == "<IQQ" else _ONES
                record = mark + struct.pack(form, self._check, self._packed & mask, self._given & mask)
                if data.startswith(record):
                    self._feed.give_back(data[len(record) :])
                    return
        raise self._damaged()

    def _why_refused(self) -> tuple[str, str] | None:
        shown = repr(self.name[-80:])
        if self._flags & _ENCRYPTED or self._method == 99:
            return "encrypted", f"{shown} is encrypted with a password; unpack it and add what is inside"
        if self._method != _STORED and self._method not in _METHODS:
            name = _NAMES.get(self._method, f"method {self._method}")
            return (
                "method",
                f"{shown} is packed with {name}; pack it with Deflate, or unpack it and add what is inside",
            )
        if self._method == _STORED and self._behind:
            return ("stored", f"{shown} says nowhere before its end how long it is; pack it again, or unpack it")
        return None

    def _damaged(self) -> Exception:
        return self._feed.unsafe("corrupt", f"{self.name[-80:]!r} is not what its size and CRC-32 say; it is damaged")


def _real_sizes(extra: bytes, size: int, packed: int) -> tuple[int, int]:
    """Return (size, packed size), from the extra field of zip64 if the header has no room for them."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            numbers = iter(struct.unpack_from(f"<{length // 8}Q", extra[at + 4 : at + 4 + length].ljust(length, b"\0")))
            size = next(numbers, size) if size == _ONES else size
            packed = next(numbers, packed) if packed == _ONES else packed
        at += 4 + length
    return size, packed
