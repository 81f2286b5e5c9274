"""Heartbeats of hosts: each worker and console regularly writes its host's into the catalog."""

import logging
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from catalog import open_catalog
from catalog.errors import ImagewrightError
from catalog.files import free_bytes
from catalog.records import Host
from catalog.rules.storages.hosts import BEAT_S, bound_to
from catalog.settings import Settings
from catalog.units import utc_now

if TYPE_CHECKING:
    from catalog.repository.reading.reading import Reading

PROGRAMS = ("imagewright", "prefect")
log = logging.getLogger("imagewright.hosts")


def beat(settings: Settings) -> Host:
    """Record this host's heartbeat, with the storages it reaches and its free scratch space; return the host's record.

    Raises CatalogUnavailable.
    """
    with open_catalog(settings.catalog_address) as catalog:
        told = this_host(catalog, settings)
        with catalog.changing(actor="system") as change:
            return change.beat(told)


def is_draining(settings: Settings) -> bool:
    """Tell whether this host is draining; its worker asks before it fetches new runs."""
    with open_catalog(settings.catalog_address) as catalog:
        return any(host.state == "Draining" for host in catalog.hosts() if host.name == settings.host_name)


@contextmanager
def beating(settings: Settings, interval_s: float = BEAT_S) -> Iterator[None]:
    """Record a heartbeat every `interval_s` from a thread while the block runs. Failures are logged and retried."""
    stop = threading.Event()
    thread = threading.Thread(target=_keep_beating, args=(settings, interval_s, stop), daemon=True, name="host-beat")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=interval_s)


def _keep_beating(settings: Settings, interval_s: float, stop: threading.Event) -> None:
    while True:
        try:
            beat(settings)
        except ImagewrightError as error:
            log.warning("host %s could not say that it lives: %s", settings.host_name, error)
        if stop.wait(interval_s):
            return


def this_host(catalog: "Reading", settings: Settings) -> Host:
    """Return this host's record with its present state."""
    here, moment = settings.host_name, utc_now()  # the database replaces it with its own time
    return Host(
        name=here,
        address=settings.host_address,
        storages=tuple(s.name for s in catalog.image_storages() if bound_to(s) in (None, here)),
        primary_storages=tuple(s.name for s in catalog.primary_storages() if bound_to(s) in (None, here)),
        free_scratch_bytes=free_bytes(settings.scratch_folder),
        versions={"python": platform.python_version(), **dict(_versions())},
        last_seen=moment,
        created_at=moment,
    )


def _versions() -> Iterator[tuple[str, str]]:
    for program in PROGRAMS:
        try:
            yield program, version(program)
        except PackageNotFoundError:
            continue
