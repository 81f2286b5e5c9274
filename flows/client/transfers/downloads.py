"""Download an image or export: only its data, resuming after interruptions, compared with the service's digests."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from urllib3 import BaseHTTPResponse

from catalog.errors import (
    ExportNotFound,
    ImageNotFound,
    ImagewrightError,
    InvalidRequest,
    SourceChanged,
    TransferInterrupted,
)
from catalog.rules.images.naming import canonical_id
from catalog.settings import Settings
from flows.client.connection import Connection, segment
from flows.client.errors import AnswerNotUnderstood, ServiceUnreachable
from flows.client.patience import Patience
from flows.client.records import Downloaded
from flows.client.transfers.extents import Range, data_ranges
from flows.client.transfers.partial_file import PartialFile
from flows.client.transfers.progress import Moved

PARTIAL, UNSATISFIABLE = 206, 416
OF = re.compile(r"bytes (?:(\d{1,19})-(\d{1,19})|\*)/(\d{1,19})", re.ASCII)
DIGEST = re.compile(r"\s*([a-z0-9-]+)=:([A-Za-z0-9+/=]+):\s*")
KINDS = {"sha-256": ("sha256", 32), "md5": ("md5", 16)}
"""Algorithm of a Repr-Digest → Python's name for it, and its length in bytes."""
MOST_STARTS = 3
"""How often a download starts over because the file has changed."""
CHECKING, DOWNLOADING = "checking what is there", "downloading"


class Offer(NamedTuple):
    """A file that a service offers. path: of the API; digests: by algorithm, in hex."""

    path: str
    size: int
    etag: str
    digests: Mapping[str, str]


def download(connection: Connection, settings: Settings, identity: str, target: Path, moved: Moved) -> Downloaded:
    """Download an image or export into a file that gets its name once it is whole and proven.

    Raises ImageNotFound, InvalidRequest, ChecksumMismatch, AnswerNotUnderstood, TransferInterrupted if the service
    stays away.
    """
    if target.is_dir() or not target.parent.is_dir():
        raise InvalidRequest("file", str(target), "the name of a file in a folder that is there")
    identity = canonical_id(identity)
    for start in range(MOST_STARTS):
        offer = _offered(connection, identity)
        try:
            received = _fetched(connection, settings, offer, target, moved)
        except SourceChanged:
            if start == MOST_STARTS - 1:
                raise
        else:
            return Downloaded(
                id=identity, path=str(target), size_bytes=offer.size, received_bytes=received, **offer.digests
            )
    raise AssertionError("the last start returns or raises")


def _offered(connection: Connection, identity: str) -> Offer:
    try:
        return _offer(connection, f"/images/{segment(identity)}/content")
    except ImageNotFound as nothing:
        try:
            return _offer(connection, f"/exports/{segment(identity)}/content")
        except ExportNotFound:
            raise nothing from None


def _offer(connection: Connection, path: str) -> Offer:
    """Ask for one byte, not for HEAD: a refusal of HEAD would have no sentence."""
    with connection.opened("GET", path, headers={"Range": "bytes=0-0"}, also=(UNSATISFIABLE,)) as answer:
        found = OF.fullmatch(answer.headers.get("Content-Range", ""))
        etag = answer.headers.get("ETag", "")
        address = connection.address(path)
        if answer.status not in (PARTIAL, UNSATISFIABLE) or found is None or not etag.startswith('"'):
            raise AnswerNotUnderstood(address, "without Content-Range and ETag where one byte was asked for")
        list(connection.blocks(answer, 1))
        return Offer(path, int(found[3]), etag, _digests(answer.headers.get("Repr-Digest", ""), etag, address))


