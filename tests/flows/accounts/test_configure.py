"""Accounts: who may configure them, and that quotas, recycle bin and projects hold at once."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from catalog import open_catalog
from catalog.errors import ImageNotFound, InvalidRequest, QuotaExceeded
from catalog.records import Account, ImageStatus, Plan
from flows.command import reading
from tasks.accounts.configure import plan_account, set_account
from tasks.add.register import register
from tasks.images.expunge import due_images
from tests.flows.managed import blank, placed, saved

pytestmark = pytest.mark.usefixtures("home")


def configure(name: str, *defaults: str, **asked: object) -> Account:
    return set_account.fn(name, "admin", asked, defaults)


def add() -> None:
    register.fn(blank(owner="bob", image_storages=("default",), source="http://example.org/x"))


def events() -> list[str]:
    with open_catalog() as catalog:
        return [event.kind for event in catalog.events(subject="account:bob")]


def test_a_quota_holds_for_the_next_add_and_takes_nothing_away() -> None:
    images = [placed(owner="bob") for _ in range(2)]
    configure("bob", quota_images=1)
    with pytest.raises(QuotaExceeded, match=r"'bob' has used 2 of 1 \(images\); 1 more do not fit"):
        add()
    with open_catalog() as catalog:
        assert {image.id for image in catalog.images(owner="bob")} == {image.id for image in images}
    assert configure("bob", quota_images=3).quota_images == 3
    add()
    with pytest.raises(QuotaExceeded):
        add()
    assert configure("bob", "quota_images").quota_images is None
    add()


def test_what_is_not_given_stays_and_a_repeated_request_changes_nothing() -> None:
    configure("bob", quota_images=5, projects=("blue", "red", "blue"))
    account = configure("bob", retention_days=1.5, retention_policy="delay")
    assert (account.quota_images, account.projects, account.retention_days) == (5, ("blue", "red"), 1.5)
    assert configure("bob", quota_images=5) == account
    assert events() == ["imagewright.account.configured"] * 2


def test_a_recycle_bin_is_kept_as_configured_from_now_on() -> None:
    ago = datetime.now(UTC) - timedelta(days=2)
    binned = saved(blank(owner="bob", status=ImageStatus.DELETED, deleted_at=ago))
    assert due_images.fn("admin", None, None) == ()
    configure("bob", retention_days=1)
    assert due_images.fn("admin", None, None) == (binned.id,)
    configure("bob", retention_policy="never")
    assert due_images.fn("admin", None, None) == ()


def test_a_member_of_a_project_sees_what_is_shared_with_it_until_it_leaves() -> None:
    image = placed(owner="alice", sharing_mode="specified", shared_projects=("blue",))
    configure("bob", projects=("blue",))
    with open_catalog() as catalog:
        assert catalog.image(image.id, account="bob") == image
        assert [one.id for one in catalog.images(account="bob")] == [image.id]
    configure("bob", "projects")
    with open_catalog() as catalog, pytest.raises(ImageNotFound):
        catalog.image(image.id, account="bob")


@pytest.mark.parametrize(
    ("name", "account", "defaults", "asked", "sentence"),
    [
        (
            "bob",
            "bob",
            (),
            {"quota_images": 0},
            "account: 'bob' is not allowed; admin: only it may configure",
        ),
        ("bob", "admin", ("quota_images",), {"quota_images": 1}, "leave it out where quota_images is given"),
        (" bob", "admin", (), {}, "name: ' bob' is not allowed"),
        ("", "admin", (), {}, "name: '' is not allowed"),
        (
            "bob",
            "admin",
            (),
            {"projects": ("blue", " ")},
            "projects: .* is not allowed; names that are not empty",
        ),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(
    name: str, account: str, defaults: tuple[str, ...], asked: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        set_account.fn(name, account, asked, defaults)
    assert events() == []


def test_a_plan_says_what_would_change_and_what_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    placed(owner="bob")
    plan = plan_account.fn("bob", "admin", {"quota_images": 1}, ())
    assert isinstance(plan, Plan)
    assert [action.reason for action in plan.actions] == ["quota_images None → 1"]
    assert plan.summary.startswith("bob has 1 images, 1048576 logical bytes")
    assert events() == []
    configure("bob", quota_images=1)
    reading.accounts(as_json=True)
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["name"], listed["quota_images"], listed["quota_bytes"]) == ("bob", 1, None)
