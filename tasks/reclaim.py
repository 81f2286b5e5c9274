"""Giving back the space of what no image, recycle bin, leftover or landing needs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefect import get_run_logger, task

from catalog.errors import ImageNotFound, ImagewrightError
from catalog.records import ItemOutcome, ReclaimReport, ReplicaStatus
from catalog.rules.landings import image_of_landing, landing_needed
from storage.abilities import Reclaimable
from storage.protocols import ImageStorage as Storage
from tasks.resources import is_dead, open_image_storage, open_resources
from tasks.retries import retrying

if TYPE_CHECKING:
    from catalog.repository import Catalog


SYNC = "sync-"
"""How the landing of a batch of images on their way between two ImageStores begins."""


@task(task_run_name="choose image storages")
def choose_storages(names: Sequence[str]) -> tuple[str, ...]:
    """Return the storages asked for, or every enabled one. Raises StorageNotFound."""
    with open_resources() as (_, catalog):
        if not names:
            return tuple(s.name for s in catalog.image_storages() if s.state == "Enabled")
        return tuple(catalog.image_storage(name).name for name in dict.fromkeys(names))


@task(task_run_name="reclaim {image_storage}", **retrying())
def reclaim(image_storage: str, *, plan_only: bool) -> ReclaimReport:
    """Free what nothing needs on one storage; a storage that fails is reported and never stops the others."""
    with open_resources() as (settings, catalog):
        try:
            storage = open_image_storage(catalog.image_storage(image_storage), settings)
            if not isinstance(storage, Reclaimable):
                return ReclaimReport(image_storage=image_storage)
            report = storage.reclaim(needed_landings(catalog, storage), plan_only=plan_only)
        except ImagewrightError as error:
            if error.retryable:
                raise
            failed = ItemOutcome(subject=image_storage, outcome="failed", reason=str(error))
            return ReclaimReport(image_storage=image_storage, items=(failed,))
    get_run_logger().info("%s: %s bytes freed", image_storage, report.bytes_freed)
    return report


def needed_landings(catalog: "Catalog", storage: Storage) -> frozenset[str]:
    """Return the landings on a storage that somebody may still go on with."""
    ids = [found.landing_id for found in storage.landings()]
    return frozenset(i for i in ids if is_needed(catalog, storage.name, i))


def is_needed(catalog: "Catalog", storage: str, landing_id: str) -> bool:
    """Tell whether somebody may still go on with a landing."""
    image_id = image_of_landing(landing_id) or landing_id
    if landing_id.startswith(SYNC):  # locked under its own name while a run works on it
        return is_busy(catalog, landing_id)
    try:
        image = catalog.image(image_id)
    except ImageNotFound:
        image = None
    ready = (r.image_storage for r in catalog.replicas(image_id) if r.status is ReplicaStatus.READY)
    return landing_needed(landing_id, image, whole_here=storage in ready, busy=is_busy(catalog, image_id))


def is_busy(catalog: "Catalog", image_id: str) -> bool:
    """Tell whether somebody who is not surely dead works on an image."""
    held_by = catalog.lease(image_id).holder
    return held_by is not None and not is_dead(held_by)


def joined(reports: Sequence[ReclaimReport]) -> ReclaimReport:
    """Return one report of several storages; items name their storage."""
    items = [
        item.model_copy(update={"subject": f"{report.image_storage}: {item.subject}"})
        for report in reports
        for item in report.items
    ]
    return ReclaimReport(
        image_storage=", ".join(report.image_storage for report in reports),
        items=tuple(items),
        bytes_freed=sum(report.bytes_freed for report in reports),
        chips_kept=sum(report.chips_kept for report in reports),
        chips_freed=sum(report.chips_freed for report in reports),
    )
