"""What there is on a service: the records that commands print, as whoever asks sees them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn, TypeVar

from catalog.errors import ExportNotFound, FamilyNotFound, ImageNotFound, ImagewrightError, InvalidRequest
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
    ImageFormat,
    ImageStorage,
    ImageType,
    Leftover,
    Promotion,
    Record,
    Replica,
    Usage,
    Volume,
    Watch,
    Webhook,
)
from flows.client.connection import Connection, Query, segment
from flows.client.errors import NO_SUCH_PATH, NotOffered, ServiceRefused
from flows.client.listings import gathered, listed
from flows.client.parsing import parsed

if TYPE_CHECKING:
    from catalog.log.difference import Difference

R = TypeVar("R", bound=Record)


class ServiceReading:
    """Reading by way of a connection. account: with whose eyes; only an administrator may borrow those of others."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def images(
        self,
        *,
        status: str | None = None,
        name_pattern: str = "*",
        owner: str | None = None,
        account: str | None = None,
        image_storage: str | None = None,
        image_type: ImageType | None = None,
        format: ImageFormat | None = None,  # noqa: A002  # it is the record's word
        family: str | None = None,
        os: str | None = None,
        build_version: str | None = None,
        cpu_architecture: str | None = None,
        labels: tuple[str, ...] = (),
        deprecated: bool | None = None,
        changed_since: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[Image]:
        """List images, newest first. status: one of `ImageStatus`; None: all but those in the recycle bin."""
        if limit is not None and limit < 0:
            raise InvalidRequest("limit", limit, "0 or more; leave it out for all")
        since = changed_since.isoformat() if changed_since else None
        asked: dict[str, object] = {
            "status": status, "name_pattern": name_pattern, "owner": owner, "account": account, "image_storage": image_storage,
            "image_type": image_type, "format": format, "family": family, "deprecated": deprecated, "changed_since": since,
            "os": os, "version": build_version, "arch": cpu_architecture, "label": labels or None,
        }  # fmt: skip
        return self._listed("images", Image, asked, limit)

    def image(self, image_id: str, *, account: str | None = None) -> Image:
        """Show an image. Raises ImageNotFound."""
        if account is not None:
            raise InvalidRequest("account", account, "leave it out: from afar an image is shown as you see it")
        return self._one(f"/images/{segment(image_id)}", Image, ImageNotFound(image_id))

    def replicas(self, image_id: str) -> tuple[Replica, ...]:
        """List where an image lies."""
        return gathered(self.connection, f"/images/{segment(image_id)}/replicas", Replica)

    def exports(self, *, account: str | None = None, image_id: str | None = None) -> Iterator[ExportedImage]:
        """List exported images, newest first."""
        return self._listed("exports", ExportedImage, {"account": account, "image_id": image_id})

    def export(self, export_id: str) -> ExportedImage:
        """Show an exported image. Raises ExportNotFound."""
        return self._one(f"/exports/{segment(export_id)}", ExportedImage, ExportNotFound(export_id))

    def recycle_bin(self, *, account: str | None = None) -> Iterator[Image]:
        """List deleted images that can still be recovered."""
        return self._listed("bin", Image, {"account": account})

    def leftovers(self, *, account: str | None = None) -> Iterator[Leftover]:
        """List what changes of storage left on their sources."""
        return self._listed("leftovers", Leftover, {"account": account})

    def storages(self) -> Iterator[ImageStorage]:
        """List image storages."""
        return self._listed("storages", ImageStorage)

    def hosts(self) -> Iterator[Host]:
        """List the hosts that work on the catalog."""
        return self._listed("hosts", Host)

    def volumes(self, *, account: str | None = None, image_id: str | None = None) -> Iterator[Volume]:
        """List volumes, newest first."""
        return self._listed("volumes", Volume, {"account": account, "image_id": image_id})

    def events(self, image_id: str | None = None, *, account: str | None = None, since: int = 0) -> Iterator[Event]:
        """List the event log, oldest first, after an entry by its number. Raises ImageNotFound for an image it tells nothing of."""
        found = False
        for event in self._listed("events", Event, {"image_id": image_id, "account": account, "since": since}):
            found = True
            yield event
        if image_id is not None and not found and not since:
            raise ImageNotFound(image_id)

    def pending(self, *, storage: str | None = None) -> Iterator[Deferred]:
        """List work that could not be done yet."""
        return self._listed("pending", Deferred, {"storage": storage})

    def usages(self, account: str | None = None) -> Iterator[Usage]:
        """List what accounts use."""
        return self._listed("usage", Usage, {"account": account})

    def accounts(self) -> Iterator[Account]:
        """List the accounts that something is configured for."""
        return self._listed("accounts", Account)

    def webhooks(self) -> Iterator[Webhook]:
        """List webhooks."""
        return self._listed("webhooks", Webhook)

    def deliveries(self, webhook: str | None = None, *, status: DeliveryStatus | None = None) -> Iterator[Delivery]:
        """List what webhooks were told."""
        return self._listed("deliveries", Delivery, {"webhook": webhook, "status": status})

    def latest(self, family: str, cpu_architecture: str = "x86_64", *, account: str | None = None) -> Image:
        """Show the newest enabled, Ready and not deprecated image of a family. Raises ImageNotFound."""
        if account is not None:
            raise InvalidRequest("account", account, "leave it out: from afar an image is shown as you see it")
        nothing = ImageNotFound("latest", f"of family {family!r} for {cpu_architecture}")
        return self._one(f"/families/{segment(family)}/latest", Image, nothing, {"arch": cpu_architecture})

    def families(self) -> Iterator[Family]:
        """List families and their rules, by name."""
        return self._listed("families", Family)

    def promotions(self, family: str, cpu_architecture: str | None = None) -> Iterator[Promotion]:
        """List what a family promoted and went back from, the oldest first. Raises FamilyNotFound."""
        if not any(one.name == family for one in self.families()):
            raise FamilyNotFound(family)
        return self._listed("promotions", Promotion, {"family": family, "arch": cpu_architecture})

    def watches(self, family: str | None = None) -> Iterator[Watch]:
        """List what is watched for new builds, by name."""
        return self._listed("watches", Watch, {"family": family})

    def difference(self, since: datetime, until: datetime | None = None) -> "Difference":
        """Return how the catalog differs between two moments; None: until now."""
        from catalog.log.difference import Difference

        end = until.isoformat() if until else None
        nothing = NotOffered(self.connection.url, "diff")
        return self._one("/differences", Difference, nothing, {"since": since.isoformat(), "until": end})

    def verified(self) -> NoReturn:
        """Refuse what needs the database itself. Raises NotOffered."""
        raise NotOffered(self.connection.url, "events --verify")

    def _listed(self, name: str, kind: type[R], query: Query | None = None, limit: int | None = None) -> Iterator[R]:
        with _without(NotOffered(self.connection.url, name)):
            yield from listed(self.connection, f"/{name}", kind, query or {}, limit)

    def _one(self, path: str, kind: type[R], nothing: ImagewrightError, query: Query | None = None) -> R:
        """Return a record. nothing: raised where a service has no such path."""
        with _without(nothing):
            said = self.connection.ask("GET", path, query=query).value
        return parsed(kind, said, self.connection.address(path))


@contextmanager
def _without(nothing: ImagewrightError) -> Iterator[None]:
    try:
        yield
    except ServiceRefused as error:
        if error.status != NO_SUCH_PATH:
            raise
        raise nothing from error
