"""Tar members stored without their holes: the offsets of their stored bytes.

GNU tar manual, "Storing Sparse Files": the old format has up to 4 entries at byte 386 of the header (offset 12, length 12),
482 extended, 483 real size 12; an extension block has 21 entries, 504 extended. PAX 0.0 and 0.1 keep the map in the
extended header, 1.0 before the member's bytes, as decimal lines, padded to 512.
"""

import tarfile
from array import array
from collections.abc import Callable, Iterable, Iterator

BLOCK = 512
MAX_SPANS = 1 << 20  # 16 MiB of memory; a TiB in pieces of one MiB
_OLD = tarfile.GNUTYPE_SPARSE


class MalformedMap(ValueError):
    """The map of a sparse member is invalid."""


class Spans:
    """Iterates over a sparse member: stored bytes, a hole, stored bytes, … up to its real size."""

    def __init__(self, places: "array[int]", size_bytes: int, stored_bytes: int) -> None:
        """places: offset and length of each span, in order. Raises MalformedMap."""
        end = stored = 0
        if len(places) % 2:
            raise MalformedMap("a span has an offset and no length")
        for at in range(0, len(places), 2):
            if places[at] < end:
                raise MalformedMap("spans overlap or are out of order")
            end = places[at] + places[at + 1]
            stored += places[at + 1]
        if end > size_bytes or stored != stored_bytes:
            raise MalformedMap(f"spans of {stored} bytes end at {end}; {stored_bytes} bytes are stored of {size_bytes}")
        self._places, self._size_bytes = places, size_bytes
        self._at, self._span = 0, 0

    def run(self) -> tuple[bool, int]:
        """Return whether stored bytes come next, and how many; (False, 0) at the end."""
        while self._span < len(self._places):
            start, length = self._places[self._span], self._places[self._span + 1]
            if self._at < start:
                return False, start - self._at
            if self._at < start + length:
                return True, start + length - self._at
            self._span += 2
        return False, self._size_bytes - self._at

    def advance(self, size: int) -> None:
        """Consume `size` bytes of this run."""
        self._at += size


def is_sparse(member: tarfile.TarInfo, pax: dict[str, str]) -> bool:
    """Tell whether a member is stored without its holes."""
    return member.type == _OLD or any(key.startswith("GNU.sparse.") for key in pax)


def read_spans(
    member: tarfile.TarInfo, header: bytes, pax: dict[str, str], spots: "array[int]", take: Callable[[int], bytes]
) -> tuple[Spans, int, int]:
    """Return the spans of a member, its real size, and the number of its stored bytes used by the map.

    spots: offsets and lengths from repeated records of PAX 0.0. take: reads on after the header. Raises MalformedMap.
    """
    if member.type == _OLD:
        places, size = _old_map(header, take)
        return Spans(places, size, member.size), size, 0
    size = _number(pax.get("GNU.sparse.realsize") or pax.get("GNU.sparse.size") or "")
    if pax.get("GNU.sparse.major") == "1":
        places, used = _map_in_front(take, member.size)
    else:
        listed = pax.get("GNU.sparse.map")
        places, used = (_array(map(_number, listed.split(","))) if listed else spots), 0
    return Spans(places, size, member.size - used), size, used


def _old_map(header: bytes, take: Callable[[int], bytes]) -> tuple["array[int]", int]:
    places = _array(_entries(header[386:482]))
    extended, size = header[482], tarfile.nti(header[483:495])  # type: ignore[attr-defined]  # octal, or base 256
    while extended:
        block = take(BLOCK)
        places.extend(_array(_entries(block[:504])))
        extended = block[504]
        if len(places) > 2 * MAX_SPANS:
            raise MalformedMap(f"it has more than {MAX_SPANS} spans")
    return places, int(size)


def _entries(data: bytes) -> Iterator[int]:
    for at in range(0, len(data), 24):
        if not data[at]:
            return
        yield tarfile.nti(data[at : at + 12])  # type: ignore[attr-defined]
        yield tarfile.nti(data[at + 12 : at + 24])  # type: ignore[attr-defined]


def _map_in_front(take: Callable[[int], bytes], stored: int) -> tuple["array[int]", int]:
    numbers, text, used = array("Q"), b"", 0
    while not numbers or len(numbers) < 1 + 2 * numbers[0]:
        if used + BLOCK > stored or len(numbers) > 2 * MAX_SPANS or len(text) > BLOCK:
            raise MalformedMap(f"its map does not end within the member and {MAX_SPANS} spans")
        *lines, text = (text + take(BLOCK)).split(b"\n")
        numbers.extend(_array(_number(line.decode("ascii", "replace")) for line in lines))
        used += BLOCK
    return numbers[1:], used


def _array(numbers: Iterable[int]) -> "array[int]":
    try:
        return array("Q", numbers)
    except (OverflowError, tarfile.HeaderError) as error:
        raise MalformedMap("a number in its map is none") from error


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise MalformedMap(f"{text[:20]!r} is no size")
    return int(text)
