"""What tasks open: the catalog, image storages, secrets. Opened per task, closed with it; nothing is kept."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.runtime import flow_run

from catalog import open_catalog
from catalog.errors import InvalidRequest, StorageRefused, StorageUnavailable
from catalog.records import ImageStorage as StorageRecord
from catalog.records import PrimaryStorage as PrimaryRecord
from catalog.records import ReplicaStatus
from catalog.settings import Settings, load_settings, secret_from_environment
from storage.protocols import ImageStorage, PrimaryStorage

if TYPE_CHECKING:
    from catalog.repository import Catalog
    from storage.sources.packed import PackedSource

PLACEHOLDER = re.compile(r"\{secret:([^{}]+)\}")


@contextmanager
def open_resources() -> "Iterator[tuple[Settings, Catalog]]":
    """Yield the settings and the catalog they name."""
    settings = load_settings()
    with open_catalog(settings.catalog_address) as catalog:
        yield settings, catalog


def run_id() -> str | None:
    """Return the id of the flow run we are in, for the event log; None outside of one."""
    return flow_run.get_id()


def holder() -> str:
    """Return who we are as the holder of a lock: the run, and the process it can be looked up by.

    Shape: `run@host:pid:start-ticks`; the start time tells a reused pid from the process meant.
    """
    pid = os.getpid()
    return f"{run_id() or 'call'}@{os.uname().nodename}:{pid}:{_start_ticks(pid)}"


def is_dead(name: str) -> bool:
    """Tell for certain that a lock's holder is gone: its process on this host, else its run's state.

    A holder of our own run on another host is gone: a run is started again only after its process was given up. Should
    that process live after all, the landing's journal and the lock's token fence it off.
    """
    run, host, pid, ticks = parts_of(name)
    if host == os.uname().nodename:
        return _start_ticks(pid) != ticks
    return run == run_id() or _run_ended(run)


def is_running_here(name: str, run: str) -> bool:
    """Tell for certain that a lock's holder is that run, in a process that lives on this host."""
    held_by, host, pid, ticks = parts_of(name)
    return held_by == run and host == os.uname().nodename and _start_ticks(pid) == ticks


def parts_of(name: str) -> tuple[str, str, int, str]:
    """Return run, host, pid and start ticks of a holder's name."""
    run, _, place = name.partition("@")
    host, pid, ticks = place.rsplit(":", 2)
    return run, host, int(pid), ticks


def _start_ticks(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return "gone"


def _run_ended(run: str) -> bool:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(run).state  # type: ignore[arg-type]  # the client takes the text of a UUID
            return state is not None and state.is_final()
    except (ObjectNotFound, ValueError):
        return True


def open_image_storage(
    record: StorageRecord, settings: Settings, source_address: str | None = None
) -> ImageStorage:
    """Open an image storage by its record, its credentials resolved. A directory without images is made if it is not there.

    source_address: local address that connections are bound to, e.g. of the sync network.
    """
    from storage.registry import open_image_storage as open_storage

    if record.state == "Disabled":
        raise StorageRefused(record.name, "it is disabled; enable it first")
    _require_mounted(record, settings)
    credentials = secret(record.credentials) if record.credentials else None
    return open_storage(record, settings=settings, credentials=credentials, source_address=source_address)


def _require_mounted(record: StorageRecord, settings: Settings) -> None:
    """Raise StorageUnavailable if a directory that has images, by the catalog, is not there: opening would make it anew.

    Else a disk that is not mounted would look like one that lost its images, and the one below its mount point be filled.
    """
    from storage.registry import require_present

    try:
        require_present(record)
    except StorageUnavailable:
        with open_catalog(settings.catalog_address) as catalog:
            here = catalog.replicas(image_storage=record.name)
            if any(replica.status is not ReplicaStatus.LANDING for replica in here):
                raise


def open_primary_storage(record: PrimaryRecord, settings: Settings) -> PrimaryStorage:
    """Open a primary storage by its record, its credentials resolved."""
    from storage.primary.opening import open_primary_storage as open_storage

    credentials = secret(record.credentials) if record.credentials else None
    return open_storage(record, settings=settings, credentials=credentials)


def secret(name: str) -> str:
    """Return a secret's text by the name of its Prefect Secret block, or `env:NAME`. Raises InvalidRequest.

    A block may hold JSON; its own `get` would parse text that looks like JSON, also a password such as `1e5`.
    """
    if name.startswith("env:"):
        return secret_from_environment(name.removeprefix("env:"))
    from prefect.blocks.system import Secret

    try:
        value = Secret.load(name).value.get_secret_value()  # type: ignore[union-attr]  # a coroutine only in async callers
    except ValueError as error:
        raise InvalidRequest("credentials", name, "the name of a Prefect Secret block or env:NAME") from error
    return value if isinstance(value, str) else json.dumps(value)


def open_image_source(
    url: str, credentials: str | None, settings: Settings, *, packed_algorithm: str | None = None
) -> "PackedSource":
    """Open where an image comes from, its secrets resolved.

    url, credentials: as in the request; credentials is the name of a secret. Raises InvalidRequest, SourceForbidden.
    """
    from storage.sources import open_source

    return open_source(
        with_secrets(url), settings, credentials=secret(credentials) if credentials else None,
        packed_algorithm=packed_algorithm,
    )  # fmt: skip


def with_secrets(url: str) -> str:
    """Return a URL with each `{secret:NAME}` replaced by that secret's value, percent-encoded."""
    from urllib.parse import quote

    return PLACEHOLDER.sub(lambda match: quote(secret(match[1]), safe=""), url)
