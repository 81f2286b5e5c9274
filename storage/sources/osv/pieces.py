"""The JSON documents in a stream: the files of a zip, lines, or the parts of one document."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from catalog.errors import SourceForbidden
from catalog.settings import Settings
from storage.protocols import SourceStream
from storage.sources.packed.feed import Feed
from storage.sources.packed.source import HEAD, MAX_LAYERS, layer_of
from storage.sources.packed.unpack import UnpackedStream
from storage.sources.packed.zip import ZipMembers
from storage.sources.streams import ClosableStream, HeadedStream, read_up_to

MOST_PIECES, MOST_PACKED, MOST_DOCUMENT = 1_000_000, 4 << 30, 64 << 20
SUFFIX, LISTED = ".json", "vulns"
_PIECE = 256 << 10


@dataclass(frozen=True, slots=True)
class Piece:
    """A document of an export. refusal: why there are no bytes; an oversized one has one byte more than allowed."""

    name: str
    data: bytes
    refusal: str = ""


def in_stream(stream: SourceStream, settings: Settings, masked: str, most: int) -> Iterator[Piece]:
    """Yield the documents in a stream, each cut at one byte more than `most`. Raises SourceForbidden, UnsafeImage."""
    top: ClosableStream = _Bounded(stream, masked)
    for _ in range(MAX_LAYERS):
        head = read_up_to(top, HEAD)
        top, layer = HeadedStream(head, top), layer_of(head)
        if layer == "zip":
            yield from _in_zip(ZipMembers(Feed(top, "zip", masked), settings, MOST_PIECES), most)
            return
        if layer == "tar":
            raise SourceForbidden(masked, "it is a tar; an OSV export is a zip, a folder, JSON lines or JSON")
        if layer is None:
            yield from _in_text(top, masked, most)
            return
        top = UnpackedStream(top, layer, settings, masked)
    raise SourceForbidden(masked, f"it is packed {MAX_LAYERS} times over or more; unpack it")


class _Bounded:
    """A stream of an export with a size limit."""

    def __init__(self, stream: SourceStream, masked: str) -> None:
        self._stream, self._masked, self._taken = stream, masked, 0

    def readinto(self, buffer: memoryview, /) -> int:
        size = self._stream.readinto(buffer)
        self._taken += size
        if self._taken > MOST_PACKED:
            raise SourceForbidden(self._masked, f"it has more than {MOST_PACKED >> 30} GiB, which no OSV export has")
        return size

    def close(self) -> None:
        """Do nothing: the opener closes the stream."""


def _in_zip(members: ZipMembers, most: int) -> Iterator[Piece]:
    while (member := members.next()) is not None:
        if member.name.endswith(SUFFIX):
            refusal = member.refusal[1] if member.refusal else ""
            yield Piece(member.name, b"" if refusal else _whole(members, most + 1), refusal)


def _whole(stream: SourceStream, most: int) -> bytes:
    """Return the bytes of a stream, at most `most`; the buffer grows with them, as most records are small."""
    data, room = bytearray(), memoryview(bytearray(_PIECE))
    while len(data) < most and (size := stream.readinto(room[: most - len(data)])):
        data += room[:size]
    return bytes(data)


def _in_text(stream: SourceStream, masked: str, most: int) -> Iterator[Piece]:
    lines = _lines(stream, masked)
    number, first = next(((n, line) for n, line in lines if line.strip()), (0, b""))
    begun = _parsed(first)
    if isinstance(begun, dict) and LISTED not in begun:
        rest = ((n, line) for n, line in chain([(number, first)], lines) if line.strip())
        yield from (Piece(f"line {n}", line[: most + 1]) for n, line in rest)
        return
    text = bytearray(first)
    for _, line in lines:
        text += line
        if len(text) > MOST_DOCUMENT:
            raise SourceForbidden(
                masked, f"as one document it has more than {MOST_DOCUMENT >> 20} MiB; as JSON lines it may"
            )
    yield from _in_document(_parsed(bytes(text)), masked)


def _in_document(document: object, masked: str) -> Iterator[Piece]:
    listed = document.get(LISTED, [document]) if isinstance(document, dict) else document
    if not isinstance(listed, list):
        raise SourceForbidden(masked, "it is neither a zip nor JSON of OSV records")
    for number, one in enumerate(listed, 1):
        yield Piece(f"record {number}", json.dumps(one).encode())


def _parsed(data: bytes) -> object:
    """Parse JSON; return None if it is invalid."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _lines(stream: SourceStream, masked: str) -> Iterator[tuple[int, bytes]]:
    """Yield lines with their ends, and their numbers."""
    room, data, number = memoryview(bytearray(_PIECE)), bytearray(), 0
    while size := stream.readinto(room):
        before = len(data)
        data += room[:size]
        if (end := data.rfind(b"\n", before) + 1) > 0:
            for line in bytes(data[: end - 1]).split(b"\n"):
                number += 1
                yield number, line + b"\n"
            del data[:end]
        if len(data) > MOST_DOCUMENT:
            raise SourceForbidden(masked, f"it has a line of more than {MOST_DOCUMENT >> 20} MiB")
    if data:
        yield number + 1, bytes(data)
