"""The checksum that an image must have: as the caller gave it, or looked up in a list that its source publishes."""

from prefect import get_run_logger, task

from catalog.rules.checksums import SUMS, Checksum, parse_checksum
from tasks.resources import open_resources, secret, with_secrets
from tasks.retries import retrying


def expected_checksum(url: str, asked: str | None, credentials: str | None = None) -> Checksum | None:
    """Return what the bytes at `url` are expected to have; None if nothing is expected.

    asked: as in the request. credentials: name of a secret. Raises the errors of `look_up_checksum`.
    """
    if asked is None:
        return None
    if not asked.startswith(SUMS):
        return parse_checksum(asked)
    return look_up_checksum(url, asked.removeprefix(SUMS), credentials)


@task(task_run_name="look the checksum up", **retrying())
def look_up_checksum(url: str, sums_url: str, credentials: str | None = None) -> Checksum:
    """Return the strongest checksum that the list at `sums_url` has for the file at `url`, of mirrors the first.

    sums_url: empty: the usual names next to the file are tried. The list is fetched under the same address policy as the image. Raises SourceNotFound, SourceForbidden.
    """
    from storage.sources.masking import split_urls
    from storage.sources.sums import fetch_checksum

    with open_resources() as (settings, _):
        first = split_urls(with_secrets(url))[0]
        found = parse_checksum(
            fetch_checksum(
                first, settings, sums_url=with_secrets(sums_url),
                credentials=secret(credentials) if credentials else None,
            )
        )  # fmt: skip
    get_run_logger().info("published checksum: %s", found)
    return found
