"""Plans: what operations would do, from snapshots alone."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrsistent import pmap

from catalog import errors
from catalog.history import Snapshot
from catalog.kinds import KINDS
from catalog.plan import (
    plan_expunge,
    plan_leftovers,
    plan_move,
    plan_purge,
    plan_sync,
)
from catalog.records import Image, ImageStorage, Leftover, Plan, Record, Volume
from catalog.rules.retention import Retention
from tests.catalog.samples import START, a_replica, an_export, an_image

KIND_OF = {kind.record: kind for kind in KINDS}


def snapshot(*records: Record) -> Snapshot:
    def subject(record: Record) -> str:
        kind = KIND_OF[type(record)]
        return kind.subject(kind.key_of(record))

    return pmap({subject(record): record for record in records})


def storage(name: str, **fields: object) -> ImageStorage:
    given = {"name": name, "kind": "imagestore", "url": f"file:///{name}", "created_at": START}
    return ImageStorage.model_validate(given | fields)


def leftover(image: Image, **fields: object) -> Leftover:
    given = {
        "id": f"left-{image.id}", "image_id": image.id, "image_storage": "a", "location": f"pool/{image.id}",
        "size_bytes": 7, "moved_to": "b", "created_at": START,
    }  # fmt: skip
    return Leftover.model_validate(given | fields)


def verbs(plan: Plan) -> list[tuple[str, str]]:
    return [(action.verb, action.subject) for action in plan.actions]


READY = an_image(id="i", status="Ready")
A, B = storage("a"), storage("b")
ON_A = a_replica(READY, "a", status="Ready", size_bytes=100, stored_bytes=60)

chips = st.dictionaries(st.binary(min_size=1, max_size=1), st.just(10), max_size=8)


@given(
    st.dictionaries(st.sampled_from("abcdef"), chips),
    st.sets(st.binary(min_size=1, max_size=1)),
    st.sets(st.sampled_from("abc")),
)
def test_a_sync_sends_each_lacking_chip_once(
    wanted: dict[str, dict[bytes, int]], held: set[bytes], complete: set[str]
) -> None:
    plan = plan_sync(wanted, held, complete)
    lacking = {chip for image, its in wanted.items() if image not in complete for chip in its} - held
    assert plan.bytes_to_move == 10 * len(lacking) == sum(a.bytes for a in plan.actions)
    assert plan.bytes_to_move + plan.bytes_already_there == sum(sum(its.values()) for its in wanted.values())
    assert [a.subject for a in plan.actions] == [f"image:{image}" for image in wanted]
    assert {a.subject[6:] for a in plan.actions if a.verb == "keep"} == complete & wanted.keys()


def test_a_sync_says_how_many_chips_travel() -> None:
    plan = plan_sync({"one": {b"x": 5, b"y": 6}, "two": {b"y": 6, b"z": 7}}, {b"x"}, set())
    assert [(a.bytes, a.reason) for a in plan.actions] == [
        (6, "1 of 2 chips, then the manifest"),
        (7, "1 of 2 chips, then the manifest"),
    ]


def test_a_move_copies_proves_switches_and_keeps_the_source() -> None:
    plan = plan_move(snapshot(READY, ON_A, A, B), "i", "a", "b", available_bytes=100)
    assert [a.verb for a in plan.actions] == ["copy", "read back", "switch", "keep leftover"]
    assert plan.bytes_to_move == 100


@pytest.mark.parametrize(
    ("records", "target", "error", "words"),
    [
        ((READY, ON_A, A), "a", errors.InvalidRequest, "another image storage"),
        ((READY, ON_A, A), "b", errors.StorageNotFound, "'b'"),
        ((ON_A, A, B), "b", errors.ImageNotFound, "'i'"),
        ((READY, A, B), "b", errors.InvalidRequest, "that holds image i whole"),
        ((READY, a_replica(READY, "a"), A, B), "b", errors.InvalidRequest, "that holds image i whole"),
        ((READY, ON_A, A, storage("b", state="Disabled")), "b", errors.StorageRefused, "disabled"),
        ((READY, ON_A, storage("a", state="Disabled"), B), "b", errors.StorageRefused, "disabled"),
        (
            (READY, ON_A, A, storage("b", connection="Disconnected")),
            "b",
            errors.StorageUnavailable,
            "disconnected",
        ),
        ((an_image(id="i", status="Deleted"), ON_A, A, B), "b", errors.IllegalTransition, "Deleted"),
        ((READY, ON_A, a_replica(READY, "b"), A, B), "b", errors.InvalidRequest, "has no replica"),
        (
            (READY, ON_A, A, B, leftover(READY, image_storage="b")),
            "b",
            errors.InvalidRequest,
            "clean it up first",
        ),
    ],
)
def test_a_move_that_breaks_a_rule_is_refused(
    records: tuple[Record, ...], target: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        plan_move(snapshot(*records), "i", "a", target)


def test_a_move_that_does_not_fit_is_refused() -> None:
    with pytest.raises(errors.CapacityExceeded):
        plan_move(snapshot(READY, ON_A, A, B), "i", "a", "b", available_bytes=99)


def test_expunging_takes_everything_of_the_image_and_nothing_else() -> None:
    binned, other = an_image(id="gone", status="Deleted"), an_image(id="other", status="Ready")
    plan = plan_expunge(
        snapshot(
            binned, other, an_export(binned, id="e"), an_export(other, id="f"), a_replica(binned, "a", stored_bytes=5),
            a_replica(other, "a"), leftover(binned),
        ),
        ["gone"],
    )  # fmt: skip
    assert verbs(plan) == [
        ("delete export", "export:e"),
        ("delete replica", "replica:gone@a"),
        ("delete leftover", "leftover:left-gone"),
        ("remove record", "image:gone"),
    ]
    with pytest.raises(errors.IllegalTransition):
        plan_expunge(snapshot(binned, other), ["gone", "other"])


def test_a_purge_takes_what_is_due_by_each_accounts_own_policy() -> None:
    def binned(name: str, owner: str, days: int) -> Image:
        return an_image(id=name, owner=owner, status="Deleted", deleted_at=START - timedelta(days=days))

    images = [
        binned("due", "a", 3), binned("fresh", "a", 2), binned("kept", "never", 99), binned("now", "direct", 0),
        an_image(id="ready", status="Ready"),
    ]  # fmt: skip
    own = {"never": Retention(policy="never", days=0), "direct": Retention(policy="direct", days=9)}
    plan = plan_purge(snapshot(*images), START, Retention(policy="delay", days=3), own)
    assert verbs(plan) == [("remove record", "image:due"), ("remove record", "image:now")]


def test_leftovers_go_unless_somebody_needs_them() -> None:
    free, live, cloned, unproven, expunged, volume = (
        an_image(id=name, status="Ready")
        for name in ("free", "live", "cloned", "unproven", "expunged", "volume")
    )
    moved = [a_replica(image, "b", status="Ready") for image in (free, live, cloned, volume)]
    disk = Volume(
        id="v", name="disk", image_id="volume", primary_storage="p", location="x", backing="pool/volume@snap",
        size_bytes=1, created_at=START,
    )  # fmt: skip
    images = (free, live, cloned, unproven, volume)
    lefts = [leftover(image) for image in (*images, expunged)]
    everything = snapshot(*images, *moved, a_replica(live, "a"), disk, *lefts)
    plan = plan_leftovers(everything, used_by={"left-cloned": "clone rbd/x"})
    kept = {a.subject: a.reason for a in plan.actions if a.verb == "keep"}
    gone = {a.subject for a in plan.actions if a.verb == "delete leftover"}
    assert gone == {"leftover:left-free", "leftover:left-expunged"}
    assert kept == {
        "leftover:left-live": "a live replica of image live is on a",
        "leftover:left-cloned": "clone rbd/x",
        "leftover:left-unproven": "image unproven is not whole on b",
        "leftover:left-volume": "volume disk (v) is made from it",
    }
    assert verbs(plan_leftovers(everything, ["left-free"])) == [("delete leftover", "leftover:left-free")]
    assert plan_leftovers(everything, image_storage="b").actions == ()
    with pytest.raises(errors.LeftoverNotFound):
        plan_leftovers(everything, ["left-none"])
