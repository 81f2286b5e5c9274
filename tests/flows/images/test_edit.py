"""Editing, enabling, sharing: rights, rules, one result per image."""

import logging

import pytest

from catalog import open_catalog
from catalog.errors import (
    AccessDenied,
    IllegalTransition,
    ImageNotFound,
    InvalidRequest,
    SomeFailed,
)
from catalog.records import Account, BootFacts, Image, ImageStatus, Plan
from tasks.images.edit import edit, plan_edit
from tasks.images.enable import plan_state, set_state
from tasks.images.share import plan_share, share
from tasks.runtime.batches import all_done, in_batches
from tests.flows.managed import blank, saved, stored_image

pytestmark = pytest.mark.usefixtures("home")


def a_system_image(**fields: object) -> Image:
    given: dict[str, object] = {
        "image_type": "System", "media": "Template", "cpu_architecture": "x86_64", "platform": "Linux",
        "virtio": True, "bios_mode": "Legacy", "status": ImageStatus.READY,
    }  # fmt: skip
    return saved(blank(**(given | fields)))


def events(image: Image) -> list[str]:
    with open_catalog() as catalog:
        return [event.kind.rpartition(".")[2] for event in catalog.events(image.id)]


def test_an_edit_changes_what_was_asked_and_nothing_else() -> None:
    image = a_system_image(description="before")
    after = edit.fn(image.id, "admin", {"name": "debian 12", "os": "Debian 12", "description": None})
    assert (after.name, after.os, after.description) == ("debian 12", "Debian 12", "before")
    assert after.version == image.version + 1
    assert edit.fn(image.id, "admin", {"name": "debian 12"}).version == after.version
    assert events(image) == ["added", "edited"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"name": " x"}, "name: ' x' is not allowed"),
        ({"description": "d" * 2049}, "at most 2,048 characters"),
        ({"enable_csm": True}, "CSM goes only with bios_mode UEFI on cpu_architecture x86_64"),
        ({"os": "CentOS 6.5", "bios_mode": "UEFI"}, "too old for bios_mode UEFI"),
        ({"family": "a/b"}, "family: 'a/b' is not allowed"),
        ({"replaced_by": "nothing"}, "replaced_by: 'nothing' is not allowed"),
    ],
)
def test_an_edit_keeps_the_rules_of_the_add_form(asked: dict[str, object], sentence: str) -> None:
    image = a_system_image()
    with pytest.raises(InvalidRequest, match=sentence):
        edit.fn(image.id, "admin", asked)
    assert stored_image(image.id) == image


def test_an_edit_that_the_bytes_contradict_is_refused() -> None:
    image = a_system_image(boot=BootFacts(partition_table="mbr", bios_boot=True))
    with pytest.raises(InvalidRequest, match="the bytes hold only boot code for a Legacy BIOS"):
        edit.fn(image.id, "admin", {"bios_mode": "UEFI"})


def test_an_image_is_never_replaced_by_itself_in_the_end() -> None:
    first, second = a_system_image(), a_system_image()
    edit.fn(first.id, "admin", {"replaced_by": second.id, "deprecated": True})
    with pytest.raises(InvalidRequest, match="not itself replaced by this one"):
        edit.fn(second.id, "admin", {"replaced_by": first.id})
    assert edit.fn(first.id, "admin", {"replaced_by": ""}).replaced_by is None


def test_the_latest_of_a_family_is_the_newest_that_may_be_used() -> None:
    images = [a_system_image(family="debian") for _ in range(3)]
    set_state.fn([images[2].id], "admin", "Disabled")
    edit.fn(images[1].id, "admin", {"deprecated": True})
    with open_catalog() as catalog:
        assert catalog.latest("debian").id == images[0].id


def test_volume_images_have_no_boot_settings() -> None:
    image = saved(blank(status=ImageStatus.READY))
    with pytest.raises(InvalidRequest, match="a volume image holds only data"):
        edit.fn(image.id, "admin", {"bios_mode": "UEFI"})


