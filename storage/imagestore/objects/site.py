"""An ObjectStore at another Imagewright: the objects of its image store over HTTPS, as served by `console/sites/`.

| call | request below `https://host/storages/NAME` |
|---|---|
| `get` | `GET /objects/{name}`, with Range |
| `put`, `create` | `PUT /objects/{name}`; with `If-None-Match: *` it is created or 412 |
| `size` | `HEAD /objects/{name}` |
| `list` | `GET /objects?prefix=&after=`: `{"objects": [[name, bytes], …], "next": name or null}` |
| `delete` | `DELETE /objects/{name}` |
| `capacity` | `GET /capacity` |

No redirect is followed, so the token goes to no other host; every answer is bounded. The chip store proves the bytes.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import pairwise
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from catalog.errors import ObjectMissing, StorageError, StorageRefused, StorageUnavailable
from catalog.records import Capacity
from storage.imagestore.objects.numbered_logs import NumberedLogs
from storage.imagestore.objects.retrying import in_parallel, retried
from storage.imagestore.objects.site_connection import SiteAddress, client_of
from storage.protocols import ObjectInfo

T = TypeVar("T")
MOST_BYTES = 128 << 20
"""Of an object: packs are an eighth of it; index segments have 48 bytes per chip."""
MOST_TEXT = 1 << 20
PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


class SiteObjects(NumberedLogs):
    """The objects of one image storage of another site. Safe to use from several threads."""

    def __init__(self, address: SiteAddress) -> None:
        super().__init__()
        self._address = address
        self.location = address.url

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return bytes `[start, end)`. Raises ObjectMissing."""
        if end is not None and end <= start:
            return b""
        if start == 0 and end is None:
            return self._answered(name, "GET", MOST_BYTES)[1]
        wanted = {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        most = MOST_BYTES if end is None else end - start
        status, data = self._answered(name, "GET", most, headers=wanted, accepted=(206, 416))
        return data if status == HTTPStatus.PARTIAL_CONTENT else b""  # it begins at or past the end

    def put(self, name: str, data: bytes) -> None:
        """Create or replace with one request."""
        self._answered(name, "PUT", MOST_TEXT, content=data, accepted=(201, 204))

    def create(self, name: str, data: bytes) -> bool:
        """Create the object only if none exists.

        A request whose answer was lost is repeated and then meets the object it created itself: one with these very
        bytes counts as created.
        """
        status, _ = self._answered(
            name, "PUT", MOST_TEXT, content=data, headers={"If-None-Match": "*"}, accepted=(201, 412)
        )
        return status == HTTPStatus.CREATED or self.get(name) == data

    def get_each(self, names: Sequence[str]) -> Iterator[bytes]:
        """Yield objects in the order of their names, fetched a few at a time."""
        yield from in_parallel(self.get, names)

    def delete_each(self, names: Sequence[str]) -> None:
        """Delete objects, a few at a time."""
        list(in_parallel(lambda name: self._answered(name, "DELETE", MOST_TEXT, accepted=(204,)), names))

    def size(self, name: str) -> int | None:
        """Return the object's size, or None."""
        try:
            return self._asked(name, lambda client: _size_of(client.head(_path(name))))
        except ObjectMissing:
            return None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects, and the pieces of logs by their own names, requesting page by page."""
        after: str | None = ""
        while after is not None:
            found, after = self._page(prefix, after)
            yield from found

    def capacity(self) -> Capacity | None:
        """Return the capacity of the other site's medium, None if it has no limit."""
        body = self._answered("", "GET", MOST_TEXT, path="capacity")[1]
        try:
            return None if json.loads(body) is None else Capacity.model_validate_json(body)
        except ValueError as error:
            raise self._nonsense("") from error

    def _page(self, prefix: str, after: str) -> tuple[Sequence[ObjectInfo], str | None]:
        query = f"objects?prefix={quote(prefix, safe='')}&after={quote(after, safe='')}"
        body = self._answered(prefix, "GET", MOST_TEXT, path=query)[1]
        try:
            page = json.loads(body)
            found = [ObjectInfo(name=name, size_bytes=size) for name, size in page["objects"]]
            onwards = page["next"]
        except (ValueError, TypeError, KeyError) as error:
            raise self._nonsense(prefix) from error
        if not _is_sorted([after, *(info.name for info in found)]) or onwards not in (
            None,
            *(i.name for i in found[-1:]),
        ):
            raise self._nonsense(prefix)  # it would be requested forever
        return found, onwards

    def _answered(
        self,
        name: str,
        method: str,
        most: int,
        *,
        path: str | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        accepted: Sequence[int] = (200,),
    ) -> tuple[int, bytes]:
        """Return status and body of an answer. most: largest accepted body, bytes."""

        def ask(client: httpx.Client) -> tuple[int, bytes]:
            where = _path(name) if path is None else path
            with client.stream(method, where, content=content, headers=headers) as answer:
                body = _bounded(answer, most if answer.status_code in accepted else MOST_TEXT)
                if answer.status_code not in accepted:
                    raise self._refusal(answer.status_code, body, name)
                return answer.status_code, body

        return self._asked(name, ask)

    def _asked(self, name: str, ask: Callable[[httpx.Client], T]) -> T:
        return retried(lambda: ask(client_of(self._address)), lambda error: self._translated(error, name))

    def _translated(self, error: Exception, name: str) -> StorageError:
        if isinstance(error, httpx.HTTPStatusError):
            return self._refusal(error.response.status_code, b"", name)
        return StorageUnavailable(self.location, f"{str(error) or type(error).__name__} ({name or 'the store'})")

    def _refusal(self, status: int, body: bytes, name: str) -> StorageError:
        said = _detail(body) or f"it answers {status}"
        if status == HTTPStatus.NOT_FOUND and name:
            return ObjectMissing(f"{self.location}/{name}")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in PASSING:
            return StorageUnavailable(self.location, f"{said} ({name or 'the store'})")
        return StorageRefused(self.location, said)

    def _nonsense(self, name: str) -> StorageUnavailable:
        return StorageUnavailable(self.location, f"its list is none ({name or 'the store'})")


def _path(name: str) -> str:
    return f"objects/{quote(name)}"


def _size_of(answer: httpx.Response) -> int:
    answer.raise_for_status()
    return int(answer.headers["Content-Length"])


def _bounded(answer: httpx.Response, most: int) -> bytes:
    """Read a body. Raises ValueError if it is longer than allowed."""
    body = bytearray()
    for part in answer.iter_raw():
        body += part
        if len(body) > most:
            raise ValueError(f"more than {most} bytes came")
    return bytes(body)


def _detail(body: bytes) -> str:
    try:
        said: Any = json.loads(body)
        return str(said["detail"])[:300]
    except (ValueError, TypeError, KeyError):
        return ""


def _is_sorted(names: Sequence[str]) -> bool:
    return all(a < b for a, b in pairwise(names))
