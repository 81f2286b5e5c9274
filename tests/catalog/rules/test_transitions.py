"""The life of an image: every pair of status and operation either moves or is refused in words."""

from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest

from catalog.errors import AccessDenied, IllegalTransition, ImageNotFound
from catalog.records import Account, Deferred, ImageStatus
from catalog.rules.accounts.sharing import grantees, names_of, require_owner, visible
from catalog.rules.images import transitions
from catalog.rules.images.retention import Retention, due_for_expunge, retention_of
from catalog.rules.images.transitions import GONE, TABLE, mermaid, refusals, status_after
from catalog.rules.upkeep.deferred import due_again, tried_again, work_id
from catalog.settings import Settings
from tests.catalog.samples import START, an_image


@pytest.mark.parametrize(("status", "operation"), list(product(ImageStatus, TABLE)))
def test_every_pair_moves_or_is_refused(status: ImageStatus, operation: str) -> None:
    image = an_image(status=status)
    if status in TABLE[operation]:
        assert status_after(image, operation) is TABLE[operation][status]
        return
    with pytest.raises(IllegalTransition) as caught:
        status_after(image, operation)
    error = caught.value
    assert (error.status, error.operation) == (status, operation)
    assert error.allowed == tuple(s.value for s in TABLE[operation])
    assert all(s.value in str(error) for s in TABLE[operation])


def test_every_status_is_reached_and_left() -> None:
    moves = {(b, a) for row in TABLE.values() for b, a in row.items() if a is not b}
    assert {a for _, a in moves} | {ImageStatus.CREATING} == {*ImageStatus, GONE}
    assert {b for b, _ in moves} == set(ImageStatus)


@pytest.mark.parametrize(
    ("operation", "statuses"),
    [
        ("recover", {"Deleted"}),
        ("expunge", {"Deleted"}),
        ("export", {"Ready", "Migrating"}),
        ("create volume", {"Ready", "Migrating"}),
        ("sync", {"Ready"}),
        ("cancel", {"Creating", "Downloading"}),
    ],
)
def test_what_the_specification_says_is_in_the_table(operation: str, statuses: set[str]) -> None:
    assert {s.value for s in TABLE[operation]} == statuses


def test_delete_bins_what_is_whole_and_ends_what_is_arriving() -> None:
    assert status_after(an_image(status="Ready"), "delete") is ImageStatus.DELETED
    assert status_after(an_image(status="Error"), "delete") is ImageStatus.DELETED
    assert status_after(an_image(status="Downloading"), "delete") is GONE


def test_a_disabled_image_makes_no_new_volume() -> None:
    with pytest.raises(IllegalTransition, match="is Disabled: create volume is allowed only when it is Enabled"):
        status_after(an_image(status="Ready", state="Disabled"), "create volume")
    assert status_after(an_image(status="Ready", state="Disabled"), "export") is ImageStatus.READY


def test_a_protected_image_is_not_deleted() -> None:
    with pytest.raises(IllegalTransition, match="protected"):
        status_after(an_image(status="Ready", protected=True), "delete")


def test_recovery_gives_back_the_status_before() -> None:
    assert status_after(an_image(status="Deleted"), "recover") is ImageStatus.READY
    assert status_after(an_image(status="Deleted", error="broken"), "recover") is ImageStatus.ERROR


def test_the_diagram_holds_every_move() -> None:
    drawn = mermaid()
    for operation, row in TABLE.items():
        for before, after in row.items():
            if after is not before:
                target = after.value if after else "[*]"
                assert any(
                    line.strip().startswith(f"{before.value} --> {target}:") and operation in line
                    for line in drawn.splitlines()
                )
    assert refusals().count("\n") == len(TABLE) + 2


@pytest.mark.parametrize(
    ("policy", "after", "due"),
    [
        ("direct", timedelta(0), True),
        ("delay", timedelta(days=3) - timedelta(microseconds=1), False),
        ("delay", timedelta(days=3), True),
        ("never", timedelta(days=10_000), False),
    ],
)
def test_retention(policy: str, after: timedelta, due: bool) -> None:
    image = an_image(status="Deleted", deleted_at=START)
    assert due_for_expunge(image, START + after, Retention.model_validate({"policy": policy, "days": 3})) is due


def test_only_what_is_binned_is_expunged() -> None:
    with pytest.raises(IllegalTransition):
        due_for_expunge(an_image(status="Ready"), START, Retention(policy="direct", days=0))


def test_an_account_may_have_its_own_retention() -> None:
    settings = Settings(retention_days=3, retention_policy="delay")
    assert retention_of(Account(name="a", created_at=START), settings) == Retention(policy="delay", days=3)
    own = Account(name="a", created_at=START, retention_days=0, retention_policy="never")
    assert retention_of(own, settings) == Retention(policy="never", days=0)


def test_a_stranger_learns_nothing_and_a_guest_may_not_change() -> None:
    owner, guest, stranger = (Account(name=n, created_at=START) for n in ("alice", "bob", "eve"))
    image = an_image(owner="alice", sharing_mode="specified", shared_accounts=("bob",), shared_projects=("p",))
    require_owner(image, owner, "delete")
    require_owner(image, Account(name="admin", created_at=START), "delete")
    with pytest.raises(AccessDenied, match="may not delete"):
        require_owner(image, guest, "delete")
    with pytest.raises(ImageNotFound):
        require_owner(image, stranger, "delete")
    assert visible(image, guest.model_copy(update={"name": "carl", "projects": ("p",)}))
    assert grantees(image) == {"account:bob", "project:p"}
    assert grantees(image.model_copy(update={"sharing_mode": "none"})) == frozenset()
    assert names_of(Account(name="p", projects=("q",), created_at=START)) == {"account:p", "project:q"}


def test_deferred_work_waits_longer_each_time_up_to_six_hours() -> None:
    work = Deferred(id=work_id("o", "s", "", ""), operation="o", subject="s", reason="r", created_at=START)
    assert due_again(work, START)
    waits = []
    for _ in range(40):
        work = tried_again(work, "r", START)
        wait = timedelta(0)
        while not due_again(work, START + wait):
            wait += timedelta(minutes=1)
        waits.append(wait)
    assert waits[:3] == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]
    assert waits == sorted(waits)
    assert waits[-1] == timedelta(hours=6)


def test_the_readme_shows_the_table_as_it_is() -> None:
    readme = (Path(transitions.__file__).parents[1] / "README.md").read_text()
    assert mermaid() in readme
    assert refusals() in readme