def test_enabling_and_disabling_are_idempotent() -> None:
    images = [a_system_image() for _ in range(3)]
    ids = [image.id for image in images]
    for _ in range(2):
        done = all_done("disable", set_state.fn(ids, "admin", "Disabled"))
        assert [image.state for image in done] == ["Disabled"] * 3
    assert events(images[0]) == ["added", "disabled"]


def test_one_bad_id_never_stops_the_others() -> None:
    ids = [a_system_image().id for _ in range(5)]
    binned = a_system_image(status=ImageStatus.DELETED).id
    asked = [*ids[:2], "absent", binned, *ids[2:]]
    outcomes = in_batches(asked, lambda part: set_state.fn(part, "admin", "Disabled"), size=2)
    assert [image.id for image in outcomes.done] == ids
    assert set(outcomes.failed) == {"absent", binned}
    with pytest.raises(SomeFailed, match=r"2 of 7.*absent.*Deleted: disable is allowed only") as caught:
        all_done("disable", outcomes)
    assert isinstance(caught.value.failed[binned], IllegalTransition)


def test_the_only_id_that_fails_gives_its_own_error() -> None:
    with pytest.raises(ImageNotFound, match="absent"):
        all_done("enable", set_state.fn(["absent"], "admin", "Enabled"))


def test_a_stranger_can_not_tell_denied_from_absent() -> None:
    image = a_system_image(owner="bob")
    for name in (image.id, "absent"):
        with pytest.raises(ImageNotFound) as caught:
            edit.fn(name, "eve", {"name": "mine"})
        assert str(caught.value).replace(name, "ID") == (
            "no image 'ID': it does not exist or is not visible to this account; `imagewright images` lists what there is"
        )


def test_who_may_see_an_image_may_not_change_it() -> None:
    image = a_system_image(owner="bob")
    share.fn(image.id, "bob", "specified", ("alice",), ("blue",))
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_account(Account(name="carol", projects=("blue",), created_at=image.created_at))
    for account in ("alice", "carol"):
        with pytest.raises(AccessDenied, match=f"'{account}' may not edit, only its owner or admin may"):
            edit.fn(image.id, account, {"name": "mine"})
    with open_catalog() as catalog:
        assert catalog.image(image.id, account="carol").id == image.id
    share.fn(image.id, "bob", "none", (), ())
    with open_catalog() as catalog, pytest.raises(ImageNotFound):
        catalog.image(image.id, account="alice")


def test_sharing_with_nobody_in_particular_is_refused() -> None:
    image = a_system_image()
    with pytest.raises(InvalidRequest, match="name at least one account or project"):
        share.fn(image.id, "admin", "specified", (), ())
    with pytest.raises(InvalidRequest, match="leave it out with mode global"):
        share.fn(image.id, "admin", "global", ("alice",), ())


def test_a_plan_says_what_would_change_and_changes_nothing() -> None:
    image = a_system_image()
    plans: list[Plan] = [
        plan_edit.fn(image.id, "admin", {"name": "new"}),
        plan_state.fn([image.id, "absent"], "admin", "Disabled"),
        plan_share.fn(image.id, "admin", "global", (), ()),
    ]
    assert plans[0].actions[0].reason == "name 'data' → 'new'"
    assert [action.verb for action in plans[1].actions] == ["disable", "refuse"]
    assert plans[2].actions[0].reason == "sharing_mode 'none' → 'global'"
    assert stored_image(image.id) == image
    assert events(image) == ["added"]


def test_whoever_loses_an_image_is_named_in_the_log() -> None:
    said: list[str] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    image, log = saved(blank(status=ImageStatus.READY)), logging.getLogger("prefect.imagewright.share")
    handler = Listening()
    log.addHandler(handler)
    try:
        share.fn(image.id, "admin", "specified", ("alice", "bob"), ("blue",))
        assert said == []
        share.fn(image.id, "admin", "specified", ("alice", "dora"), ())
        share.fn(image.id, "admin", "global", (), ())
    finally:
        log.removeHandler(handler)
    assert said == ["data is no longer shared with account:bob, project:blue"]
