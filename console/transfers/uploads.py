"""tus 1.0 (https://tus.io/protocols/resumable-upload): creation, expiration, termination. The last byte starts the add.

One implementation, mounted twice: below `/uploads` for pages (`upload_routes.py`), below `/api/v1/uploads` for
programs.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from email.utils import format_datetime
from uuid import uuid4

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from catalog.errors import ImagewrightError, InvalidRequest, UploadNotFound
from catalog.records import Door, Image, SignedIn
from catalog.rules.accounts.roles import require
from catalog.settings import Settings
from console.authority import checked
from console.entrance.visitors import caller_of
from console.thread_pools import rooms
from console.transfers.adding import Adding
from console.transfers.announcing import announced, metadata_of, object_of, request_for, row_named
from console.transfers.receiving import Receiving, Refused
from console.visibility import sees_upload
from storage.uploads import Turn, Upload
from tasks.add.uploads import discard_upload, promise_room
from tasks.runtime.uploads import open_uploads

VERSION = "1.0.0"
PROTOCOL: Mapping[str, str] = {"Tus-Resumable": VERSION, "Cache-Control": "no-store"}
RUN = "Imagewright-Run"
"""Header that names the run which adds an upload."""
BODY = "application/offset+octet-stream"


class OtherProtocol(ImagewrightError):
    """The request names an unsupported version of tus, or none."""

    def __init__(self, given: str) -> None:
        self.given, self.spoken = given, VERSION
        super().__init__(f"Tus-Resumable: {given!r} is not allowed; only tus {VERSION} is spoken here")


class NoPiece(ImagewrightError):
    """The request's Content-Type is not that of a piece of an upload."""

    def __init__(self, given: str) -> None:
        self.given, self.allowed = given, BODY
        super().__init__(f"Content-Type: {given!r} is not allowed; send bytes as {BODY}")


class WrongOffset(ImagewrightError):
    """The piece does not begin where the kept bytes end."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        super().__init__(f"the next byte is {offset}; go on from there")


class NotKept(ImagewrightError):
    """The disk could not store the bytes sent."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the upload could not be kept: {reason}")


class TusServer:
    """The operations on uploads, on behalf of a caller. place: their path prefix; door: the callers'.

    Every method raises our errors, pydantic's for an invalid request, and OSError for a full disk.
    """

    def __init__(self, settings: Settings, place: str, door: Door) -> None:
        self._uploads, self._settings, self._adding = open_uploads(settings), settings, Adding(settings)
        self._place, self._door = place, door

    def describe(self) -> Response:
        """Answer with the supported protocol."""
        spoken = {
            "Tus-Version": VERSION,
            "Tus-Extension": "creation,expiration,termination",
            "Tus-Max-Size": str(self._settings.max_virtual_size),
        }
        return Response(status_code=204, headers={**PROTOCOL, **spoken})

    async def create(self, request: Request, who: SignedIn) -> Response:
        """Create an upload, if its add could succeed as far as is known now."""
        require(who, "add", "send files")
        length, said = (
            _number(request, "Upload-Length"),
            metadata_of(request.headers.get("Upload-Metadata", "")),
        )
        if length > self._settings.max_virtual_size:
            raise InvalidRequest("file", f"{length} bytes", f"at most {self._settings.max_virtual_size} bytes")
        upload, draft = await run_in_threadpool(self._begun, said, length, who)
        try:
            await rooms(self._promise, draft, length)
        except BaseException:
            await run_in_threadpool(discard_upload, self._uploads, upload.id)
            raise
        return Response(
            status_code=201, headers={"Location": f"{self._place}/{upload.id}", **await self._expiry(upload)}
        )

    def _begun(self, said: dict[str, str], length: int, who: SignedIn) -> tuple[Upload, Image]:
        upload_id, row = str(uuid4()), row_named(said.get("flow", ""))
        asked = request_for(upload_id, row.name, object_of(said.get("request", "")))
        asked = checked(self._settings, who, row, asked, self._door)
        upload, draft = announced(upload_id, row.name, asked, length, said.get("filename", ""))
        upload = upload.model_copy(update={"identity": caller_of(who).identity, "door": self._door})
        self._uploads.create(upload, draft.image_storages)
        return upload, draft

    def _promise(self, draft: Image, length: int) -> None:
        """Reserve room. Raises the error with which the add would fail before any transfer."""
        promise_room(draft, length, self._uploads.bucket_of(draft.id))
        try:
            self._uploads.get(draft.id)
        except UploadNotFound:  # the check took too long and was given up
            discard_upload(self._uploads, draft.id)

    async def tell(self, upload_id: str, who: SignedIn) -> Response:
        """Answer with the number of stored bytes."""
        upload = await self._own(upload_id, who)
        kept = {
            "Upload-Offset": str(await run_in_threadpool(self._uploads.offset, upload.id)),
            "Upload-Length": str(upload.length),
        }
        return Response(headers={**kept, **await self._expiry(upload), **await self._run(upload)})

    async def append(self, upload_id: str, request: Request, who: SignedIn) -> Response:
        """Receive the next bytes and store them however the request ends; with the last one, start the add."""
        if request.headers.get("Content-Type") != BODY:
            raise NoPiece(request.headers.get("Content-Type", ""))
        upload = await self._own(upload_id, who)
        with ExitStack() as stack:
            turn = await run_in_threadpool(self._turn, upload, stack)
            receiving = Receiving(self._settings, self._uploads, upload, turn)
            if _number(request, "Upload-Offset") != receiving.offset:
                raise WrongOffset(receiving.offset)
            await receiving.take(request)
            await run_in_threadpool(stack.close)
        kept = {"Upload-Offset": str(receiving.offset), **await self._expiry(upload)}
        if receiving.offset == upload.length:
            await self._adding.begin_once(upload)
        return Response(status_code=204, headers={**kept, **await self._run(upload)})

    def _turn(self, upload: Upload, stack: ExitStack) -> Turn:
        """Hold the turn at an upload until the stack is closed. Raises Refused, UploadBusy, UploadNotFound."""
        if refusal := self._uploads.refusal(upload.id):
            raise Refused(refusal)
        return stack.enter_context(self._uploads.appending(upload.id))

    async def discard(self, upload_id: str, who: SignedIn) -> Response:
        """Discard an upload."""
        upload = await self._own(upload_id, who)
        await run_in_threadpool(discard_upload, self._uploads, upload.id)
        return Response(status_code=204)

    async def _own(self, upload_id: str, who: SignedIn) -> Upload:
        """Return an upload of the caller's account.

        Raises NotAllowed, UploadNotFound also for another account's upload.
        """
        require(who, "add", "send files")
        upload = await run_in_threadpool(self._uploads.get, upload_id)
        if not sees_upload(who, upload):
            raise UploadNotFound(upload_id)
        return upload

    async def _run(self, upload: Upload) -> dict[str, str]:
        """Return the header that names an upload's add run, once there is one."""
        runs = await run_in_threadpool(self._uploads.runs, upload.id)
        return {RUN: runs[-1]} if runs else {}

    async def _expiry(self, upload: Upload) -> dict[str, str]:
        expires = await run_in_threadpool(self._uploads.expires_at, upload.id)
        return {"Upload-Expires": format_datetime(expires, usegmt=True)}


def require_protocol(request: Request) -> None:
    """Raise OtherProtocol unless a request uses the supported tus version."""
    given = request.headers.get("Tus-Resumable", "")
    if given != VERSION:
        raise OtherProtocol(given)


def _number(request: Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidRequest(header, text, "a number of bytes")
    return int(text)
