"""Name the landings as replicas and the image as Ready: the one step after which the image exists for its users."""

from collections.abc import Sequence

from prefect import task

from catalog.lineage import PROVENANCE
from catalog.records import Image, ImageStatus, Origin, Provenance, QualityReport
from storage.abilities import Completing, stored_image
from storage.uploads import discard_source
from tasks.events import emit
from tasks.exclusive import own_lease
from tasks.fail import discard_landings
from tasks.landed import Inspected, Kept, Landed
from tasks.resources import open_image_storage, open_resources, run_id
from tasks.retries import retrying
from tasks.room import open_lacking, subject_of
from tasks.withdrawal import refuse_withdrawn

MEASURED = (
    "format_stored", "size_bytes", "virtual_size_bytes", "actual_size_bytes", "md5", "sha256", "verdict", "boot",
    "warnings", "quality",
)  # fmt: skip
"""What publishing adds to an image; everything else is as people asked and edited."""


@task(task_run_name="publish {image.name}", **retrying())
def publish(
    image: Image, landed: Landed, inspected: Inspected, quality: QualityReport, kept: Sequence[Kept]
) -> Image:
    """Publish on each storage, then commit image and replicas in one transaction. Safe to repeat after a crash.

    The image is Ready if every storage it was asked for holds it, else Error, naming the storage that failed.
    """
    with open_resources() as (settings, catalog):
        lease = own_lease(catalog, image.id)
        with catalog.changing(actor=image.owner, run_id=run_id(), lease=lease) as change:
            refuse_withdrawn(change, image.id)
            # Before the storages: what a death leaves published keeps its origin.
            change.record(PROVENANCE, f"image:{image.id}", after=_provenance(image, landed, kept))
        known = catalog.image(image.id)  # as it is now: it may have been edited while its bytes arrived
        measured = _measured(known, landed, inspected, quality, kept)
        replicas = []
        for place in kept:
            storage = open_image_storage(catalog.image_storage(place.image_storage), settings)
            described = measured.model_copy(update={"format_stored": place.format})
            replicas.append(storage.publish(place.landing_id, described, place.digests))
            if place.converted:  # what it was made from was kept until now, for a retry
                storage.landing(image.id).discard()
        with catalog.changing(actor=image.owner, run_id=run_id(), lease=lease) as change:
            refuse_withdrawn(change, image.id)
            ready = measured.status is ImageStatus.READY
            saved = change.save_image(measured, event=f"imagewright.image.{'ready' if ready else 'failed'}")
            for replica in replicas:
                change.save_replica(replica)
            change.release(subject_of(image.id))
        if ready:
            discard_source(image.source, settings)
    emit(
        "image.ready" if ready else "image.failed",
        saved,
        md5=saved.md5,
        size_bytes=saved.size_bytes,
        error=saved.error,
    )
    return saved


@task(task_run_name="settle {image.name}", **retrying())
def settle(image: Image) -> Image:
    """Take into the catalog what an earlier attempt published before it died; Ready if nothing is lacking then.

    Without this, a death between a storage's publication and the catalog's commit would fetch the source again.
    """
    with open_resources() as (settings, catalog):
        lacking = open_lacking(catalog, settings, image)
        for storage in lacking:
            if isinstance(storage, Completing):
                storage.complete_publication(image.id)
        holding = [storage for storage in lacking if storage.contains(image.id)]
        if not holding:
            return image
        found = [stored_image(storage, image.id) for storage in holding]
        for storage in holding:
            discard_landings(storage, image.id)  # the death may have come before the storage did
        with catalog.changing(
            actor=image.owner, run_id=run_id(), lease=own_lease(catalog, image.id)
        ) as change:
            refuse_withdrawn(change, image.id)
            for stored in found:
                change.save_replica(stored.replica)
            if len(found) < len(lacking):
                return image
            measured = {field: getattr(found[0].image, field) for field in MEASURED}
            update = {**measured, "status": ImageStatus.READY, "error": None}
            ready = change.image(image.id).model_copy(update=update)
            saved = change.save_image(ready, event="imagewright.image.ready")
            change.release(subject_of(image.id))
        discard_source(image.source, settings)
    emit("image.ready", saved, md5=saved.md5, size_bytes=saved.size_bytes, error=None)
    return saved


def _provenance(image: Image, landed: Landed, kept: Sequence[Kept]) -> Provenance:
    source, digests = landed.source, landed.digests
    origin = Origin(
        url=source.url, address=source.address, size_bytes=digests.size_bytes, etag=source.etag,
        last_modified=source.last_modified, md5=digests.md5, sha256=digests.sha256, checksum=landed.checksum,
        expected_checksum=image.expected_checksum, rule_set=landed.verdict.rule_set,
        conversions=tuple(place.conversion for place in kept if place.conversion),
    )  # fmt: skip
    return Provenance(provenance=origin)


def _measured(
    image: Image, landed: Landed, inspected: Inspected, quality: QualityReport, kept: Sequence[Kept]
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
            "warnings": (*landed.remarks, *inspected.warnings),
            "quality": quality,
            "status": ImageStatus.ERROR if failed else ImageStatus.READY,
            "error": "; ".join(failed) or None,
        }
    )
