"""Hosts: which one owns a directory, which one runs what needs it, and when a host counts as away.

| storage | owner |
|---|---|
| `s3://`, `rbd://` | none: every host reaches it |
| `file://`, `shared` | none: every host that uses it has seen its token |
| `file://`, catalog in PostgreSQL | the host that registered it |
| `file://`, catalog in PostgreSQL, registered before hosts were recorded | the host that has the store: opening never creates one |
| `file://`, catalog in SQLite | none by name: such a catalog has one host, whatever its present name |
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from catalog.errors import InvalidRequest, StorageElsewhere
from catalog.records import Host, HostState, ImageStorage, PrimaryStorage

BEAT_S = 30.0
"""Interval of a host's heartbeats."""
SILENT_AFTER = timedelta(seconds=95)
"""Three heartbeats and a little: as long as a run may be silent before it is started again."""


def state_of(host: Host, now: datetime) -> HostState:
    """Return the state of a host. now: by the database's clock, like its last heartbeat."""
    if host.state == "Draining":
        return "Draining"
    return "Silent" if now - host.last_seen > SILENT_AFTER else "Connected"


def away(name: str, host: Host | None, now: datetime) -> str:
    """Return why a host takes no runs now, "" if it does. host: None for an unknown one."""
    if host is None:
        return f"no worker was ever seen there; run `imagewright worker` on {name}"
    if state_of(host, now) == "Draining":
        return f"it is being drained; `imagewright resume-host {name}` ends that"
    if state_of(host, now) == "Silent":
        return f"it has been silent since {host.last_seen:%Y-%m-%d %H:%M:%S} UTC"
    return ""


def bound_to(storage: ImageStorage | PrimaryStorage) -> str | None:
    """Return the host that owns a storage's directory, None if no named host does."""
    return None if storage.shared else storage.host


def require_here(storage: ImageStorage | PrimaryStorage, here: str) -> None:
    """Refuse a directory of another host, as its path is another disk here. Raises StorageElsewhere."""
    if (host := bound_to(storage)) not in (None, here):
        kind = "image storage" if isinstance(storage, ImageStorage) else "primary storage"
        raise StorageElsewhere(storage.name, str(host), here, kind=kind)


def does(bound: str | None, asked: str | None, here: str) -> bool:
    """Tell whether upkeep on this host handles work bound to a host (None: to none). asked: the only host to handle."""
    return bound in (None, here) if asked is None else bound == asked


def share_of(storage: ImageStorage | PrimaryStorage) -> str:
    """Return the name of a shared directory's token."""
    return f"share:{'image' if isinstance(storage, ImageStorage) else 'primary'}_storage:{storage.name}"


def owner_of(storage: ImageStorage | PrimaryStorage, known_host: str | None, here: str, *, hosts: bool) -> str | None:
    """Return the owner of a storage that is registered here. hosts: whether several hosts share the catalog.

    A directory keeps its owner; a new one, or one from before hosts were recorded, belongs to the registering host.
    """
    return (known_host or here) if hosts and storage.url.startswith("file:") else None


Place = tuple[str, str]
"""Kind and name, e.g. `("image storage", "near")`."""
Need = Mapping[Place, str | None]
"""Places that one step of a run has to reach, each with its host; one of them suffices."""


def host_for(needs: Sequence[Need], here: str) -> str | None:
    """Return the host that reaches one place of each need, None if any host does. This host is preferred.

    Raises InvalidRequest if no host reaches all.
    """
    bound = [need for need in needs if need and None not in need.values()]
    if not bound:
        return None
    able = set.intersection(*({str(host) for host in need.values()} for need in bound))
    if not able:
        raise InvalidRequest("hosts", told(bound), "places that one host reaches; sync or move the image there first")
    return here if here in able else min(able)


def told(needs: Collection[Need]) -> str:
    """Describe where the places of needs are: `image storage near is on a; volume x is on b`."""
    return "; ".join(" or ".join(f"{' '.join(place)} is on {need[place]}" for place in sorted(need)) for need in needs)
