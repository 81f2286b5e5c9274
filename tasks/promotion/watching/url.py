"""Watch one address whose file changes."""

import posixpath
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import unquote

from catalog.errors import SourceForbidden
from catalog.records import Look, Watch, WatchState
from catalog.rules.promotion.patterns import Match, matched
from catalog.rules.promotion.watches import why_refused
from catalog.settings import Settings
from storage.sources.watched.documents import Head, Known, look
from tasks.promotion.watching.sums import build_at


def look_at_url(watch: Watch, state: WatchState, settings: Settings, _now: datetime) -> Look:
    """Return the build at the address, if it changed."""
    head = look(watch.url, settings, Known(state.etag, state.last_modified))
    if head is None:
        return Look(watch=watch.name, unchanged=True, state=state)
    found = _version(watch, head)
    if reason := why_refused([found.version], state):
        return Look(watch=watch.name, seen=1, refused=reason, state=state)
    after = state.model_copy(
        update={
            "etag": head.known.etag,
            "last_modified": head.known.last_modified,
            "builds": 1,
            "newest": found.version,
        }
    )
    return Look(watch=watch.name, seen=1, build=build_at(watch, watch.url, found, settings), state=after)


def _version(watch: Watch, head: Head) -> Match:
    """Return the version in the file name that the address redirects to, else the time of its last change."""
    for place in (head.url.path, watch.url) if watch.pattern else ():
        name = posixpath.basename(unquote(place))
        found = matched((watch.pattern or "").rpartition("/")[2], name, watch.cpu_architecture)
        if found is not None:
            return found
    try:
        changed = parsedate_to_datetime(head.known.last_modified or "")
    except ValueError as error:
        told = (
            "no name that fits the pattern, and its server does not say when it changed"
            if watch.pattern
            else (
                "its server does not say when it changed (Last-Modified), and there is no pattern that has the version"
            )
        )
        raise SourceForbidden(head.url.masked, told) from error
    return Match(f"{changed:%Y%m%d.%H%M%S}", watch.cpu_architecture)
