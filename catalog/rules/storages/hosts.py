"""Which host does what: whose a directory is, where a run that needs it goes, and when a host counts as away.

| a storage | is of |
|---|---|
| `s3://`, `rbd://` | no host: each reaches it |
| `file://`, `shared` | no host: its token was seen from each that uses it |
| `file://`, catalog in PostgreSQL | the host that registered it |
| `file://`, catalog in PostgreSQL, registered before hosts were known | whoever has the store: it is never made anew by being opened |
| `file://`, catalog in SQLite | nobody by name: such a catalog has one host, whatever that is called today |
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from catalog.errors import InvalidRequest, StorageElsewhere
from catalog.records import Host, HostState, ImageStorage, PrimaryStorage

BEAT_S = 30.0
"""How often a host gives a sign of life."""
SILENT_AFTER = timedelta(seconds=95)
"""Three signs of life and a little: as long as a run may be silent before it is started again."""


def state_of(host: Host, now: datetime) -> HostState:
    """Return how a host is. now: by the database's clock, as its last sign of life."""
    if host.state == "Draining":
        return "Draining"
    return "Silent" if now - host.last_seen > SILENT_AFTER else "Connected"


def away(name: str, host: Host | None, now: datetime) -> str:
    """Say why a host takes no runs now, "" where it does. host: None for one that was never heard of."""
    if host is None:
        return f"no worker was ever seen there; run `imagewright worker` on {name}"
    if state_of(host, now) == "Draining":
        return f"it is being drained; `imagewright resume-host {name}` ends that"
    if state_of(host, now) == "Silent":
        return f"it has been silent since {host.last_seen:%Y-%m-%d %H:%M:%S} UTC"
    return ""


def bound_to(storage: ImageStorage | PrimaryStorage) -> str | None:
    """Return the host whose directory a storage is, None where it is of no host by name."""
    return None if storage.shared else storage.host


def require_here(storage: ImageStorage | PrimaryStorage, here: str) -> None:
    """Refuse a directory of another host: its path is another disk here. Raises StorageElsewhere."""
    if (host := bound_to(storage)) not in (None, here):
        kind = "image storage" if isinstance(storage, ImageStorage) else "primary storage"
        raise StorageElsewhere(storage.name, str(host), here, kind=kind)


def does(bound: str | None, asked: str | None, here: str) -> bool:
    """Tell whether an upkeep of this host does what is bound to a host (None: to none). asked: the only host it is about."""
    return bound in (None, here) if asked is None else bound == asked


def share_of(storage: ImageStorage | PrimaryStorage) -> str:
    """Return the name under which the token of a shared directory is kept."""
    return f"share:{'image' if isinstance(storage, ImageStorage) else 'primary'}_storage:{storage.name}"


def owner_of(storage: ImageStorage | PrimaryStorage, known_host: str | None, here: str, *, hosts: bool) -> str | None:
    """Return the host that a storage belongs to once it is registered here. hosts: whether several share the catalog.

    A directory is whose it was; a new one, or one of before hosts were known, belongs to whoever registers it.
    """
    return (known_host or here) if hosts and storage.url.startswith("file:") else None


Place = tuple[str, str]
"""Kind and name, e.g. `("image storage", "near")`."""
Need = Mapping[Place, str | None]
"""Places of which one suffices, each with its host: what one step of a run has to reach."""


def host_for(needs: Sequence[Need], here: str) -> str | None:
    """Return the host that reaches one place of each need, None where any does. This host is preferred.

    Raises InvalidRequest where no host reaches all.
    """
    bound = [need for need in needs if need and None not in need.values()]
    if not bound:
        return None
    able = set.intersection(*({str(host) for host in need.values()} for need in bound))
    if not able:
        raise InvalidRequest("hosts", told(bound), "places that one host reaches; sync or move the image there first")
    return here if here in able else min(able)


def told(needs: Collection[Need]) -> str:
    """Say where the places of these needs are: `image storage near is on a; volume x is on b`."""
    return "; ".join(" or ".join(f"{' '.join(place)} is on {need[place]}" for place in sorted(need)) for need in needs)
