"""Packs: files of chip records with a trailer that indexes them.

A record may continue the chain of the one before it; a record that is no chip names the bases of the chain after it
(codec.py). All integers little-endian:
  header   "IWPK", version u32
  record   digest 32, codec u8, raw bytes u32, stored bytes u32, payload          (repeated)
  trailer  "IWPT", salt 16, count u32, then count x (record's fields without payload, offset of the record u64), then the
           keys u64 (as in the index) of all bases of the pack's chains, sorted, each once
  footer   BLAKE3 of the trailer 32, trailer bytes u32, "IWPF"
A pack's name is the hex of its footer's BLAKE3. The salt is random, so that a pack belongs to one landing until it is
indexed, and no name is ever reused: a late deletion can't hit another pack.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from catalog.errors import DigestMismatch, ObjectMissing
from storage.imagestore.format import names
from storage.imagestore.format.codec import DIGEST_BYTES, GOING_ON, LEANING
from storage.protocols import ObjectStore

MAGIC, TRAILER_MAGIC, FOOTER_MAGIC = b"IWPK", b"IWPT", b"IWPF"
VERSION = 3  # version 1 has no chains, 2 no leaning ones
CHAINS_VERSION = 2
PREFIX = "packs/"
HEADER = struct.Struct("<4sI")
RECORD = struct.Struct("<32sBII")
TRAILER = struct.Struct("<4s16sI")
ENTRY = struct.Struct("<32sBIIQ")
FOOTER = struct.Struct("<32sI4s")
LARGEST_CHIP = 64 << 20  # sanity limit when salvaging


class Entry(NamedTuple):
    """The place of a chip in a pack. offset: of its record; back: from the beginning of its chain; sizes in bytes."""

    digest: bytes
    codec: int
    raw: int
    stored: int
    offset: int
    back: int = 0


class Contents(NamedTuple):
    """The records of a pack, and the sorted keys of its chains' bases."""

    entries: list[Entry]
    leans_on: npt.NDArray[np.uint64]


def object_name(pack: bytes) -> str:
    """Return the object name of the pack with this 32-byte name."""
    text = pack.hex()
    return f"{PREFIX}{text[:2]}/{text}"


def sizes(objects: ObjectStore) -> dict[bytes, int]:
    """Return the size in bytes of each existing pack, by its 32-byte name."""
    found = names.listed(objects, PREFIX, names.PACK)
    return {bytes.fromhex(info.name.rsplit("/", 1)[1]): info.size_bytes for info in found}


def header(*, leaning: bool = False) -> bytes:
    """Return the first bytes of a pack. leaning: some of its chains may lean on chips elsewhere."""
    return HEADER.pack(MAGIC, VERSION if leaning else CHAINS_VERSION)


def record_head(digest: bytes, codec: int, raw: int, stored: int) -> bytes:
    """Return the bytes before a chip's payload."""
    return RECORD.pack(digest, codec, raw, stored)


def keys_of_bases(lists: Iterable[bytes]) -> npt.NDArray[np.uint64]:
    """Return the sorted keys, each once, of digests in lists of 32 bytes each."""
    digests = np.frombuffer(b"".join(lists), np.uint8).reshape(-1, DIGEST_BYTES)
    return np.unique(np.ascontiguousarray(digests[:, :8]).view(">u8").reshape(-1).astype(np.uint64))


def closing(entries: list[Entry], salt: bytes, bases: bytes = b"") -> tuple[bytes, bytes]:
    """Return (name, trailer and footer) of a pack with these records. bases: its chains' bases, 32 bytes each."""
    trailer = TRAILER.pack(TRAILER_MAGIC, salt, len(entries)) + b"".join(ENTRY.pack(*e[:5]) for e in entries)
    trailer += keys_of_bases([bases]).astype("<u8").tobytes()
    name = blake3(trailer).digest()
    return name, trailer + FOOTER.pack(name, len(trailer), FOOTER_MAGIC)


def read_contents(objects: ObjectStore, pack: bytes) -> Contents:
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
    return _contents(trailer)


def _contents(trailer: bytes) -> Contents:
    _, _, count = TRAILER.unpack_from(trailer)
    end = TRAILER.size + count * ENTRY.size
    entries = list(_with_chains(ENTRY.iter_unpack(trailer[TRAILER.size : end])))
    return Contents(entries, np.frombuffer(trailer, "<u8", offset=end).astype(np.uint64))


def _with_chains(records: Iterable[tuple[bytes, int, int, int, int]]) -> Iterator[Entry]:
    """Yield the entries of neighbouring records, each with its distance from the beginning of its chain."""
    begun = 0
    for digest, codec, raw, stored, offset in records:
        if codec not in GOING_ON and codec != LEANING:
            begun = offset
        yield Entry(digest, codec, raw, stored, offset, offset - begun)


def salvage(data: bytes) -> list[Entry]:
    """Return the whole records at the front of an unfinished pack. Payloads are not proven here."""
    if data[: HEADER.size] not in [HEADER.pack(MAGIC, version) for version in range(1, VERSION + 1)]:
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
