"""One real cluster for all tests of this folder (two where they need it), a pool of its own for each test."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog.records import Image, ImageFormat, ImageStorage
from catalog.settings import Settings
from storage.ceph import CephStorage
from tests.services.ceph import CephCluster, fresh_pool, shared_cluster

SCRATCH = Path(tempfile.gettempdir())
NOW = datetime(2026, 1, 1, tzinfo=UTC)
GROUPS = {"test_cluster_faults.py": "ceph-faults", "test_conversion.py": "ceph-conversion"}
"""Files with clusters of their own: one that they break, and one beside which others need not wait."""
Opener = Callable[..., CephStorage]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that share a cluster in one process, where it is started once."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group(GROUPS.get(item.path.name, "ceph")))


@pytest.fixture(scope="session")
def cluster() -> CephCluster:
    return shared_cluster()


@pytest.fixture(scope="session")
def second_cluster() -> CephCluster:
    return shared_cluster(1)


@pytest.fixture
def pool(cluster: CephCluster) -> str:
    return fresh_pool(cluster)


@pytest.fixture
def ceph(cluster: CephCluster, pool: str) -> CephStorage:
    return open_storage(cluster, pool)


def open_storage(
    cluster: CephCluster,
    pool: str,
    *,
    timeout_s: float = 30,
    credentials: str | None = None,
    user: str = "images",
    capacity_bytes: int | None = None,
    scratch: Path = SCRATCH,
) -> CephStorage:
    """Return a storage in a pool, as another worker would open it."""
    record = ImageStorage(
        name="ceph", kind="ceph", url=cluster.url(pool, user), capacity_bytes=capacity_bytes, created_at=NOW
    )
    return CephStorage(record, Settings(read_timeout_s=timeout_s, scratch=scratch), credentials)


def image_record(image_id: str, image_format: ImageFormat = "raw") -> Image:
    """Return a minimal image."""
    return Image(
        id=image_id,
        name="an image",
        format=image_format,
        format_stored=image_format,
        created_at=NOW,
        updated_at=NOW,
    )
