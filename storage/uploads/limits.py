"""How many uploads may be unfinished, and how much room a folder has for one more: said before a byte comes."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from catalog.errors import InvalidRequest
from storage.uploads.upload import Upload

MOST_UNFINISHED = 10
"""Unfinished uploads of all accounts together, in multiples of what one account may have."""


def check_number(upload: Upload, unfinished: Sequence[Upload], each: int) -> None:
    """Raise InvalidRequest where as many are unfinished as may be. each: that an account may have."""
    own = sum(other.owner == upload.owner for other in unfinished)
    if own >= each or len(unfinished) >= MOST_UNFINISHED * each:
        whose = f"account {upload.owner!r} has {own}" if own >= each else f"there are {len(unfinished)}"
        allowed = f"{whose} unfinished uploads, as many as may be; go on with one or discard it"
        raise InvalidRequest("file", upload.filename, allowed)


def check_room(upload: Upload, folder: Path, promised_bytes: int) -> None:
    """Raise InvalidRequest where a folder lacks room. promised_bytes: to others, not filled yet."""
    free = max(shutil.disk_usage(folder).free - promised_bytes, 0)
    if upload.length > free:
        raise InvalidRequest("file", f"{upload.length} bytes", f"its folder has room for {free} bytes")
