"""What hosts tell each other through the catalog, on every kind of database."""

from datetime import timedelta

import pytest

from catalog.errors import HostNotFound
from catalog.log import events
from catalog.records import RunOutcome, UploadPlace
from catalog.records.hosts import in_bucket
from catalog.repository.catalog import Catalog
from catalog.rules.storages.hosts import SILENT_AFTER
from tests.catalog.samples import START, Ticking, a_host

LATE = START - timedelta(days=400)


def beat(catalog: Catalog, name: str = "a", **fields: object) -> None:
    with catalog.changing(actor="system") as change:
        change.beat(a_host(name, **fields))


def test_a_sign_of_life_counts_by_the_catalogs_clock_whatever_the_hosts_says(catalog: Catalog, clock: Ticking) -> None:
    beat(catalog, last_seen=LATE, created_at=LATE)
    assert catalog.host("a").last_seen == clock.now - timedelta(seconds=1)
    assert catalog.host("a").state == "Connected"


def test_a_host_that_gives_none_for_long_is_silent_until_the_next(catalog: Catalog, clock: Ticking) -> None:
    beat(catalog)
    clock.now += SILENT_AFTER
    assert [host.state for host in catalog.hosts()] == ["Silent"]
    assert "it has been silent since 2026-03-01 12:" in catalog.why_away("a")
    beat(catalog)
    assert [host.state for host in catalog.hosts()] == ["Connected"]
    assert catalog.why_away("a") == ""


def test_signs_of_life_are_not_in_the_log(catalog: Catalog) -> None:
    before = len(list(catalog.events()))
    for _ in range(3):
        beat(catalog)
    assert len(list(catalog.events())) == before


def test_a_drained_host_stays_so_however_often_it_says_that_it_lives(catalog: Catalog) -> None:
    beat(catalog)
    with catalog.changing(actor="ann") as change:
        assert change.set_host_state("a", "Draining").state == "Draining"
    beat(catalog)
    assert catalog.host("a").state == "Draining"
    assert "`imagewright resume-host a` ends that" in catalog.why_away("a")
    with catalog.changing(actor="ann") as change:
        change.set_host_state("a", "Connected")
        change.set_host_state("a", "Connected")
    notes = [(e.kind, e.actor) for e in catalog.events(subject="host:a")]
    assert notes == [(events.HOST_DRAINED, "ann"), (events.HOST_RESUMED, "ann")]
    catalog.verify_events()
    catalog.verify_tables()


def test_a_host_that_was_never_seen_is_away_and_not_drained(catalog: Catalog) -> None:
    assert "run `imagewright worker` on b" in catalog.why_away("b")
    with pytest.raises(HostNotFound, match="`imagewright hosts` lists"), catalog.changing(actor="ann") as change:
        change.set_host_state("b", "Draining")


def test_the_first_key_proposed_is_everybodys(catalog: Catalog) -> None:
    with catalog.changing(actor="system") as change:
        assert change.shared_key("console", "aa") == "aa"
    with catalog.changing(actor="system") as change:
        assert change.shared_key("console", "bb") == "aa"


def test_what_a_run_left_is_kept_for_a_while(catalog: Catalog, clock: Ticking) -> None:
    assert catalog.run_outcome("r") is None
    with catalog.changing(actor="system") as change:
        change.save_run_outcome(RunOutcome(run_id="r", result="[]", created_at=change.now()))
    clock.now += timedelta(days=3)
    with catalog.changing(actor="system") as change:
        change.save_run_outcome(RunOutcome(run_id="s", error="{}", created_at=change.now()))
        assert change.forget_run_outcomes(timedelta(days=2)) == 1
    assert catalog.run_outcome("r") is None
    assert catalog.run_outcome("s") is not None


def test_where_a_file_is_sent_is_a_host_or_a_bucket_and_told_apart(catalog: Catalog) -> None:
    places = {"near": "a", "far": in_bucket("s3"), "farther": in_bucket("s3 of a")}
    with catalog.changing(actor="admin") as change:
        for upload_id, host in places.items():
            change.save_upload_place(UploadPlace(id=upload_id, host=host))
    said = {name: (catalog.upload_host(name), catalog.upload_bucket(name)) for name in (*places, "none")}
    assert said == {"near": ("a", None), "far": (None, "s3"), "farther": (None, "s3 of a"), "none": (None, None)}
    assert [[one.id for one in catalog.upload_places(host)] for host in places.values()] == [
        ["near"],
        ["far"],
        ["farther"],
    ]
    with catalog.changing(actor="admin") as change:
        change.remove_upload_place("far")
    assert catalog.upload_bucket("far") is None
