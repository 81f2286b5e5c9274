"""Check the whole catalog: run the suite on the database, and judge stored images again by the present rules."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from catalog.errors import FormatMismatch, ImagewrightError, UnsafeImage
from catalog.log import events
from catalog.quality import agent
from catalog.records import Image, ImageStatus, QualityCheck, QualityReport, Replica, Verdict
from catalog.rules.storages.hosts import bound_to
from catalog.settings import Settings
from catalog.units import utc_now
from storage.formats.inspector import check_verdict, inspect_reader
from storage.replicas.source import reader_of
from tasks.replicas.readable import whole_replicas
from tasks.runtime.locks import image_lock
from tasks.runtime.resources import changing, open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs.notify import emit
from tasks.runtime.task import run_logger, task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog

QUARANTINED = "quarantined"


@task(task_run_name="check the catalog", **retrying())
def check_catalog() -> QualityReport:
    """Run the catalog suite on the database, build Data Docs, and read every record.

    A failed check is a result, not an error.
    """
    with open_resources() as (settings, catalog):
        report = agent.check_catalog(settings.catalog_address, settings.home / "data-docs", settings)
        checks = (*report.checks, *_reading(catalog))
        return report.model_copy(update={"checks": checks, "success": all(check.success for check in checks)})


@task(task_run_name="choose images to rescan", **retrying())
def choose_images(host: str | None = None) -> tuple[str, ...]:
    """Return the ids of the Ready images that this host can read, or that have no whole replica.

    host: only images in its directories that are on no storage that every host reaches.
    """
    with open_resources() as (settings, catalog):
        owners = {s.name: bound_to(s) for s in catalog.image_storages()}
        images = tuple(image.id for image in catalog.tolerant().images(status=ImageStatus.READY))
        return tuple(i for i in images if _is_for(_hosts(catalog, owners, i), host, settings.host_name))


def _hosts(catalog: "Catalog", owners: Mapping[str, str | None], image_id: str) -> set[str | None]:
    return {owners.get(replica.image_storage) for replica in whole_replicas(catalog, image_id)}


def _is_for(hosts: set[str | None], asked: str | None, here: str) -> bool:
    """Tell whether this run judges an image.

    hosts: of its whole replicas; None for a storage that every host reaches.
    """
    if asked is not None:
        return asked in hosts and None not in hosts
    return not hosts or bool(hosts & {None, here})


@task(task_run_name="rescan {image_ids[0]} and more", **retrying())
def rescan_batch(image_ids: Sequence[str]) -> tuple[QualityCheck, ...]:
    """Judge stored images again; disable an image that no longer passes, with the reason. Returns a check per image."""
    with open_resources() as (settings, catalog):
        return tuple(_rescan(catalog, settings, image_id) for image_id in image_ids)


def with_rescan(report: QualityReport, checks: Sequence[QualityCheck]) -> QualityReport:
    """Return the report of suite and rescan: a check for each image that failed, and one for all that passed."""
    passed = sum(check.success for check in checks)
    summary = QualityCheck(
        name="rescan",
        success=True,
        sentence=f"{passed} of {len(checks)} stored images pass the present rules",
    )
    joined = (*report.checks, summary, *(check for check in checks if not check.success))
    return report.model_copy(
        update={"checks": joined, "success": all(c.success for c in joined), "checked_at": utc_now()}
    )


def _reading(catalog: "Catalog") -> Iterator[QualityCheck]:
    """Yield a failed check for each row that can't be read as a record, or one passed check."""
    count, unreadable = catalog.read_everything()
    for error in unreadable:
        yield QualityCheck(name=f"readable({error.subject})", success=False, sentence=str(error))
    if not unreadable:
        yield QualityCheck(name="readable", success=True, sentence=f"all {count} records can be read")


def _rescan(catalog: "Catalog", settings: Settings, image_id: str) -> QualityCheck:
    name = f"rescan({image_id})"
    try:
        image = catalog.image(image_id)
        replica = next(iter(whole_replicas(catalog, image_id)))
        verdict = _inspect(catalog, settings, replica)
        check_verdict(verdict, replica.format)
    except (UnsafeImage, FormatMismatch) as refused:
        _quarantine(catalog, image, str(refused))
        return QualityCheck(name=name, success=False, sentence=f"{image.name!r} is {QUARANTINED}: {refused}")
    except (ImagewrightError, StopIteration) as error:  # an image that can't be read is not proven unsafe
        reason = str(error) or "no replica of it is whole"
        run_logger().warning("%s could not be judged: %s", image_id, reason)
        return QualityCheck(name=name, success=False, sentence=f"{image_id} could not be judged: {reason}")
    return QualityCheck(name=name, success=True, sentence=f"{image.name!r} passes rules {verdict.rule_set}")


def _inspect(catalog: "Catalog", settings: Settings, replica: Replica) -> Verdict:
    storage = open_image_storage(catalog.image_storage(replica.image_storage), settings)
    with reader_of(storage, replica.image_id) as reader:
        # A file that may be no disk is refused or accepted at its add; one in the catalog was accepted deliberately.
        return inspect_reader(reader, settings.max_virtual_size, replica.format, accept_unrecognized=True)


def _quarantine(catalog: "Catalog", image: Image, reason: str) -> None:
    """Disable an image: existing volumes live on, new ones are refused."""
    sentence = f"{QUARANTINED}: {reason}"
    with image_lock(image.id) as lease, changing(catalog, "system", lease) as change:
        known = change.image(image.id)
        if known.state == "Disabled" and known.error == sentence:
            return
        after = known.model_copy(update={"state": "Disabled", "error": sentence})
        saved = change.save_image(after, event=events.IMAGE_QUARANTINED)
    emit(events.IMAGE_QUARANTINED, saved, error=sentence)
