"""A storage whose disk is not mounted is never made anew below the mount point."""

from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import StorageUnavailable
from catalog.records import ImageStorage, ReplicaStatus
from tasks.replicas.compare import open_pair
from tasks.runtime.resources import open_image_storage, open_resources
from tasks.storages.inventory import inventory
from tests.catalog.samples import START, a_replica, an_image


def record_image(folder: Path, status: ReplicaStatus) -> None:
    """Record a storage in a folder, and one image on it."""
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image_storage(
            ImageStorage(name="disk", kind="imagestore", url=f"file://{folder}", created_at=START)
        )
        image = an_image(image_storages=("disk",))
        change.save_image(image)
        change.save_replica(a_replica(image, "disk", status=status))


def test_a_directory_that_should_hold_images_and_is_not_there_is_not_made_anew(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    record_image(folder, ReplicaStatus.READY)
    with open_resources() as (settings, catalog):
        with pytest.raises(StorageUnavailable, match="whether its disk is mounted"):
            open_image_storage(catalog.image_storage("disk"), settings)
        with pytest.raises(StorageUnavailable, match="whether its disk is mounted"):
            open_pair(catalog, settings, "disk", "default")
        assert "whether its disk is mounted" in inventory(catalog, settings, "disk").unreachable
    assert not folder.exists()


def test_the_first_image_of_a_directory_makes_it(home: Path, tmp_path: Path) -> None:
    record_image(tmp_path / "disk", ReplicaStatus.LANDING)
    with open_resources() as (settings, catalog):
        storage = open_image_storage(catalog.image_storage("disk"), settings)
        assert storage.capacity().available_bytes > 0
