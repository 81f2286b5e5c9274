"""The information about a file in an HTTP answer: size, validators, offset."""

import re
from enum import Enum

from catalog.errors import TransferInterrupted
from storage.protocols import SourceInfo
from storage.sources.http.body import content_length, transfer_coding_of
from storage.sources.http.exchange import Answer
from storage.sources.network.wire import Broken

MAX_VALIDATOR = 1024
WHOLE = (200, 203)  # 203: proxies that scan downloads use it
NO_RANGES_HELP = (401, 404, 407, 410, 429, 451)
"""Refusals that don't concern ranges: the server would answer a plain request the same."""
_NO_CODINGS = ("", "identity", "none", "binary", "7bit", "8bit", "utf-8", "aws-chunked")
_KINDS = ("xz", "lzma", "bzip2", "zstd", "zip", "tar")  # file types that Apache's AddEncoding may label
_VOID_CODINGS = frozenset((*_NO_CODINGS, *_KINDS, *(f"x-{kind}" for kind in _KINDS)))
"""Content-Encodings that change nothing: the bytes are examined anyway."""
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)\Z")


def info_of(answer: Answer, masked: str, *, ranges: bool, encoded: bool | None = None) -> SourceInfo:
    """Make a SourceInfo from an answer.

    ranges: the server is known to serve them. encoded: whether its body must be decoded; None: as it says itself.
    """
    encoded = bool(coding_of(answer)) if encoded is None else encoded
    try:
        partial = answer.status in (206, 416)
        size = None if encoded else total(answer) if partial else length(answer)
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
    """Return a validator, empty if it can't be shown in a sentence: it then does not count."""
    return value if value.isprintable() and len(value) <= MAX_VALIDATOR else ""


def range_headers(start: int, end: int | None, info: SourceInfo) -> dict[str, str]:
    """Return the headers of a request for `[start, end)` of exactly the file described by `info`."""
    last = "" if end is None else str(end - 1)
    validator = info.etag or info.last_modified
    return {"Range": f"bytes={start}-{last}"} | ({"If-Range": validator} if validator else {})


class Likeness(Enum):
    """Whether two answers describe the same file, as far as size and validators tell."""

    SAME = "same"
    DOUBTFUL = "doubtful"  # other ETags, but size and time agree: mirrors, or a file replaced with its time kept
    OTHER = "other"


def likeness(before: SourceInfo, now: SourceInfo) -> Likeness:
    """Compare two probes; a missing value proves nothing. Equal strong ETags outweigh different times.

    Mirrors behind one name may have different times for a file, or different ETags.
    """
    if None not in (before.size_bytes, now.size_bytes) and before.size_bytes != now.size_bytes:
        return Likeness.OTHER
    same_etag = _agree(before.etag, now.etag)
    same_time = _agree(before.last_modified, now.last_modified)
    if same_etag is False and same_time:
        return Likeness.DOUBTFUL
    return Likeness.SAME if same_etag or (same_etag is None and same_time is not False) else Likeness.OTHER


def _agree(one: str | None, other: str | None) -> bool | None:
    return None if one is None or other is None else one == other


def misses_the_start(answer: Answer) -> bool:
    """Tell whether the answer to a range of first bytes says nothing about a plain request for the file.

    Firewalls and download scripts fail on a Range, each with its own status; others send another range.
    """
    if answer.status == 206:
        return start_of(answer) != 0
    if answer.status < 400 or answer.status in NO_RANGES_HELP:
        return False
    return answer.status == 416 or not answer.header("Retry-After")


def announces_ranges(answer: Answer) -> bool:
    """Tell whether the server announces support for ranges."""
    return answer.header("Accept-Ranges").lower() == "bytes"


def coding_of(answer: Answer) -> str:
    """Return the Content-Encoding to decode, empty for none and for a label that changes nothing.

    Some servers label a .gz file itself as gzip-encoded and then send the file, as browsers know too.
    """
    listed = ",".join(answer.headers.all("Content-Encoding")).lower().split(",")
    codings = [coding for text in listed if (coding := text.strip()) not in _VOID_CODINGS]
    named_gzip = any(re.search(r"\.t?gz\Z", url.path, re.IGNORECASE) for url in (answer.asked, answer.url))
    if codings in (["gzip"], ["x-gzip"]):
        return "" if named_gzip else "gzip"
    return ", ".join(codings)


def length(answer: Answer) -> int | None:
    """Return the size of the whole body, None if it is not announced."""
    return None if transfer_coding_of(answer) else content_length(answer)


def total(answer: Answer) -> int | None:
    """Return the size of the whole file from Content-Range."""
    found = _CONTENT_RANGE.match(answer.header("Content-Range"))
    return int(found.group(3)) if found and found.group(3) != "*" else None


def start_of(answer: Answer) -> int:
    """Return the offset of the answer's body; -1 for an answer without one."""
    if answer.status != 206:
        return 0
    found = _CONTENT_RANGE.match(answer.header("Content-Range"))
    return int(found.group(1)) if found and found.group(1) else -1
