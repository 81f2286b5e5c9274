"""What a watch may be, and which lists are not believed."""

import pytest

from catalog.errors import InvalidRequest
from catalog.records import Watch, WatchState
from catalog.rules.promotion.watches import check_watch, why_refused
from tests.catalog.rules.promotion.builds import NOW


def a_watch(**fields: object) -> Watch:
    given: dict[str, object] = {
        "name": "w", "family": "debian", "kind": "listing", "url": "https://example.org/x/", "pattern": "os-{version}.img",
        "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    return Watch.model_validate({**given, **fields})


def test_a_watch_that_keeps_the_rules() -> None:
    check_watch(a_watch(checksums_url="SHA256SUMS", signature_url="SHA256SUMS.sig", public_keys=("k",)))
    check_watch(a_watch(kind="url", pattern=None))
    check_watch(a_watch(kind="simplestreams", pattern="disk.img", public_keys=("k",)))


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"url": "ftp://example.org/x"}, "url"),
        ({"url": "x/y"}, "url"),
        ({"url": "https://u:p@example.org/"}, "url"),
        ({"checksums_url": "//elsewhere/SUMS"}, "checksums_url"),
        ({"checksums_url": "file:///etc/passwd"}, "checksums_url"),
        ({"pattern": None}, "pattern"),
        ({"pattern": "os.img"}, "pattern"),
        ({"public_keys": ("k",)}, "public_keys"),
        ({"signature_url": "x.sig"}, "signature_url"),
        ({"signature_url": "x.sig", "checksums_url": "S"}, "signature_url"),
        ({"kind": "simplestreams", "checksums_url": "S"}, "checksums_url"),
        ({"add": {"name": "x"}}, "add"),
        ({"name": "a/b"}, "name"),
    ],
)
def test_what_is_no_watch_is_refused(fields: dict[str, object], parameter: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_watch(a_watch(**fields))
    assert refused.value.parameter == parameter


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        (["1.9", "1.10"], ""),
        (["1.9", "1.11"], ""),
        (["1.9"], "older than before: its newest build is 1.9, where it was 1.10"),
        ([], "lists no build any more, where it listed 4"),
        (["1.10"], "lists 1 builds, where it listed 4"),
    ],
)
def test_a_list_that_shrank_or_grew_older_is_not_believed(versions: list[str], said: str) -> None:
    reason = why_refused(versions, WatchState(watch="w", newest="1.10", builds=4))
    assert said in reason
    assert bool(said) == bool(reason)


def test_the_first_list_is_believed() -> None:
    assert why_refused(["1"], WatchState(watch="w")) == ""
    assert why_refused([], WatchState(watch="w")) == ""
