"""Decide which host does a request: when its run is created, and again when the run begins."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel

from catalog import open_catalog
from catalog.errors import InvalidRequest
from catalog.records import ImageStorage, PrimaryStorage
from catalog.rules.storages.hosts import bound_to, host_for, told
from catalog.rules.upkeep.queues import Queue, queue_name
from catalog.settings import Settings
from tasks.hosts.places import AS_FAR_AS_CAN_BE, EACH_HOST, names_in, needs_of

if TYPE_CHECKING:
    from catalog.repository.reading.reading import Reading


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes. host: None for this one; away: why that host takes no runs now, "" if it does.

    places: the storages that only that host reaches, in words; kind, name: of the first of them. parts: the other hosts
    that do a part of their own.
    """

    host: str | None = None
    away: str = ""
    places: str = ""
    kind: str = ""
    name: str = ""
    parts: tuple[str, ...] = ()


HERE = Route()


def route_of(bytes_at: str, request: BaseModel, settings: Settings) -> Route:
    """Return where a request goes from this host. Raises InvalidRequest if no single host reaches all that it needs.

    A SQLite catalog has one host only: nothing is looked up.
    """
    if not settings.catalog_is_shared or bytes_at in ("", "none"):
        return HERE
    with open_catalog(settings.catalog_address) as catalog:
        if bytes_at == EACH_HOST:
            return _upkeep(catalog, request, settings.host_name)
        found = _bound(catalog, bytes_at, request, settings.host_name)
        return HERE if found.host == settings.host_name else found


def queue_for(bytes_at: str, queue: Queue, request: BaseModel, settings: Settings) -> str | None:
    """Return the work queue for a run of this request, None for the queue that every worker serves.

    A run never goes to the queue of a host that is away: it would wait there without a reason shown, while any other
    host says whom it waits for.
    """
    if not settings.catalog_is_shared or bytes_at in ("", "none"):
        return None
    with open_catalog(settings.catalog_address) as catalog:
        try:
            found = _bound(catalog, bytes_at, request, settings.host_name)
        except InvalidRequest:  # the run itself reports the error
            return None
    return queue_name(queue, found.host) if found.host and not found.away else None


def _bound(catalog: "Reading", bytes_at: str, request: BaseModel, here: str) -> Route:
    """Return the only host that can do a request, this one or another; None if any host can."""
    needs = needs_of(bytes_at, catalog, request, here)
    try:
        host = host_for(needs, here)
    except InvalidRequest:
        if bytes_at in AS_FAR_AS_CAN_BE:
            return HERE
        raise
    if host is None:
        return HERE
    away = catalog.why_away(host) if host != here or bytes_at in AS_FAR_AS_CAN_BE else ""
    if away and bytes_at in AS_FAR_AS_CAN_BE:
        return HERE
    there = [need for need in needs if host in need.values()]
    kind, name = next(iter(there[0]))
    return Route(host, away, told(there), kind, name)


def _upkeep(catalog: "Reading", request: BaseModel, here: str) -> Route:
    host = getattr(request, "host", None)
    if host is not None:
        away = catalog.why_away(host)
        return HERE if host == here else Route(host, away, f"its directories are on {host}", "host", host)
    names = names_in(request)
    storages: list[ImageStorage | PrimaryStorage] = [*catalog.image_storages(), *catalog.primary_storages()]
    owners = {host for s in storages if (not names or s.name in names) and (host := bound_to(s)) is not None}
    known = set() if names else {host.name for host in catalog.hosts()}
    return Route(parts=tuple(sorted((owners | known) - {here})))
