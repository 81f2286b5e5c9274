"""Read families, their promotions and watches."""

from collections.abc import Iterator

from catalog.errors import FamilyNotFound, WatchNotFound
from catalog.records import ANY_ARCHITECTURE, Channel, Family, Image, Promotion, Watch, WatchState
from catalog.store import record_kinds
from catalog.store.listing import Listing, where
from catalog.store.protocol import Query


class FamilyReading(Listing):
    """Reads families, channels, promotions, watches, and the descendants of images."""

    def families(self) -> Iterator[Family]:
        """List families by name."""
        return self._all(record_kinds.FAMILY)

    def family(self, name: str) -> Family:
        """Return one family. Raises FamilyNotFound."""
        return self._need(record_kinds.FAMILY, name, FamilyNotFound)

    def channels(self, family: str | None = None, *, image_id: str | None = None) -> Iterator[Channel]:
        """List the latest images by family and architecture: of one family, or those that are this image."""
        return self._all(record_kinds.CHANNEL, where(family=family, image_id=image_id))

    def channel(self, family: str, cpu_architecture: str) -> Channel | None:
        """Return the channel of exactly this architecture, None if nothing was ever promoted for it."""
        return self._get(record_kinds.CHANNEL, family, cpu_architecture)

    def channel_for(self, family: str, cpu_architecture: str) -> Channel | None:
        """Return the channel of an architecture, or that of any; None if nothing was ever promoted."""
        return self.channel(family, cpu_architecture) or self.channel(family, ANY_ARCHITECTURE)

    def promotions(self, family: str, cpu_architecture: str | None = None) -> Iterator[Promotion]:
        """List the promotions and rollbacks of a family, by architecture, oldest first."""
        return self._all(record_kinds.PROMOTION, where(family=family, cpu_architecture=cpu_architecture))

    def watches(self, family: str | None = None) -> Iterator[Watch]:
        """List watches by name, of one family or all."""
        return self._all(record_kinds.WATCH, where(family=family))

    def watch(self, name: str) -> Watch:
        """Return one watch. Raises WatchNotFound."""
        return self._need(record_kinds.WATCH, name, WatchNotFound)

    def watch_state(self, name: str) -> WatchState:
        """Return the progress of a watch."""
        return self._get(record_kinds.WATCH_STATE, name) or WatchState(watch=name)

    def made_of(self, image_id: str) -> Iterator[Image]:
        """List all descendants of an image, nearest first, each once."""
        seen = {image_id}
        parents: tuple[str, ...] = (image_id,)
        while parents:
            found = self._all(record_kinds.IMAGE, Query(among={"parent": parents}))
            children = [image for image in found if image.id not in seen]
            seen.update(image.id for image in children)
            yield from children
            parents = tuple(image.id for image in children)
