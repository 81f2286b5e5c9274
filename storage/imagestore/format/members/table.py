"""Members: packed streams inside a file, kept as their contents, and how to deflate these to the very same bytes.

The pieces of such an image are those of another file: the image's file, `size_bytes`, with zeros in place of the
reproduced streams; then, in order, the contents of each member that lie nowhere else in the file; then a table. Each of
these begins at a multiple of 64 KiB, after at least 64 KiB of zeros, so that it is cut into chips as in its own file.

The table, little-endian: members u64; for each member in file order its start u64, length u64, codec number u32, spans
u32 and the BLAKE3 of the reproduced stream 32; then for each span of each member the number of its own bytes u64, then
offset u64 and length u64 of the bytes in the file with which the contents continue.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from catalog.errors import DigestMismatch
from catalog.records import Record
from storage.imagestore.format.index import I8, U1
from storage.imagestore.format.members.deflating import PROGRAM, DeflateName, deflate_gives, deflate_library

MEMBER = np.dtype([("start", "<u8"), ("length", "<u8"), ("codec", "<u4"), ("spans", "<u4"), ("check", "u1", (32,))])
SPAN = np.dtype([("own", "<u8"), ("place", "<u8"), ("length", "<u8")])
COUNT = np.dtype("<u8")
SPACE = 64 << 10

Rows = npt.NDArray[np.void]


class Deflate(Record):
    """A codec. library: the one known to give these bytes; gives: see `deflating.py`."""

    name: DeflateName
    library: str
    gives: str


class Members(Record):
    """How a file is made from an image's pieces; sizes in bytes. codecs: by their number in the table."""

    codecs: tuple[Deflate, ...]
    table_bytes: int
    size_bytes: int


def deflate(name: DeflateName) -> Deflate:
    """Return a codec as this host has it."""
    return Deflate(name=name, library=deflate_library(name), gives=deflate_gives(name))


def other_deflates(members: Members) -> str:
    """Return why this host can't make the file, "" if it can."""
    for codec in members.codecs:
        if codec.gives != deflate_gives(codec.name):
            here = f"{deflate_library(codec.name)} here makes other bytes of them"
            none = f"{PROGRAM} is not installed here"
            return f"its packed members were made by {codec.library}, and {here if deflate_gives(codec.name) else none}"
    return ""


def spaced(end: int) -> int:
    """Return the start of the next part after one that ends at `end`."""
    return -(-end // SPACE) * SPACE + SPACE


@dataclass(frozen=True, eq=False)
class MemberTable:
    """The table's columns. members: (m,); spans: (s,)."""

    size_bytes: int
    members: Rows
    spans: Rows

    @cached_property
    def starts(self) -> I8:
        """Starts of the reproduced streams in the file, (m,)."""
        return self.members["start"].astype(np.int64)

    @cached_property
    def ends(self) -> I8:
        """Ends of the reproduced streams in the file, (m,)."""
        ends: I8 = self.starts + self.members["length"].astype(np.int64)
        return ends

    @cached_property
    def first_span(self) -> I8:
        """The number of each member's first span, then the number of spans, (m + 1,)."""
        return np.concatenate([[0], np.cumsum(self.members["spans"].astype(np.int64))])

    @cached_property
    def places(self) -> list[int]:
        """Starts of each member's own bytes in the pieces, then the start of the table, (m + 1,)."""
        own = self.spans["own"].astype(np.int64)
        at = [spaced(self.size_bytes)]
        for first, last in zip(self.first_span[:-1].tolist(), self.first_span[1:].tolist(), strict=True):
            at.append(spaced(at[-1] + int(own[first:last].sum())))
        return at

    def check(self, number: int) -> bytes:
        """Return the BLAKE3 of a member's reproduced stream."""
        checks: U1 = self.members["check"]
        return bytes(checks[number])

    def encode(self) -> bytes:
        """Return the table's bytes."""
        return np.array([len(self.members)], COUNT).tobytes() + self.members.tobytes() + self.spans.tobytes()


def decode_members(data: bytes, recipe: Members, pieces_bytes: int, where: str) -> MemberTable:
    """Read a table. Raises DigestMismatch if it does not make the file that its recipe describes."""
    try:
        (count,) = np.frombuffer(data, COUNT, 1).tolist()
        members = np.frombuffer(data, MEMBER, count, COUNT.itemsize)
        spans = np.frombuffer(data, SPAN, offset=COUNT.itemsize + members.nbytes)
        table = MemberTable(recipe.size_bytes, members, spans)
        whole = _makes_the_file(table, recipe, pieces_bytes)
    except (ValueError, OverflowError):
        whole = False
    if not whole:
        raise DigestMismatch(where, "the table of its members", "one that makes another file")
    return table


def _makes_the_file(table: MemberTable, recipe: Members, pieces_bytes: int) -> bool:
    numbers = (table.starts, table.ends, *(table.spans[name].astype(np.int64) for name in ("own", "place", "length")))
    if any((column < 0).any() or (column > pieces_bytes).any() for column in numbers):
        return False
    edges = np.concatenate([[0], np.stack([table.starts, table.ends], 1).ravel(), [recipe.size_bytes]])
    in_file = bool((np.diff(edges) >= 0).all()) and bool((numbers[3] + numbers[4] <= recipe.size_bytes).all())
    known = bool((table.members["codec"] < len(recipe.codecs)).all()) and table.first_span[-1] == len(table.spans)
    return in_file and known and table.places[-1] + recipe.table_bytes == pieces_bytes
