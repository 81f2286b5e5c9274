"""Several addresses of one image: read from the first that answers, fail over to one that agrees at any byte.

Mirrors agree if size and modification time do; ETags differ between servers and are not compared. A mirror with another
time is never mixed in.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from catalog.errors import SourceChanged, SourceError, TransferInterrupted
from storage.protocols import SourceInfo, SourceStream
from storage.sources.same_file import describe
from storage.sources.streams import PeekableSource, at

T = TypeVar("T")


class MirrorSource:
    """One image at several addresses, in order of preference."""

    def __init__(self, mirrors: Sequence[PeekableSource]) -> None:
        self._mirrors = tuple(mirrors)

    def probe(self) -> SourceInfo:
        """Probe the mirrors in turn until one knows the file; its answer is normalised so that others can agree."""
        return self._first(lambda mirror: common(mirror.probe()))

    def peek(self, size: int) -> bytes:
        """Return the first bytes from the first mirror that provides them."""
        return self._first(lambda mirror: mirror.peek(size))

    def open(self, offset: int, info: SourceInfo) -> AbstractContextManager[SourceStream]:
        """Read from `offset` on, through all mirrors in turn if necessary."""
        stream = MirrorStream(self._mirrors, offset, info)
        try:
            stream.connect()
        except BaseException:
            stream.close()
            raise
        return closing(stream)

    def _first(self, ask: Callable[[PeekableSource], T]) -> T:
        errors: list[SourceError] = []
        for mirror in self._mirrors:
            try:
                return ask(mirror)
            except SourceError as error:
                errors.append(error)
        raise most_hopeful(errors)


class MirrorStream:
    """Bytes of one image, from any of its mirrors."""

    def __init__(self, mirrors: Sequence[PeekableSource], offset: int, info: SourceInfo) -> None:
        self._mirrors, self._offset, self._info = tuple(mirrors), offset, info
        self._turn = 0
        self._errors: list[SourceError] = []  # since the last byte
        self._open = ExitStack()
        self._stream: SourceStream | None = None

    def readinto(self, buffer: memoryview, /) -> int:
        """Read available bytes. Raises only when every mirror has failed since the last byte."""
        while True:
            try:
                size = self.connect().readinto(buffer)
            except TransferInterrupted as error:
                self._next(error)
                continue
            self._offset += size
            self._errors.clear()
            return size

    def connect(self) -> SourceStream:
        """Return the running stream, or open the next mirror that agrees."""
        while self._stream is None:
            mirror = self._mirrors[self._turn]
            try:
                theirs = mirror.probe()
                if not agree(self._info, common(theirs)):
                    raise SourceChanged(theirs.url, describe(self._info), describe(common(theirs)))
                self._stream = self._open.enter_context(mirror.open(self._offset, theirs))
            except SourceError as error:
                self._next(error)
        return self._stream

    def close(self) -> None:
        """Close the connection."""
        self._stream = None
        self._open.close()

    def _next(self, error: SourceError) -> None:
        """Continue with the next mirror, or raise once all had their turn."""
        self.close()
        self._errors.append(error)
        self._turn = (self._turn + 1) % len(self._mirrors)
        if len(self._errors) >= len(self._mirrors):
            worst = most_hopeful(self._errors)
            raise at(worst, self._offset) if isinstance(worst, TransferInterrupted) else worst


def common(info: SourceInfo) -> SourceInfo:
    """Normalise a probe to compare mirrors of any scheme: the time in UTC seconds, no ETag."""
    modified = _utc(info.last_modified)
    return info.model_copy(
        update={"etag": None, "last_modified": modified, "resumable": info.resumable and modified is not None}
    )


def agree(one: SourceInfo, other: SourceInfo) -> bool:
    """Tell whether two mirrors have the same file: same size and time; an unknown value agrees with nothing."""
    return (
        one.size_bytes is not None
        and one.last_modified is not None
        and (one.size_bytes, one.last_modified) == (other.size_bytes, other.last_modified)
    )


def most_hopeful(errors: Sequence[SourceError]) -> SourceError:
    """Return the error to raise for all: a broken transfer before a changed file, before hopeless ones."""
    for kind in (TransferInterrupted, SourceChanged):
        for error in reversed(errors):
            if isinstance(error, kind):
                return error
    return errors[0]


def _utc(text: str | None) -> str | None:
    """Parse a time as http (a date), ftp (14 digits), sftp (seconds) and files (nanoseconds) write it."""
    if text is None:
        return None
    try:
        if not text.partition(".")[0].isdigit():
            moment = parsedate_to_datetime(text)
        elif len(text.partition(".")[0]) == 14:
            moment = datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        else:
            moment = datetime.fromtimestamp(int(text) // (10**9 if len(text) > 14 else 1), UTC)
    except (ValueError, OverflowError):
        return None
    return moment.astimezone(UTC).isoformat(timespec="seconds")
