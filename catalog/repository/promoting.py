"""Change families and their latest within a change, so atomically: there is never a moment without a latest image."""

from collections.abc import Sequence

from catalog.log import events
from catalog.records import Channel, Evidence, Family, Image, Promotion, Watch, WatchState
from catalog.repository.writing import Writing
from catalog.rules.promotion.history import channel_of
from catalog.store import record_kinds


class Promoting(Writing):
    """Saves families and watches, and changes a family's latest image."""

    def save_family(self, family: Family, event: str | None = None) -> None:
        """Add or replace a family."""
        self._save(record_kinds.FAMILY, family, event)

    def remove_family(self, name: str, event: str | None = None) -> None:
        """Remove a family, its watches and promotions; its images stay. A no-op if there is none."""
        for watch in tuple(self.watches(name)):
            self.remove_watch(watch.name, events.WATCH_DELETED)
        for channel in tuple(self.channels(name)):
            self._remove(record_kinds.CHANNEL, (name, channel.cpu_architecture), None)
        for promotion in tuple(self.promotions(name)):
            key = (name, promotion.cpu_architecture, promotion.number)
            self._remove(record_kinds.PROMOTION, key, None)
        self._remove(record_kinds.FAMILY, (name,), event)

    def save_watch(self, watch: Watch, event: str | None = None) -> None:
        """Add or replace a watch; its progress starts anew."""
        self._save(record_kinds.WATCH, watch, event)
        self._remove(record_kinds.WATCH_STATE, (watch.name,), None)

    def remove_watch(self, name: str, event: str | None = None) -> None:
        """Remove a watch; a no-op if there is none."""
        self._remove(record_kinds.WATCH_STATE, (name,), None)
        self._remove(record_kinds.WATCH, (name,), event)

    def keep_watch_state(self, state: WatchState) -> None:
        """Store the progress of a watch; not in the log."""
        self._save(record_kinds.WATCH_STATE, state, None)

    def promote(self, family: str, image: Image, reason: str, evidence: Sequence[Evidence] = ()) -> Promotion:
        """Make an image the latest of a family for its architecture, and record why."""
        channel, number = self._next(family, channel_of(image))
        promotion = Promotion(
            family=family,
            cpu_architecture=channel_of(image),
            number=number,
            kind="promoted",
            image_id=image.id,
            build_version=image.build_version,
            previous=channel.image_id if channel else None,
            reason=reason,
            evidence=tuple(evidence),
            by=self._by.actor,
            created_at=self.now(),
        )
        return self._moved(promotion, events.FAMILY_PROMOTED)

    def go_back(self, family: str, cpu_architecture: str, to: Image | None, reason: str) -> Promotion:
        """Make an earlier image the latest again, or none, and record why."""
        channel, number = self._next(family, cpu_architecture)
        promotion = Promotion(
            family=family,
            cpu_architecture=cpu_architecture,
            number=number,
            kind="rolled back",
            image_id=to.id if to else None,
            build_version=to.build_version if to else None,
            previous=channel.image_id if channel else None,
            reason=reason,
            by=self._by.actor,
            created_at=self.now(),
        )
        return self._moved(promotion, events.FAMILY_ROLLED_BACK)

    def _next(self, family: str, cpu_architecture: str) -> tuple[Channel | None, int]:
        channel = self.channel(family, cpu_architecture)
        return channel, channel.number + 1 if channel else 1

    def _moved(self, promotion: Promotion, event: str) -> Promotion:
        channel = Channel(
            family=promotion.family,
            cpu_architecture=promotion.cpu_architecture,
            image_id=promotion.image_id,
            number=promotion.number,
        )
        self._save(record_kinds.PROMOTION, promotion, event)
        self._save(record_kinds.CHANNEL, channel, None)
        return promotion
