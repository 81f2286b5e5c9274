"""Verification: damage is found, repaired from another replica or made known; the oldest proof comes first."""

from datetime import timedelta
from pathlib import Path

import pytest

from catalog.errors import InvalidRequest
from catalog.records import Image, ImageStatus, Plan, ReplicaStatus, VerifyReport
from flows.requests import ChangeImageStorage, SyncImages, VerifyReplicas
from storage.imagestore.format.pack import object_name
from tests.flows.moving import NOW, World, artifact, damage, in_one_run, noise, read_all

pytestmark = pytest.mark.prefect


@pytest.fixture
def world(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path / "stores", monkeypatch)
    for name in ("a", "b"):
        made.store(name)
    return made


def verify(**fields: object) -> VerifyReport:
    from flows.replicas.verify import verify_replicas

    report = verify_replicas.fn(VerifyReplicas.model_validate({"image_storages": ("a", "b")} | fields))
    assert isinstance(report, VerifyReport)
    return report


def sync() -> None:
    from flows.replicas.sync import sync_images

    sync_images.fn(SyncImages(source="a", target="b"))


def events(world: World, image: Image) -> list[str]:
    with world.catalog() as catalog:
        return [event.kind for event in catalog.events(image.id)]


def test_whole_replicas_are_read_once_and_dated(world: World) -> None:
    image = world.add(world.open_store("a"), noise(100_000))

    def work() -> None:
        report = verify()
        assert (report.items, report.bytes_read) == ((), 100_000)
        with pytest.raises(InvalidRequest, match="admin"):
            verify(account="bob")

        assert "oldest proof" in artifact("replica-verification")

    in_one_run(work)
    replica = world.replicas(image.id)["a"]
    assert replica.verified_at is not None
    assert replica.status is ReplicaStatus.READY


def test_the_oldest_proof_comes_first_and_the_budget_is_kept_over_several_runs(world: World) -> None:
    images = [world.add(world.open_store("a"), noise(60_000, n)) for n in range(3)]
    with world.catalog() as catalog, catalog.changing("admin") as change:
        for age, image in enumerate(images):
            proof = {"verified_at": NOW - timedelta(days=age)}
            change.save_replica(change.replica(image.id, "a").model_copy(update=proof))

    def work() -> None:
        from flows.replicas.verify import verify_replicas

        plan = verify_replicas.fn(VerifyReplicas(image_storages=("a",), budget_bytes=60_001, plan_only=True))
        assert isinstance(plan, Plan)
        assert [action.subject for action in plan.actions] == [f"replica:{images[n].id}@a" for n in (2, 1)]
        assert verify(budget_bytes=60_000).bytes_read == 60_000

    in_one_run(work)
    proofs = [world.replicas(image.id)["a"].verified_at for image in images]
    assert proofs[0] == NOW
    assert proofs[1] == NOW - timedelta(days=1)
    assert proofs[2]
    assert proofs[2] > NOW


def test_a_replica_larger_than_the_budget_is_proven_in_pieces(world: World) -> None:
    image = world.add(world.open_store("a"), noise(20 << 20))
    reads: list[int] = []

    def work() -> None:
        while not reads or world.replicas(image.id)["a"].verified_at is None:
            reads.append(verify(budget_bytes=6 << 20).bytes_read)
            assert len(reads) < 9

    in_one_run(work)
    assert len(reads) == 3
    assert sum(reads) == 20 << 20
    with world.catalog() as catalog:
        assert list(catalog.pending()) == []


