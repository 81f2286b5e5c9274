"""Serve the objects of this site's image stores to another Imagewright that keeps images in one of them over HTTPS.

The caller can do anything with the store: it needs an administrator's token whose scope is not limited to some images.
Nothing here looks into the objects: every reader proves their digests, here and there.
"""

import asyncio
import re
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from itertools import islice

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from catalog import open_catalog
from catalog.errors import ImagewrightError, InvalidRequest, NotSignedIn, ObjectMissing
from catalog.records import Verb
from catalog.rules.accounts.roles import require
from catalog.settings import Settings
from console.api.v1 import problems
from console.api.v1.signing import known
from console.thread_pools import stores
from storage.protocols import ObjectInfo, ObjectStore
from tasks.runtime.resources import open_objects

PATH = "/storages"
MOST_BYTES, AT_ONCE = 128 << 20, 2
"""Most bytes of an uploaded object, and most large objects in memory at once."""
LARGE = 1 << 20
PAGE = 1000
LONGEST_NAME = 1000  # characters
RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?")
VERB: Verb = "administer"
OPERATION = "an image storage of this site"


class SiteStores:
    """Answers requests for objects of this site's image stores."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: dict[tuple[str, str], ObjectStore] = {}
        self._large = asyncio.Semaphore(AT_ONCE)

    def app(self) -> Starlette:
        """Return the application, to be mounted at PATH."""
        return Starlette(
            routes=[
                Route("/{storage}/objects", self.listed),
                Route("/{storage}/objects/{name:path}", self.object, methods=["GET", "HEAD", "PUT", "DELETE"]),
                Route("/{storage}/capacity", self.capacity),
            ],
            exception_handlers={ImagewrightError: _told, HTTPException: problems.plain},
        )

    async def listed(self, request: Request) -> Response:
        """List objects by name, in pages: {"objects": [[name, bytes], …], "next": name to go on after, or null}."""
        objects = await self._store(request)
        prefix, after = request.query_params.get("prefix", ""), request.query_params.get("after", "")
        if prefix:
            _checked(prefix.rstrip("/"))
        found = await stores(partial(_page, objects, prefix, after))
        onwards = found[-1].name if len(found) == PAGE else None
        return JSONResponse({"objects": [[info.name, info.size_bytes] for info in found], "next": onwards})

    async def capacity(self, request: Request) -> Response:
        """Return the free room, null if the medium has no bounds."""
        room = await stores((await self._store(request)).capacity)
        return JSONResponse(room.model_dump(mode="json") if room else None)

    async def object(self, request: Request) -> Response:
        """Read, write or delete an object."""
        objects, name = await self._store(request), _checked(request.path_params["name"])
        if request.method == "PUT":
            return await self._put(request, objects, name)
        if request.method == "DELETE":
            await stores(partial(objects.delete, name))
            return Response(status_code=HTTPStatus.NO_CONTENT)
        size = await stores(partial(objects.size, name))
        if size is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no object {name}")
        if request.method == "HEAD":
            return Response(headers={"Content-Length": str(size), **BYTES})
        return await self._part(objects, name, size, request.headers.get("Range"))

    async def _part(self, objects: ObjectStore, name: str, size: int, wanted: str | None) -> Response:
        given = RANGE.fullmatch(wanted) if wanted else None
        start, end = (int(given[1]), min(size, int(given[2] or size) + 1)) if given else (0, size)
        if given and start >= size:
            return Response(status_code=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
        if end - start > MOST_BYTES:
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MOST_BYTES} bytes are sent at once: ask for ranges"
            )
        async with self._room_for(end - start):
            data = await stores(partial(objects.get, name, start, end))
        status = HTTPStatus.PARTIAL_CONTENT if given else HTTPStatus.OK
        headers = {"Content-Range": f"bytes {start}-{start + len(data) - 1}/{size}"} if given else {}
        return Response(data, status, {**BYTES, **headers})

    async def _put(self, request: Request, objects: ObjectStore, name: str) -> Response:
        async with self._room_for(int(request.headers.get("Content-Length") or MOST_BYTES)):
            data = await _body(request)
            if request.headers.get("If-None-Match") is None:
                await stores(partial(objects.put, name, data))
            elif not await stores(partial(objects.create, name, data)):
                raise HTTPException(HTTPStatus.PRECONDITION_FAILED, f"there is an object {name}")
        return Response(status_code=HTTPStatus.CREATED)

    def _room_for(self, size_bytes: int) -> "asyncio.Semaphore | _Free":
        return self._large if size_bytes > LARGE else _Free()

    async def _store(self, request: Request) -> ObjectStore:
        """Return the requested store. Raises NotSignedIn, NotAllowed, StorageNotFound, InvalidRequest, StorageError."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or len(request.headers.getlist("Authorization")) != 1:
            raise NotSignedIn
        require(await known(self._settings, token.strip()), VERB, OPERATION)
        return await stores(self._open, request.path_params["storage"])

    def _open(self, name: str) -> ObjectStore:
        with open_catalog(self._settings.catalog_address) as catalog:
            record = catalog.image_storage(name)
        place = (record.name, record.url)
        if place not in self._opened:
            self._opened[place] = open_objects(record, self._settings)
        return self._opened[place]


BYTES = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}


class _Free:
    """A semaphore's stand-in for small objects, which need not wait."""

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_exc: object) -> None: ...


def _page(objects: ObjectStore, prefix: str, after: str) -> list[ObjectInfo]:
    found: Iterator[ObjectInfo] = (info for info in objects.list(prefix) if info.name > after)
    return list(islice(found, PAGE))


def _checked(name: str) -> str:
    """Return the name of an object. Raises InvalidRequest for a name that is invalid or leads out of the store."""
    parts = name.split("/")
    if len(name) > LONGEST_NAME or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise InvalidRequest(
            "name", name[:100], "the name of an object: parts between slashes, none of them '.' or '..'"
        )
    return name


async def _body(request: Request) -> bytes:
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MOST_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MOST_BYTES} bytes are taken")
    return bytes(data)


async def _told(request: Request, error: Exception) -> Response:
    if isinstance(error, ObjectMissing):  # it was deleted between two looks
        return problems.plainly(HTTPStatus.NOT_FOUND, str(error))
    return await problems.told(request, error)
