"""Checksums that a publisher puts next to an image: SHA256SUMS and its many dialects."""

import posixpath
import re
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit, urlunsplit

from catalog.errors import InvalidRequest, SourceError, SourceForbidden, SourceNotFound, TransferInterrupted
from catalog.settings import Settings
from storage.sources.masking import carries_secret, mask
from storage.sources.opening import open_plain, same_host

MAX_BYTES = 4 << 20
ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}  # by digits
_STRONGEST_FIRST = ("sha512", "sha256", "sha1", "md5")
SHARED = (
    "SHA256SUMS",
    "SHA512SUMS",
    "CHECKSUM",
    "sha256sum.txt",
    "sha512sum.txt",
    "SHA1SUMS",
    "MD5SUMS",
    "md5sum.txt",
)
BESIDE = (
    ".sha256",
    ".sha512",
    ".sha256sum",
    ".sha512sum",
    ".SHA256SUM",
    ".CHECKSUM",
    ".sha1",
    ".md5",
    ".md5sum",
)
_GNU = re.compile(r"\\?([0-9A-Fa-f]{32,128})\s+\*?(\S.*)\Z")
_BSD = re.compile(r"(MD5|SHA1|SHA(?:2-)?256|SHA(?:2-)?512)\s?\((.+)\)\s?=\s*([0-9A-Fa-f]{32,128})\Z")
_BARE = re.compile(r"([0-9A-Fa-f]{32,128})\Z")


def fetch_checksum(
    url: str,
    settings: Settings,
    *,
    sums_url: str | None = None,
    credentials: str | None = None,
    source_address: str | None = None,
) -> str:
    """Return `algorithm:hex` for the file at `url`, as published at `sums_url` or in a usual place next to the file.

    credentials: for the file; a list on another host, or with a password of its own in its URL, is asked without them.
    Raises SourceNotFound where nothing usable is published; SourceForbidden for contradicting or oversized lists.
    """
    path = unquote(urlsplit(url).path)
    name = posixpath.basename(path)
    if not name:
        raise InvalidRequest("image_path", mask(url), "it must end in a file name to look its checksum up")
    for place in [sums_url] if sums_url else candidates(url):
        shared = not (sums_url and carries_secret(sums_url)) and same_host(place, url)
        try:
            source = open_plain(place, settings, credentials if shared else None, source_address)
            found = published(source.peek(MAX_BYTES + 1), path, mask(place))
        except SourceError as error:
            if sums_url or isinstance(error, TransferInterrupted):
                raise
            continue
        if found is not None:
            return found
    raise SourceNotFound(mask(sums_url or url), f"no checksum is published there for {name!r}")


def candidates(url: str) -> list[str]:
    """Return the addresses where a checksum of `url` is usually published."""
    parts = urlsplit(url)
    folder, _, name = parts.path.rpartition("/")
    query = parts.query if parts.scheme == "s3" else ""  # the endpoint; elsewhere it belongs to the one file
    names = [*(name + suffix for suffix in BESIDE[:2]), *SHARED, *(name + suffix for suffix in BESIDE[2:])]
    return [urlunsplit((parts.scheme, parts.netloc, f"{folder}/{one}", query, "")) for one in names]


def published(data: bytes, path: str, masked: str) -> str | None:
    """Return the strongest checksum of a file in a list, None if there is none.

    path: of the file on its server; a list of several folders may have files of one name.
    Raises SourceForbidden for a list over 4 MiB, and for two different values of one algorithm.
    """
    if len(data) > MAX_BYTES:
        raise SourceForbidden(masked, f"a list of checksums has at most {MAX_BYTES} bytes")
    lines = [line.strip() for line in data.decode("utf-8-sig", "replace").splitlines() if line.strip()]
    name, entries = posixpath.basename(path), list(filter(None, map(_entry, lines)))
    if len(lines) == 1 and _BARE.match(lines[0]):
        entries = [(lines[0].lower(), name)]
    found: dict[str, set[str]] = {}
    for value in _of_file(entries, path):
        found.setdefault(ALGORITHMS[len(value)], set()).add(value)
    for algorithm in _STRONGEST_FIRST:
        values = found.get(algorithm, set())
        if len(values) > 1:
            raise SourceForbidden(
                masked, f"it has {len(values)} different {algorithm} checksums for {name!r}"
            )
        if values:
            return f"{algorithm}:{values.pop()}"
    return None


def _of_file(entries: Sequence[tuple[str, str]], path: str) -> list[str]:
    """Return the values for a file: those of its own path in the list where it is there, else of any file of its name."""
    own, name = "/" + path.lstrip("/"), posixpath.basename(path)
    listed = [(value, re.sub(r"\A(?:\.?/)+", "", text.replace("\\", "/"))) for value, text in entries]
    named = [
        (value, one) for value, one in listed if posixpath.basename(one) == name and len(value) in ALGORITHMS
    ]
    exact = max((len(one) for _, one in named if own.endswith(f"/{one}")), default=0)
    return [value for value, one in named if not exact or (len(one) == exact and own.endswith(f"/{one}"))]


def _entry(line: str) -> tuple[str, str] | None:
    """Read a line of any dialect: (hex, file name); None for what is none, or of an algorithm that is not ours."""
    if bsd := _BSD.match(line):
        tag, listed, value = bsd.groups()
        algorithm = tag.lower().replace("2-", "")  # as newer OpenSSL calls SHA-2
        return (value.lower(), listed) if ALGORITHMS.get(len(value)) == algorithm else None
    if gnu := _GNU.match(line):
        value, listed = gnu.groups()
        return value.lower(), listed
    return None