def test_a_proof_in_pieces_does_not_forget_what_an_earlier_run_found(world: World) -> None:
    image = world.add(world.open_store("a"), noise(20 << 20))
    store = world.open_store("a")
    place = store.chips.load_view().locate(store.pieces(image.id).digests[:1])
    name = object_name(place.packs[place.pack[0]].tobytes())
    good = (world.folder / "a" / name).read_bytes()

    def status() -> ReplicaStatus:
        return world.replicas(image.id)["a"].status

    def work() -> None:
        damage(world.folder / "a", name, at=int(place.offset[0] + 100) / len(good))
        for _ in range(5):  # the whole file and the front once more
            verify(budget_bytes=6 << 20)
            assert status() is ReplicaStatus.DAMAGED
        (world.folder / "a" / name).write_bytes(good)
        for _ in range(5):
            verify(budget_bytes=6 << 20)
        assert status() is ReplicaStatus.READY

    in_one_run(work)


def test_a_proof_in_pieces_of_a_replica_that_moved_away_is_not_gone_on_with(world: World) -> None:
    from flows.replicas.move import change_image_storage

    image = world.add(world.open_store("a"), noise(20 << 20))

    def work() -> None:
        verify(budget_bytes=6 << 20)
        change_image_storage.fn(ChangeImageStorage(image_id=image.id, source="a", target="b"))

    in_one_run(work)
    with world.catalog() as catalog:
        assert list(catalog.pending()) == []


def test_damage_is_repaired_from_the_other_replica_without_anyone_asking(world: World) -> None:
    image = world.add(world.open_store("a"), noise(200_000))

    def work() -> None:
        sync()
        damage(world.folder / "b")
        report = verify()
        assert [item.outcome for item in report.items] == ["done"]
        assert "repaired from a" in report.items[0].reason
        assert verify().items == ()

    in_one_run(work)
    assert world.wholes(image) == {"a", "b"}
    assert "imagewright.replica.repaired" in events(world, image)


def test_damage_that_nobody_can_repair_takes_the_image_out_of_use_until_it_is_whole_again(
    world: World,
) -> None:
    data = noise(200_000)
    image = world.add(world.open_store("a"), data)
    good = min((world.folder / "a").glob("packs/*/*")).read_bytes()

    def work() -> None:
        file = damage(world.folder / "a")
        report = verify()
        assert [item.outcome for item in report.items] == ["failed"]
        replica, broken = world.replicas(image.id)["a"], world.image(image.id)
        assert replica.status is ReplicaStatus.DAMAGED
        assert "1 damaged pieces, the first at byte" in (replica.error or "")
        assert broken.status is ImageStatus.ERROR
        assert (broken.error or "").startswith("no whole replica is left: on a:")
        file.write_bytes(good)
        assert verify().items == ()

    in_one_run(work)
    assert world.image(image.id).status is ImageStatus.READY
    assert world.wholes(image) == {"a"}
    assert [k for k in events(world, image) if "damaged" in k or "healed" in k] == [
        "imagewright.replica.damaged", "imagewright.image.damaged", "imagewright.image.healed",
    ]  # fmt: skip


@pytest.mark.parametrize("loss", ["garbled", "gone"])
def test_a_manifest_that_is_lost_is_made_anew(world: World, loss: str) -> None:
    image = world.add(world.open_store("a"), noise(100_000))

    def work() -> None:
        sync()
        manifest = world.folder / "b" / "manifests" / image.id
        manifest.unlink() if loss == "gone" else manifest.write_bytes(manifest.read_bytes()[:-9])
        report = verify()
        assert [item.outcome for item in report.items] == ["done"]
        assert "made anew from a" in report.items[0].reason

    in_one_run(work)
    assert world.wholes(image) == {"a", "b"}
    assert read_all(world.open_store("b"), image.id) == noise(100_000)


def test_nothing_is_concluded_from_a_storage_that_does_not_answer(world: World) -> None:
    image = world.add(world.open_store("a"), noise(10_000))
    with world.catalog() as catalog, catalog.changing("admin") as change:
        change.save_image_storage(change.image_storage("a").model_copy(update={"state": "Disabled"}))

    def work() -> None:
        report = verify()
        assert [item.outcome for item in report.items] == ["pending"]

    in_one_run(work)
    assert world.replicas(image.id)["a"].status is ReplicaStatus.READY
