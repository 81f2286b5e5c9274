"""An ObjectStore in an S3 bucket, through s3fs: whole puts, ranged gets, conditional creation, listing in pages."""

import errno
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from catalog.errors import ObjectMissing
from catalog.records import Capacity
from storage.imagestore.objects.known_pieces import KnownPieces
from storage.imagestore.objects.numbered_logs import LOG, NumberedLogs
from storage.imagestore.objects.retrying import in_parallel
from storage.imagestore.objects.s3_connection import S3Connection, is_conflict
from storage.protocols import ObjectInfo

MOST_DELETED = 1000
"""Objects that one S3 request may delete."""


class S3Objects(NumberedLogs):
    """Objects below a prefix of a bucket. Safe to use from several threads."""

    def __init__(self, connection: S3Connection) -> None:
        super().__init__()
        self._s3 = connection
        self.location = connection.address.location
        self._prefix = connection.address.prefix
        self._pieces = KnownPieces()

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return bytes `[start, end)`. Raises ObjectMissing."""
        if end is not None and end <= start:
            return b""
        return self._s3.run(name, lambda fs: self._read(fs, self._path(name), start, end))

    def put(self, name: str, data: bytes) -> None:
        """Create or replace with one request."""
        self._s3.run(name, lambda fs: fs.call_s3("put_object", Body=data, **self._key(name)))

    def create(self, name: str, data: bytes | bytearray) -> bool:
        """Create the object only if none exists.

        If an answer is lost, the repeated request, here or in a layer below, meets the object it created itself: an
        object with these very bytes therefore counts as created. Callers that must not both win write different bytes.
        """

        def attempt(fs: Any) -> bool:
            try:
                answer = fs.call_s3("put_object", Body=data, IfNoneMatch="*", **self._key(name))
                self._pieces.keep(name, str(answer.get("ETag")), data)
            except OSError as error:
                if not is_conflict(error):
                    raise
                return self.get(name) == data
            return True

        return self._s3.run(name, attempt)

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the pieces of a log; unchanged pieces that we wrote or read before are not fetched."""
        listed = dict(self._etags(f"{name}{LOG}"))
        kept = {piece: data for piece, etag in listed.items() if (data := self._pieces.get(piece, etag)) is not None}
        fetched = self.get_each([piece for piece in listed if piece not in kept])
        for piece, etag in listed.items():
            data = kept[piece] if piece in kept else next(fetched)
            self._pieces.keep(piece, etag, data)
            yield data

    def get_each(self, names: Sequence[str]) -> Iterator[bytes]:
        """Yield objects in the order of their names, fetched a few at a time."""
        yield from in_parallel(self.get, names)

    def delete_each(self, names: Sequence[str]) -> None:
        """Delete objects, up to 1,000 per request."""
        if len(names) == 1:
            self._delete(names[0])
            return
        for start in range(0, len(names), MOST_DELETED):
            some = names[start : start + MOST_DELETED]
            self._s3.run(some[0], partial(self._delete_some, some))

    def put_file(self, name: str, file: Path) -> None:
        """Create or replace from a file, in parts if it is large; it becomes visible whole or not at all."""
        self._s3.run(name, lambda fs: fs.put_file(str(file), self._path(name)))

    def look(self, name: str) -> str | None:
        """Return the object's size and ETag, which change whenever it does; None if there is none."""
        try:
            answer = self._s3.run(name, lambda fs: fs.call_s3("head_object", **self._key(name)))
        except ObjectMissing:
            return None
        return f"{answer['ContentLength']}:{answer['ETag']}"

    def size(self, name: str) -> int | None:
        """Return the object's size, or None."""
        try:
            answer = self._s3.run(name, lambda fs: fs.call_s3("head_object", **self._key(name)))
        except ObjectMissing:
            return None
        return int(answer["ContentLength"])

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects, and the pieces of logs by their own names, requesting page by page."""
        for item in self._items(prefix):
            yield ObjectInfo(
                name=item["Key"].removeprefix(self._prefix),
                size_bytes=int(item["Size"]),
                modified_at=item.get("LastModified"),
            )

    def _etags(self, prefix: str) -> Iterator[tuple[str, str]]:
        for item in self._items(prefix):
            yield item["Key"].removeprefix(self._prefix), item.get("ETag", "")

    def _items(self, prefix: str) -> Iterator[dict[str, Any]]:
        more: dict[str, str] = {}
        while True:
            page = self._page(prefix, more)
            yield from page.get("Contents", ())
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def capacity(self) -> Capacity | None:
        """Return None: a bucket has no fixed limit."""
        return None

    def _page(self, prefix: str, more: dict[str, str]) -> dict[str, Any]:
        wanted = {"Bucket": self._s3.address.bucket, "Prefix": f"{self._prefix}{prefix}", **more}
        page: dict[str, Any] = self._s3.run(prefix, lambda fs: fs.call_s3("list_objects_v2", **wanted))
        return page

    def _delete(self, name: str) -> None:
        self._s3.run(name, lambda fs: fs.call_s3("delete_object", **self._key(name)))

    def _delete_some(self, names: Sequence[str], fs: Any) -> None:
        keys = [{"Key": f"{self._prefix}{name}"} for name in names]
        answer = fs.call_s3("delete_objects", Bucket=self._s3.address.bucket, Delete={"Objects": keys, "Quiet": True})
        left = [error for error in answer.get("Errors", ()) if error.get("Code") != "NoSuchKey"]
        if left:
            raise _kept_error(left[0])

    def _read(self, fs: Any, path: str, start: int, end: int | None) -> bytes:
        if start == 0 and end is None:
            return bytes(fs.cat_file(path, max_concurrency=1))
        try:
            return bytes(fs.cat_file(path, start=start, end=end))
        except OSError as error:
            if error.errno == errno.EINVAL and "range" in str(error).lower():
                return b""  # it begins at or past the end: a truncated pack must be recognisable as one
            raise

    def _path(self, name: str) -> str:
        return f"{self._s3.address.bucket}/{self._prefix}{name}"

    def _key(self, name: str) -> dict[str, str]:
        return {"Bucket": self._s3.address.bucket, "Key": f"{self._prefix}{name}"}


def _kept_error(answer: dict[str, Any]) -> OSError:
    """Return why an object was not deleted, in s3fs's error for single requests."""
    said = f"{answer.get('Key')} was not deleted: {answer.get('Message') or answer.get('Code')}"
    return PermissionError(said) if answer.get("Code") == "AccessDenied" else OSError(said)
