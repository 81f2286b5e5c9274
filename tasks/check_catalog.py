"""Checking the whole catalog: the suite on the database itself, and stored images judged again by the present rules."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect import get_run_logger, task

from catalog.errors import FormatMismatch, ImagewrightError, UnsafeImage
from catalog.quality import agent
from catalog.records import Image, ImageStatus, QualityCheck, QualityReport, Replica, ReplicaStatus, Verdict
from catalog.settings import Settings
from storage.formats.inspect import check_verdict, inspect_reader
from storage.replica_source import Closable
from tasks.events import emit
from tasks.exclusive import exclusive
from tasks.resources import open_image_storage, open_resources, run_id

if TYPE_CHECKING:
    from catalog.repository import Catalog

QUARANTINED = "quarantined"


@task(task_run_name="check the catalog")
def check_catalog() -> QualityReport:
    """Run the catalog suite on the database and build Data Docs. A failed check is a result, not an error."""
    with open_resources() as (settings, _):
        return agent.check_catalog(settings.catalog_address, settings.home / "data-docs", settings)


@task(task_run_name="choose images to rescan")
def choose_images() -> tuple[str, ...]:
    """Return the ids of every Ready image."""
    with open_resources() as (_, catalog):
        return tuple(image.id for image in catalog.images(status=ImageStatus.READY))


@task(task_run_name="rescan {image_ids[0]} and more")
def rescan_batch(image_ids: Sequence[str]) -> tuple[QualityCheck, ...]:
    """Judge stored images again; one that no longer passes is disabled with the reason. Returns a check an image."""
    with open_resources() as (settings, catalog):
        return tuple(_rescan(catalog, settings, image_id) for image_id in image_ids)


def with_rescan(report: QualityReport, checks: Sequence[QualityCheck]) -> QualityReport:
    """Return the report of suite and rescan: every image that did not pass, and one line about all that did."""
    passed = sum(check.success for check in checks)
    summary = QualityCheck(
        name="rescan",
        success=True,
        sentence=f"{passed} of {len(checks)} stored images pass the present rules",
    )
    joined = (*report.checks, summary, *(check for check in checks if not check.success))
    return report.model_copy(
        update={"checks": joined, "success": all(c.success for c in joined), "checked_at": datetime.now(UTC)}
    )


def _rescan(catalog: "Catalog", settings: Settings, image_id: str) -> QualityCheck:
    name = f"rescan({image_id})"
    try:
        image = catalog.image(image_id)
        replica = next(r for r in catalog.replicas(image_id) if r.status is ReplicaStatus.READY)
        verdict = _inspect(catalog, settings, replica)
        check_verdict(verdict, replica.format)
    except (UnsafeImage, FormatMismatch) as refused:
        _quarantine(catalog, image, str(refused))
        return QualityCheck(name=name, success=False, sentence=f"{image.name!r} is {QUARANTINED}: {refused}")
    except (ImagewrightError, StopIteration) as error:  # not read is not unsafe: nothing is concluded
        reason = str(error) or "no replica of it is whole"
        get_run_logger().warning("%s could not be judged: %s", image_id, reason)
        return QualityCheck(name=name, success=False, sentence=f"{image_id} could not be judged: {reason}")
    return QualityCheck(name=name, success=True, sentence=f"{image.name!r} passes rules {verdict.rule_set}")


def _inspect(catalog: "Catalog", settings: Settings, replica: Replica) -> Verdict:
    storage = open_image_storage(catalog.image_storage(replica.image_storage), settings)
    reader = storage.open(replica.image_id)
    try:
        return inspect_reader(reader, settings.max_virtual_size)
    finally:
        if isinstance(reader, Closable):
            reader.close()


def _quarantine(catalog: "Catalog", image: Image, reason: str) -> None:
    """Disable an image: existing volumes live on, new ones are refused."""
    sentence = f"{QUARANTINED}: {reason}"
    with exclusive(image.id) as lease, catalog.changing("system", run_id(), lease=lease) as change:
        known = change.image(image.id)
        if known.state == "Disabled" and known.error == sentence:
            return
        after = known.model_copy(update={"state": "Disabled", "error": sentence})
        saved = change.save_image(after, event="imagewright.image.quarantined")
    emit("image.quarantined", saved, error=sentence)
