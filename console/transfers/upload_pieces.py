"""Digests of stored pieces of an upload, which the browser compares with the chosen file before it resumes."""

from hashlib import sha256

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from catalog.errors import ImagewrightError, UploadNotFound
from catalog.records import Record, SignedIn
from catalog.settings import Settings
from console.entrance.visitors import visitor_of
from console.transfers.upload_routes import refused
from console.visibility import sees_upload
from tasks.runtime.uploads import open_uploads

PIECE_BYTES = 1 << 20


class Piece(Record):
    """A stored piece of an upload, `[start, end)` in bytes, and its digest."""

    start: int
    end: int
    sha256: str


class UploadPieces:
    """The endpoint of pieces."""

    def __init__(self, settings: Settings) -> None:
        self._uploads = open_uploads(settings)

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/api/uploads/{id}/kept", self.pieces)]

    async def pieces(self, request: Request) -> Response:
        """Return the first and the last stored MiB with their digests; nothing for an empty upload."""
        try:
            found = await run_in_threadpool(self._pieces, request.path_params["id"], visitor_of(request))
        except ImagewrightError as error:
            return refused(error)
        return JSONResponse({"pieces": [piece.model_dump() for piece in found]})

    def _pieces(self, upload_id: str, who: SignedIn) -> list[Piece]:
        if not sees_upload(who, self._uploads.get(upload_id)):
            raise UploadNotFound(upload_id)
        offset = self._uploads.offset(upload_id)
        first = (0, min(PIECE_BYTES, offset))
        last = (max(first[1], offset - PIECE_BYTES), offset)
        pieces = [
            (start, end, self._uploads.read(upload_id, start, end)) for start, end in (first, last) if end > start
        ]
        return [Piece(start=start, end=end, sha256=sha256(data).hexdigest()) for start, end, data in pieces]
