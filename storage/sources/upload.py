"""upload:// sources: files sent to the console, `upload://<id>`, read from their folder or bucket."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing

from catalog.errors import SourceNotFound, StorageUnavailable, TransferInterrupted, UploadNotFound
from catalog.settings import Settings
from storage.protocols import SourceInfo, SourceStream
from storage.sources.credentials import Credentials
from storage.sources.file import FileSource
from storage.sources.same_file import require_same
from storage.sources.streams import PeekableSource
from storage.sources.urls import SourceUrl
from storage.uploads import Upload, Uploads


def open_upload(url: SourceUrl, settings: Settings, uploads: Uploads) -> PeekableSource:
    """Return the source of an upload, in the folder or a bucket. uploads: where it is searched for."""
    try:
        bucket = uploads.bucket_of(url.host)
    except UploadNotFound:  # raised when it is read, as for any source
        bucket = None
    return BucketSource(url, uploads) if bucket else UploadSource(url, settings, Credentials())


class UploadSource(FileSource):
    """A complete upload in the folder; an unfinished one can't be fetched."""

    def __init__(self, url: SourceUrl, settings: Settings, credentials: Credentials) -> None:
        super().__init__(url, settings, credentials)
        self.roots = (settings.uploads_folder,)
        self._uploads = Uploads(settings)

    @property
    def path(self) -> str:
        """The upload's path on this host."""
        try:
            return str(self._uploads.data(self.url.host))
        except UploadNotFound as error:
            raise SourceNotFound(self.url.masked, str(error)) from error

    def describe_open(self, number: int) -> SourceInfo:
        """Return the validators of the open file. Raises SourceNotFound if it is incomplete."""
        info = super().describe_open(number)
        try:
            length = self._uploads.get(self.url.host).length
        except UploadNotFound as error:
            raise SourceNotFound(self.url.masked, str(error)) from error
        _require_whole(self.url, info.size_bytes or 0, length)
        return info


class BucketSource:
    """A complete upload in a bucket, read piece by piece and resumable anywhere. Pieces never change."""

    def __init__(self, url: SourceUrl, uploads: Uploads) -> None:
        self.url, self._uploads = url, uploads

    def probe(self) -> SourceInfo:
        """Query the size. Raises SourceNotFound if it is incomplete, StorageUnavailable."""
        return self._info(self._whole())

    def peek(self, size: int) -> bytes:
        """Return up to `size` first bytes."""
        return self._uploads.read(self._whole().id, 0, size)

    def open(self, offset: int, info: SourceInfo) -> AbstractContextManager[SourceStream]:
        """Read from `offset` on. Raises SourceChanged if another file was sent under the same id."""
        upload = self._whole()
        require_same(self.url.masked, info, self._info(upload))
        return closing(BucketStream(self.url, offset, self._uploads.blocks(upload.id, offset, upload.length)))

    def _info(self, upload: Upload) -> SourceInfo:
        return SourceInfo(
            url=self.url.masked,
            size_bytes=upload.length,
            etag=f'"upload {upload.id}"',
            last_modified=upload.created_at.isoformat(),
            resumable=True,
        )

    def _whole(self) -> Upload:
        try:
            upload = self._uploads.get(self.url.host)
            _require_whole(self.url, self._uploads.offset(upload.id), upload.length)
        except UploadNotFound as error:
            raise SourceNotFound(self.url.masked, str(error)) from error
        return upload


class BucketStream:
    """Blocks of an upload as a stream; at most one of them is in memory."""

    def __init__(self, url: SourceUrl, offset: int, blocks: Iterator[bytes]) -> None:
        self._url, self._offset, self._blocks = url, offset, blocks
        self._block = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        """Read available bytes; 0 at the end. Raises SourceNotFound if it was discarded, TransferInterrupted."""
        if not self._block:
            self._block = memoryview(self._next())
        size = min(len(self._block), len(buffer))
        buffer[:size] = self._block[:size]
        self._block = self._block[size:]
        self._offset += size
        return size

    def close(self) -> None:
        """Release the block."""
        self._block = memoryview(b"")

    def _next(self) -> bytes:
        try:
            return next(self._blocks, b"")
        except UploadNotFound as error:
            raise SourceNotFound(self._url.masked, str(error)) from error
        except StorageUnavailable as error:
            raise TransferInterrupted(self._url.masked, self._offset, str(error)) from error


def _require_whole(url: SourceUrl, sent: int, length: int) -> None:
    if sent != length:
        raise SourceNotFound(url.masked, f"only {sent} of {length} bytes were sent")
