"""A pool of a real cluster as image storage "ceph" of a home."""

import pytest

from flows.requests import RegisterImageStorage
from tests.services.ceph import CephCluster, fresh_pool, shared_cluster


def register_pool(monkeypatch: pytest.MonkeyPatch) -> tuple[CephCluster, str]:
    """Register a fresh pool of the shared cluster; return both."""
    from flows import register_image_storage

    cluster = shared_cluster()
    pool = fresh_pool(cluster)
    monkeypatch.setenv("CEPH_SECRET", cluster.keyring)
    register_image_storage(
        RegisterImageStorage(
            name="ceph", kind="ceph", url=cluster.url(pool), credentials="env:CEPH_SECRET",
            capacity_bytes=4 << 30, reserve_bytes=0,
        )
    )  # fmt: skip
    return cluster, pool
