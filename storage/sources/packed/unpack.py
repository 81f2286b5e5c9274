"""Unpack a compressed source as it is read, under limits: a bomb ends the add, never the worker."""

from collections.abc import Mapping

from catalog.errors import ImagewrightError, TransferInterrupted, UnsafeImage
from catalog.settings import Settings
from storage.sources.packed.decoders import (
    DECODERS,
    HEAD_BYTES,
    Decoder,
    Packing,
    decoder_errors,
    is_torn_head,
    packing_of,
)
from storage.sources.packed.window_size import MAX_WINDOW, START_BYTES, window_of
from storage.sources.streams import ClosableStream

_PIECE = 256 << 10
_FREE_BYTES = 64 << 20  # below this output no ratio is checked: an empty disk packs 1000:1
_PADDING = b"\0 \t\r\n"  # a tape's zeros, and residues of a copy in text mode
_CARELESS: tuple[Packing, ...] = ("gz", "bz2")  # their own programs only warn of bytes after the data
_SMALLER: Mapping[Packing, str] = {
    "zst": "pack it again with zstd --long=28 or less",
    "xz": "pack it again with xz -9 or less",
    "lzma": "pack it again with xz -9 or less",
}
MAX_TRAILING = 64 << 10
"""Bytes after the data that may be ignored: a signature or a note, but no member whose head is damaged."""
RULES = "unpack"


class UnpackedStream:
    """The unpacked bytes of a compressed stream; consecutive members are one file.

    Raises UnsafeImage for a ratio over `settings.max_unpack_ratio`, more than `settings.max_virtual_size` bytes, a
    window over `MAX_WINDOW`, or damaged bytes. After TransferInterrupted from the packed stream a read may be repeated.
    """

    def __init__(
        self, packed: ClosableStream, packing: Packing, settings: Settings, masked: str, *, whole: bool = True
    ) -> None:
        """whole: the packed stream ends only with its file, so that an early end is damage, not a cut."""
        self._whole = whole
        self._packed, self._packing, self._settings, self._masked = packed, packing, settings, masked
        self._decoder: Decoder = DECODERS[packing]()
        self._errors = decoder_errors()
        self._input = memoryview(bytearray(_PIECE))
        self._pending, self._start, self._behind = b"", b"", b""
        self._taken, self._given, self._members, self._trailing = 0, 0, 1, 0
        self._ended = False

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks for people about the file, once it was read to its end."""
        if not self._trailing:
            return ()
        return (f"{self._trailing} bytes behind the source's {self._packing} data were left out",)

    def readinto(self, buffer: memoryview, /) -> int:
        """Unpack some bytes; 0 only at the true end of the packed file."""
        out = b""
        while not out and not self._ended:
            if self._decoder.eof and not self._next_member():
                self._ended = True
            else:
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
        if len(self._start) < START_BYTES:
            self._start = (self._start + data)[:START_BYTES]
        try:
            out = self._decoder.decompress(data, room)
        except self._errors as error:
            raise self._refused(error) from error
        if self._decoder.eof:
            self._behind = self._decoder.unused_data.lstrip(_PADDING)
        return out

    def _refused(self, error: Exception) -> UnsafeImage:
        window = window_of(self._packing, self._start)
        if window > MAX_WINDOW:
            needs = f"a window of {window >> 20} MiB of memory, and {MAX_WINDOW >> 20} MiB are allowed"
            return self._unsafe(
                "memory", f"to unpack its {self._packing} data takes {needs}; {_SMALLER[self._packing]}"
            )
        return self._unsafe("corrupt", f"its {self._packing} data is damaged ({error})")

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
        """Start the next member; return False at the end. Zeros and white space after a member are padding."""
        while not self._trailing and len(self._behind) < HEAD_BYTES and (piece := self._fetch()):
            self._behind = (self._behind + piece).lstrip(_PADDING)
        if self._behind and is_torn_head(self._behind, self._packing):
            raise self._cut_short()
        if self._trailing or self._packing == "lzma" or packing_of(self._behind) != self._packing:
            self._leave_out_the_rest()
            return False
        self._decoder, self._pending, self._start = DECODERS[self._packing](), self._behind, b""
        self._members += 1
        return True

    def _leave_out_the_rest(self) -> None:
        """Read the rest, which is no member, to its end; refuse the file if that may be damage."""
        self._count_behind(len(self._behind))
        self._behind = b""
        while piece := self._fetch():
            self._count_behind(len(piece))

    def _count_behind(self, size: int) -> None:
        self._trailing += size
        allowed = MAX_TRAILING if self._packing in _CARELESS and self._members == 1 else 0
        if self._trailing > allowed:
            raise self._unsafe(
                "trailing",
                f"bytes follow behind its {self._packing} data that are none: it is damaged, or something was "
                "appended to it; fetch it again, or remove what was appended",
            )

    def _hold_to_caps(self) -> None:
        broken = over_caps(self._given, self._taken, self._settings)
        if broken:
            raise self._unsafe(*broken)

    def _unsafe(self, rule: str, sentence: str) -> UnsafeImage:
        return UnsafeImage([f"{RULES}.{rule} at byte {self._taken}: {self._masked}: {sentence}"])


def over_caps(unpacked: int, packed: int, settings: Settings) -> tuple[str, str] | None:
    """Return rule and sentence if the ratio or size of the unpacked bytes exceeds the limits."""
    limit, ratio = settings.max_virtual_size, settings.max_unpack_ratio
    if unpacked > limit:
        return "size", f"it unpacks to more than the {limit} bytes allowed (IMAGEWRIGHT_MAX_VIRTUAL_SIZE)"
    if unpacked > max(_FREE_BYTES, ratio * packed):
        return (
            "ratio",
            f"it unpacks to more than {ratio} times its size, which is the most allowed (IMAGEWRIGHT_MAX_UNPACK_RATIO)",
        )
    return None
