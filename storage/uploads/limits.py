"""Limits on the number of unfinished uploads and on a folder's room, checked before any byte arrives."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from catalog.errors import InvalidRequest
from storage.uploads.upload import Upload

MOST_UNFINISHED = 10
"""Unfinished uploads of all accounts together, as a multiple of one account's limit."""


def check_number(upload: Upload, unfinished: Sequence[Upload], each: int) -> None:
    """Raise InvalidRequest if too many are unfinished. each: limit of one account."""
    own = sum(other.owner == upload.owner for other in unfinished)
    if own >= each or len(unfinished) >= MOST_UNFINISHED * each:
        whose = f"account {upload.owner!r} has {own}" if own >= each else f"there are {len(unfinished)}"
        allowed = f"{whose} unfinished uploads, as many as may be; go on with one or discard it"
        raise InvalidRequest("file", upload.filename, allowed)


def check_room(upload: Upload, folder: Path, promised_bytes: int) -> None:
    """Raise InvalidRequest if a folder lacks room. promised_bytes: promised to others and not filled yet."""
    free = max(shutil.disk_usage(folder).free - promised_bytes, 0)
    if upload.length > free:
        raise InvalidRequest("file", f"{upload.length} bytes", f"its folder has room for {free} bytes")
