"""What tasks open: the catalog, image storages, sources, secrets. Opened per task, closed with it; nothing is kept."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from catalog import open_catalog
from catalog.errors import ImageNotFound, InvalidRequest, StorageElsewhere, StorageRefused, StorageUnavailable
from catalog.records import Image, Lease, ReplicaStatus
from catalog.records import ImageStorage as StorageRecord
from catalog.records import PrimaryStorage as PrimaryRecord
from catalog.settings import Settings, load_settings, secret_from_environment
from storage.protocols import ImageStorage, PrimaryStorage
from tasks.runtime.holders import run_id
from tasks.runtime.runs.acting import caller

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.change import Change
    from catalog.repository.reading.reading import Reading
    from storage.protocols import ObjectStore
    from storage.sources.packed.source import PackedSource
    from storage.uploads.pieces import Objects

PLACEHOLDER = re.compile(r"\{secret:([^{}]+)\}")


@contextmanager
def open_resources() -> "Iterator[tuple[Settings, Catalog]]":
    """Yield the settings and the catalog they name, for whom this run works."""
    settings = load_settings()
    with open_catalog(settings.catalog_address, strict=True) as catalog:
        yield settings, catalog.on_behalf_of(*caller())


@contextmanager
def changing(catalog: "Catalog", actor: str, lease: Lease | None = None) -> "Iterator[Change]":
    """Change records in one transaction as `Catalog.changing` does, under the run that we are in.

    Raises ImageBusy if the lock of `lease` was taken over.
    """
    with catalog.changing(actor, run_id(), lease=lease) as change:
        yield change


def known_image(catalog: "Reading", image_id: str) -> Image | None:
    """Return an image, None where there is none, or none any more."""
    try:
        return catalog.image(image_id)
    except ImageNotFound:
        return None


def open_image_storage(record: StorageRecord, settings: Settings, source_address: str | None = None) -> ImageStorage:
    """Open an image storage by its record, its credentials resolved. A directory without images is made if it is not there.

    source_address: local address that connections are bound to, e.g. of the sync network.
    """
    from storage.registry import open_image_storage as open_storage

    credentials = _checked(record, settings)
    return open_storage(record, settings=settings, credentials=credentials, source_address=source_address)


def open_objects(record: StorageRecord, settings: Settings) -> "ObjectStore":
    """Open what an ImageStore of ours is built on, by its record, as `open_image_storage` does. Raises InvalidRequest for another."""
    from storage.registry import open_objects as open_store

    credentials = _checked(record, settings)
    return open_store(record, settings=settings, credentials=credentials)


def open_bucket(record: StorageRecord, settings: Settings) -> "Objects":
    """Open the bucket of an ImageStore of ours, by its record, as `open_image_storage` does. Raises InvalidRequest for another."""
    from storage.registry import open_bucket as open_store

    credentials = _checked(record, settings)
    return open_store(record, settings=settings, credentials=credentials)


def _checked(record: StorageRecord, settings: Settings) -> str | None:
    """Return a storage's secret, if it may be opened here."""
    if record.state == "Disabled":
        raise StorageRefused(record.name, "it is disabled; enable it first")
    _require_mounted(record, settings)
    _require_shared(record, settings)
    return secret(record.credentials) if record.credentials else None


def _require_mounted(record: StorageRecord, settings: Settings) -> None:
    """Raise StorageUnavailable if a directory that has images, by the catalog, is not there: opening would make it anew.

    Else a disk that is not mounted would look like one that lost its images, and the one below its mount point be filled.
    Where several hosts share a catalog that does not say whose the directory is, it is whose has it, and nobody makes it.
    """
    from storage.registry import require_present

    try:
        require_present(record, settings.host_name)
    except StorageElsewhere:
        raise
    except StorageUnavailable:
        if settings.catalog_is_shared and record.host is None:
            raise
        with open_catalog(settings.catalog_address) as catalog:
            here = catalog.replicas(image_storage=record.name)
            if any(replica.status is not ReplicaStatus.LANDING for replica in here):
                raise


def _require_shared(record: StorageRecord | PrimaryRecord, settings: Settings) -> None:
    """Raise StorageUnavailable where a directory that hosts share is another one on this host."""
    if record.shared:
        from storage.shared_folder import require_token

        with open_catalog(settings.catalog_address) as catalog:
            require_token(record, catalog.share_token(record))


def open_primary_storage(record: PrimaryRecord, settings: Settings) -> PrimaryStorage:
    """Open a primary storage by its record, its credentials resolved."""
    from storage.primary.registry import open_primary_storage as open_storage

    _require_shared(record, settings)
    credentials = secret(record.credentials) if record.credentials else None
    return open_storage(record, settings=settings, credentials=credentials)


def open_image_source(
    url: str, credentials: str | None, settings: Settings, *, packed_algorithm: str | None = None
) -> "PackedSource":
    """Open where an image comes from, its secrets resolved.

    url, credentials: as in the request; credentials is the name of a secret. Raises InvalidRequest, SourceForbidden.
    """
    from storage.sources import open_source
    from tasks.runtime.uploads import open_uploads

    return open_source(
        with_secrets(url),
        settings,
        credentials=secret(credentials) if credentials else None,
        packed_algorithm=packed_algorithm,
        uploads=open_uploads(settings),
    )


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


def with_secrets(url: str) -> str:
    """Return a URL with each `{secret:NAME}` replaced by that secret's value, percent-encoded."""
    from urllib.parse import quote

    return PLACEHOLDER.sub(lambda match: quote(secret(match[1]), safe=""), url)
