"""Packs: files of chip records with a trailer that indexes them.

A record may go on with the chain of the one before it (codec.py). All integers little-endian:
  header   "IWPK", version u32
  record   digest 32, codec u8, raw bytes u32, stored bytes u32, payload          (repeated)
  trailer  "IWPT", salt 16, count u32, then count x (record's fields without payload, offset of the record u64)
  footer   BLAKE3 of the trailer 32, trailer bytes u32, "IWPF"
A pack's name is the hex of its footer's BLAKE3. The salt is random, so that a pack belongs to one landing until it is
indexed, and no name is ever used twice: whoever deletes a pack late can't hit another one.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from blake3 import blake3

from catalog.errors import DigestMismatch, ObjectMissing
from storage.chips import names
from storage.chips.codec import CHAINED
from storage.protocols import ObjectStore

MAGIC, TRAILER_MAGIC, FOOTER_MAGIC = b"IWPK", b"IWPT", b"IWPF"
VERSION = 2  # version 1 has no chains
PREFIX = "packs/"
HEADER = struct.Struct("<4sI")
RECORD = struct.Struct("<32sBII")
TRAILER = struct.Struct("<4s16sI")
ENTRY = struct.Struct("<32sBIIQ")
FOOTER = struct.Struct("<32sI4s")
LARGEST_CHIP = 64 << 20  # sanity limit when salvaging


class Entry(NamedTuple):
    """Where a chip lies in a pack. offset: of its record; back: from the beginning of its chain; sizes in bytes."""

    digest: bytes
    codec: int
    raw: int
    stored: int
    offset: int
    back: int = 0


def object_name(pack: bytes) -> str:
    """Return the object name of the pack with this 32-byte name."""
    text = pack.hex()
    return f"{PREFIX}{text[:2]}/{text}"


def sizes(objects: ObjectStore) -> dict[bytes, int]:
    """Return the bytes of each pack there is, by its 32-byte name."""
    found = names.listed(objects, PREFIX, names.PACK)
    return {bytes.fromhex(info.name.rsplit("/", 1)[1]): info.size_bytes for info in found}


def header() -> bytes:
    """Return the first bytes of every pack."""
    return HEADER.pack(MAGIC, VERSION)


def record_head(digest: bytes, codec: int, raw: int, stored: int) -> bytes:
    """Return the bytes before a chip's payload."""
    return RECORD.pack(digest, codec, raw, stored)


def closing(entries: list[Entry], salt: bytes) -> tuple[bytes, bytes]:
    """Return (name, trailer and footer) of a pack with these records."""
    trailer = TRAILER.pack(TRAILER_MAGIC, salt, len(entries)) + b"".join(ENTRY.pack(*e[:5]) for e in entries)
    name = blake3(trailer).digest()
    return name, trailer + FOOTER.pack(name, len(trailer), FOOTER_MAGIC)


def read_entries(objects: ObjectStore, pack: bytes) -> list[Entry]:
    """Read a pack's trailer, proven. Raises ObjectMissing, DigestMismatch."""
    name = object_name(pack)
    size = objects.size(name)
    if size is None:
        raise ObjectMissing(f"{objects.location}/{name}")
    footer = objects.get(name, max(0, size - FOOTER.size), size)
    if len(footer) != FOOTER.size or footer[-4:] != FOOTER_MAGIC:
        raise DigestMismatch(f"{objects.location}/{name}", "a footer", "something else")
    digest, length, _ = FOOTER.unpack(footer)
    trailer = objects.get(name, max(0, size - FOOTER.size - length), size - FOOTER.size)
    actual = blake3(trailer).digest()
    if not actual == digest == pack:
        raise DigestMismatch(f"{objects.location}/{name}", pack.hex(), actual.hex())
    return list(_with_chains(ENTRY.iter_unpack(trailer[TRAILER.size :])))


def _with_chains(records: Iterable[tuple[bytes, int, int, int, int]]) -> Iterator[Entry]:
    """Yield the entries of neighbouring records, each with its distance from the beginning of its chain."""
    begun = 0
    for digest, codec, raw, stored, offset in records:
        if codec != CHAINED:
            begun = offset
        yield Entry(digest, codec, raw, stored, offset, offset - begun)


def salvage(data: bytes) -> list[Entry]:
    """Return the whole records at the front of an unfinished pack. Payloads are not proven here."""
    if data[: HEADER.size] not in (HEADER.pack(MAGIC, 1), header()):
        return []
    return list(_with_chains(_whole_records(data)))


def _whole_records(data: bytes) -> Iterator[tuple[bytes, int, int, int, int]]:
    at = HEADER.size
    while at + RECORD.size <= len(data):
        digest, codec, raw, stored = RECORD.unpack_from(data, at)
        if digest[:4] == TRAILER_MAGIC or stored > LARGEST_CHIP or at + RECORD.size + stored > len(data):
            break
        yield digest, codec, raw, stored, at
        at += RECORD.size + stored
