"""The classes of primary storages: one row per kind and URL scheme."""

from collections.abc import Callable
from urllib.parse import urlsplit

from catalog.errors import InvalidRequest
from catalog.records import PrimaryStorage
from catalog.rules.storages.hosts import require_here
from catalog.settings import Settings
from storage import protocols

Opener = Callable[[PrimaryStorage, Settings, str | None], protocols.PrimaryStorage]


def open_primary_storage(
    record: PrimaryStorage, *, settings: Settings, credentials: str | None = None
) -> protocols.PrimaryStorage:
    """Open the primary storage of a record. Raises InvalidRequest for a kind and URL that don't fit, StorageElsewhere."""
    require_here(record, settings.host_name)
    scheme = urlsplit(record.url).scheme
    opener = OPENERS.get((record.kind, scheme))
    if opener is None:
        allowed = " or ".join(sorted(f"{s}:// for {kind}" for kind, s in OPENERS))
        raise InvalidRequest("url", record.url, f"a {record.kind} primary storage needs {allowed}")
    return opener(record, settings, credentials)


def _open_local(record: PrimaryStorage, _settings: Settings, _credentials: str | None) -> protocols.PrimaryStorage:
    from storage.primary.local import LocalPrimary

    return LocalPrimary(record)


def _open_ceph(record: PrimaryStorage, settings: Settings, credentials: str | None) -> protocols.PrimaryStorage:
    from storage.primary.ceph import CephPrimary

    return CephPrimary(record, settings, credentials)


OPENERS: dict[tuple[str, str], Opener] = {("local", "file"): _open_local, ("ceph", "rbd"): _open_ceph}
