"""Changing the storage of an image: the source stays whole until the copy is proven and the catalog has switched."""

from pathlib import Path

import pytest

from catalog.errors import AccessDenied, IllegalTransition, ImageNotFound, InvalidRequest, StorageRefused
from catalog.records import Image, ImageStatus, Plan
from flows.requests import ChangeImageStorage
from tests.flows.moving import World, noise, read_all

pytestmark = pytest.mark.prefect
DATA = noise(150_000) + bytes(40_000) + noise(9_999, 1)


@pytest.fixture
def world(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path / "stores", monkeypatch)
    for name in ("a", "b"):
        made.store(name)
    return made


def move(image_id: str, source: str = "a", target: str = "b", **more: object) -> Image | Plan:
    from flows.replicas.move import change_image_storage

    request = {"image_id": image_id, "source": source, "target": target}
    return change_image_storage(ChangeImageStorage.model_validate(request | more))


def test_a_moved_image_is_whole_on_the_target_and_kept_as_a_leftover_on_the_source(world: World) -> None:
    image = world.add(world.open_store("a"), DATA)
    moved = move(image.id)
    assert isinstance(moved, Image)
    assert (moved.status, moved.image_storages) == (ImageStatus.READY, ("b",))
    assert world.wholes(moved) == {"b"}
    assert world.replicas(image.id)["b"].verified_at is not None
    with world.catalog() as catalog:
        (leftover,) = catalog.leftovers()
        kinds = [event.kind for event in catalog.events(image.id)]
    assert (leftover.image_storage, leftover.moved_to, leftover.size_bytes) == ("a", "b", len(DATA))
    assert leftover.location == f"manifests/{image.id}"
    assert read_all(world.open_store("a"), image.id) == DATA
    assert list(world.open_store("b").landings()) == []
    assert "imagewright.image.moving" in kinds
    assert "imagewright.image.moved" in kinds


def test_moving_again_changes_nothing(world: World) -> None:
    image = world.add(world.open_store("a"), DATA)
    first = move(image.id)
    assert move(image.id) == first
    with world.catalog() as catalog:
        assert len(list(catalog.leftovers())) == 1


def test_a_plan_changes_nothing(world: World) -> None:
    image = world.add(world.open_store("a"), DATA)
    plan = move(image.id, plan_only=True)
    assert isinstance(plan, Plan)
    assert [action.verb for action in plan.actions] == ["copy", "read back", "keep leftover"]
    assert plan.bytes_to_move == len(DATA)
    assert world.image(image.id) == image
    assert list(world.open_store("b").images()) == []


def test_what_may_not_be_moved_is_refused_in_words(world: World) -> None:
    image = world.add(world.open_store("a"), DATA, owner="alice", sharing_mode="global")
    with pytest.raises(InvalidRequest, match="another image storage than the source"):
        move(image.id, "a", "a")
    with pytest.raises(InvalidRequest, match=r"a storage that holds image .* whole: a"):
        move(image.id, "b", "a")
    with pytest.raises(ImageNotFound):
        move("11111111-1111-1111-1111-111111111111")
    with pytest.raises(AccessDenied):
        move(image.id, account="bob")
    with world.catalog() as catalog, catalog.changing("admin") as change:
        change.save_image(image.model_copy(update={"status": ImageStatus.DELETED}))
    with pytest.raises(IllegalTransition):
        move(image.id)


def test_a_disabled_storage_takes_and_gives_nothing(world: World) -> None:
    image = world.add(world.open_store("a"), DATA)
    with world.catalog() as catalog, catalog.changing("admin") as change:
        change.save_image_storage(change.image_storage("b").model_copy(update={"state": "Disabled"}))
    with pytest.raises(StorageRefused, match="disabled"):
        move(image.id)
    assert world.image(image.id) == image


def test_an_image_does_not_come_back_over_its_own_leftover(world: World) -> None:
    image = world.add(world.open_store("a"), DATA)
    move(image.id)
    with pytest.raises(InvalidRequest, match="without a leftover"):
        move(image.id, "b", "a")
    assert world.wholes(world.image(image.id)) == {"b"}
