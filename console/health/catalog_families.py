"""The catalog's figures as families of metrics, a row each."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import get_args

from prometheus_client.core import Metric

from catalog.records import Counts, Figures, HostState, StorageFigures
from console.health.families import gauge

Parts = Sequence[StorageFigures]
"""The replicas of one storage, by status."""


def families(figures: Figures | None) -> Iterator[Metric]:
    """Yield every family, without samples if nothing is known."""
    yield from _images(figures)
    yield from _replicas(figures)
    yield from _storages(figures)
    yield from _things(figures)
    yield from _deliveries(figures)
    yield from _hosts(figures)


def _images(figures: Figures | None) -> Iterator[Metric]:
    count = gauge("imagewright_images", "Images by status.", "status")
    size = gauge("imagewright_images_bytes", "Sizes of the files that were added, by status.", "status")
    for found in figures.images if figures else ():
        count.add_metric((found.name,), found.count)
        size.add_metric((found.name,), found.size_bytes)
    yield from (count, size)


def _replicas(figures: Figures | None) -> Iterator[Metric]:
    family = gauge("imagewright_storage_replicas", "Replicas by status.", "image_storage", "status")
    for part in figures.storages if figures else ():
        family.add_metric((part.image_storage, part.status), part.replicas)
    yield family


def _storages(figures: Figures | None) -> Iterator[Metric]:
    rows = tuple((gauge(name, about, "image_storage"), value) for name, about, value in OF_A_STORAGE)
    found = figures.storages if figures else ()
    for name, group in itertools.groupby(found, key=lambda part: part.image_storage):
        parts = tuple(group)
        for family, value in rows:
            known = value(parts, figures.at) if figures else None
            if known is not None:
                family.add_metric((name,), known)
    yield from (family for family, _ in rows)


def _things(figures: Figures | None) -> Iterator[Metric]:
    rows = tuple((gauge(name, about, "kind"), value) for name, about, value in OF_A_THING)
    for found in figures.things if figures else ():
        for family, value in rows:
            known = value(found, figures.at) if figures else None
            if known is not None:
                family.add_metric((found.name,), known)
    yield from (family for family, _ in rows)


def _deliveries(figures: Figures | None) -> Iterator[Metric]:
    count = gauge("imagewright_webhook_deliveries", "Deliveries of events by status.", "webhook", "status")
    age = gauge(
        "imagewright_webhook_oldest_delivery_age_seconds", "Since the oldest of them was made out.", "webhook", "status"
    )
    for found in figures.deliveries if figures else ():
        count.add_metric((found.webhook, found.status), found.deliveries)
        if figures and (since := _since(found.oldest_at, figures.at)) is not None:
            age.add_metric((found.webhook, found.status), since)
    yield from (count, age)


def _hosts(figures: Figures | None) -> Iterator[Metric]:
    """Yield the number of hosts in each state, zeros included, and the state of each host."""
    count = gauge("imagewright_hosts", "Hosts by state.", "state")
    silent = gauge("imagewright_host_last_seen_age_seconds", "Since a host's last sign of life.", "host", "state")
    scratch = gauge("imagewright_host_scratch_available_bytes", "Free where a host keeps what is on its way.", "host")
    for state in get_args(HostState) if figures else ():
        count.add_metric((state,), sum(host.state == state for host in (figures.hosts if figures else ())))
    for host in figures.hosts if figures else ():
        silent.add_metric((host.name, host.state), host.silent_s)
        scratch.add_metric((host.name,), host.free_scratch_bytes)
    yield from (count, silent, scratch)


def _logical(parts: Parts) -> int:
    return sum(part.logical_bytes for part in parts)


def _stored(parts: Parts) -> int:
    return sum(part.stored_bytes for part in parts)


def _since(moment: datetime | None, at: datetime) -> float | None:
    return None if moment is None else max(0.0, (at - moment).total_seconds())


def _first(parts: Parts) -> datetime | None:
    return min((part.first_verified_at for part in parts if part.first_verified_at), default=None)


def _last(parts: Parts) -> datetime | None:
    return max((part.last_verified_at for part in parts if part.last_verified_at), default=None)


OF_A_STORAGE: tuple[tuple[str, str, Callable[[Parts, datetime], float | None]], ...] = (
    ("imagewright_storage_logical_bytes", "Sizes of the files that a storage keeps.", lambda p, _: _logical(p)),
    ("imagewright_storage_stored_bytes", "Bytes newly written for the files that a storage keeps.", lambda p, _: _stored(p)),
    ("imagewright_storage_dedup_ratio", "Logical bytes for each byte stored.", lambda p, _: _logical(p) / _stored(p) if _stored(p) else None),
    ("imagewright_storage_unverified_replicas", "Replicas that were never proven since they landed.", lambda p, _: sum(part.unverified for part in p)),
    ("imagewright_storage_oldest_verification_age_seconds", "Since the replica was proven that waits longest for its turn.", lambda p, at: _since(_first(p), at)),
    ("imagewright_storage_last_verification_age_seconds", "Since any replica was proven.", lambda p, at: _since(_last(p), at)),
)  # fmt: skip
OF_A_THING: tuple[tuple[str, str, Callable[[Counts, datetime], float | None]], ...] = (
    ("imagewright_records", "Exports, leftovers, volumes, cached images, deferred work.", lambda t, _: t.count),
    ("imagewright_records_bytes", "Bytes that they take, or are about.", lambda t, _: t.size_bytes),
    ("imagewright_records_oldest_age_seconds", "Since the oldest of them was made.", lambda t, at: _since(t.oldest_at, at)),
)  # fmt: skip
