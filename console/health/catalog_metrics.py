"""Metrics of the catalog's contents, and of its log since this process began, counted by the database."""

import itertools
from collections.abc import Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import Metric

from catalog import open_catalog
from catalog.log import events
from catalog.records import Event, Figures
from catalog.repository.catalog import Catalog
from catalog.settings import Settings
from console.health.catalog_families import families
from console.health.families import gauge, up
from console.health.remembered import Known, Remembered

FRESH_S = 10.0
WAIT_S = 3.0
MOST_ENTRIES = 20_000
"""Most entries of the log counted in one look; the next one continues."""
BROUGHT: Mapping[str, str] = {
    events.REPLICA_ADDED: "land",
    events.IMAGE_SYNCED: "sync",
    events.REPLICA_ADOPTED: "adopt",
    events.IMAGE_EXPORTED: "export",
}
"""Kinds of entries about a completed file → the operation; both an add and a move land one."""
MEASURES = ("size_bytes", "stored_bytes")


class CatalogMetrics:
    """A collector of prometheus_client. Each entry of the log is counted once, by the first scrape."""

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        self._settings, self._seen = settings, -1
        self._known = Remembered(self._look, FRESH_S)
        self._entries = Counter(
            "imagewright_log_entries",
            "Entries of the catalog's log since this process began.",
            ("event",),
            registry=registry,
        )
        self._bytes = Counter(
            "imagewright_operation_bytes",
            "Bytes of files that operations brought since this process began: their sizes, and what was newly stored.",
            ("operation", "measure"),
            registry=registry,
        )
        registry.register(self)

    def known(self) -> Known[tuple[Figures, datetime | None]]:
        """Return the last figures and the time of the newest backup."""
        return self._known.known(WAIT_S)

    def _look(self) -> tuple[Figures, datetime | None]:
        with open_catalog(self._settings.catalog_address) as catalog:
            figures = catalog.figures()
            self._count(catalog, figures.sequence)
            return figures, catalog.last_backup()

    def _count(self, catalog: Catalog, newest: int) -> None:
        """Count the log's entries since the last look; the first look starts at the log's end."""
        if self._seen < 0:
            self._seen = newest
        for event in itertools.islice(catalog.events(since=self._seen), MOST_ENTRIES) if newest > self._seen else ():
            self._entries.labels(event.kind).inc()
            for operation, measure, count in brought(event):
                self._bytes.labels(operation, measure).inc(count)
            self._seen = event.sequence

    def collect(self) -> Iterator[Metric]:
        """Yield the figures as families; unknown ones have no samples."""
        known = self.known()
        yield up("catalog", known)
        figures, backed_up_at = known.value or (None, None)
        yield from families(figures)
        age = gauge("imagewright_backup_age_seconds", "Since the newest backup of the catalog was made.")
        if figures and backed_up_at:
            age.add_metric((), (figures.at - backed_up_at).total_seconds())
        yield age


def brought(event: Event) -> Iterator[tuple[str, str, int]]:
    """Yield operation, measure and bytes of the file of an entry; nothing for other entries."""
    operation, after = BROUGHT.get(event.kind), event.after or {}
    for measure in MEASURES if operation else ():
        count = after.get(measure)
        if isinstance(count, int) and count > 0:
            yield str(operation), measure, count
