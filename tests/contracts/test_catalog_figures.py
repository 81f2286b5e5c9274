"""What every catalog says in numbers, whatever keeps its rows; and webhooks with their deliveries."""

from datetime import timedelta

import pytest

from catalog import errors
from catalog.records import Counts, Delivery, ImageStatus, Webhook
from catalog.repository.catalog import Catalog
from catalog.repository.reading.log import BACKUP
from tests.catalog.samples import START, a_replica, an_export, an_image, saved

HOOK = Webhook(name="hook", url="https://x.example/", secret="env:X", events=("*",), created_at=START)


def test_an_empty_catalog_has_none_of_anything(catalog: Catalog) -> None:
    figures = catalog.figures()
    assert (figures.images, figures.storages, figures.deliveries) == ((), (), ())
    assert {found.name: (found.count, found.size_bytes, found.oldest_at) for found in figures.things} == dict.fromkeys(
        ("exports", "leftovers", "volumes", "cached images", "deferred work"), (0, 0, None)
    )


def test_figures_are_what_listings_come_to(catalog: Catalog) -> None:
    images = saved(catalog, *(an_image(status=ImageStatus.READY, size_bytes=size) for size in (5, None, 1 << 40)))
    (failed,) = saved(catalog, an_image(status=ImageStatus.ERROR))
    with catalog.changing(actor="admin") as change:
        for days, image in enumerate(images[:2]):
            proven = START + timedelta(days=days)
            change.save_replica(a_replica(image, status="Ready", size_bytes=10, stored_bytes=4, verified_at=proven))
        change.save_replica(a_replica(images[2], status="Ready", size_bytes=1 << 40))
        change.save_replica(a_replica(failed, status="Damaged", size_bytes=3))
        change.save_export(an_export(images[0], size_bytes=7))
        change.defer("delete replica", f"replica:{failed.id}@default", "it is away", size_bytes=9)
    figures = catalog.figures()
    assert figures.images == (Counts(name="Error", count=1), Counts(name="Ready", count=3, size_bytes=5 + (1 << 40)))
    ready, damaged = sorted(figures.storages, key=lambda found: found.replicas, reverse=True)
    assert (ready.status, ready.replicas, ready.logical_bytes, ready.stored_bytes) == ("Ready", 3, 20 + (1 << 40), 8)
    assert (ready.unverified, ready.first_verified_at, ready.last_verified_at) == (1, START, START + timedelta(days=1))
    assert (damaged.status, damaged.unverified, damaged.first_verified_at, damaged.first_landed_at) == (
        "Damaged",
        1,
        None,
        START,
    )
    things = {found.name: (found.count, found.size_bytes) for found in figures.things}
    assert (things["exports"], things["deferred work"], things["volumes"]) == ((1, 7), (1, 9), (0, 0))
    assert figures.sequence == max(event.sequence for event in catalog.events())


def test_the_newest_note_of_a_backup_counts(catalog: Catalog) -> None:
    assert catalog.last_backup() is None
    for _ in range(2):
        with catalog.changing(actor="admin") as change:
            noted = change.record("imagewright.catalog.backed_up", BACKUP)
    assert catalog.last_backup() == noted.at
    assert catalog.verify_events() > 0
    assert catalog.verify_tables() >= 0
    assert BACKUP not in catalog.snapshot()


def test_a_webhook_begins_where_the_log_is_and_what_it_is_told_is_not_logged(catalog: Catalog) -> None:
    saved(catalog, an_image())
    before = catalog.figures().sequence
    with catalog.changing(actor="admin") as change:
        change.save_webhook(HOOK)
    assert (catalog.webhook_position("hook"), tuple(catalog.webhooks())) == (before, (HOOK,))
    logged = catalog.figures().sequence
    delivery = Delivery(webhook="hook", sequence=logged, id="msg_1", event="e", due_at=START, created_at=START)
    with catalog.changing(actor="system") as change:
        change.save_delivery(delivery)
        change.move_webhook("hook", logged)
    assert (tuple(catalog.deliveries("hook", status="Pending")), catalog.figures().sequence) == ((delivery,), logged)
    with catalog.changing(actor="admin") as change:
        change.save_webhook(HOOK.model_copy(update={"events": ("a",)}))
    assert catalog.webhook_position("hook") == logged
    (figure,) = catalog.figures().deliveries
    assert (figure.webhook, figure.status, figure.deliveries, figure.oldest_at) == ("hook", "Pending", 1, START)
    with catalog.changing(actor="admin") as change:
        change.remove_webhook("hook")
    assert (tuple(catalog.deliveries()), catalog.webhook_position("hook")) == ((), 0)
    with pytest.raises(errors.WebhookNotFound):
        catalog.webhook("hook")
    catalog.verify_tables()
