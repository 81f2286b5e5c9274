"""Watch a simplestreams index."""

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from catalog.errors import SourceForbidden
from catalog.records import Build, Look, Watch, WatchState
from catalog.rules.images.builds import VERSION
from catalog.rules.promotion.patterns import NAMES, matched
from catalog.rules.promotion.versions import order
from catalog.rules.promotion.watches import why_refused
from catalog.settings import Settings
from storage.sources.urls import parse_url
from storage.sources.watched.documents import Document, Known, fetch
from storage.sources.watched.simplestreams import Item, items_in, products_in, root_of, within
from tasks.promotion.watching.sums import by_keys, required

MOST_BYTES = 64 << 20
MOST_FILES = 16
"""How many product files are searched for one that fits the pattern."""


def look_at_simplestreams(watch: Watch, state: WatchState, settings: Settings, _now: datetime) -> Look:
    """Return a product's newest build if its file changed; the index is read once to find that file."""
    place = state.place
    if place is not None:
        document = fetch(place, settings, MOST_BYTES, Known(state.etag, state.last_modified))
        if document is None or document.digest == state.digest:
            return Look(watch=watch.name, unchanged=True, state=state)
        found: Iterable[tuple[str, Document]] = [(place, document)]
    else:
        found = _products(watch, settings)
    for address, document in found:
        data, signed_by = _believed(watch, document)
        items = tuple(_fitting(watch, items_in(data, document.url.masked)))
        if items or place is not None:
            return _newest(watch, state, address, document, items, signed_by)
    raise SourceForbidden(parse_url(watch.url).masked, f"no product has an item that fits {watch.pattern!r}")


def _products(watch: Watch, settings: Settings) -> Iterator[tuple[str, Document]]:
    index = required(fetch(watch.url, settings, MOST_BYTES))
    data, _ = _believed(watch, index)
    for path in products_in(data, index.url.masked)[:MOST_FILES]:
        address = within(root_of(parse_url(watch.url)), path, index.url.masked)
        yield address, required(fetch(address, settings, MOST_BYTES))


def _believed(watch: Watch, document: Document) -> tuple[bytes, tuple[str, ...]]:
    """Return the trusted part of a document: all of it, or only what a key of the watch signed."""
    return by_keys(watch, document, None) if watch.public_keys else (document.data, ())


def _fitting(watch: Watch, items: Iterator[Item]) -> Iterator[Item]:
    """Yield the items that fit the pattern: by their whole path if the pattern has folders, else by their name."""
    pattern, names = watch.pattern or "", NAMES[watch.cpu_architecture]
    parts = pattern.split("/")
    for item in items:
        path = item.path.split("/") if len(parts) > 1 else [posixpath.basename(item.path)]
        right = item.arch in ("", *names) and VERSION.fullmatch(item.version) is not None
        if right and len(path) == len(parts):
            fitting = (matched(part, name, watch.cpu_architecture) for part, name in zip(parts, path, strict=True))
            if None not in fitting:
                yield item


def _newest(
    watch: Watch, state: WatchState, address: str, document: Document, items: Sequence[Item], signed_by: tuple[str, ...]
) -> Look:
    versions = sorted({item.version for item in items}, key=order)
    if reason := why_refused(versions, state):
        return Look(watch=watch.name, seen=len(versions), refused=reason, state=state)
    if not versions:
        raise SourceForbidden(document.url.masked, f"it has no item that fits {watch.pattern!r}")
    newest = [item for item in items if item.version == versions[-1]]
    if len({item.sha256 for item in newest}) > 1:
        paths = ", ".join(item.path for item in newest[:3])
        raise SourceForbidden(document.url.masked, f"several items of {versions[-1]} fit {watch.pattern!r}: {paths}")
    url = within(root_of(parse_url(address)), newest[0].path, document.url.masked)
    build = Build(
        version=versions[-1],
        url=url,
        checksum=f"sha256:{newest[0].sha256}",
        list_url=document.url.masked,
        signed_by=signed_by,
    )
    settled = {
        "etag": document.known.etag, "last_modified": document.known.last_modified, "digest": document.digest,
        "place": address, "builds": len(versions), "newest": versions[-1],
    }  # fmt: skip
    return Look(watch=watch.name, seen=len(versions), build=build, state=state.model_copy(update=settled))
