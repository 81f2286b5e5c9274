"""A host whose clock is ten minutes off, beside one whose clock is right: it takes up what is due when it is, and nothing is lost."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.faults.two_hosts import Site, assert_ready_once, name_of, slow, two_hosts

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("wrong clocks"), pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Site]:
    assert request.config.cache is not None
    with two_hosts(tmp_path_factory.mktemp("site"), request.config.cache.mkdir("prefect")) as started:
        yield started


@pytest.mark.parametrize(("name", "clock"), [("ahead", "+10m"), ("behind", "-10m")])
def test_a_host_ten_minutes_off_takes_up_runs_when_they_are_due(
    site: Site, tmp_path: Path, name: str, clock: str
) -> None:
    with slow(tmp_path) as source, site.host(name, far=True, clock=clock):
        request = {"name": "later", "image_format": "raw", "image_path": source.url, "image_storages": ["far"]}
        later = site.server.start("add-volume-image", request, at=datetime.now(UTC) + timedelta(minutes=5))
        runs = [site.add(name_of(source), source.url)]
        site.server.wait_for(runs[0], "RUNNING", within_s=60)
        site.server.wait_for(runs[0], "COMPLETED")
        assert_ready_once(site, runs, name_of(source), source.md5())
        assert site.server.run(later)["state_type"] == "SCHEDULED"
        site.server.set_state(later, "CANCELLED", force=True)
