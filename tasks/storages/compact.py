"""Compact images that were not written lately, at low priority."""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from catalog.errors import ImagewrightError
from catalog.records import CompactionReport, ItemOutcome
from storage.abilities import Compacting
from tasks.replicas.landings import COMPACTION
from tasks.runtime.locks import held, image_lock
from tasks.runtime.resources import changing, open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import run_logger, task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog

NICE = 15  # of the compacting thread and the threads it starts: all other work goes first


@task(task_run_name="compact {image_storage}", **retrying())
def compact(
    image_storage: str, older_than_days: int, budget_bytes: int | None, *, plan_only: bool
) -> CompactionReport | None:
    """Compact a storage's images written at least so many days ago; return None for a storage without compaction.

    budget_bytes: of images to read. A storage that fails is reported and never stops the others. Raises ImageBusy if
    another run compacts it, StorageUnavailable.
    """
    try:
        with open_resources() as (settings, catalog):
            storage = open_image_storage(catalog.image_storage(image_storage), settings)
            if not isinstance(storage, Compacting):
                return None
            until = catalog.now() - timedelta(days=older_than_days)
            report = _compacted(catalog, storage, until, budget_bytes, plan_only=plan_only)
    except ImagewrightError as error:
        if error.retryable:
            raise
        failed = ItemOutcome(subject=image_storage, outcome="failed", reason=str(error))
        return CompactionReport(image_storage=image_storage, items=(failed,))
    run_logger().info(
        "%s: %s images, %s bytes instead of %s", image_storage, report.images, report.bytes_after, report.bytes_before
    )
    return report


def _compacted(
    catalog: "Catalog", storage: Compacting, until: datetime, budget_bytes: int | None, *, plan_only: bool
) -> CompactionReport:
    landing_id = f"{COMPACTION}{uuid5(NAMESPACE_URL, storage.name)}"
    if plan_only:
        return storage.compact(until, landing_id, plan_only=True)
    with held(catalog, landing_id), ThreadPoolExecutor(1, "compact", initializer=_step_back) as pool:
        report = pool.submit(storage.compact, until, landing_id, budget_bytes=budget_bytes, holding=image_lock).result()
    _note(catalog, storage.name, report)
    return report


def _note(catalog: "Catalog", image_storage: str, report: CompactionReport) -> None:
    """Write the storage's savings into its record, which listings show, if they differ."""
    found = {
        "logical_bytes": report.logical_bytes,
        "kept_bytes": report.bytes_after,
        **{name: getattr(report, name) for name in SUMS if name.startswith("saved_by_")},
    }
    with changing(catalog, "system") as change:
        known = change.image_storage(image_storage)
        if {name: getattr(known, name) for name in found} != found:
            change.save_image_storage(known.model_copy(update={**found, "measured_at": change.now()}))


def _step_back() -> None:
    with suppress(OSError):  # if it is not allowed, the priority stays normal
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


SUMS = (
    "bytes_freed", "bytes_before", "bytes_after", "images", "images_left", "bytes_read", "logical_bytes",
    "saved_by_dedup_bytes", "saved_by_compression_bytes", "saved_by_compaction_bytes",
)  # fmt: skip


def joined(reports: Sequence[CompactionReport]) -> CompactionReport:
    """Join the reports of several storages."""
    return CompactionReport(
        image_storage=", ".join(report.image_storage for report in reports),
        items=tuple(item for report in reports for item in report.items),
        seconds=sum(report.seconds for report in reports),
        **{name: sum(getattr(report, name) for report in reports) for name in SUMS},
    )
