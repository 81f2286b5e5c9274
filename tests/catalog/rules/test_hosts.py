"""Which host does what: the table of bindings, and where a run goes that needs several places."""

from collections.abc import Sequence

import pytest

from catalog.errors import InvalidRequest, StorageElsewhere
from catalog.records import PrimaryStorage
from catalog.rules.storages.hosts import Need, bound_to, does, host_for, owner_of, require_here, told
from catalog.rules.upkeep.deferred import host_of_work
from tests.catalog.samples import START, a_storage


def need(**places: str | None) -> Need:
    return {("image storage", name): host for name, host in places.items()}


@pytest.mark.parametrize(
    ("url", "had", "hosts", "owner"),
    [
        ("file:///srv/x", None, True, "here"),
        ("file:///srv/x", "a", True, "a"),
        ("file:///srv/x", None, False, None),
        ("s3://bucket/x", None, True, None),
        ("rbd://pool?conf=/c", None, True, None),
    ],
)
def test_a_directory_is_of_a_host_where_several_share_the_catalog(
    url: str, had: str | None, hosts: bool, owner: str | None
) -> None:
    assert owner_of(a_storage(url=url), had, "here", hosts=hosts) == owner


def test_only_its_own_host_opens_a_directory() -> None:
    near = a_storage(host="a")
    require_here(near, "a")
    require_here(near.model_copy(update={"shared": True}), "b")
    require_here(a_storage(), "b")
    with pytest.raises(StorageElsewhere, match="image storage 'near' lies on host 'a', and this is 'b'"):
        require_here(near, "b")
    fast = PrimaryStorage(name="fast", kind="local", url="file:///x", host="a", created_at=START)
    with pytest.raises(StorageElsewhere, match="primary storage 'fast'"):
        require_here(fast, "b")
    assert bound_to(near.model_copy(update={"shared": True})) is None


@pytest.mark.parametrize(
    ("needs", "host"),
    [
        ((), None),
        ((need(),), None),
        ((need(near="a"),), "a"),
        ((need(near="a", s3=None),), None),
        ((need(near="a"), need(s3=None)), "a"),
        ((need(near="a", far="here"),), "here"),
        ((need(near="b", far="a"),), "a"),
        ((need(near="a", far="b"), need(own="b")), "b"),
    ],
)
def test_a_run_goes_to_a_host_that_reaches_all_it_needs(needs: Sequence[Need], host: str | None) -> None:
    assert host_for(needs, "here") == host


def test_what_no_host_reaches_together_is_named() -> None:
    with pytest.raises(InvalidRequest, match="image storage near is on a; image storage far is on b"):
        host_for((need(near="a"), need(far="b"), need(s3=None)), "here")
    assert told((need(near="a", far="b"),)) == "image storage far is on b or image storage near is on a"


@pytest.mark.parametrize(
    ("bound", "asked", "done"),
    [(None, None, True), ("here", None, True), ("a", None, False), (None, "here", False), ("here", "here", True)],
)
def test_an_upkeep_leaves_other_hosts_theirs(bound: str | None, asked: str | None, done: bool) -> None:
    assert does(bound, asked, "here") is done


@pytest.mark.parametrize(
    ("storage", "location", "host"),
    [
        ("near", "", "a"),
        ("s3", "", None),
        ("", "/home/x/exports/i/f.raw", None),
        ("", "file://b/x/f.raw", "b"),
        ("near", "file:///x/f.raw", "a"),
    ],
)  # fmt: skip
def test_deferred_work_is_for_the_host_that_has_the_bytes(storage: str, location: str, host: str | None) -> None:
    from catalog.records import Deferred

    work = Deferred(
        id="w", operation="delete export", subject="x", storage=storage, location=location, reason="r", created_at=START
    )
    assert host_of_work(work, {"near": "a", "s3": None}) == host
