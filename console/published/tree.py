"""Stable addresses for pipelines and image clients: a family's latest, bytes by digest, a simplestreams tree.

They require a token: as a bearer token, or as the password of Basic authentication, for clients that only take an
address (`https://anybody:TOKEN@host/simplestreams/`). Images that the token's identity may not see are not found.
"""

import binascii
import hashlib
import json
from base64 import b64decode
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from typing import get_args

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from catalog.errors import ImagewrightError, InvalidRequest, NotSignedIn
from catalog.records import Architecture, SignedIn
from catalog.rules.promotion import incus
from catalog.rules.promotion.tree import INDEX, PRODUCTS, index_of, products_of
from catalog.settings import Settings
from console.api.v1.listings import one
from console.api.v1.problems import problem
from console.api.v1.signing import known
from console.published.builds import Stored, all_handed, latest, metadata_of, of_digest
from console.published.combined import CombinedSums
from console.thread_pools import catalogs
from console.transfers.downloads import headers_of
from console.transfers.ranges import Offer, RangedAnswer
from console.transfers.replica_contents import OpenReaders, whole_file
from console.visibility import Visibility

FAMILIES, TREE = "/f", "/simplestreams"
FOR_EVER = "private, max-age=31536000, immutable, no-transform"
"""Content named by its digest never changes."""
Answer = Callable[[Request, SignedIn], Awaitable[Response]]


class Published:
    """The endpoints, over a catalog."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._readers = settings, OpenReaders()
        self._sums = CombinedSums(settings.home, self._readers)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(f"{FAMILIES}/{{family}}/latest", self._guarded(self._latest)),
            Route(f"{TREE}/images/{{family}}/{{digest}}/{{name}}", self._guarded(self._content)),
            Route(f"{TREE}/{incus.ROOM}/{{family}}/{{digest}}/{{name}}", self._guarded(self._metadata)),
            Route(f"{TREE}/{INDEX}", self._guarded(self._index)),
            Route(f"{TREE}/{PRODUCTS}", self._guarded(self._products)),
            Route(f"{TREE}/{incus.PRODUCTS}", self._guarded(self._for_incus)),
        ]

    def _guarded(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        """Identify the caller first, and answer errors as the API does."""

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
        """Redirect to the bytes of the latest image of a family."""
        family, arch = request.path_params["family"], request.query_params.get("arch", "x86_64")
        if arch not in get_args(Architecture):
            raise InvalidRequest("arch", arch, f"one of {', '.join(get_args(Architecture))}")
        handed = await catalogs(one, self._settings, who, lambda visibility: latest(visibility, family, arch))
        headers = {"Cache-Control": "no-store", "ETag": f'"sha256:{handed.sha256}"'}
        return RedirectResponse(f"{request.scope.get('root_path', '')}{TREE}/{handed.path}", 302, headers)

    async def _content(self, request: Request, who: SignedIn) -> Response:
        """Send the bytes with a digest."""
        family, digest = request.path_params["family"], request.path_params["digest"]
        replicas, handed = await catalogs(
            one, self._settings, who, lambda visibility: of_digest(visibility, family, digest)
        )
        offer = _offer(handed.size_bytes, replicas[0].md5, handed.sha256, handed.name)
        return RangedAnswer(offer, lambda: whole_file(self._readers, replicas))

    async def _metadata(self, request: Request, who: SignedIn) -> Response:
        """Send the metadata archive that Incus reads beside a disk."""
        family, digest = request.path_params["family"], request.path_params["digest"]
        data = await catalogs(one, self._settings, who, lambda visibility: metadata_of(visibility, family, digest))
        return RangedAnswer(_offer(len(data), None, digest, incus.METADATA[0]), lambda: nullcontext(InMemory(data)))

    async def _index(self, request: Request, who: SignedIn) -> Response:
        found, offered = await self._handed(who)
        others = {incus.CONTENT_ID: (incus.PRODUCTS, [known.handed for known in offered])}
        return _document(request, index_of([handed for _, handed in found], others))

    async def _products(self, request: Request, who: SignedIn) -> Response:
        found, _ = await self._handed(who)
        return _document(request, products_of([handed for _, handed in found]))

    async def _for_incus(self, request: Request, who: SignedIn) -> Response:
        _, offered = await self._handed(who)
        return _document(request, incus.products_of(offered))

    async def _handed(self, who: SignedIn) -> tuple[Stored, Sequence[incus.Offered]]:
        """Return the published builds, and those offered to Incus."""

        def both(visibility: Visibility) -> tuple[Stored, Sequence[incus.Offered]]:
            found = tuple(all_handed(visibility))
            return found, self._offered(found)

        return await catalogs(one, self._settings, who, both)

    def _offered(self, found: Stored) -> Sequence[incus.Offered]:
        """Return the builds for Incus whose sum is known, and start computing the others' sums."""
        made = [(replicas, one, incus.metadata_of(one)) for replicas, one in found if incus.is_for_incus(one)]
        known = ((one, data, self._sums.of(data, one, replicas)) for replicas, one, data in made)
        return [incus.Offered(one, data, combined) for one, data, combined in known if combined]


class InMemory:
    """A file built on request."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end."""
        return self._data[offset : offset + size]


def _offer(size_bytes: int, md5: str | None, sha256: str, name: str) -> Offer:
    said = {**headers_of(md5, sha256, name), "Cache-Control": FOR_EVER}
    return Offer(size_bytes=size_bytes, etag=f'"sha256:{sha256}"', headers=said)


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


def _document(request: Request, content: dict[str, object]) -> Response:
    """Return a document of the tree, or 304 if the caller has it already."""
    data = json.dumps(content, sort_keys=True, indent=1).encode()
    etag = f'"{hashlib.sha256(data).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if etag in request.headers.get("If-None-Match", ""):
        return Response(None, 304, headers)
    return Response(data, 200, headers, "application/json")
