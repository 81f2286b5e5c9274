"""Unpack a compressed source on the way, under caps: a bomb ends the add, never the worker."""

from catalog.errors import ImagewrightError, TransferInterrupted, UnsafeImage
from catalog.settings import Settings
from storage.sources.decoders import DECODERS, Decoder, Packing, decoder_errors
from storage.sources.streams import ClosableStream

_PIECE = 256 << 10
_FREE_BYTES = 64 << 20  # below this much output no ratio is held against a file: an empty disk packs 1000:1
RULES = "unpack"


class UnpackedStream:
    """The unpacked bytes of a compressed stream; several members in a row are one file.

    Raises UnsafeImage for a ratio over `settings.max_unpack_ratio`, more than `settings.max_virtual_size` bytes,
    or bytes that are damaged. After TransferInterrupted from the packed stream a read may be repeated.
    """

    def __init__(
        self, packed: ClosableStream, packing: Packing, settings: Settings, masked: str, *, whole: bool = True
    ) -> None:
        """whole: the packed stream ends only where its file does, so that an early end is damage, not a cut."""
        self._whole = whole
        self._packed, self._packing, self._settings, self._masked = packed, packing, settings, masked
        self._decoder: Decoder = DECODERS[packing]()
        self._errors = decoder_errors()
        self._input = memoryview(bytearray(_PIECE))
        self._pending = b""
        self._taken, self._given = 0, 0  # bytes in and out

    def readinto(self, buffer: memoryview, /) -> int:
        """Unpack some bytes; 0 only at the true end of the packed file."""
        out = b""
        while not out:
            if self._decoder.eof and not self._next_member():
                return 0
            out = self._step(min(len(buffer), 1 << 20))
        buffer[: len(out)] = out
        self._given += len(out)
        self._hold_to_caps()
        return len(out)

    def close(self) -> None:
        """Close the packed stream."""
        self._packed.close()

    def _step(self, room: int) -> bytes:
        if self._decoder.needs_input and not self._pending:
            self._pending = self._fetch()
            if not self._pending:
                raise self._cut_short()
        data, self._pending = self._pending, b""
        try:
            return self._decoder.decompress(data, room)
        except self._errors as error:
            raise self._unsafe("corrupt", f"its {self._packing} data is damaged ({error})") from error

    def _cut_short(self) -> ImagewrightError:
        sentence = f"its {self._packing} data is cut short"
        if self._whole:
            return self._unsafe("cut", sentence)
        return TransferInterrupted(self._masked, self._taken, sentence)

    def _fetch(self) -> bytes:
        size = self._packed.readinto(self._input)
        self._taken += size
        return bytes(self._input[:size])

    def _next_member(self) -> bool:
        """Start on the next member; False at the end. Zero bytes after a member are padding."""
        rest = self._decoder.unused_data.lstrip(b"\0")
        while not rest:
            piece = self._fetch()
            if not piece:
                return False
            rest = piece.lstrip(b"\0")
        self._decoder, self._pending = DECODERS[self._packing](), rest
        return True

    def _hold_to_caps(self) -> None:
        limit, ratio = self._settings.max_virtual_size, self._settings.max_unpack_ratio
        if self._given > limit:
            raise self._unsafe("size", f"it unpacks to more than {limit} bytes")
        if self._given > max(_FREE_BYTES, ratio * self._taken):
            raise self._unsafe("ratio", f"it unpacks to more than {ratio} times its size")

    def _unsafe(self, rule: str, sentence: str) -> UnsafeImage:
        return UnsafeImage([f"{RULES}.{rule} at byte {self._taken}: {self._masked}: {sentence}"])
