"""What an HTTP answer says about the file: size, validators, place in the file."""

import re

from catalog.errors import SourceChanged, TransferInterrupted
from storage.protocols import SourceInfo
from storage.sources.http_body import content_length
from storage.sources.http_exchange import Answer
from storage.sources.wire import Broken

MAX_VALIDATOR = 1024
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)\Z")


def info_of(answer: Answer, masked: str, *, ranges: bool) -> SourceInfo:
    """Read a SourceInfo out of an answer; `ranges`: the server is known to serve them."""
    try:
        size = total(answer) if answer.status in (206, 416) else length(answer)
    except Broken as error:
        raise TransferInterrupted(masked, 0, str(error)) from error
    etag, modified = (_shown(answer.header(name)) for name in ("ETag", "Last-Modified"))
    strong = etag if etag.startswith('"') and len(etag) > 2 else None
    return SourceInfo(
        url=masked,
        size_bytes=size,
        etag=strong,
        last_modified=modified or None,
        resumable=ranges and size is not None and bool(strong or modified),
        address=answer.wire.address,
    )


def _shown(value: str) -> str:
    """Return a validator, empty where it can't be shown in a sentence: then it is none."""
    return value if value.isprintable() and len(value) <= MAX_VALIDATOR else ""


def range_headers(start: int, end: int | None, info: SourceInfo) -> dict[str, str]:
    """Return the headers that ask for `[start, end)` of exactly the file that `info` describes."""
    last = "" if end is None else str(end - 1)
    validator = info.etag or info.last_modified
    return {"Range": f"bytes={start}-{last}"} | ({"If-Range": validator} if validator else {})


def require_same(masked: str, before: SourceInfo, now: SourceInfo) -> None:
    """Raise SourceChanged if both know a size or validator and it differs; what one leaves out proves nothing."""
    pairs = (
        (before.size_bytes, now.size_bytes),
        (before.etag, now.etag),
        (before.last_modified, now.last_modified),
    )
    if any(a is not None and b is not None and a != b for a, b in pairs):
        raise SourceChanged(masked, describe(before), describe(now))


def describe(info: SourceInfo) -> str:
    """Say in words what identifies a file."""
    size = "of unknown size" if info.size_bytes is None else f"{info.size_bytes} bytes"
    marks = (("ETag", info.etag), ("modified", info.last_modified))
    return ", ".join([size, *(f"{name} {value}" for name, value in marks if value)])


def guarded(info: SourceInfo) -> bool:
    """Tell whether anything but the size identifies the file."""
    return bool(info.etag or info.last_modified)


def announces_ranges(answer: Answer) -> bool:
    """Tell whether the server says that it serves ranges."""
    return answer.header("Accept-Ranges").lower() == "bytes"


def coding_of(answer: Answer) -> str:
    """Return the Content-Encoding that must be undone.

    Some servers label a .gz file itself as gzip-encoded; what is then sent is the file, as browsers know too.
    """
    coding = answer.header("Content-Encoding").lower()
    named_gzip = re.search(r"\.t?gz\Z", answer.url.path, re.IGNORECASE) is not None
    return "" if coding == "identity" or (named_gzip and coding in ("gzip", "x-gzip")) else coding


def length(answer: Answer) -> int | None:
    """Return the size of the file itself, None where the length is that of an encoding or unknown."""
    if coding_of(answer) or answer.header("Transfer-Encoding"):
        return None
    return content_length(answer)


def total(answer: Answer) -> int | None:
    """Return the size of the whole file out of Content-Range."""
    found = _CONTENT_RANGE.match(answer.header("Content-Range"))
    return int(found.group(3)) if found and found.group(3) != "*" else None


def start_of(answer: Answer) -> int:
    """Return the first byte that the answer's body has; -1 for an answer that does not say."""
    if answer.status != 206:
        return 0
    found = _CONTENT_RANGE.match(answer.header("Content-Range"))
    return int(found.group(1)) if found and found.group(1) else -1
