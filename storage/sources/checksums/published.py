"""Checksums published beside an image: SHA256SUMS and its many dialects."""

import posixpath
import re
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import unquote, urlsplit, urlunsplit

from catalog.errors import InvalidRequest, SourceError, SourceForbidden, SourceNotFound, TransferInterrupted
from catalog.rules.images.checksums import DIGITS, Checksum
from catalog.settings import Settings
from storage.sources.checksums.dialects import Listed, read_list
from storage.sources.checksums.places import belongs_to, list_names
from storage.sources.masking import carries_secret, mask, told
from storage.sources.registry import open_plain, same_host

MAX_BYTES = 4 << 20
_SIZE = re.compile(r"\A\d+\s+")  # before the name, as in a Release or .changes of Debian


class UnknownAlgorithms(SourceForbidden):
    """The list names the file, but only with unknown algorithms."""


def fetch_checksum(
    url: str,
    settings: Settings,
    *,
    sums_url: str | None = None,
    credentials: str | None = None,
) -> Checksum:
    """Return the checksum of the file at `url`, as published at `sums_url` or in a usual place beside the file.

    credentials: for the file; they are not sent for a list on another host, or with a password in its own URL.
    Raises SourceNotFound if nothing usable is published; SourceForbidden for contradicting or oversized lists, and for
    lists with unknown algorithms only.
    """
    path = unquote(urlsplit(url).path)
    name = posixpath.basename(path)
    if not name:
        raise InvalidRequest(
            "image_path", mask(url), "an address that ends in a file name, whose checksum can be looked up"
        )
    unknown: UnknownAlgorithms | None = None
    for place in [sums_url] if sums_url else candidates(url):
        shared = not (sums_url and carries_secret(sums_url)) and same_host(place, url)
        try:
            source = open_plain(place, settings, credentials if shared else None)
            list_name = posixpath.basename(unquote(urlsplit(place).path))
            found = published(source.peek(MAX_BYTES + 1), path, mask(place), list_name)
        except UnknownAlgorithms as error:
            unknown = unknown or error
            continue
        except SourceError as error:
            if sums_url or isinstance(error, TransferInterrupted):
                raise
            continue
        if found is not None:
            return found
    raise unknown or SourceNotFound(mask(sums_url or url), f"no checksum is published there for {name!r}")


def candidates(url: str) -> list[str]:
    """Return the addresses where a checksum of `url` is usually published."""
    parts = urlsplit(url)
    folder, _, name = parts.path.rpartition("/")
    query = parts.query if parts.scheme == "s3" else ""  # the endpoint; elsewhere it belongs to that file only
    return [urlunsplit((parts.scheme, parts.netloc, f"{folder}/{one}", query, "")) for one in list_names(name)]


def published(data: bytes, path: str, masked: str, list_name: str = "") -> Checksum | None:
    """Return the strongest checksum of a file in a list, None if there is none.

    path: of the file on its server; a list of several folders may have files of the same name. list_name: of the list.
    Raises SourceForbidden for a list over 4 MiB, and for two different values of one algorithm; UnknownAlgorithms.
    """
    if len(data) > MAX_BYTES:
        raise SourceForbidden(masked, f"a list of checksums has at most {MAX_BYTES} bytes")
    name = posixpath.basename(path)
    entries = read_list(data, list_name.removeprefix(name))
    values = (
        _of_file(entries, path)
        or _of_file([replace(one, name=_SIZE.sub("", one.name)) for one in entries], path)
        or _of_the_only_file(entries, own=belongs_to(list_name, name))
    )
    for algorithm in DIGITS:
        found = {value.hex for value in values if value.algorithm == algorithm}
        if len(found) > 1:
            raise SourceForbidden(masked, f"it has {len(found)} different {algorithm} checksums for {name!r}")
        if found:
            return Checksum(algorithm=algorithm, hex=found.pop())
    if values:
        labels = ", ".join(dict.fromkeys(told(value.label) for value in values))
        raise UnknownAlgorithms(
            masked,
            f"its checksum for {name!r} is by an algorithm that is not known here ({labels}); "
            f"known are {', '.join(DIGITS)}",
        )
    return None


def _of_file(entries: Sequence[Listed], path: str) -> list[Listed]:
    """Return the values for a file: those of its own path if listed, else those of any file of its name."""
    own, name = "/" + path.lstrip("/"), posixpath.basename(path)
    listed = [(entry, _plain(entry.name)) for entry in entries]
    named = [(entry, one) for entry, one in listed if posixpath.basename(one) == name]
    exact = max((len(one) for _, one in named if own.endswith(f"/{one}")), default=0)
    return [entry for entry, one in named if not exact or (len(one) == exact and own.endswith(f"/{one}"))]


def _of_the_only_file(entries: Sequence[Listed], *, own: bool) -> list[Listed]:
    """Return the values of a list of one file that is unnamed or, if the list is the image's `own`, named differently.

    The file was renamed after the line was written, or the sum was made of standard input.
    """
    names = {_plain(entry.name) for entry in entries}
    nameless = names <= {"", "-"}
    once = len({(entry.algorithm, entry.label) for entry in entries}) == len(set(entries))
    return list(entries) if once and (nameless or (own and len(names) == 1)) else []


def _plain(listed: str) -> str:
    return re.sub(r"\A(?:\.?/)+", "", listed.replace("\\", "/"))
