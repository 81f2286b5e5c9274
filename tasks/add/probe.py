"""Ask a source what it has before a byte is moved, and set room aside for it."""

from catalog.records import Image
from catalog.rules.images.checksums import Checksum, ChecksumList
from storage.protocols import SourceInfo
from tasks.add.reservation import reserve
from tasks.runtime.resources import open_image_source, open_resources, secret, with_secrets
from tasks.runtime.retries import retrying
from tasks.runtime.task import run_logger, task


@task(task_run_name="probe source of {image.name}", **retrying())
def probe_source(image: Image, url: str, credentials: str | None = None) -> SourceInfo:
    """Return what the source says about itself, with quota and capacity reserved for it.

    credentials: name of a secret. Raises InvalidRequest where there is no such secret, SourceNotFound, SourceForbidden, QuotaExceeded, CapacityExceeded; TransferInterrupted is tried again.
    """
    with open_resources() as (settings, catalog):
        info = open_image_source(url, credentials, settings).probe()
        reserve(catalog, settings, image, info.size_bytes)
    run_logger().info("%s: %s bytes, validators %s", info.url, info.size_bytes, info.etag or info.last_modified)
    return info


def expected_checksum(
    url: str, expected: Checksum | ChecksumList | None, credentials: str | None = None
) -> Checksum | None:
    """Return what the bytes at `url` are expected to have; None if nothing is expected.

    credentials: name of a secret. Raises the errors of `look_up_checksum`.
    """
    return look_up_checksum(url, expected.url, credentials) if isinstance(expected, ChecksumList) else expected


@task(task_run_name="look the checksum up", **retrying())
def look_up_checksum(url: str, sums_url: str, credentials: str | None = None) -> Checksum:
    """Return the strongest checksum that the list at `sums_url` has for the file at `url`, of mirrors the first.

    sums_url: empty: the usual names next to the file are tried. The list is fetched under the same address policy as the image. Raises SourceNotFound, SourceForbidden.
    """
    from storage.sources.checksums.published import fetch_checksum
    from storage.sources.masking import split_urls

    with open_resources() as (settings, _):
        first = split_urls(with_secrets(url))[0]
        found = fetch_checksum(
            first,
            settings,
            sums_url=with_secrets(sums_url),
            credentials=secret(credentials) if credentials else None,
        )
    run_logger().info("published checksum: %s", found)
    return found
