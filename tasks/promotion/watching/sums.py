"""Read the checksum that a publisher gives for a build, and verify its signature."""

import posixpath
from collections.abc import Sequence
from urllib.parse import unquote, urljoin, urlsplit

from catalog.errors import SignatureRefused, SourceForbidden
from catalog.records import Build, Watch
from catalog.rules.promotion.patterns import Match, filled
from catalog.rules.promotion.watches import is_sigstore_key
from catalog.settings import Settings
from storage.programs.gpgv import MOST_BYTES as MOST_SIGNATURE
from storage.programs.gpgv import Signed, verified
from storage.sources.checksums.published import MAX_BYTES, published
from storage.sources.masking import mask
from storage.sources.watched import sigstore
from storage.sources.watched.documents import Document, fetch


def build_at(watch: Watch, url: str, found: Match, settings: Settings) -> Build:
    """Return a build with its checksum.

    Raises SignatureRefused, SourceForbidden if no list has it, and the sources' errors.
    """
    build = Build(version=found.version, url=url)
    if watch.checksums_url is None:
        return build
    path = unquote(urlsplit(url).path)
    place = urljoin(url, filled(watch.checksums_url, found.version, found.arch, posixpath.basename(path)))
    listed = required(fetch(place, settings, MAX_BYTES))
    data, signed_by = _signed(watch, listed, url, found, settings)
    list_name = posixpath.basename(unquote(urlsplit(place).path))
    checksum = published(data, path, mask(place), list_name)
    if checksum is None:
        raise SourceForbidden(mask(place), f"it has no checksum of {posixpath.basename(path)!r} (yet)")
    return build.model_copy(update={"checksum": str(checksum), "list_url": mask(place), "signed_by": signed_by})


def _signed(
    watch: Watch, listed: Document, url: str, found: Match, settings: Settings
) -> tuple[bytes, tuple[str, ...]]:
    """Return the trusted part of a list: all of it, or only what a key of the watch signed."""
    if not watch.public_keys:
        return listed.data, ()
    signature = None
    if watch.signature_url is not None:
        name = posixpath.basename(unquote(urlsplit(url).path))
        place = urljoin(url, filled(watch.signature_url, found.version, found.arch, name))
        signature = required(fetch(place, settings, MOST_SIGNATURE)).data
    return by_keys(watch, listed, signature)


def by_keys(watch: Watch, document: Document, signature: bytes | None) -> tuple[bytes, tuple[str, ...]]:
    """Return the part of a document that a key of the watch signed, and the signing keys. Raises SignatureRefused."""
    signed = _verified(document.data, signature, watch.public_keys)
    if not signed.signed_by:
        raise SignatureRefused(document.url.masked, signed.reason)
    return signed.data, signed.signed_by


def _verified(data: bytes, signature: bytes | None, keys: Sequence[str]) -> Signed:
    """Verify a signature with the keys of its kind, cosign's first.

    A watch may have both kinds while its publisher migrates.
    """
    others = [key for key in keys if not is_sigstore_key(key)]
    if signature is not None and len(others) < len(keys):
        signed = sigstore.verified(data, signature, keys)
        if signed.signed_by or not others:
            return signed
    return verified(data, signature, others)


def required(document: Document | None) -> Document:
    """Return a document that was fetched unconditionally, so it is never None."""
    assert document is not None
    return document
