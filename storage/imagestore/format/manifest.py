"""Manifests: the list of chips that make up an image. Self-describing, written with one atomic put.

Integers little-endian:
  "IWMF", version u32, header bytes u32, header (JSON), entries count u64,
  count x (length u64, digest 32; a digest of zeros is a hole), BLAKE3 of everything before it 32
Version 2 has a recipe in its header (`format/recipe.py`): its entries are those of another file, from which the image's is made.
Version 3 has members there (`format/members/table.py`), and may have a recipe: that other file then has its members kept so.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog.errors import StorageRefused
from catalog.records import Image, Record, Replica
from storage.imagestore.format.index import U1, U8, Flags
from storage.imagestore.format.members.table import Members, other_deflates
from storage.imagestore.format.parameters import FIRST_VERSION, MEMBERS_VERSION, RECIPES_VERSION
from storage.imagestore.format.recipe import Recipe, other_bytes
from storage.imagestore.format.seal import sealed, unsealed
from storage.protocols import Digests

MAGIC = b"IWMF"
VERSION = 3  # with members; with a recipe alone it is 2, without either 1
RECIPE_VERSION = 2
PLAIN_VERSION = 1
HEAD = struct.Struct("<4sII")
COUNT = struct.Struct("<Q")
ENTRY = np.dtype([("length", "<u8"), ("digest", "u1", (32,))])
HOLE = bytes(32)

Entries = npt.NDArray[np.void]


class ManifestHeader(Record):
    """The description of an image in its manifest, besides its chips."""

    image: Image
    replica: Replica
    digests: Digests  # of the stored file
    chips: int
    recipe: Recipe | None = None
    members: Members | None = None

    @property
    def form(self) -> tuple[Recipe | None, Members | None]:
        """How the file is made from the pieces; it may change while the file stays the same."""
        return self.recipe, self.members

    @property
    def verbatim(self) -> bool:
        """Whether the pieces are those of the file itself."""
        return self.recipe is None and self.members is None

    @property
    def store_version(self) -> int:
        """The store version that such a manifest requires."""
        return MEMBERS_VERSION if self.members else RECIPES_VERSION if self.recipe else FIRST_VERSION

    @property
    def other_bytes(self) -> str:
        """Return why this host can't make the file from the pieces, "" if it can."""
        recipe = other_bytes(self.recipe) if self.recipe else ""
        return recipe or (other_deflates(self.members) if self.members else "")


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """A file as pieces in order: lengths (n,), digests (n, 32), starts (n + 1,)."""

    lengths: U8
    digests: U1
    starts: U8
    holes: Flags

    @property
    def size_bytes(self) -> int:
        """Size of the whole file."""
        return int(self.starts[-1])

    @property
    def data_digests(self) -> U1:
        """Digests of the chips in order, without holes."""
        digests: U1 = self.digests[~self.holes]
        return digests

    def __len__(self) -> int:
        return len(self.lengths)


def pieces_of(entries: Entries) -> Pieces:
    """Return the pieces of raw entries."""
    lengths = np.ascontiguousarray(entries["length"])
    digests = np.ascontiguousarray(entries["digest"])
    starts = np.zeros(len(lengths) + 1, dtype=np.uint64)
    np.cumsum(lengths, out=starts[1:])
    return Pieces(lengths, digests, starts, _zero_digests(entries))


def _zero_digests(entries: Entries) -> Flags:
    digests: U1 = entries["digest"]
    zero: Flags = (digests == 0).all(axis=1)
    return zero


def joined_holes(entries: Entries) -> Entries:
    """Return the entries with adjacent holes merged."""
    if not len(entries):
        return entries
    hole = _zero_digests(entries)
    first = np.ones(len(entries), dtype=np.bool_)
    first[1:] = ~(hole[1:] & hole[:-1])
    kept = entries[first].copy()
    kept["length"] = np.add.reduceat(entries["length"], np.nonzero(first)[0])
    return kept


def encode(header: ManifestHeader, entries: Entries) -> bytes:
    """Return a manifest's bytes."""
    absent = {name for name in ("recipe", "members") if getattr(header, name) is None}
    text = header.model_dump_json(exclude=absent).encode()
    version = VERSION if header.members else RECIPE_VERSION if header.recipe else PLAIN_VERSION
    body = b"".join((HEAD.pack(MAGIC, version, len(text)), text, COUNT.pack(len(entries)), entries.tobytes()))
    return sealed(body)


def decode(location: str, data: bytes) -> tuple[ManifestHeader, Pieces]:
    """Read a manifest, proven.

    Raises DigestMismatch; StorageRefused for another version or contents that only another version writes.
    """
    body = unsealed(location, data, HEAD.size)
    magic, version, length = HEAD.unpack_from(body)
    if magic != MAGIC or not PLAIN_VERSION <= version <= VERSION:
        raise StorageRefused(location, f"manifest version {version}; this program reads {PLAIN_VERSION} to {VERSION}")
    try:
        header = ManifestHeader.model_validate_json(bytes(body[HEAD.size : HEAD.size + length]))
        (count,) = COUNT.unpack_from(body, HEAD.size + length)
        entries = np.frombuffer(body, dtype=ENTRY, count=count, offset=HEAD.size + length + COUNT.size)
    except (ValueError, struct.error) as error:  # whole, so another program wrote it, with terms we don't know
        raise StorageRefused(location, "a manifest that this program can't read; use the one that wrote it") from error
    return header, pieces_of(entries)


# startswith compares at memory speed without a copy (12-16 GB/s; a memoryview's == reaches 0.5).
ZEROS = bytes(4 << 20)


def zeros(size: int) -> Iterator[memoryview]:
    """Yield views that are so many zeros together."""
    for at in range(0, size, len(ZEROS)):
        yield memoryview(ZEROS)[: size - at]
