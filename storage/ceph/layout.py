"""The layout of an image in a pool: names, metadata keys and digest rows. This is the format; change VERSION with it.

- `imagewright.landing.<id>`: an RBD image on its way in. Metadata `imagewright.source`: its source.
  `imagewright.tail`: an unfinished object, kept by `close`. `imagewright.finished`: complete, with sizes and root.
- `imagewright.image.<id>`: a published replica. Its content is the protected snapshot `published`; metadata
  `imagewright.image`, `.replica`, `.digests` hold everything that a catalog needs.
  `imagewright.unfolded`: a qcow2 file that was taken apart as it arrived (see `qcow2/placement.py`).
- `imagewright_rows.<rbd id>.<piece>`: digest rows of either, named by the RBD id, which no rename changes. Row n is the
  BLAKE3 of bytes [n * 4 MiB, (n + 1) * 4 MiB) of the file, 32 bytes; 32 zero bytes mean that nothing is recorded.
"""

from urllib.parse import quote, unquote

from blake3 import blake3

from catalog.records import Record

VERSION = "1"
OBJECT_BYTES = 4 << 20  # RBD's own default; one row per object
ORDER = 22
CELL_BYTES = 64 << 10  # whole cells of zeros are neither written nor exported
ROW_BYTES = 32
PIECE_ROWS = 1 << 16  # 2 MiB per object of rows: 256 GiB of image
FEATURES = 61  # layering, exclusive-lock, object-map, fast-diff, deep-flatten: no slower than layering alone (README)

PUBLISHED = "imagewright.image."
LANDING = "imagewright.landing."
SNAPSHOT = "published"

SOURCE_KEY = "imagewright.source"
UNFOLDED_KEY = "imagewright.unfolded"
TAIL_KEY = "imagewright.tail"
FINISHED_KEY = "imagewright.finished"
IMAGE_KEY = "imagewright.image"
REPLICA_KEY = "imagewright.replica"
DIGESTS_KEY = "imagewright.digests"
VERSION_KEY = "imagewright.version"

DISK_PIECE = 1 << 24  # digest rows of the guest's disk in an unfolded landing start at this piece

QCOW2_MAGIC = b"QFI\xfb"
ZEROS = bytes(OBJECT_BYTES)
UNRECORDED = bytes(ROW_BYTES)


class Finished(Record):
    """The description of a complete landing."""

    size_bytes: int
    stored_bytes: int
    root: str  # BLAKE3 over all rows, hex: proves the rows, which prove the objects
    first_piece: int = 0  # the first piece of its rows


class Unfolded(Record):
    """A landing whose image holds the guest's disk at 0 and the rest of the qcow2 file from `base` on."""

    base: int
    disk_bytes: int
    stored_bytes: int = 0  # of the disk; known once the landing is finished
    copied: int = 0  # unmoved parts are copied up to this byte of the disk: a conversion resumes here


class Tail(Record):
    """Bytes of an object that was incomplete when the landing was closed."""

    index: int  # of the object
    length: int
    digest: str


def published_name(image_id: str) -> str:
    """Return the RBD name of a published replica."""
    return PUBLISHED + quote(image_id, safe="")


def landing_name(landing_id: str) -> str:
    """Return the RBD name of a landing; RBD forbids `/` and `@`, so they are percent-encoded."""
    return LANDING + quote(landing_id, safe="")


def landing_id_of(name: str) -> str:
    """Return the landing id in an RBD name."""
    return unquote(name.removeprefix(LANDING))


def image_id_of(name: str) -> str:
    """Return the image id in an RBD name."""
    return unquote(name.removeprefix(PUBLISHED))


def rows_name(rbd_id: str, piece: int) -> str:
    """Return the name of an object of digest rows."""
    return f"imagewright_rows.{rbd_id}.{piece:08x}"


def row_of(block: bytes | bytearray | memoryview) -> bytes:
    """Return the digest row of an object's bytes."""
    return blake3(block).digest()


ZERO_ROW = row_of(ZEROS)


def zero_row(length: int) -> bytes:
    """Return the row of an object of `length` zero bytes."""
    return ZERO_ROW if length == OBJECT_BYTES else row_of(memoryview(ZEROS)[:length])


def object_count(size_bytes: int) -> int:
    """Return the number of objects in a file of this size."""
    return -(-size_bytes // OBJECT_BYTES)


def object_length(size_bytes: int, index: int) -> int:
    """Return how many bytes of a file of this size lie in object `index`."""
    return min(OBJECT_BYTES, size_bytes - index * OBJECT_BYTES)


def is_zero(block: memoryview) -> bool:
    """Tell whether all bytes are zero; checks zeros at 12 GB/s and returns at once for data."""
    return ZEROS.startswith(block)


def data_runs(block: memoryview) -> list[tuple[int, int]]:
    """Return the [start, end) runs of cells that are not all zero, adjacent ones merged."""
    runs: list[tuple[int, int]] = []
    for start in range(0, len(block), CELL_BYTES):
        end = min(start + CELL_BYTES, len(block))
        if is_zero(block[start:end]):
            continue
        if runs and runs[-1][1] == start:
            start = runs.pop()[0]  # noqa: PLW2901 - the run grows backwards
        runs.append((start, end))
    return runs


def bytes_of(block: memoryview, first: int, last: int) -> bytes:
    """Return bytes [first, last) of a block, without a copy if they are a whole bytes object."""
    whole = block.obj
    return whole if isinstance(whole, bytes) and last - first == len(whole) else bytes(block[first:last])
