"""Is it the same file? Before the browser goes on with an upload it compares these pieces with the file that was chosen."""

from hashlib import sha256

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from catalog.errors import UploadNotFound
from catalog.records import Record, SignedIn
from catalog.settings import Settings
from console.entrance.visitors import visitor_of
from console.visibility import sees_upload
from storage.uploads import Uploads

PIECE_BYTES = 1 << 20


class Piece(Record):
    """A piece of what is kept of an upload, `[start, end)` in bytes, and its digest."""

    start: int
    end: int
    sha256: str


class UploadPieces:
    """The endpoint of pieces."""

    def __init__(self, settings: Settings) -> None:
        self._uploads = Uploads(settings)

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/api/uploads/{id}/kept", self.pieces)]

    async def pieces(self, request: Request) -> Response:
        """Give the first and the last MiB that are kept, with their digests; nothing where nothing came yet."""
        try:
            found = await run_in_threadpool(self._pieces, request.path_params["id"], visitor_of(request))
        except UploadNotFound as error:
            return JSONResponse({"error": str(error)}, 404)
        return JSONResponse({"pieces": [piece.model_dump() for piece in found]})

    def _pieces(self, upload_id: str, who: SignedIn) -> list[Piece]:
        if not sees_upload(who, self._uploads.get(upload_id)):
            raise UploadNotFound(upload_id)
        offset = self._uploads.offset(upload_id)
        first = (0, min(PIECE_BYTES, offset))
        last = (max(first[1], offset - PIECE_BYTES), offset)
        with self._uploads.data(upload_id).open("rb") as file:
            found = []
            for start, end in (first, last):
                file.seek(start)
                if end > start:
                    digest = sha256(file.read(end - start)).hexdigest()
                    found.append(Piece(start=start, end=end, sha256=digest))
        return found
