"""The exact bytes of images and exports, and which ranges of them are data."""

import json
from collections.abc import Iterator

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from catalog.errors import DigestMismatch
from catalog.records import ExportedImage, Replica
from catalog.rules.images.naming import download_name, file_name
from console.api.v1.listings import Id, one
from console.api.v1.signing import Here, Who
from console.thread_pools import catalogs
from console.transfers.downloads import ExportedFiles, headers_of, proven_file
from console.transfers.ranges import Offer, RangedAnswer
from console.transfers.replica_contents import OpenReaders, same_file, whole_file
from console.visibility import Visibility

router = APIRouter(tags=["Contents"])
BYTES: dict[int | str, dict[str, object]] = {
    200: {"description": "All bytes.", "content": {"application/octet-stream": {}}},
    206: {
        "description": "The bytes asked for.",
        "content": {"application/octet-stream": {}, "multipart/byteranges": {}},
    },
    304: {"description": "The asker has them already."},
    412: {"description": "They are others than the asker expects."},
    416: {"description": "There are no such bytes."},
}
AT_ONCE = 1000
"""Ranges written at once."""


class Extent(BaseModel):
    """A range of a file. data: false for a hole, which reads as zeros."""

    start: int
    length: int
    data: bool


@router.head("/images/{image_id}/content", response_class=Response, responses=BYTES, operation_id="image_content_head")
@router.get("/images/{image_id}/content", response_class=Response, responses=BYTES, operation_id="image_content")
async def image_content(image_id: Id, request: Request, who: Who, settings: Here) -> Response:
    """Send the file as stored, read directly from its pieces; each piece is verified as it is read."""
    replicas, name = await catalogs(one, settings, who, lambda visibility: _stored(visibility, image_id))
    readers: OpenReaders = request.app.state.readers
    first = replicas[0]
    return RangedAnswer(
        Offer(size_bytes=first.size_bytes, etag=_etag(first), headers=headers_of(first.md5, first.sha256, name)),
        lambda: whole_file(readers, replicas),
    )


def _stored(visibility: Visibility, image_id: str) -> tuple[list[Replica], str]:
    image = visibility.image(image_id)
    replicas = list(same_file(visibility.catalog, image))
    return replicas, file_name(image.name, image.version, replicas[0].format)


def _etag(replica: Replica) -> str:
    """Return a file's ETag; if a storage converted it and it has no digest yet, by place and time of the replica."""
    if replica.sha256 is not None:
        return f'"sha256:{replica.sha256}"'
    return f'"{replica.image_id}@{replica.created_at.timestamp()}:{replica.size_bytes}"'


@router.get("/images/{image_id}/extents", response_model=list[Extent])
async def image_extents(image_id: Id, request: Request, who: Who, settings: Here) -> Response:
    """List which ranges of the file are data; all others are zeros and need not be fetched."""
    replicas, _ = await catalogs(one, settings, who, lambda visibility: _stored(visibility, image_id))
    readers: OpenReaders = request.app.state.readers

    def extents() -> Iterator[tuple[int, int, bool]]:
        with whole_file(readers, replicas) as file:
            yield from file.extents()

    return StreamingResponse(_array(extents()), media_type="application/json", headers={"ETag": _etag(replicas[0])})


def _array(extents: Iterator[tuple[int, int, bool]]) -> Iterator[str]:
    """Yield a JSON array, a thousand ranges at a time: a file may have millions of them."""
    begun, some = "[", list[str]()
    for start, end, is_hole in extents:
        some.append(json.dumps({"start": start, "length": end - start, "data": not is_hole}))
        if len(some) == AT_ONCE:
            yield begun + ",".join(some)
            begun, some = ",", []
    yield (begun + ",".join(some) if some else "[" if begun == "[" else "") + "]"


@router.head(
    "/exports/{export_id}/content", response_class=Response, responses=BYTES, operation_id="export_content_head"
)
@router.get("/exports/{export_id}/content", response_class=Response, responses=BYTES, operation_id="export_content")
async def export_content(export_id: Id, request: Request, who: Who, settings: Here) -> Response:
    """Send an exported file, provided that it is unchanged since it was verified at its export."""
    files: ExportedFiles = request.app.state.exported

    def found(visibility: Visibility) -> tuple[ExportedImage, str]:
        export = visibility.export(export_id)
        return export, download_name(visibility.catalog.image(export.image_id), export)

    export, _ = await catalogs(one, settings, who, found)
    offered = await files.proven(export.id)
    if offered is None:
        raise DigestMismatch(export.path, f"sha256:{export.sha256}", "another file, or none; export the image again")
    return proven_file(offered, f'"sha256:{export.sha256}"', settings)
