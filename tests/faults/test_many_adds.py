"""Two hundred adds of small real disks on two hosts, one of which is killed midway and never comes back."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.records import ImageStatus
from tests.faults.two_hosts import US, Site, port_of, two_hosts
from tests.services.images import tiny_disk
from tests.services.nginx import nginx
from tests.services.proxy import proxy

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("many adds"), pytest.mark.timeout(3000)]
ADDS, KILLED_AFTER, WITHIN_S = 200, 60, 1500.0


@pytest.fixture
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    assert request.config.cache is not None
    with two_hosts(tmp_path, request.config.cache.mkdir("prefect")) as started:
        yield started


def ready(site: Site) -> int:
    """Return how many images are Ready."""
    with open_catalog(site.catalog_url) as catalog:
        return sum(image.status is ImageStatus.READY for image in catalog.images())


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[tuple[tuple[str, str], ...]]:
    """Serve two real disks of few MiB to both hosts; return the URL and MD5 of each."""
    (tmp_path / "www").mkdir()
    made = []
    for mode in ("bios", "uefi"):
        content = tiny_disk(mode).read_bytes()
        (tmp_path / "www" / f"{mode}.raw").write_bytes(content)
        made.append((f"{mode}.raw", hashlib.md5(content).hexdigest()))
    with nginx(tmp_path / "nginx", tmp_path / "www") as server, proxy(port_of(server.url), at=US) as way:
        yield tuple((f"http://{US}:{way.port}/{name}", md5) for name, md5 in made)


def test_all_are_ready_once_though_a_host_is_killed_midway(site: Site, disks: tuple[tuple[str, str], ...]) -> None:
    with site.host("far", far=True) as doomed, site.host("near", far=False):
        began = time.monotonic()
        runs = {site.add(f"disk-{number}", disks[number % 2][0]): disks[number % 2][1] for number in range(ADDS)}
        while ready(site) < KILLED_AFTER:
            assert time.monotonic() - began < WITHIN_S
            time.sleep(1)
        at_work = len(list(site.landings()))
        doomed.kill()
        for run in runs:
            site.server.wait_for(run, "COMPLETED", within_s=WITHIN_S, passing=("CRASHED",))
        took = time.monotonic() - began
    print(f"{ADDS} adds in {took:.0f} s, {60 * ADDS / took:.0f} a minute; {at_work} landings when a host was killed")
    with open_catalog(site.catalog_url) as catalog:
        images = list(catalog.images())
        assert {image.id: image.md5 for image in images} == runs, "each add became one image, and is whole"
        assert {(image.status, image.error) for image in images} == {(ImageStatus.READY, None)}
        assert not list(catalog.reservations())
    assert not list(site.landings())
