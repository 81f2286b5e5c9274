"""Uploads that nobody goes on with, or whose image is there: their folder is not for keeping."""

from typing import TYPE_CHECKING

from prefect import task

from catalog.errors import ImageNotFound
from catalog.records import ImageStatus, ItemOutcome, ReclaimReport
from storage.uploads import Uploads
from tasks.resources import open_resources

if TYPE_CHECKING:
    from catalog.repository import Catalog
    from storage.uploads import Upload


@task(task_run_name="discard uploads")
def sweep_uploads(*, plan_only: bool) -> ReclaimReport:
    """Discard what was not gone on with for IMAGEWRIGHT_UPLOAD_DAYS, and what a death left of images that are Ready."""
    with open_resources() as (settings, catalog):
        uploads = Uploads(settings)
        expired = {upload.id for upload in uploads.expired()}
        gone = [u for u in uploads.all() if u.id in expired or _is_ready(catalog, u)]
        items = [_outcome(uploads, upload, expired=upload.id in expired) for upload in gone]
        if not plan_only:
            uploads.remove_half_made()
            for upload in gone:
                uploads.discard(upload.id)
    return ReclaimReport(
        image_storage="uploads", items=tuple(items), bytes_freed=sum(item.bytes for item in items)
    )


def _is_ready(catalog: "Catalog", upload: "Upload") -> bool:
    try:
        return catalog.image(upload.id).status is ImageStatus.READY
    except ImageNotFound:
        return False


def _outcome(uploads: Uploads, upload: "Upload", *, expired: bool) -> ItemOutcome:
    reason = "nobody went on with it" if expired else "its image is Ready"
    return ItemOutcome(subject=upload.id, outcome="done", bytes=uploads.offset(upload.id), reason=reason)
