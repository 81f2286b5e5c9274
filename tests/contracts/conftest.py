"""The catalogs that the suites run against."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.repository import Catalog
from tests.catalog.samples import Ticking
from tests.services.postgresql import STORES, url_of


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture(params=STORES)
def catalog(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Ticking, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Catalog]:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path / "home"))
    with open_catalog(url_of(request.param, tmp_path), clock=clock) as opened:
        yield opened
