"""Opening a catalog: which database, is its schema the one we know, and the storages that a home of one's own begins with."""

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
    """Open the catalog at a URL, or where the settings say; see `catalog.open_catalog`."""
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
    from catalog.store.sql import connect, parse  # SQLAlchemy costs 0.2 s: not for memory

    parsed = parse(url)
    if parsed is None:
        raise InvalidRequest("catalog_url", url.partition("://")[0], ALLOWED)
    store = connect(parsed, load_settings().catalog_reserve_bytes)
    prepare(store)
    return store


def add_default_storages(catalog: Catalog, now: datetime) -> None:
    """Record the storages of a home of one's own; a catalog of several hosts has none until somebody registers one.

    Else the first host that looks into it would leave its own path there for all, and each keep other bytes below it.
    """
    home = load_settings().home
    images = ImageStorage(name="default", kind="imagestore", url=(home / "imagestore").as_uri(), created_at=now)
    primary = PrimaryStorage(name="default", kind="local", url=(home / "primary").as_uri(), created_at=now)
    with catalog.changing(actor="system") as change:
        if not any(change.image_storages()):  # another process may have been first
            change.save_image_storage(images)
            change.save_primary_storage(primary)
