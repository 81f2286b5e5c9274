"""Uploads by token: tus 1.0 (https://tus.io/protocols/resumable-upload), as on the console's pages."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path
from starlette.requests import Request
from starlette.responses import Response

from console.api.v1.problems import OF_UPLOADS
from console.api.v1.signing import Who
from console.transfers.uploads import BODY, NotKept, TusServer, require_protocol

router = APIRouter(tags=["Uploads"])
UploadId = Annotated[
    str, Path(max_length=64, description="The last part of the Location returned when the upload was created.")
]
Spoken = Annotated[str | None, Header(alias="Tus-Resumable", description="1.0.0")]
Length = Annotated[str | None, Header(alias="Upload-Length", description="Bytes of the file.")]
Offset = Annotated[
    str | None,
    Header(alias="Upload-Offset", description="Offset of the first byte sent, which is the number of bytes kept."),
]
Metadata = Annotated[
    str | None,
    Header(
        alias="Upload-Metadata",
        description="`flow`, `request` (JSON of what the flow is asked with, but for `image_path`) and `filename`, each with "
        "its value in base64, separated by commas.",
    ),
]
EMPTY: dict[str, object] = {"description": "Done; what is kept is told by the headers."}
PIECE = {"requestBody": {"required": True, "content": {BODY: {"schema": {"type": "string", "format": "binary"}}}}}


def _tus(request: Request) -> TusServer:
    tus: TusServer = request.app.state.tus
    return tus


Tus = Annotated[TusServer, Depends(_tus)]


@router.options("/uploads", status_code=204, response_class=Response)
async def describe_uploads(tus: Tus) -> Response:
    """Return the supported version and extensions of tus."""
    return tus.describe()


@router.post("/uploads", status_code=201, response_class=Response, responses={201: EMPTY, **OF_UPLOADS})
async def create_upload(
    request: Request, who: Who, tus: Tus, _spoken: Spoken = None, _length: Length = None, _said: Metadata = None
) -> Response:
    """Create an upload for an add, after checking all that can be checked now; Location is the address for its bytes."""
    require_protocol(request)
    try:
        return await tus.create(request, who)
    except OSError as error:
        raise NotKept(error.strerror or "the disk refuses it") from error


@router.head("/uploads/{upload_id}", response_class=Response, responses={200: EMPTY, **OF_UPLOADS})
async def upload_offset(upload_id: UploadId, request: Request, who: Who, tus: Tus, _spoken: Spoken = None) -> Response:
    """Return in Upload-Offset how many bytes are kept."""
    require_protocol(request)
    return await tus.tell(upload_id, who)


@router.patch(
    "/uploads/{upload_id}",
    status_code=204,
    response_class=Response,
    responses={204: EMPTY, **OF_UPLOADS},
    openapi_extra=PIECE,
)
async def append_to_upload(
    upload_id: UploadId, request: Request, who: Who, tus: Tus, _spoken: Spoken = None, _offset: Offset = None
) -> Response:
    """Send the next bytes; all that arrive are kept, even if the connection breaks. The last byte starts the add, whose image has the upload's id."""
    require_protocol(request)
    try:
        return await tus.append(upload_id, request, who)
    except OSError as error:
        raise NotKept(error.strerror or "the disk refuses it") from error


@router.delete("/uploads/{upload_id}", status_code=204, response_class=Response, responses={204: EMPTY, **OF_UPLOADS})
async def discard_upload(upload_id: UploadId, request: Request, who: Who, tus: Tus, _spoken: Spoken = None) -> Response:
    """Discard an upload."""
    require_protocol(request)
    return await tus.discard(upload_id, who)
