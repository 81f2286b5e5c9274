"""Uploads from pages: tus below /uploads, with errors in the pages' format."""

from collections.abc import Awaitable, Callable, Mapping

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from catalog.errors import (
    CatalogUnavailable,
    ImagewrightError,
    NotAllowed,
    NotSignedIn,
    OtherAccount,
    StorageUnavailable,
    UploadBusy,
    UploadNotFound,
)
from catalog.settings import Settings
from console.entrance.visitors import DOOR, visitor_of
from console.starting import ServerUnavailable
from console.thread_pools import TookTooLong
from console.transfers.uploads import (
    PROTOCOL,
    VERSION,
    NoPiece,
    NotKept,
    OtherProtocol,
    TusServer,
    WrongOffset,
    require_protocol,
)
from flows.requests.sentences import sentence

PATH = "/uploads"
AGAIN_S = 5
"""Retry-After for something that does not answer now."""
STATUSES: Mapping[type[ImagewrightError], int] = {
    UploadNotFound: 404, UploadBusy: 423, ServerUnavailable: 503, TookTooLong: 503, OtherProtocol: 412, NoPiece: 415,
    WrongOffset: 409, NotKept: 507, NotSignedIn: 401, NotAllowed: 403, OtherAccount: 403, StorageUnavailable: 503,
    CatalogUnavailable: 503,
}  # fmt: skip
"""Statuses of errors, which decide what a client does next: 422 is final, 503 is retried."""

Handler = Callable[[Request], Awaitable[Response]]


class UploadRoutes:
    """The endpoints below /uploads."""

    def __init__(self, settings: Settings) -> None:
        self._tus = TusServer(settings, PATH, DOOR)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(PATH, self._describe, methods=["OPTIONS"]),
            Route(PATH, _checked(self._create), methods=["POST"]),
            Route(f"{PATH}/{{id}}", _checked(self._tell), methods=["HEAD"]),
            Route(f"{PATH}/{{id}}", _checked(self._append), methods=["PATCH"]),
            Route(f"{PATH}/{{id}}", _checked(self._discard), methods=["DELETE"]),
        ]

    async def _describe(self, _request: Request) -> Response:
        return self._tus.describe()

    async def _create(self, request: Request) -> Response:
        return await self._tus.create(request, visitor_of(request))

    async def _tell(self, request: Request) -> Response:
        return await self._tus.tell(request.path_params["id"], visitor_of(request))

    async def _append(self, request: Request) -> Response:
        return await self._tus.append(request.path_params["id"], request, visitor_of(request))

    async def _discard(self, request: Request) -> Response:
        return await self._tus.discard(request.path_params["id"], visitor_of(request))


def _checked(handler: Handler) -> Handler:
    """Answer other protocol versions and our errors as tus requires."""

    async def checked(request: Request) -> Response:
        answer = await _answered(handler, request)
        answer.headers.update(PROTOCOL)
        if answer.status_code == STATUSES[OtherProtocol]:
            answer.headers["Tus-Version"] = VERSION
        return answer

    return checked


async def _answered(handler: Handler, request: Request) -> Response:
    try:
        require_protocol(request)
        return await handler(request)
    except ValidationError as error:
        return JSONResponse({"error": sentence(error)}, 422)
    except OSError as error:
        return refused(NotKept(error.strerror or "the disk refuses it"))
    except ImagewrightError as error:
        return refused(error)


def refused(error: ImagewrightError) -> Response:
    """Answer with what is wrong with a request, or with what does not answer and when to try again."""
    status = STATUSES.get(type(error), 422)
    again = {"Retry-After": str(AGAIN_S)} if status == STATUSES[ServerUnavailable] else {}
    return JSONResponse({"error": str(error)}, status, again)
