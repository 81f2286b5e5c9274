"""tus 1.0 (https://tus.io/protocols/resumable-upload): creation, expiration, termination. The last byte starts the add."""

import json
import os
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from email.utils import format_datetime
from uuid import uuid4

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from catalog.errors import ImagewrightError, InvalidRequest, UploadBusy, UploadNotFound
from catalog.settings import Settings
from console.starting import start
from flows.drafts import draft_image
from flows.requests import AddSystemImage, AddVolumeImage
from flows.sentences import sentence
from storage.uploads import Upload, Uploads, url_of
from tasks.plan_add import check_draft

VERSION = "1.0.0"
PROTOCOL = {"Tus-Resumable": VERSION, "Cache-Control": "no-store"}
BODY = "application/offset+octet-stream"
FLOWS: Mapping[str, type[AddSystemImage | AddVolumeImage]] = {
    "add_system_image": AddSystemImage,
    "add_volume_image": AddVolumeImage,
}
WRITE_BYTES = 1 << 20  # what is written at once: a hop into a thread each

Handler = Callable[[Request], Awaitable[Response]]


class TusServer:
    """The endpoints below /uploads."""

    def __init__(self, settings: Settings) -> None:
        self._uploads, self._settings = Uploads(settings), settings

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/uploads", self.describe, methods=["OPTIONS"]),
            Route("/uploads", _checked(self.create), methods=["POST"]),
            Route("/uploads/{id}", _checked(self.tell), methods=["HEAD"]),
            Route("/uploads/{id}", _checked(self.append), methods=["PATCH"]),
            Route("/uploads/{id}", _checked(self.discard), methods=["DELETE"]),
        ]

    async def describe(self, _request: Request) -> Response:
        """Say what is spoken here."""
        spoken = {
            "Tus-Version": VERSION,
            "Tus-Extension": "creation,expiration,termination",
            "Tus-Max-Size": str(self._settings.max_virtual_size),
        }
        return Response(status_code=204, headers={**PROTOCOL, **spoken})

    async def create(self, request: Request) -> Response:
        """Begin an upload for an add that could go through as far as can be told now."""
        length = _number(request, "Upload-Length")
        if length > self._settings.max_virtual_size:
            raise InvalidRequest("file", f"{length} bytes", f"at most {self._settings.max_virtual_size}")
        upload = await run_in_threadpool(_announced, _metadata(request), length)
        await run_in_threadpool(self._uploads.create, upload)
        return Response(
            status_code=201, headers={"Location": f"/uploads/{upload.id}", **self._expiry(upload)}
        )

    async def tell(self, request: Request) -> Response:
        """Say how much is kept."""
        upload = self._uploads.get(request.path_params["id"])
        kept = {
            "Upload-Offset": str(self._uploads.offset(upload.id)),
            "Upload-Length": str(upload.length),
        }
        return Response(headers={**kept, **self._expiry(upload)})

    async def append(self, request: Request) -> Response:
        """Take the next bytes, keeping all that come however it ends; with the last one, start the add."""
        if request.headers.get("Content-Type") != BODY:
            return JSONResponse({"error": f"Content-Type has to be {BODY}"}, 415)
        upload = self._uploads.get(request.path_params["id"])
        with ExitStack() as stack:
            fd = stack.enter_context(self._uploads.appending(upload.id))
            offset = os.fstat(fd).st_size
            if _number(request, "Upload-Offset") != offset:
                return JSONResponse({"error": f"the next byte is {offset}"}, 409)
            offset = await _take(request, fd, offset, upload.length)
            await run_in_threadpool(stack.close)
        if offset == upload.length:
            await start(upload.flow, json.loads(upload.request), key=f"upload-{upload.id}")
        return Response(status_code=204, headers={"Upload-Offset": str(offset), **self._expiry(upload)})

    async def discard(self, request: Request) -> Response:
        """Forget an upload."""
        upload = self._uploads.get(request.path_params["id"])
        await run_in_threadpool(self._uploads.discard, upload.id)
        return Response(status_code=204)

    def _expiry(self, upload: Upload) -> dict[str, str]:
        return {"Upload-Expires": format_datetime(self._uploads.expires_at(upload.id), usegmt=True)}


def _announced(metadata: dict[str, str], length: int) -> Upload:
    """Return the upload that the metadata announce. Raises what its add would fail with before a byte moves."""
    flow, upload_id = metadata.get("flow", ""), str(uuid4())
    if flow not in FLOWS:
        raise InvalidRequest("flow", flow, f"one of {', '.join(FLOWS)}")
    asked = {**_object(metadata.get("request", "")), "image_path": url_of(upload_id), "image_id": upload_id}
    request = FLOWS[flow].model_validate(asked)
    now = datetime.now(UTC)
    check_draft(draft_image(request, upload_id, now), length)
    return Upload(
        id=upload_id, length=length, filename=metadata.get("filename", ""), flow=flow, request=request.model_dump_json(exclude_unset=True),
        created_at=now,
    )  # fmt: skip


def _object(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # no JSON, or nested too deeply
        found = None
    if not isinstance(found, dict):
        raise InvalidRequest("request", text[:40], "the JSON of an object")
    return found


async def _take(request: Request, fd: int, offset: int, length: int) -> int:
    """Append the body; return the offset after it. Raises InvalidRequest for bytes past the announced length."""
    waiting = bytearray()
    try:
        async for part in request.stream():
            if offset + len(waiting) + len(part) > length:
                raise InvalidRequest("file", "more bytes", f"{length} were announced")
            waiting += part
            if len(waiting) >= WRITE_BYTES:
                offset += await run_in_threadpool(_write, fd, waiting)
                waiting = bytearray()
    except ClientDisconnect:
        pass  # nobody reads the answer; what came is kept
    return offset + await run_in_threadpool(_write, fd, waiting)


def _write(fd: int, data: bytearray) -> int:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    return len(data)


def _metadata(request: Request) -> dict[str, str]:
    """Return what Upload-Metadata says: pairs of a key and its value in base64. Raises InvalidRequest."""
    pairs = [pair.split() for pair in request.headers.get("Upload-Metadata", "").split(",") if pair.strip()]
    try:
        return {pair[0]: b64decode(pair[1], validate=True).decode() if pair[1:] else "" for pair in pairs}
    except ValueError as error:
        raise InvalidRequest("Upload-Metadata", "…", "keys with values in base64 of UTF-8") from error


def _number(request: Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidRequest(header, text, "a number of bytes")
    return int(text)


def _checked(handler: Handler) -> Handler:
    """Answer other versions of the protocol and our errors as tus asks for."""

    async def checked(request: Request) -> Response:
        if request.headers.get("Tus-Resumable") != VERSION:
            answer: Response = JSONResponse({"error": f"only tus {VERSION} is spoken here"}, 412)
            answer.headers["Tus-Version"] = VERSION
        else:
            answer = await _answered(handler, request)
        answer.headers.update(PROTOCOL)
        return answer

    return checked


async def _answered(handler: Handler, request: Request) -> Response:
    try:
        return await handler(request)
    except ValidationError as error:
        return JSONResponse({"error": sentence(error)}, 422)
    except OSError as error:
        return JSONResponse({"error": f"the upload could not be kept: {error.strerror}"}, 507)
    except ImagewrightError as error:
        statuses: dict[type[ImagewrightError], int] = {UploadNotFound: 404, UploadBusy: 423}
        return JSONResponse({"error": str(error)}, statuses.get(type(error), 422))
