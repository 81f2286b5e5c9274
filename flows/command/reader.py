"""What reading commands ask, of whomever: the catalog of this host (`here/reading.py`) or a service (`flows.client`)."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

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

if TYPE_CHECKING:
    from catalog.log.difference import Difference


class Reader(Protocol):
    """Answers in records. account: with whose eyes; what it may not see does not exist for it."""

    def images(
        self,
        *,
        status: str | None = None,
        name_pattern: str = "*",
        owner: str | None = None,
        account: str | None = None,
        image_storage: str | None = None,
        deprecated: bool | None = None,
        family: str | None = None,
        os: str | None = None,
        build_version: str | None = None,
        cpu_architecture: str | None = None,
        labels: tuple[str, ...] = (),
        limit: int | None = None,
    ) -> Iterable[Image]:
        """List images, newest first. status: of one kind only; None: all but those in the recycle bin."""
        ...

    def image(self, image_id: str, *, account: str | None = None) -> Image:
        """Show an image. Raises ImageNotFound."""
        ...

    def replicas(self, image_id: str) -> Iterable[Replica]:
        """List where an image lies."""
        ...

    def exports(self, *, account: str | None = None) -> Iterable[ExportedImage]:
        """List exported images."""
        ...

    def recycle_bin(self, *, account: str | None = None) -> Iterable[Image]:
        """List deleted images that can still be recovered."""
        ...

    def leftovers(self, *, account: str | None = None) -> Iterable[Leftover]:
        """List what changes of storage left on their sources."""
        ...

    def storages(self) -> Iterable[ImageStorage]:
        """List image storages."""
        ...

    def hosts(self) -> Iterable[Host]:
        """List the hosts that work on the catalog."""
        ...

    def volumes(self, *, account: str | None = None) -> Iterable[Volume]:
        """List volumes."""
        ...

    def events(self, image_id: str | None = None, *, account: str | None = None) -> Iterable[Event]:
        """List the event log. Raises ImageNotFound for an image it tells nothing of."""
        ...

    def verified(self) -> LogVerified:
        """Prove the log by its hashes, the records by the log."""
        ...

    def pending(self, *, storage: str | None = None) -> Iterable[Deferred]:
        """List work that could not be done yet."""
        ...

    def usages(self, account: str | None = None) -> Iterable[Usage]:
        """List what accounts use."""
        ...

    def accounts(self) -> Iterable[Account]:
        """List the accounts that something is configured for."""
        ...

    def webhooks(self) -> Iterable[Webhook]:
        """List who is told of events."""
        ...

    def deliveries(self, webhook: str | None = None, *, status: DeliveryStatus | None = None) -> Iterable[Delivery]:
        """List what webhooks were told. Raises WebhookNotFound."""
        ...

    def latest(self, family: str, cpu_architecture: str = "x86_64", *, account: str | None = None) -> Image:
        """Show the newest enabled, Ready and not deprecated image of a family. Raises ImageNotFound."""
        ...

    def families(self) -> Iterable[Family]:
        """List families by name."""
        ...

    def promotions(self, family: str, cpu_architecture: str | None = None) -> Iterable[Promotion]:
        """List what a family promoted and went back from, the oldest first."""
        ...

    def watches(self, family: str | None = None) -> Iterable[Watch]:
        """List watches by name."""
        ...

    def difference(self, since: datetime, until: datetime | None = None) -> "Difference":
        """Return how the catalog differs between two moments; None: until now."""
        ...