def _digests(header: str, etag: str, address: str) -> Mapping[str, str]:
    """Return a file's strongest digest, for the comparison.

    Raises AnswerNotUnderstood for digests that contradict each other.
    """
    found = {}
    for kind, value in DIGEST.findall(header):
        name, length = KINDS.get(kind, ("", 0))
        try:
            raw = base64.b64decode(value, validate=True)
        except binascii.Error:
            raw = b""
        if name and len(raw) != length:
            raise AnswerNotUnderstood(address, f"with {value!r} as {kind}")
        found[name] = raw.hex()
    tag = etag.strip('"')
    if "sha256" in found and tag.startswith("sha256:") and tag != f"sha256:{found['sha256']}":
        raise AnswerNotUnderstood(address, "with an ETag and a Repr-Digest that contradict each other")
    best = next((name for name in ("sha256", "md5") if name in found), None)
    return {best: found[best]} if best else {}


def _fetched(connection: Connection, settings: Settings, offer: Offer, target: Path, moved: Moved) -> int:
    """Fetch the missing bytes of a file, prove and name it; return the bytes received. Raises SourceChanged."""
    with PartialFile(target, offer.etag, offer.size, offer.digests) as partial:
        partial.resume(lambda done: moved(done, offer.size, CHECKING))
        lacking = [
            (max(start, partial.offset), end) for start, end in _ranges(connection, offer) if end > partial.offset
        ]
        total, received = sum(end - start for start, end in lacking), 0
        patience = Patience(settings)
        for start, end in lacking:
            partial.skip_to(start)
            for count in _received(connection, offer, partial, end, patience):
                received += count
                moved(received, total, DOWNLOADING)
        partial.skip_to(offer.size)
        partial.finish(connection.address(offer.path))
        return received


def _ranges(connection: Connection, offer: Offer) -> Sequence[Range]:
    """Return the ranges with data. For exports there is no such list, and all is fetched."""
    path = offer.path.removesuffix("/content") + "/extents"
    if not path.startswith("/images/") or not offer.size:
        return [(0, offer.size)] if offer.size else []
    with connection.opened("GET", path) as answer:
        if answer.headers.get("ETag", offer.etag) != offer.etag:
            raise SourceChanged(connection.address(path), offer.etag, answer.headers["ETag"])
        return data_ranges(connection.blocks(answer), offer.size, connection.address(path))


def _received(
    connection: Connection, offer: Offer, partial: PartialFile, end: int, patience: Patience
) -> Iterator[int]:
    """Fetch and write a file up to an offset, resuming after interruptions; yield the bytes of each block.

    Raises TransferInterrupted after too many interruptions in a row.
    """
    while partial.offset < end:
        try:
            with _asked(connection, offer, (partial.offset, end)) as answer:
                for block in connection.blocks(answer, end - partial.offset):
                    partial.write(block)
                    patience.refill()
                    yield len(block)
            if partial.offset < end:
                raise ServiceUnreachable(connection.url, "it ended its answer early", was_reached=True)
        except ImagewrightError as error:
            try:
                patience.after(error)
            except ServiceUnreachable as given_up:
                address = connection.address(offer.path)
                raise TransferInterrupted(address, partial.offset, given_up.reason) from error


@contextmanager
def _asked(connection: Connection, offer: Offer, wanted: Range) -> Iterator[BaseHTTPResponse]:
    """Yield the answer with exactly these bytes of exactly this file. Raises SourceChanged, AnswerNotUnderstood."""
    start, end = wanted
    headers = {"Range": f"bytes={start}-{end - 1}", "If-Range": offer.etag}
    address = connection.address(offer.path)
    with connection.opened("GET", offer.path, headers=headers, also=(UNSATISFIABLE,)) as answer:
        etag = answer.headers.get("ETag", "")
        if etag != offer.etag:
            raise SourceChanged(address, offer.etag, etag or "without an ETag")
        given = answer.headers.get("Content-Range", "")
        if answer.status != PARTIAL or given != f"bytes {start}-{end - 1}/{offer.size}":
            raise AnswerNotUnderstood(address, f"{given!r} where bytes {start} to {end - 1} were asked for")
        length = answer.headers.get("Content-Length")
        if length is not None and length != str(end - start):
            raise AnswerNotUnderstood(address, f"with {length} bytes where {end - start} were asked for")
        yield answer
