"""Announcements of uploads, before the bytes are sent or as a correction, checked as their add would be."""

import json
from base64 import b64decode
from collections.abc import Mapping

from catalog.errors import InvalidRequest
from catalog.records import Image
from catalog.units import utc_now
from flows.add.draft import draft_image
from flows.registry import OPERATIONS, Operation
from flows.requests import AddSystemImage, AddVolumeImage
from storage.uploads import Upload, url_of

AnAdd = AddSystemImage | AddVolumeImage
FLOWS: Mapping[str, type[AnAdd]] = {
    row.name: row.request for row in OPERATIONS.values() if row.adds and issubclass(row.request, AnAdd)
}
"""The operations that add an image, by their flow's name."""
TOLD = 40


def request_for(upload_id: str, flow: str, request: Mapping[str, object]) -> AnAdd:
    """Return the request for an upload's add. Raises InvalidRequest, pydantic's ValidationError."""
    return model_of(flow).model_validate({**request, "image_path": url_of(upload_id), "image_id": upload_id})


def announced(upload_id: str, flow: str, asked: AnAdd, length: int, filename: str) -> tuple[Upload, Image]:
    """Return an upload for an announced image. Raises InvalidRequest."""
    now = utc_now()
    draft = draft_image(asked, upload_id, now).image
    said = asked.model_dump_json(exclude_unset=True)
    return (
        Upload(id=upload_id, length=length, filename=filename, flow=flow, request=said, created_at=now),
        draft,
    )


def row_named(flow: str) -> Operation:
    """Return the row of a flow that adds an image. Raises InvalidRequest."""
    model_of(flow)
    return OPERATIONS[flow]


def model_of(flow: str) -> type[AnAdd]:
    """Return a flow's request model. Raises InvalidRequest for a flow that adds no image."""
    if flow not in FLOWS:
        raise InvalidRequest("flow", flow, f"one of {', '.join(FLOWS)}")
    return FLOWS[flow]


def object_of(text: str | bytes) -> dict[str, object]:
    """Parse JSON into an object. Raises InvalidRequest."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # not JSON, or nested too deeply
        found = None
    if not isinstance(found, dict):
        raise InvalidRequest("request", text[:TOLD], "the JSON of an object")
    return found


def metadata_of(header: str) -> dict[str, str]:
    """Parse Upload-Metadata: pairs of a key and its value in base64. Raises InvalidRequest."""
    pairs = [pair.split() for pair in header.split(",") if pair.strip()]
    try:
        return {pair[0]: b64decode(pair[1], validate=True).decode() if pair[1:] else "" for pair in pairs}
    except ValueError as error:
        raise InvalidRequest("Upload-Metadata", "…", "keys with values in base64 of UTF-8") from error
