"""What a tus client says, in the words of the protocol."""

import json
from base64 import b64encode

TUS = {"Tus-Resumable": "1.0.0"}


def metadata(flow: str, request: dict[str, object], filename: str = "a.raw") -> str:
    """Return an Upload-Metadata header."""
    said = {"flow": flow, "request": json.dumps(request), "filename": filename}
    return ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in said.items())


def creation(length: int, flow: str = "add_volume_image", **request: object) -> dict[str, str]:
    """Return the headers of a creation."""
    asked = {"name": "sent", "image_format": "raw", **request}
    return {**TUS, "Upload-Length": str(length), "Upload-Metadata": metadata(flow, asked)}


def piece(offset: int) -> dict[str, str]:
    """Return the headers of a PATCH."""
    return {**TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
