"""PostgreSQL is restarted while adds use the catalog in it: they wait, and become Ready."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import MIB
from tests.faults.two_hosts import Site, assert_ready_once, name_of, slow, two_hosts
from tests.services import postgresql

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("catalog away"), pytest.mark.timeout(1200)]
ADDS = 3


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Site]:
    assert request.config.cache is not None
    with two_hosts(tmp_path_factory.mktemp("site"), request.config.cache.mkdir("prefect")) as started:
        yield started


@pytest.mark.parametrize("away_s", [0.0, 60.0], ids=["restarted", "away for a minute"])
def test_adds_outlive_a_restart_of_postgresql(site: Site, tmp_path: Path, away_s: float) -> None:
    with slow(tmp_path) as source, site.host("near", far=False):
        runs = [site.add(name_of(source), source.url) for _ in range(ADDS)]
        site.wait_until_kept(runs, 8 * MIB)
        postgresql.restart(away_s)
        for run in runs:
            site.server.wait_for(run, "COMPLETED", within_s=400)
        assert_ready_once(site, runs, name_of(source), source.md5())
