"""The catalogs, object stores and image storages that the suites run against."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog.repository.catalog import Catalog
from storage.protocols import ImageStorage, ObjectStore
from tests.catalog.samples import Ticking, opened
from tests.contracts.image_storages import IMAGE_STORAGES
from tests.services.postgresql import STORES, url_of
from tests.storage.stores import OBJECT_STORES, opener


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture(params=STORES)
def catalog(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Ticking, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Catalog]:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path / "home"))
    with opened(url_of(request.param, tmp_path), clock=clock) as ready:
        yield ready


@pytest.fixture(params=OBJECT_STORES)
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], ObjectStore]:
    """Return a function that opens the same object store anew."""
    return opener(request.param, tmp_path)


@pytest.fixture
def objects(reopen: Callable[[], ObjectStore]) -> ObjectStore:
    return reopen()


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.xdist_group("ceph-contracts")) if name.startswith("ceph") else name
        for name in IMAGE_STORAGES
    ]
)
def image_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ImageStorage]:
    """Yield an empty image storage of each kind; to add one, name it in tests/contracts/image_storages.py."""
    with IMAGE_STORAGES[request.param](tmp_path) as ready:
        yield ready
