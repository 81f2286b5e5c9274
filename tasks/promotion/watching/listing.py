"""Watch a page that lists files, or version folders with files in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from catalog.errors import SourceForbidden, SourceNotFound
from catalog.records import Look, Watch, WatchState
from catalog.rules.promotion.patterns import Match, matched
from catalog.rules.promotion.versions import order
from catalog.rules.promotion.watches import why_refused
from catalog.settings import Settings
from storage.sources.watched.documents import Document, Known, fetch
from storage.sources.watched.links import Link, links
from tasks.promotion.watching.sums import build_at, required

MOST_BYTES = 8 << 20
INCOMPLETE = 3
"""How many of the newest folders are searched for the file: a mirror in mid-update may lack it in the first."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A link that fits a part of the pattern."""

    link: Link
    match: Match


def look_at_listing(watch: Watch, state: WatchState, settings: Settings, _now: datetime) -> Look:
    """Return the newest build of a listing, if the listing changed."""
    page = fetch(watch.url, settings, MOST_BYTES, Known(state.etag, state.last_modified))
    if page is None or page.digest == state.digest:
        return Look(watch=watch.name, unchanged=True, state=state)
    parts = (watch.pattern or "").split("/")
    while "{version}" not in parts[0]:  # folders that are always the same
        page = required(fetch(f"{_folder(page)}{parts[0]}/", settings, MOST_BYTES))
        parts = parts[1:]
    listed = _fitting(watch, page, parts[0], folder=len(parts) > 1)
    if reason := why_refused([one.match.version for one in listed], _counted(state, len(parts))):
        return Look(watch=watch.name, seen=len(listed), refused=reason, state=state)
    if not listed:
        raise SourceForbidden(page.url.masked, f"it lists nothing that fits {watch.pattern!r}")
    return _newest(watch, state, page, listed, parts[1:], settings)


def _counted(state: WatchState, parts: int) -> WatchState:
    """Return the state to compare a page with: for folders, by the version of the last build's folder."""
    if parts == 1 or state.newest is None:
        return state
    return state.model_copy(update={"newest": state.place or state.newest})


def _newest(
    watch: Watch, state: WatchState, page: Document, listed: Sequence[Listed], inner: Sequence[str], settings: Settings
) -> Look:
    """Return the newest build; a file that a folder still lacks is looked for again next time."""
    first = listed[0]
    for place, one in enumerate(listed[:INCOMPLETE]):
        for found in _below(watch, one, inner, settings):
            build = build_at(watch, found.link.url, found.match, settings)
            if place:
                return Look(watch=watch.name, seen=len(listed), build=build, state=state)
            settled = {
                "etag": page.known.etag, "last_modified": page.known.last_modified, "digest": page.digest,
                "builds": len(listed), "newest": found.match.version, "place": first.match.version if inner else None,
            }  # fmt: skip
            return Look(watch=watch.name, seen=len(listed), build=build, state=state.model_copy(update=settled))
    raise SourceForbidden(first.link.url, f"no folder has a file that fits {watch.pattern!r} (yet)")


def _below(watch: Watch, one: Listed, inner: Sequence[str], settings: Settings) -> Iterator[Listed]:
    """Yield the files of a folder that fit the rest of the pattern, the newest first."""
    if not inner:
        yield one
        return
    try:
        page = required(fetch(one.link.url, settings, MOST_BYTES))
    except SourceNotFound:
        return
    if "{version}" not in inner[0] and "*" not in inner[0] and len(inner) > 1:  # a fixed name: nothing to list
        named = Link(inner[0], f"{_folder(page)}{inner[0]}/", folder=True, elsewhere=False)
        yield from _below(watch, Listed(named, one.match), inner[1:], settings)
        return
    for found in _fitting(watch, page, inner[0], folder=len(inner) > 1, within=one.match.version):
        yield from _below(watch, found, inner[1:], settings)


def _fitting(watch: Watch, page: Document, part: str, *, folder: bool, within: str = "") -> Sequence[Listed]:
    """Return a page's links that fit a part of the pattern, newest first.

    Raises SourceForbidden for a link to another site.
    """
    found: list[Listed] = []
    for link in links(page.data, page.url):
        match = matched(part, link.name, watch.cpu_architecture, within)
        if match is None or (link.folder and not folder):
            continue
        if link.elsewhere:
            raise SourceForbidden(page.url.masked, f"its link {link.name!r} leads elsewhere, to {link.url[:200]}")
        address = f"{link.url}/" if folder and not link.folder else link.url
        found.append(Listed(Link(link.name, address, folder, elsewhere=False), match))
    return sorted(found, key=lambda one: order(one.match.version), reverse=True)


def _folder(page: Document) -> str:
    """Return the address of the folder that a page lists."""
    address = page.url.location.partition("?")[0]
    return address[: address.rindex("/") + 1]
