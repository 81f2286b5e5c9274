"""Name the landings as replicas and the image as Ready: the one step after which the image exists for its users."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from catalog.log import events
from catalog.records import Image, ImageStatus, Lease, Origin, Provenance, QualityReport, Replica, Verdict
from catalog.settings import Settings
from storage.formats.accepted import describe
from storage.protocols import StoredImage
from storage.replicas.convert import StoredCopy
from storage.replicas.landings import published_already
from tasks.add.failure import tell_failed
from tasks.add.reservation import open_lacking, subject_of
from tasks.add.results import Inspected, Landed
from tasks.runtime.locks import changing_add, own_lease
from tasks.runtime.resources import open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs.notify import emit
from tasks.runtime.task import task
from tasks.runtime.uploads import discard_source

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog

MEASURED = (
    "format_stored", "size_bytes", "virtual_size_bytes", "actual_size_bytes", "md5", "sha256", "verdict", "boot",
    "warnings", "quality",
)  # fmt: skip
"""What publishing adds to an image; everything else is as people asked and edited."""


@task(task_run_name="publish {image.name}", **retrying())
def publish(
    image: Image, landed: Landed, inspected: Inspected, quality: QualityReport, kept: Sequence[StoredCopy]
) -> Image:
    """Publish on each storage, then commit image and replicas in one transaction. Safe to repeat after a crash.

    The image is Ready if every storage it was asked for holds it, else Error, naming the storage that failed.
    """
    with open_resources() as (settings, catalog):
        lease = own_lease(catalog, image.id)
        known = _note_origin(catalog, image, landed, kept, lease)
        measured = _measured(known, landed, inspected, quality, kept)
        replicas = [_publish_on(catalog, settings, measured, copy) for copy in kept]
        saved = _commit(catalog, measured, replicas, lease)
        if saved.status is ImageStatus.READY:
            discard_source(image.source, settings, image.owner)
    _tell(saved)
    return saved


def _note_origin(
    catalog: "Catalog", image: Image, landed: Landed, kept: Sequence[StoredCopy], lease: Lease | None
) -> Image:
    """Record where the bytes came from, before any storage publishes: what a death leaves published keeps its origin.

    Returns the image as it is now: it may have been edited while its bytes arrived.
    """
    with changing_add(catalog, image, lease) as change:
        change.record(events.IMAGE_PROVENANCE, f"image:{image.id}", after=_provenance(image, landed, kept))
    return catalog.image(image.id)


def _publish_on(catalog: "Catalog", settings: Settings, measured: Image, copy: StoredCopy) -> Replica:
    storage = open_image_storage(catalog.image_storage(copy.image_storage), settings)
    replica = storage.publish(copy.landing_id, measured.model_copy(update={"format_stored": copy.format}), copy.digests)
    if copy.converted:  # what it was made from was kept until now, for a retry
        storage.landing(measured.id).discard()
    return replica


def _commit(catalog: "Catalog", measured: Image, replicas: Iterable[Replica], lease: Lease | None) -> Image:
    ready = measured.status is ImageStatus.READY
    with changing_add(catalog, measured, lease) as change:
        saved = change.save_image(measured, event=events.IMAGE_READY if ready else events.IMAGE_FAILED)
        for replica in replicas:
            change.save_replica(replica)
        change.release(subject_of(measured.id))
    return saved


def _tell(image: Image) -> None:
    if image.status is ImageStatus.READY:
        _tell_ready(image)
    else:
        tell_failed(image, image.error or "", resumable=True)


def _tell_ready(image: Image) -> None:
    emit(events.IMAGE_READY, image, md5=image.md5, size_bytes=image.size_bytes, error=None)


@task(task_run_name="finish publication of {image.name}", **retrying())
def finish_publication(image: Image) -> Image:
    """Take into the catalog what an earlier attempt published before it died; Ready if nothing is lacking then.

    Without this, a death between a storage's publication and the catalog's commit would fetch the source again.
    """
    with open_resources() as (settings, catalog):
        lacking = open_lacking(catalog, settings, image)
        found = published_already(lacking, image.id)
        saved = _take_in(catalog, image, found, whole=len(found) == len(lacking)) if found else None
        if saved is None:
            return image
        discard_source(image.source, settings, image.owner)
    _tell_ready(saved)
    return saved


def _take_in(catalog: "Catalog", image: Image, found: Sequence[StoredImage], *, whole: bool) -> Image | None:
    """Save the replicas; return the image, Ready, if no storage lacks it."""
    with changing_add(catalog, image, own_lease(catalog, image.id)) as change:
        for stored in found:
            change.save_replica(stored.replica)
        if not whole:
            return None
        measured = {field: getattr(found[0].image, field) for field in MEASURED}
        update = {**measured, "status": ImageStatus.READY, "error": None}
        saved = change.save_image(change.image(image.id).model_copy(update=update), event=events.IMAGE_READY)
        change.release(subject_of(image.id))
    return saved


def _provenance(image: Image, landed: Landed, kept: Sequence[StoredCopy]) -> Provenance:
    source, digests = landed.source, landed.digests
    origin = Origin(
        url=source.url,
        address=source.address,
        size_bytes=digests.size_bytes,
        etag=source.etag,
        last_modified=source.last_modified,
        md5=digests.md5,
        sha256=digests.sha256,
        checksum=landed.checksum,
        expected_checksum=image.expected_checksum,
        rule_set=landed.verdict.rule_set,
        conversions=tuple(place.conversion for place in kept if place.conversion),
    )
    return Provenance(provenance=origin)


def _measured(
    image: Image, landed: Landed, inspected: Inspected, quality: QualityReport, kept: Sequence[StoredCopy]
) -> Image:
    failed = [f"image storage {p.image_storage!r}: {p.error}" for p in landed.storages if p.error]
    return image.model_copy(
        update={
            "format_stored": kept[0].format,
            "size_bytes": landed.digests.size_bytes,
            "virtual_size_bytes": landed.verdict.virtual_size_bytes,
            "actual_size_bytes": (image.actual_size_bytes or 0) + sum(p.stored_bytes for p in kept),
            "md5": landed.digests.md5,
            "sha256": landed.digests.sha256,
            "verdict": landed.verdict,
            "boot": inspected.boot,
            "warnings": (*landed.remarks, *_warned(landed.verdict), *inspected.warnings),
            "quality": quality,
            "status": ImageStatus.ERROR if failed else ImageStatus.READY,
            "error": "; ".join(failed) or None,
        }
    )


def _warned(verdict: Verdict) -> tuple[str, ...]:
    return tuple(describe(finding) for finding in verdict.findings if finding.severity == "warning")
