"""Read the catalog's figures, counted inside the database without listing records."""

from collections.abc import Mapping
from datetime import datetime

from catalog.records import Counts, DeliveryFigures, Figures, Host, HostFigures, Record, StorageFigures
from catalog.rules.storages.hosts import state_of
from catalog.store import record_kinds
from catalog.store.listing import Listing
from catalog.store.protocol import EVERYTHING, Total, Transaction
from catalog.store.record_kinds import RecordKind

THINGS: Mapping[str, tuple[RecordKind[Record], str]] = {
    "exports": (record_kinds.EXPORT, "size_bytes"),
    "leftovers": (record_kinds.LEFTOVER, "size_bytes"),
    "volumes": (record_kinds.VOLUME, "size_bytes"),
    "cached images": (record_kinds.CACHED, "size_bytes"),
    "deferred work": (record_kinds.DEFERRED, "bytes"),
}
"""Kinds counted besides images and replicas, each with its field of bytes."""
REPLICA_SUMS = ("size_bytes", "stored_bytes")


class FigureReading(Listing):
    """Reads figures."""

    def figures(self) -> Figures:
        """Return all figures at one moment. The database scans each table for them."""
        at = self._clock()
        with self._reading() as transaction:
            last = transaction.last_event()
            images = transaction.totals(record_kinds.IMAGE, ("status",), ("size_bytes",))
            replicas = transaction.totals(
                record_kinds.REPLICA, ("image_storage", "status"), REPLICA_SUMS, ("verified_at", "created_at")
            )
            things = tuple(_counts(transaction, name) for name in THINGS)
            hosts = transaction.page(record_kinds.HOST, EVERYTHING, None, self._page_size).records
            sent = transaction.totals(record_kinds.DELIVERY, ("webhook", "status"), (), ("created_at",))
        return Figures(
            at=at,
            sequence=last.sequence if last else 0,
            images=tuple(Counts(name=str(t.group[0]), count=t.records, size_bytes=t.sums[0]) for t in images),
            storages=tuple(map(_of_storage, replicas)),
            things=things,
            deliveries=tuple(map(_of_webhook, sent)),
            hosts=tuple(_of_host(host, at) for host in hosts),
        )


def _counts(transaction: Transaction, name: str) -> Counts:
    kind, size = THINGS[name]
    (total,) = transaction.totals(kind, (), (size,), ("created_at",))
    return Counts(name=name, count=total.records, size_bytes=total.sums[0], oldest_at=total.least[0])


def _of_storage(total: Total) -> StorageFigures:
    return StorageFigures(
        image_storage=str(total.group[0]),
        status=str(total.group[1]),
        replicas=total.records,
        logical_bytes=total.sums[0],
        stored_bytes=total.sums[1],
        unverified=total.records - total.counts[0],
        first_verified_at=total.least[0],
        last_verified_at=total.most[0],
        first_landed_at=total.least[1],
    )


def _of_webhook(total: Total) -> DeliveryFigures:
    webhook, status = map(str, total.group)
    return DeliveryFigures(webhook=webhook, status=status, deliveries=total.records, oldest_at=total.least[0])


def _of_host(host: Host, at: datetime) -> HostFigures:
    silent_s = max(0.0, (at - host.last_seen).total_seconds())
    return HostFigures(
        name=host.name, state=state_of(host, at), silent_s=silent_s, free_scratch_bytes=host.free_scratch_bytes
    )
