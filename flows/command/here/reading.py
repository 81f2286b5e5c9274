"""Reading the catalog of this host, as its own terminal sees it: everything, or with the eyes of one account."""

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Unpack

from catalog import open_catalog
from catalog.errors import InvalidRequest, RecordsUnreadable
from catalog.records import (
    Account,
    Deferred,
    Delivery,
    DeliveryStatus,
    Event,
    ExportedImage,
    Family,
    Host,
    Image,
    ImageStorage,
    Leftover,
    LogVerified,
    Promotion,
    Replica,
    Usage,
    Volume,
    Watch,
    Webhook,
)
from catalog.repository.reading.image_filter import ImageFilter
from catalog.repository.reading.visibility import AccountView, seen_events
from catalog.rules.accounts.sharing import ADMIN
from catalog.settings import load_settings
from flows.server.same_catalog import require_same_catalog

if TYPE_CHECKING:
    from catalog.log.difference import Difference
    from catalog.repository.catalog import Catalog


@contextmanager
def reading_here() -> "Iterator[CatalogReading]":
    """Open the catalog. Rows of it that hold no record are left out of listings and named at the end: RecordsUnreadable.

    Raises OtherCatalog where it is not the one that the server's workers write.
    """
    require_same_catalog(load_settings(), os.environ)
    logging.getLogger("imagewright.catalog").disabled = True  # what it says is said at the end
    with open_catalog() as catalog:
        yield CatalogReading(catalog)
        unreadable = tuple(catalog.unreadable.values())
    if unreadable:
        sys.stdout.flush()
        raise RecordsUnreadable(unreadable)


class CatalogReading:
    """Reads an open catalog, as `flows.client.reading` does a service. account: only what it sees; None: everything."""

    def __init__(self, catalog: "Catalog") -> None:
        self.catalog = catalog

    def images(self, **wanted: Unpack[ImageFilter]) -> Iterable[Image]:
        """List images, newest first. Raises StorageNotFound."""
        if (storage := wanted.get("image_storage")) is not None:
            self.catalog.image_storage(storage)
        return self.catalog.images(**wanted)

    def image(self, image_id: str, *, account: str | None = None) -> Image:
        """Show an image."""
        return self.catalog.image(image_id, account=account)

    def replicas(self, image_id: str) -> Iterable[Replica]:
        """List where an image lies."""
        return self.catalog.replicas(image_id)

    def exports(self, *, account: str | None = None) -> Iterable[ExportedImage]:
        """List exported images."""
        view = AccountView(self.catalog, account)
        return (export for export in self.catalog.exports() if view.of(export.image_id))

    def recycle_bin(self, *, account: str | None = None) -> Iterable[Image]:
        """List the recycle bin."""
        return self.catalog.bin(account)

    def leftovers(self, *, account: str | None = None) -> Iterable[Leftover]:
        """List leftovers."""
        view = AccountView(self.catalog, account)
        return (left for left in self.catalog.leftovers() if view.of(left.image_id))

    def storages(self) -> Iterable[ImageStorage]:
        """List image storages."""
        return self.catalog.image_storages()

    def hosts(self) -> Iterable[Host]:
        """List hosts."""
        return self.catalog.hosts()

    def volumes(self, *, account: str | None = None) -> Iterable[Volume]:
        """List volumes: with an account, its own."""
        return (volume for volume in self.catalog.volumes() if account in (None, ADMIN, volume.owner))

    def events(self, image_id: str | None = None, *, account: str | None = None) -> Iterable[Event]:
        """List the log. Raises ImageNotFound for an image it tells nothing of."""
        return seen_events(self.catalog, image_id, account)

    def verified(self) -> LogVerified:
        """Prove the log by its hashes, the records by the log. Raises LogDamaged, RecordNotLogged."""
        return LogVerified(entries=self.catalog.verify_events(), records=self.catalog.verify_tables())

    def pending(self, *, storage: str | None = None) -> Iterable[Deferred]:
        """List work that waits."""
        return self.catalog.pending(storage=storage)

    def usages(self, account: str | None = None) -> Iterable[Usage]:
        """List what accounts use."""
        return [self.catalog.usage(account)] if account else self.catalog.usages()

    def accounts(self) -> Iterable[Account]:
        """List configured accounts."""
        return self.catalog.accounts()

    def webhooks(self) -> Iterable[Webhook]:
        """List webhooks."""
        return self.catalog.webhooks()

    def deliveries(self, webhook: str | None = None, *, status: DeliveryStatus | None = None) -> Iterable[Delivery]:
        """List deliveries. Raises WebhookNotFound."""
        if webhook is not None:
            self.catalog.webhook(webhook)
        return self.catalog.deliveries(webhook, status=status)

    def latest(self, family: str, cpu_architecture: str = "x86_64", *, account: str | None = None) -> Image:
        """Show the newest image of a family."""
        return self.catalog.latest(family, cpu_architecture, account=account)

    def families(self) -> Iterable[Family]:
        """List families."""
        return self.catalog.families()

    def promotions(self, family: str, cpu_architecture: str | None = None) -> Iterable[Promotion]:
        """List what a family promoted and went back from. Raises FamilyNotFound."""
        self.catalog.family(family)
        return self.catalog.promotions(family, cpu_architecture)

    def watches(self, family: str | None = None) -> Iterable[Watch]:
        """List watches."""
        return self.catalog.watches(family)

    def difference(self, since: datetime, until: datetime | None = None) -> "Difference":
        """Return how the catalog differs between two moments."""
        end = until or self.catalog.now()
        if since > end:
            raise InvalidRequest("at1", since.isoformat(), "a moment before now")
        return self.catalog.difference(since, end)
