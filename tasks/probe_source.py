"""Ask a source what it has before a byte is moved, and set room aside for it."""

from prefect import get_run_logger, task

from catalog.records import Image
from storage.protocols import SourceInfo
from tasks.resources import open_image_source, open_resources
from tasks.retries import retrying
from tasks.room import reserve


@task(task_run_name="probe source of {image.name}", **retrying())
def probe_source(image: Image, url: str, credentials: str | None = None) -> SourceInfo:
    """Return what the source says about itself, with quota and capacity reserved for it.

    credentials: name of a secret. Raises InvalidRequest where there is no such secret, SourceNotFound, SourceForbidden, QuotaExceeded, CapacityExceeded; TransferInterrupted is tried again.
    """
    with open_resources() as (settings, catalog):
        info = open_image_source(url, credentials, settings).probe()
        reserve(catalog, settings, image, info.size_bytes)
    get_run_logger().info(
        "%s: %s bytes, validators %s", info.url, info.size_bytes, info.etag or info.last_modified
    )
    return info
