"""Leftovers go only when the image is proven whole elsewhere and nothing uses them, and only after approval."""

import shutil
from pathlib import Path
from uuid import uuid4

import pytest

from catalog.errors import InvalidRequest
from catalog.records import CleanupReport, Image, Leftover, Plan, Volume
from flows.requests import ChangeImageStorage, CleanUpLeftovers
from tests.flows.moving import NOW, World, damage, in_one_run, noise, read_all

DATA = noise(120_000)


@pytest.fixture
def world(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path / "stores", monkeypatch)
    for name in ("a", "b"):
        made.store(name)
    return made


def moved(world: World, data: bytes = DATA) -> Image:
    from flows.replicas.move import change_image_storage

    image = world.add(world.open_store("a"), data)
    change_image_storage.fn(ChangeImageStorage(image_id=image.id, source="a", target="b"))
    return image


def clean(**fields: object) -> CleanupReport | Plan:
    from flows.replicas.leftovers import clean_up_leftovers

    return clean_up_leftovers.fn(CleanUpLeftovers.model_validate({"image_storage": "a", "approve": "yes"} | fields))


def cleaned(**fields: object) -> list[tuple[str, str]]:
    report = clean(**fields)
    assert isinstance(report, CleanupReport)
    return [(item.outcome, item.reason) for item in report.items]


def leftovers(world: World) -> list[Leftover]:
    with world.catalog() as catalog:
        return list(catalog.leftovers())


def used_bytes(folder: Path) -> int:
    return sum(f.stat().st_size for kind in ("packs", "manifests") for f in (folder / kind).rglob("*") if f.is_file())


@pytest.mark.prefect
def test_a_clean_up_gives_the_space_back_and_is_safe_to_repeat(world: World) -> None:
    before = used_bytes(world.folder / "a")

    def work() -> None:
        image = moved(world)
        plan = clean(plan_only=True)
        assert isinstance(plan, Plan)
        assert [action.verb for action in plan.actions] == ["delete leftover"]
        assert len(leftovers(world)) == 1
        report = clean()
        assert isinstance(report, CleanupReport)
        assert [item.outcome for item in report.items] == ["done"]
        assert report.bytes_freed > len(DATA)
        assert world.wholes(image) == {"b"}
        assert cleaned() == [("done", "it was gone already")]  # the same run, retried: its list is kept
        assert cleaned(image_storage="") == []

    in_one_run(work)
    assert leftovers(world) == []
    assert used_bytes(world.folder / "a") == before


@pytest.mark.prefect
def test_a_leftover_in_use_is_kept_and_named_and_the_others_go(world: World) -> None:
    def work() -> None:
        held, backing, free = (moved(world, noise(30_000, n)) for n in (1, 2, 3))
        with world.catalog() as catalog, catalog.changing("admin") as change:
            replica = {"image_storage": "a", "location": f"manifests/{held.id}"}
            change.save_replica(change.replica(held.id, "b").model_copy(update=replica))
            change.save_volume(volume_on(backing))
        outcomes = sorted(cleaned())
        assert [outcome for outcome, _ in outcomes] == ["done", "kept", "kept"]
        assert {reason for outcome, reason in outcomes if outcome == "kept"} == {
            "still used by the replica on a", "still used by volume disk-1",
        }  # fmt: skip
        assert {left.image_id for left in leftovers(world)} == {held.id, backing.id}
        assert read_all(world.open_store("a"), held.id)
        assert not world.open_store("a").contains(free.id)

    in_one_run(work)


def volume_on(image: Image) -> Volume:
    return Volume(
        id=str(uuid4()), name="disk-1", image_id=image.id, primary_storage="default", location="/x",
        backing=f"manifests/{image.id}", size_bytes=1, created_at=NOW,
    )  # fmt: skip


@pytest.mark.prefect
def test_nothing_goes_whose_new_replica_can_t_be_proven(world: World) -> None:
    def work() -> None:
        image = moved(world)
        damage(world.folder / "b")
        ((outcome, reason),) = cleaned()
        assert outcome == "kept"
        assert "expected" in reason
        assert read_all(world.open_store("a"), image.id) == DATA
        shutil.rmtree(world.folder / "b" / "manifests")
        assert [outcome for outcome, _ in cleaned()] == ["kept"]
        with world.catalog() as catalog, catalog.changing("admin") as change:
            change.remove_replica(image.id, "b")
        ((outcome, reason),) = cleaned()
        assert (outcome, "which has no other replica" in reason) == ("kept", True)
        assert read_all(world.open_store("a"), image.id) == DATA

    in_one_run(work)


@pytest.mark.prefect
def test_a_leftover_whose_image_was_expunged_goes_and_unknown_ids_are_named(world: World) -> None:
    def work() -> None:
        image = moved(world)
        with world.catalog() as catalog, catalog.changing("admin") as change:
            change.remove_replica(image.id, "b")
            change.remove_image(image.id)
        (left,) = leftovers(world)
        assert cleaned(leftover_ids=("none", left.id), account="bob")[1][0] == "kept"
        assert [o for o, _ in cleaned(leftover_ids=("none", left.id))] == ["done", "kept"]

    in_one_run(work)
    assert leftovers(world) == []


@pytest.mark.prefect
def test_asking_where_nobody_can_be_asked_is_refused_and_deletes_nothing(world: World) -> None:
    def work() -> None:
        moved(world)
        with pytest.raises(InvalidRequest, match="nobody could be asked"):
            clean(approve="ask")

    in_one_run(work)
    assert len(leftovers(world)) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({}, "rejected"),
        ({"decision": "reject", "typed_count": 3, "reason": "not yet"}, "not yet"),
        ({"decision": "approve"}, "0 was typed, 3 are listed"),
        ({"decision": "approve", "typed_count": 2}, "2 was typed, 3 are listed"),
    ],
)
def test_only_the_right_count_approves(answer: dict[str, object], words: str) -> None:
    from flows.replicas.leftovers import Approval, refusal

    assert words in refusal(Approval.model_validate(answer), 3)
    assert refusal(Approval(decision="approve", typed_count=3), 3) == ""


def test_the_question_explains_each_input_and_names_each_leftover() -> None:
    from flows.replicas.leftovers import question

    left = Leftover(
        id="l", image_id="the-image", image_storage="a", location="manifests/x", size_bytes=7, moved_to="b", created_at=NOW
    )  # fmt: skip
    form = question([left, left])
    fields = form.model_json_schema()["properties"]
    assert fields["typed_count"]["title"] == "How many leftovers go"
    assert "any other number deletes nothing" in fields["typed_count"]["description"]
    assert (fields["decision"]["title"], fields["decision"]["default"]) == ("Decision", "reject")
    said = str(form._description)
    assert said.count("- image the-image: manifests/x on a, 7 bytes; it moved to b") == 2
