"""The headers in RPM's databases that are no SQLite: its own (ndb, `Packages.db`) and Berkeley DB's hash (`Packages`).

| database | layout, as far as it is read |
|---|---|
| ndb (rpm's lib/backend/ndb/rpmpkg.c) | little-endian. `RpmP`, pages of slots: `Slot`, package, first block, blocks of 16 bytes; there `BlbS`, package, generation, length, the header |
| Berkeley DB (dbinc/db_page.h) | page 0: magic at 12, page size at 20, last page at 32. Hash pages: entries at 20, their offsets from 26; a value of kind 3 names the first page and the length of a chain of overflow pages: next at 16, bytes at 22, data from 26 |

Either may be damaged on purpose: what leads nowhere raises ValueError, and no page is followed twice.
"""

import struct
from collections.abc import Iterator

NDB, SLOT, BLOB = b"RpmP", b"Slot", b"BlbS"
NDB_PAGE, NDB_BLOCK, NDB_HEADER = 4096, 16, 32
BDB_MAGIC = 0x061561
HASH_PAGES, OVERFLOW_PAGE, OFF_PAGE = (2, 13), 7, b"\x03"
PAGE_HEADER = 26
MOST_BLOB = 64 << 20


def headers(data: bytes) -> Iterator[bytes]:
    """Yield the headers of a database of either kind. Raises ValueError where it is of neither, or damaged."""
    try:
        if data[:4] == NDB:
            yield from _ndb(data)
        elif len(data) >= 512 and (order := _order(data)):
            yield from _berkeley(data, order)
        else:
            raise ValueError("of a kind that is not known here")
    except struct.error as error:
        raise ValueError(str(error)) from error


def _ndb(data: bytes) -> Iterator[bytes]:
    pages = struct.unpack_from("<I", data, 12)[0]
    for place in range(NDB_HEADER, min(pages * NDB_PAGE, len(data) - NDB_BLOCK + 1), NDB_BLOCK):
        magic, package, block, _ = struct.unpack_from("<4sIII", data, place)
        if magic != SLOT:
            raise ValueError(f"no slot at {place}")
        if package and block:
            yield _ndb_blob(data, package, block * NDB_BLOCK)


def _ndb_blob(data: bytes, package: int, place: int) -> bytes:
    magic, named, _, length = struct.unpack_from("<4sIII", data, place)
    begin = place + 16
    if magic != BLOB or named != package or begin + length > len(data):
        raise ValueError(f"no package at {place}")
    return data[begin : begin + length]


def _order(data: bytes) -> str:
    """Return the byte order of a Berkeley DB, "" for what is none."""
    return next((order for order in "<>" if struct.unpack_from(f"{order}I", data, 12)[0] == BDB_MAGIC), "")


def _berkeley(data: bytes, order: str) -> Iterator[bytes]:
    size, last = (struct.unpack_from(f"{order}I", data, place)[0] for place in (20, 32))
    if not 512 <= size <= 65536 or size & (size - 1):
        raise ValueError(f"pages of {size} bytes")
    for start in range(size, min((last + 1) * size, len(data)), size):
        page = data[start : start + size]
        if len(page) == size and page[25] in HASH_PAGES:
            yield from _values(data, page, size, order)


def _values(data: bytes, page: bytes, size: int, order: str) -> Iterator[bytes]:
    """Yield the large values of a hash page; small ones are no headers."""
    count = struct.unpack_from(f"{order}H", page, 20)[0]
    for number in range(1, count, 2):  # keys and values in turn
        place = struct.unpack_from(f"{order}H", page, PAGE_HEADER + 2 * number)[0]
        if page[place : place + 1] == OFF_PAGE:
            first, length = struct.unpack_from(f"{order}4xII", page, place)
            yield _chain(data, first, length, size, order)


def _chain(data: bytes, page: int, length: int, size: int, order: str) -> bytes:
    if length > MOST_BLOB:
        raise ValueError(f"a value of {length} bytes")
    parts, left = list[bytes](), length
    while page and left > 0:
        start = page * size
        following, used, kind = struct.unpack_from(f"{order}16xI2xHxB", data, start)
        if kind != OVERFLOW_PAGE or not 0 < used <= size - PAGE_HEADER:
            raise ValueError(f"no overflow page at {start}")
        parts.append(data[start + PAGE_HEADER : start + PAGE_HEADER + used])
        left, page = left - used, following
    if left:
        raise ValueError(f"a value that lacks {left} bytes")
    return b"".join(parts)
