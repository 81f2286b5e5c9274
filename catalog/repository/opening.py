"""Open a catalog: choose the database, check its schema, and add the default storages of a new home."""

from collections.abc import Callable
from datetime import datetime

from catalog import privacy
from catalog.errors import InvalidRequest
from catalog.records import ImageStorage, PrimaryStorage
from catalog.repository.catalog import Catalog
from catalog.settings import load_settings
from catalog.store import record_kinds
from catalog.store.memory import MemoryStore
from catalog.store.protocol import EVERYTHING, Store
from catalog.store.sql import ALLOWED


def open_at(url: str | None, clock: Callable[[], datetime] | None, *, strict: bool) -> Catalog:
    """Open the catalog at a URL, or at the settings' one; see `catalog.open_catalog`."""
    settings = load_settings()
    privacy.close(settings)
    store = _store(url or settings.catalog_address)
    try:
        with store.reading() as transaction:
            empty = not transaction.page(record_kinds.IMAGE_STORAGE, EVERYTHING, None, 1).rows
        catalog = Catalog(store, clock)
        catalog.strict = strict
        if empty and not store.shared:
            add_default_storages(catalog, catalog.now())
    except BaseException:
        store.close()
        raise
    return catalog


def _store(url: str) -> Store:
    if url.startswith("memory:"):
        return MemoryStore()
    from catalog.store.schema import prepare
    from catalog.store.sql import connect, parse  # importing SQLAlchemy takes 0.2 s: not for memory

    parsed = parse(url)
    if parsed is None:
        raise InvalidRequest("catalog_url", url.partition("://")[0], ALLOWED)
    store = connect(parsed, load_settings().catalog_reserve_bytes)
    prepare(store)
    return store


def add_default_storages(catalog: Catalog, now: datetime) -> None:
    """Record the default storages of a single-host home; a shared catalog has none until one is registered.

    Otherwise the first host to open it would record its own path for all, and each host would keep other bytes below
    it.
    """
    home = load_settings().home
    images = ImageStorage(name="default", kind="imagestore", url=(home / "imagestore").as_uri(), created_at=now)
    primary = PrimaryStorage(name="default", kind="local", url=(home / "primary").as_uri(), created_at=now)
    with catalog.changing(actor="system") as change:
        if not any(change.image_storages()):  # another process may have added them first
            change.save_image_storage(images)
            change.save_primary_storage(primary)
