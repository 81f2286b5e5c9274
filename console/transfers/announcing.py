"""What a file is announced as, before it is sent and again when that was wrong: checked as its add would be."""

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
"""What adds an image, by its flow's name."""
TOLD = 40


def request_for(upload_id: str, flow: str, request: Mapping[str, object]) -> AnAdd:
    """Return what the add of an upload is asked with. Raises InvalidRequest, ValidationError of pydantic."""
    return model_of(flow).model_validate({**request, "image_path": url_of(upload_id), "image_id": upload_id})


def announced(upload_id: str, flow: str, asked: AnAdd, length: int, filename: str) -> tuple[Upload, Image]:
    """Return an upload with the image it is to become. Raises InvalidRequest."""
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
    """Return what a flow is asked with. Raises InvalidRequest for one that adds no image."""
    if flow not in FLOWS:
        raise InvalidRequest("flow", flow, f"one of {', '.join(FLOWS)}")
    return FLOWS[flow]


def object_of(text: str | bytes) -> dict[str, object]:
    """Return the object that JSON says. Raises InvalidRequest."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # no JSON, or nested too deeply
        found = None
    if not isinstance(found, dict):
        raise InvalidRequest("request", text[:TOLD], "the JSON of an object")
    return found


def metadata_of(header: str) -> dict[str, str]:
    """Return what Upload-Metadata says: pairs of a key and its value in base64. Raises InvalidRequest."""
    pairs = [pair.split() for pair in header.split(",") if pair.strip()]
    try:
        return {pair[0]: b64decode(pair[1], validate=True).decode() if pair[1:] else "" for pair in pairs}
    except ValueError as error:
        raise InvalidRequest("Upload-Metadata", "…", "keys with values in base64 of UTF-8") from error
