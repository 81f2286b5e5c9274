"""Check that a source still serves the same file."""

from catalog.errors import SourceChanged
from storage.protocols import SourceInfo


def require_same(masked: str, before: SourceInfo, now: SourceInfo) -> None:
    """Raise SourceChanged if a size or validator known to both differs; a missing value proves nothing."""
    pairs = ((before.size_bytes, now.size_bytes), (before.etag, now.etag), (before.last_modified, now.last_modified))
    if any(a is not None and b is not None and a != b for a, b in pairs):
        raise SourceChanged(masked, describe(before), describe(now))


def describe(info: SourceInfo) -> str:
    """Describe a file's validators in words."""
    size = "of unknown size" if info.size_bytes is None else f"{info.size_bytes} bytes"
    marks = (("ETag", info.etag), ("modified", info.last_modified))
    return ", ".join([size, *(f"{name} {value}" for name, value in marks if value)])


def guarded(info: SourceInfo) -> bool:
    """Tell whether anything but the size identifies the file."""
    return bool(info.etag or info.last_modified)
