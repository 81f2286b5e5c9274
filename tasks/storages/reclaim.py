"""Free the space of chips and landings that no image, recycle bin or leftover needs."""

from collections.abc import Sequence

from catalog.errors import ImagewrightError
from catalog.records import ItemOutcome, ReclaimReport
from catalog.rules.storages.hosts import bound_to, does
from catalog.store.ballast import freeing_room
from storage.abilities import Reclaimable
from tasks.replicas.landings import needed_landings
from tasks.runtime.resources import open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import run_logger, task


@task(task_run_name="choose image storages", **retrying())
def choose_storages(names: Sequence[str], host: str | None = None) -> tuple[str, ...]:
    """Return the given storages, or every enabled one, limited to those that this run does. Raises StorageNotFound.

    host: only its directories; None: storages that every host reaches, and this host's directories.
    """
    with open_resources() as (settings, catalog):
        if names:
            found = [catalog.image_storage(name) for name in dict.fromkeys(names)]
        else:
            found = [s for s in catalog.image_storages() if s.state == "Enabled"]
        return tuple(s.name for s in found if does(bound_to(s), host, settings.host_name))


@task(task_run_name="reclaim {image_storage}", **retrying())
@freeing_room()
def reclaim(image_storage: str, *, plan_only: bool) -> ReclaimReport:
    """Free the unneeded space of one storage; a storage that fails is reported and never stops the others."""
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
    run_logger().info("%s: %s bytes freed", image_storage, report.bytes_freed)
    return report


def joined(reports: Sequence[ReclaimReport]) -> ReclaimReport:
    """Join the reports of several storages; each item names its storage."""
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
