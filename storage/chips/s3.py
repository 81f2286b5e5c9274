"""An ObjectStore in an S3 bucket, through s3fs: whole puts, ranged gets, conditional creation, listing in pages.

A log is a prefix `<name>.log/` with one numbered object a piece. Nothing is kept aside: what is being written waits in
memory until it is published with one put, so that no half upload is ever left in the bucket.
"""

import errno
from collections.abc import Iterator
from typing import Any

from catalog.errors import ObjectMissing
from catalog.records import Capacity
from storage.chips.s3_connection import S3Connection, is_conflict
from storage.protocols import ObjectInfo, ObjectWriter

LOG = ".log/"


class S3Objects:
    """Objects below a prefix of a bucket. Safe to use from several threads."""

    piece_bytes = 16 << 20  # a piece costs a request, and a pack that was not published is lost anyway

    def __init__(self, connection: S3Connection) -> None:
        self._s3 = connection
        self.location = connection.address.location
        self._prefix = connection.address.prefix
        self._next_piece: dict[str, int] = {}

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return bytes `[start, end)`. Raises ObjectMissing."""
        if end is not None and end <= start:
            return b""
        return self._s3.run(name, lambda fs: self._read(fs, self._path(name), start, end))

    def put(self, name: str, data: bytes) -> None:
        """Create or replace with one request."""
        self._s3.run(name, lambda fs: fs.call_s3("put_object", Body=data, **self._key(name)))

    def create(self, name: str, data: bytes) -> bool:
        """Create under the condition that nothing is there.

        An answer may get lost, and the request that is repeated, here or in a layer below, then meets the object it made
        itself: an object with these very bytes counts as created. Callers that may not both win write different bytes.
        """

        def attempt(fs: Any) -> bool:
            try:
                fs.call_s3("put_object", Body=data, IfNoneMatch="*", **self._key(name))
            except OSError as error:
                if not is_conflict(error):
                    raise
                return self.get(name) == data
            return True

        return self._s3.run(name, attempt)

    def append(self, name: str, data: bytes) -> None:
        """Add a piece under the next number; a number that somebody else took is left to them."""
        if name not in self._next_piece:
            last = [info.name for info in self.list(f"{name}{LOG}")][-1:]
            self._next_piece[name] = int(last[0].rsplit("/", 1)[1]) + 1 if last else 0
        while not self.create(self._piece(name, self._next_piece[name]), data):
            self._next_piece[name] += 1
        self._next_piece[name] += 1

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the pieces of a log, fetched a few at a time."""
        yield from self._s3.parallel(self.get, [info.name for info in self.list(f"{name}{LOG}")])

    def writer(self, aside: str) -> ObjectWriter:
        """Start an object, kept in memory until it is published."""
        return _Writer(self, aside)

    def size(self, name: str) -> int | None:
        """Return the object's size, or None."""
        try:
            answer = self._s3.run(name, lambda fs: fs.call_s3("head_object", **self._key(name)))
        except ObjectMissing:
            return None
        return int(answer["ContentLength"])

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects, and the pieces of logs by their own names, in pages underneath."""
        more: dict[str, str] = {}
        while True:
            page = self._page(prefix, more)
            for item in page.get("Contents", ()):
                yield ObjectInfo(name=item["Key"].removeprefix(self._prefix), size_bytes=int(item["Size"]))
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, name: str) -> None:
        """Delete an object, and a log with all its pieces."""
        self._next_piece.pop(name, None)
        # a piece of a log has none of its own: not asking halves the time of removing a landing
        pieces = [] if LOG in name else [info.name for info in self.list(f"{name}{LOG}")]
        list(self._s3.parallel(self._delete, [*pieces, name]))

    def capacity(self) -> Capacity | None:
        """Return None: a bucket has no bounds of its own."""
        return None

    def _page(self, prefix: str, more: dict[str, str]) -> dict[str, Any]:
        wanted = {"Bucket": self._s3.address.bucket, "Prefix": f"{self._prefix}{prefix}", **more}
        page: dict[str, Any] = self._s3.run(prefix, lambda fs: fs.call_s3("list_objects_v2", **wanted))
        return page

    def _delete(self, name: str) -> None:
        self._s3.run(name, lambda fs: fs.call_s3("delete_object", **self._key(name)))

    def _read(self, fs: Any, path: str, start: int, end: int | None) -> bytes:
        if start == 0 and end is None:
            return bytes(fs.cat_file(path, max_concurrency=1))
        try:
            return bytes(fs.cat_file(path, start=start, end=end))
        except OSError as error:
            if error.errno == errno.EINVAL and "range" in str(error).lower():
                return b""  # it begins at or past the end: a truncated pack has to be seen as one
            raise

    def _path(self, name: str) -> str:
        return f"{self._s3.address.bucket}/{self._prefix}{name}"

    def _key(self, name: str) -> dict[str, str]:
        return {"Bucket": self._s3.address.bucket, "Key": f"{self._prefix}{name}"}

    @staticmethod
    def _piece(name: str, number: int) -> str:
        return f"{name}{LOG}{number:08d}"


class _Writer:
    def __init__(self, store: S3Objects, aside: str) -> None:
        self._store, self._aside = store, aside
        self._parts: list[bytes] | None = []

    def write(self, *parts: bytes | memoryview) -> None:
        if self._parts is not None:
            self._parts.append(b"".join(parts))  # a view would keep its whole block

    def publish(self, name: str) -> None:
        if self._parts is not None:
            self._store.put(name, b"".join(self._parts))
            self._parts = None

    def abandon(self) -> None:
        self._parts = None

    def leave(self) -> None:
        self._parts = None
