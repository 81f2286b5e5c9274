"""An early verdict from the first bytes of a file, packed or not, to stop a hopeless transfer."""

from contextlib import suppress

from catalog.errors import ImagewrightError
from catalog.records import ImageFormat
from catalog.settings import Settings
from storage.formats.inspector import Inspector, check_verdict
from storage.formats.regions import HEAD
from storage.sources.packed.archive import DiskInArchive
from storage.sources.packed.feed import Feed
from storage.sources.packed.source import MAX_LAYERS, Layer, layer_of
from storage.sources.packed.tar import TarMembers
from storage.sources.packed.unpack import UnpackedStream
from storage.sources.packed.zip import ZipMembers
from storage.sources.streams import ClosableStream

ENOUGH = 64 << 10
"""With this many bytes, the signatures of all formats have been seen."""
UPLOAD = "the upload"


def judge_head(head: bytes, declared: ImageFormat, settings: Settings, *, accept_unrecognized: bool = False) -> None:
    """Raise errors that no later byte can change; pass while undecided.

    head: the first bytes, up to HEAD. declared: format of the file, after unpacking if it is packed.
    Raises UnsafeImage, and FormatMismatch if the file is another of our formats.
    """
    head = _unpacked(head, settings)
    if len(head) < ENOUGH:
        return
    inspector = Inspector(settings.max_virtual_size, declared, accept_unrecognized=accept_unrecognized)
    inspector.feed(memoryview(head))
    check_verdict(inspector.early_verdict(), declared)


def _unpacked(head: bytes, settings: Settings) -> bytes:
    """Return the first bytes inside a packed file, as far as they go; of any other, its own."""
    for _ in range(MAX_LAYERS):
        layer = layer_of(head[:512])
        if layer is None:
            return head
        head = _read(_inside(layer, _Piece(head), settings))
    return b""


def _inside(layer: Layer, packed: ClosableStream, settings: Settings) -> ClosableStream:
    if layer == "tar":
        return DiskInArchive(TarMembers(Feed(packed, layer, UPLOAD), settings))
    if layer == "zip":
        return DiskInArchive(ZipMembers(Feed(packed, layer, UPLOAD), settings))
    return UnpackedStream(packed, layer, settings, UPLOAD, whole=False)


def _read(stream: ClosableStream) -> bytes:
    """Read up to HEAD bytes; the end of the piece looks like a broken file, and the bytes before it count."""
    buffer, filled = memoryview(bytearray(HEAD)), 0
    with suppress(ImagewrightError):
        while filled < HEAD and (taken := stream.readinto(buffer[filled:])):
            filled += taken
    with suppress(ImagewrightError):
        stream.close()
    return bytes(buffer[:filled])


class _Piece:
    """The beginning of a file as a stream."""

    def __init__(self, data: bytes) -> None:
        self._left = memoryview(data)

    def readinto(self, buffer: memoryview, /) -> int:
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    def close(self) -> None:
        """Do nothing: there is nothing to close."""
