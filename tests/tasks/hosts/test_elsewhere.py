"""A directory belongs to the host that registered it: no other host ever opens, makes or empties what lies under its path."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import InvalidRequest, StorageElsewhere, StorageUnavailable
from catalog.settings import load_settings
from storage.primary.registry import open_primary_storage
from storage.registry import open_image_storage, place_of, require_present
from tasks.replicas.compare import open_pair
from tasks.replicas.landings import open_to_delete
from tasks.runtime import resources
from tasks.runtime.resources import open_resources
from tasks.storages.inventory import inventory
from tests.catalog.samples import a_storage
from tests.flows.two_hosts import TwoHosts, two_hosts


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[TwoHosts]:
    with two_hosts(tmp_path) as found:
        yield found


def test_a_directory_is_of_the_host_that_registers_it(hosts: TwoHosts) -> None:
    assert hosts.image_storage("a", "near").host == "a"
    assert hosts.primary_storage("b", "fast").host == "b"


def test_a_catalog_of_one_host_names_none(home: Path) -> None:
    with open_catalog() as catalog:
        assert (catalog.image_storage("default").host, catalog.primary_storage("default").host) == (None, None)


def test_no_other_host_opens_it_anywhere(hosts: TwoHosts) -> None:
    near, fast = hosts.image_storage("a", "near"), hosts.primary_storage("a", "fast")
    for folder in (hosts.disk("a") / "near", hosts.disk("a") / "fast"):
        shutil.rmtree(folder)  # at host b nothing lies under this path
    with hosts.at("b"), open_resources() as (settings, catalog):
        hosts.image_storage("b", "own")
        for opening in (
            lambda: open_image_storage(near, settings=settings),
            lambda: open_primary_storage(fast, settings=settings),
            lambda: require_present(near, settings.host_name),
            lambda: resources.open_image_storage(near, settings),
            lambda: resources.open_primary_storage(fast, settings),
            lambda: open_pair(catalog, settings, "near", "own"),
            lambda: open_pair(catalog, settings, "own", "near"),
            lambda: open_to_delete(catalog, settings, "near"),
        ):
            with pytest.raises(StorageElsewhere, match="lies on host 'a', and this is 'b'") as caught:
                opening()
            assert (caught.value.retryable, caught.value.host) == (True, "a")
        assert "lies on host 'a'" in inventory(catalog, settings, "near").unreachable
    assert [*hosts.disk("a").iterdir()] == []


def test_the_same_path_on_two_hosts_is_two_places(hosts: TwoHosts, tmp_path: Path) -> None:
    (tmp_path / "srv").mkdir()
    near = hosts.image_storage("a", "near", path=tmp_path / "srv")
    far = hosts.image_storage("b", "far", path=tmp_path / "srv")
    assert place_of(near, "b") != place_of(far, "b")
    with pytest.raises(InvalidRequest, match="it is that of 'near'"):
        hosts.image_storage("a", "again", path=tmp_path / "srv")


def test_a_shared_directory_is_used_by_another_host_only_where_its_token_is_seen(
    hosts: TwoHosts, tmp_path: Path
) -> None:
    folder, aside = tmp_path / "nfs", tmp_path / "not mounted"
    hosts.image_storage("a", "nfs", shared=True, path=folder)
    with hosts.at("b"), open_resources() as (settings, catalog):
        record = catalog.image_storage("nfs")
        resources.open_image_storage(record, settings).check()
        folder.rename(aside)
        with pytest.raises(StorageUnavailable, match="mount that directory here"):
            resources.open_image_storage(record, settings)
        assert not folder.exists()
        folder.mkdir()
        (folder / "imagewright-shared").write_text("0" * 32)
        with pytest.raises(StorageUnavailable, match="mount that directory here"):
            resources.open_image_storage(record, settings)


def test_only_a_directory_can_be_shared(hosts: TwoHosts) -> None:
    from tasks.storages.register_image_storage import register_storage

    with hosts.at("a"), pytest.raises(InvalidRequest, match="only a directory is of one host"):
        register_storage.fn({"name": "s3", "kind": "imagestore", "url": "s3://b/x", "shared": True}, "admin")


def test_a_directory_registered_before_hosts_were_known_is_never_made_by_opening_it(
    hosts: TwoHosts, tmp_path: Path
) -> None:
    old = hosts.saved(a_storage("old", url=(tmp_path / "old").as_uri(), reserve_bytes=0))
    with hosts.at("b"), pytest.raises(StorageUnavailable, match="holds no image store now"):
        resources.open_image_storage(old, load_settings())
    assert not (tmp_path / "old").exists()


def test_it_becomes_whose_it_is_when_it_is_registered_again(hosts: TwoHosts, tmp_path: Path) -> None:
    hosts.saved(a_storage("old", url=(tmp_path / "old").as_uri(), reserve_bytes=0))
    assert hosts.image_storage("a", "old", path=tmp_path / "old").host == "a"
    with hosts.at("b"), pytest.raises(StorageElsewhere):
        hosts.image_storage("b", "old", path=tmp_path / "old")
