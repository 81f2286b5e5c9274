"""Opening a catalog: which database, is its schema the one we know, and the storages that exist from the start."""

from collections.abc import Callable
from datetime import UTC, datetime

from catalog import kinds
from catalog.errors import InvalidRequest
from catalog.memory import MemoryStore
from catalog.query import EVERYTHING
from catalog.records import ImageStorage, PrimaryStorage
from catalog.repository import Catalog
from catalog.settings import load_settings
from catalog.store import Store

ALLOWED = "a URL that starts with sqlite:///, postgresql+psycopg:// or memory://"


def utc_now() -> datetime:
    """Return the moment, timezone-aware."""
    return datetime.now(UTC)


def open_at(url: str | None, clock: Callable[[], datetime] | None) -> Catalog:
    """Open the catalog at a URL, or where the settings say; see `catalog.open_catalog`."""
    store = _store(url or load_settings().catalog_address)
    try:
        with store.reading() as transaction:
            empty = not transaction.page(kinds.IMAGE_STORAGE, EVERYTHING, None, 1)
        catalog = Catalog(store, clock or utc_now)
        if empty:
            _add_default_storages(catalog, (clock or utc_now)())
    except BaseException:
        store.close()
        raise
    return catalog


def _store(url: str) -> Store:
    if url.startswith("memory:"):
        return MemoryStore()
    from catalog.schema import prepare
    from catalog.sql import connect, parse  # SQLAlchemy costs 0.2 s: not for memory

    parsed = parse(url)
    if parsed is None:
        raise InvalidRequest("catalog_url", url.partition("://")[0], ALLOWED)
    store = connect(parsed)
    prepare(store)
    return store


def _add_default_storages(catalog: Catalog, now: datetime) -> None:
    home = load_settings().home
    images = ImageStorage(
        name="default", kind="imagestore", url=(home / "imagestore").as_uri(), created_at=now
    )
    primary = PrimaryStorage(name="default", kind="local", url=(home / "primary").as_uri(), created_at=now)
    with catalog.changing(actor="system") as change:
        if not any(change.image_storages()):  # another process may have been first
            change.save_image_storage(images)
            change.save_primary_storage(primary)
