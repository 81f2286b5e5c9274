"""Stable addresses of families, for pipelines and image clients: the latest by name, bytes by their digest, a simplestreams tree.

They are asked with a token: as a bearer's, or as the password of Basic, which clients send that know an address only
(`https://anybody:TOKEN@host/simplestreams/`). What the token's identity does not see is not there.
"""

import binascii
import hashlib
import json
from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterator
from typing import get_args

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from catalog.errors import ImageNotFound, ImagewrightError, InvalidRequest, NotSignedIn
from catalog.records import Architecture, Image, Replica, SignedIn
from catalog.repository.reading.reading import Reading
from catalog.rules.promotion.history import standing, why_not
from catalog.rules.promotion.tree import INDEX, PRODUCTS, Handed, index_of, products_of
from catalog.settings import Settings
from console.api.v1.listings import one
from console.api.v1.problems import problem
from console.api.v1.signing import known
from console.thread_pools import catalogs
from console.transfers.downloads import headers_of
from console.transfers.ranges import Offer, RangedAnswer
from console.transfers.replica_contents import OpenReaders, same_file, whole_file
from console.visibility import Visibility

FAMILIES, TREE = "/f", "/simplestreams"
FOR_EVER = "private, max-age=31536000, immutable, no-transform"
"""What is named by its digest never changes."""
Answer = Callable[[Request, SignedIn], Awaitable[Response]]


class Published:
    """The endpoints, over a catalog."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._readers = settings, OpenReaders(settings)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(f"{FAMILIES}/{{family}}/latest", self._guarded(self._latest)),
            Route(f"{TREE}/images/{{family}}/{{digest}}/{{name}}", self._guarded(self._content)),
            Route(f"{TREE}/{INDEX}", self._guarded(self._index)),
            Route(f"{TREE}/{PRODUCTS}", self._guarded(self._products)),
        ]

    def _guarded(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        """Ask who it is first, and answer what goes wrong as the API does."""

        async def guarded(request: Request) -> Response:
            try:
                return await answer(request, await known(self._settings, token_of(request)))
            except ImagewrightError as error:
                refused = problem(error)
                if isinstance(error, NotSignedIn):
                    refused.headers["WWW-Authenticate"] = 'Basic realm="Imagewright"'
                return refused

        return guarded

    async def _latest(self, request: Request, who: SignedIn) -> Response:
        """Lead to the bytes of the latest image of a family."""
        family, arch = request.path_params["family"], request.query_params.get("arch", "x86_64")
        if arch not in get_args(Architecture):
            raise InvalidRequest("arch", arch, f"one of {', '.join(get_args(Architecture))}")
        handed = await catalogs(one, self._settings, who, lambda visibility: _latest(visibility, family, arch))
        headers = {"Cache-Control": "no-store", "ETag": f'"sha256:{handed.sha256}"'}
        return RedirectResponse(f"{request.scope.get('root_path', '')}{TREE}/{handed.path}", 302, headers)

    async def _content(self, request: Request, who: SignedIn) -> Response:
        """Send the bytes that have a digest."""
        family, digest = request.path_params["family"], request.path_params["digest"]
        replicas, handed = await catalogs(
            one, self._settings, who, lambda visibility: _of_digest(visibility, family, digest)
        )
        said = {**headers_of(replicas[0].md5, handed.sha256, handed.name), "Cache-Control": FOR_EVER}
        offer = Offer(size_bytes=handed.size_bytes, etag=f'"sha256:{handed.sha256}"', headers=said)
        return RangedAnswer(offer, lambda: whole_file(self._readers, replicas))

    async def _index(self, request: Request, who: SignedIn) -> Response:
        return _document(request, index_of(await self._handed(who)))

    async def _products(self, request: Request, who: SignedIn) -> Response:
        return _document(request, products_of(await self._handed(who)))

    async def _handed(self, who: SignedIn) -> tuple[Handed, ...]:
        return await catalogs(one, self._settings, who, lambda visibility: tuple(_all_handed(visibility)))


def token_of(request: Request) -> str:
    """Return the token that a request brings. Raises NotSignedIn."""
    given = request.headers.getlist("Authorization")
    scheme, _, rest = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic":
        raise NotSignedIn
    try:
        return b64decode(rest, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError) as error:
        raise NotSignedIn from error


def _latest(visibility: Visibility, family: str, arch: str) -> Handed:
    image = visibility.catalog.latest(family, arch, account=visibility.account)
    if not visibility.sees(image):
        raise ImageNotFound("latest", f"of family {family!r} for {arch}")
    replicas, handed = _stored(visibility.catalog, image)
    if handed is None:
        raise ImageNotFound(image.id, "by its digest: a storage converted it, and it was not measured yet")
    assert replicas
    return handed


def _of_digest(visibility: Visibility, family: str, digest: str) -> tuple[list[Replica], Handed]:
    for image in visibility.catalog.images(family=family, account=visibility.account, status=("Ready", "Migrating")):
        if visibility.sees(image) and not why_not(image):
            replicas, handed = _stored(visibility.catalog, image)
            if handed is not None and handed.sha256 == digest:
                return replicas, handed
    raise ImageNotFound(digest, f"of family {family!r}")


def _all_handed(visibility: Visibility) -> Iterator[Handed]:
    """Yield what each family hands on, as far as it is seen."""
    for family in visibility.catalog.families():
        images = [
            i for i in visibility.catalog.images(family=family.name, account=visibility.account) if visibility.sees(i)
        ]
        promotes = any(True for _ in visibility.catalog.channels(family.name))
        stands = _standing(visibility.catalog, family.name) if promotes else {image.id for image in images}
        for image in images:
            if image.id in stands and not why_not(image):
                _, handed = _stored(visibility.catalog, image)
                if handed is not None:
                    yield handed


def _standing(catalog: Reading, family: str) -> set[str]:
    return {
        image_id
        for channel in catalog.channels(family)
        for image_id in standing(catalog.promotions(family, channel.cpu_architecture))
    }


def _stored(catalog: Reading, image: Image) -> tuple[list[Replica], Handed | None]:
    """Return the whole replicas of an image's file, and what is handed on of it; None where its digest is not known."""
    try:
        replicas = list(same_file(catalog, image))
    except ImageNotFound:
        return [], None
    first = replicas[0]
    if first.sha256 is None:
        return replicas, None
    return replicas, Handed(image=image, format=first.format, size_bytes=first.size_bytes, sha256=first.sha256)


def _document(request: Request, content: dict[str, object]) -> Response:
    """Return a document of the tree, or that the asker has it already."""
    data = json.dumps(content, sort_keys=True, indent=1).encode()
    etag = f'"{hashlib.sha256(data).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if etag in request.headers.get("If-None-Match", ""):
        return Response(None, 304, headers)
    return Response(data, 200, headers, "application/json")
