"""An image storage that is another Imagewright: only the chips it lacks travel, it goes on where it was cut, and both read the same."""

import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from catalog import open_catalog
from catalog.records import ExportedImage, SyncReport
from flows.requests import AdoptStorage, ExportImage, RegisterImageStorage, SyncImages
from storage.registry import open_image_storage
from tests.flows.managed import placed
from tests.services.proxy import Proxy, proxy
from tests.services.site import Site, site

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("home")]
DATA = random.Random(3).randbytes(6 << 20)
HEADS = 100_000
"""Bytes of TLS, headers, manifest, journal and index of two megabytes' requests; they do not grow with the chips."""


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Site, Proxy, str]]:
    """Register a storage of a site, reached through a line that counts and can be cut; yield its name there."""
    there = site()
    monkeypatch.setenv("IMAGEWRIGHT_CA_FILE", str(there.ca))
    monkeypatch.setenv("SITE_TOKEN", f'{{"token": "{there.token}"}}')
    url = there.storage()
    with proxy(int(urlsplit(url).port or 0)) as line:
        from flows import register_image_storage

        near = url.replace(there.url, f"https://127.0.0.1:{line.port}")
        register_image_storage(
            RegisterImageStorage(name="far", kind="imagestore", url=near, credentials="env:SITE_TOKEN")
        )
        yield there, line, url.rpartition("/")[2]


def synced() -> SyncReport:
    from flows import sync_images

    report = sync_images(SyncImages(source="default", target="far"))
    assert isinstance(report, SyncReport)
    return report


def test_what_is_lacking_travels_and_either_site_reads_it(
    link: tuple[Site, Proxy, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from flows import adopt_storage, export_image

    there, line, name = link
    first = placed(DATA, name="build-1")
    assert [one.outcome for one in synced().images] == ["synced"]
    second, before = placed(DATA[: 4 << 20] + random.Random(4).randbytes(1 << 20), name="build-2"), line.bytes_received
    report = synced()
    sent = next(one for one in report.images if one.image_id == second.id)
    assert (1 << 20) <= sent.bytes_sent < (2 << 20)
    assert line.bytes_received - before < 1.02 * sent.bytes_sent + HEADS
    exported = export_image(ExportImage(image_id=first.id, image_storage="far"))
    assert isinstance(exported, ExportedImage)
    assert exported.sha256 == first.sha256
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(there.settings.home))
    monkeypatch.setenv("IMAGEWRIGHT_CATALOG_URL", "")
    adopt_storage(AdoptStorage(image_storage=name))
    with open_catalog(there.settings.catalog_address) as catalog:
        assert catalog.image(second.id).sha256 == second.sha256
        store = open_image_storage(catalog.image_storage(name), settings=there.settings)
    assert store.open(second.id).read_at(0, 4 << 20) == DATA[: 4 << 20]


def test_a_line_that_is_cut_is_taken_up_again(link: tuple[Site, Proxy, str]) -> None:
    from flows import export_image

    _, line, _ = link
    image = placed(DATA, name="build-1")
    line.cut_sending_after = 3 << 20
    assert [one.outcome for one in synced().images] == ["synced"]
    assert line.cut_sending_after is None
    exported = export_image(ExportImage(image_id=image.id, image_storage="far"))
    assert isinstance(exported, ExportedImage)
    assert exported.sha256 == image.sha256
