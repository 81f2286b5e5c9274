"""A host whose network is cut for five minutes: nothing is lost, nothing Failed for good, and it works on when it is back."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import MIB
from tests.faults.two_hosts import Site, assert_ready_once, name_of, slow, two_hosts

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("cut network"), pytest.mark.timeout(3000)]
CUT_S, ADDS = 300.0, 3


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Site]:
    assert request.config.cache is not None
    with two_hosts(tmp_path_factory.mktemp("site"), request.config.cache.mkdir("prefect")) as started:
        yield started


def test_the_runs_of_a_host_that_is_cut_off_are_finished_by_another(site: Site, tmp_path: Path) -> None:
    with slow(tmp_path) as source, site.host("far", far=True):
        runs = [site.add(name_of(source), source.url) for _ in range(ADDS)]
        site.wait_until_kept(runs, 8 * MIB)
        with site.network.cut(), site.host("near", far=False):
            until = time.monotonic() + CUT_S
            for run in runs:
                site.server.wait_for(run, "COMPLETED", within_s=CUT_S + 300, passing=("CRASHED",))
            assert_ready_once(site, runs, name_of(source), source.md5())
            time.sleep(max(0.0, until - time.monotonic()))
        run = site.add(name_of(source), source.url)
        site.server.wait_for(run, "COMPLETED", within_s=300)
        reclaimed = site.server.command(
            "reclaim-space"
        )  # who came back had landed some more, before it heard that it lost
        assert reclaimed.returncode == 0, reclaimed.stderr
        assert_ready_once(site, [*runs, run], name_of(source), source.md5())
        assert {site.server.run(one)["state_type"] for one in runs} == {"COMPLETED"}, "who comes back changes nothing"


def test_a_host_that_is_cut_off_goes_on_when_it_is_back(site: Site, tmp_path: Path) -> None:
    with slow(tmp_path) as source, site.host("alone", far=True):
        runs = [site.add(name_of(source), source.url) for _ in range(ADDS)]
        site.wait_until_kept(runs, 8 * MIB)
        with site.network.cut():
            time.sleep(CUT_S)
        for run in runs:
            site.server.wait_for(run, "COMPLETED", within_s=600, passing=("CRASHED",))
        assert_ready_once(site, runs, name_of(source), source.md5())
